"""Evaluations as tables: Markdown, LaTeX and CSV."""

import csv
import io
import shutil
import subprocess

import pytest

from mslstm_keras.evaluation.tables import RUNTIMES, cost_columns, publication_table


def scores(mean, low, high, **more):
    return {"mean": mean, "per_frame": [mean], "interval": [low, high], **more}


COST = {
    "parameters": 2_500_000,
    "macs": 3_210_000_000,
    "memory": None,
    "seconds": {"keras": 0.5, "onnx": 0.25},
}
EVALUATION = {
    "data": "moving_mnist_clips/paper",
    "clips": 1000,
    "frames": "forecast",
    "interval": None,
    "synthetic": False,
    "metrics": ["mse", "ssim"],
    "models": {
        "good_one": {"mse": scores(50.0, 49.0, 51.0, deviation=0.5), "ssim": scores(0.8, 0.7, 0.9)},
        "bad": {"mse": scores(60.0, 59.0, 61.0), "ssim": scores(0.85, 0.8, 0.9)},
        "persistence": {"mse": scores(300.0, 299.0, 301.0), "ssim": {"mean": None, "per_frame": [None]}},
    },
    "published": {"ms_lstm": {"mse": {"mean": 40.0, "per_frame": None}}},
    "cost": {"good_one": COST, "bad": {**COST, "seconds": {"keras": 0.125}}},
}


def test_markdown_ranks_our_own_and_marks_the_papers():
    lines = publication_table(EVALUATION, "md").splitlines()
    assert lines[0] == (
        "moving_mnist_clips/paper: 1,000 clips, means over forecast frames; in brackets 95 % intervals over clips."
    )
    assert lines[2:] == [
        "|  | parameters, millions | MACs, billions | seconds, Keras | seconds, ONNX Runtime | MSE (sum over a frame) "
        "| SSIM |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| good_one | 2.5 | 3.21 | 0.5 | 0.25 | **50.00** ± 0.500 (49.00 to 51.00) | 0.800 (0.700 to 0.900) |",
        "| bad | 2.5 | 3.21 | 0.125 | - | 60.00 (59.00 to 61.00) | **0.850** (0.800 to 0.900) |",
        "| persistence | - | - | - | - | 300.00 (299.00 to 301.00) | - |",
        "| ms_lstm (the paper's) | - | - | - | - | 40.00 | - |",
    ]


def test_numbers_of_csv_are_whole():
    rows = list(csv.DictReader(io.StringIO(publication_table(EVALUATION, "csv"))))
    assert [row["name"] for row in rows] == ["good_one", "bad", "persistence", "ms_lstm"]
    assert [row["source"] for row in rows] == ["models"] * 3 + ["published"]
    assert rows[0]["parameters"] == "2500000" and rows[0]["seconds_onnx"] == "0.25"
    assert rows[1]["seconds_onnx"] == rows[2]["macs"] == rows[3]["ssim"] == rows[3]["mse_low"] == ""
    assert "memory" not in rows[0]  # nobody knows it
    assert [rows[0][f"mse{part}"] for part in ("", "_low", "_high", "_deviation")] == [
        "50.0",
        "49.0",
        "51.0",
        "0.5",
    ]


def test_latex_is_booktabs_tabulars_below_one_another():
    scores_, costs, seconds = publication_table(EVALUATION, "tex").split(r"\medskip")
    lines = scores_.splitlines()
    assert lines[2:4] == [r"\noindent\begin{tabular}{@{}lrr@{}}", r"\toprule"]
    assert lines[4] == r" & \shortstack[r]{MSE\\(sum over a\\frame)} & \shortstack[r]{SSIM} \\"
    assert lines[6:8] == [
        r"good\_one & \textbf{50.00} $\pm$ 0.500 & 0.800 \\",
        r" & \scriptsize (49.00 to 51.00) & \scriptsize (0.700 to 0.900) \\",
    ]
    assert lines[12:16] == [
        r"\midrule",
        r"ms\_lstm (the paper's) & 40.00 & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert costs.splitlines()[4:8] == [
        r"\midrule",
        r"good\_one & 2.5 & 3.21 \\",
        r"bad & 2.5 & 3.21 \\",
        r"\bottomrule",
    ]
    assert r"\shortstack[r]{seconds,\\ONNX\\Runtime}" in seconds
    assert r"bad & 0.125 & - \\" in seconds


def test_costs_have_three_digits_and_no_exponent():
    many = {**COST, "memory": 1_284_567_890, "macs": 23_400_000}
    table = publication_table({**EVALUATION, "cost": {"good_one": many, "bad": COST}}, "md")
    assert "| good_one | 2.5 | 0.0234 | 1280 | 0.5 |" in table


def test_many_scores_are_parted_evenly():
    metrics = [f"{score}_{bound}" for score in ("csi", "hss") for bound in (1, 5)]
    model = dict.fromkeys(metrics, scores(0.5, 0.25, 0.75))
    rain = {**EVALUATION, "metrics": metrics, "models": {"one": model}, "published": {}, "cost": {}}
    assert publication_table(rain, "tex").count(r"\begin{tabular}{@{}lrr@{}}") == 2


def test_latex_has_no_table_of_nothing():
    plain = {key: value for key, value in EVALUATION.items() if key != "cost"}
    assert publication_table(plain, "tex").count(r"\begin{tabular}") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("name", ["a_b&c%d$e#f{g}", "pred_rnn_plus_plus_moving_mnist"])
def test_latex_compiles_and_fits_on_a_page(name, tmp_path):
    wide = {
        metric: scores(111.11, 111.11, 111.11)
        for metric in ("mse", "mae", "ssim", "psnr", "csi_0.5", "hss_0.5")
    }
    cost = {**COST, "memory": 1e9, "seconds": dict.fromkeys(RUNTIMES, 0.0123)}
    named = {**EVALUATION, "metrics": list(wide), "models": {name: wide}, "cost": {name: cost}}
    (tmp_path / "table.tex").write_text(publication_table(named, "tex"))
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0 and "Overfull" not in ended.stdout, ended.stdout
    assert (tmp_path / "page.pdf").stat().st_size > 1000


def test_without_costs_there_are_no_columns_of_them():
    plain = {key: value for key, value in EVALUATION.items() if key != "cost"}
    assert cost_columns(plain) == {}
    assert publication_table(plain, "md").splitlines()[2] == "|  | MSE (sum over a frame) | SSIM |"


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"`kind` must be one of md, tex, csv\. Received: kind='docx'"):
        publication_table(EVALUATION, "docx")
