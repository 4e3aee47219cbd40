import re

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.evaluation.report import write_report
from mslstm_keras.frames.rain import RAIN_SCALES
from tests.support.pages import Reader, browse, read
from tests.support.processes import no_file_larger_than


def scores(values, deviation=None):
    plain = {"mean": float(np.mean(values)), "per_frame": list(values)}
    if deviation is None:
        return plain
    return plain | {"deviation": deviation, "per_frame_deviation": [deviation] * len(values)}


def evaluation(**changes):
    return {
        "data": "taxibj_clips/inflow",
        "clips": 1344,
        "frames": "forecast",
        "first_lead": 1,
        "interval": 30.0,
        "synthetic": False,
        "models": {
            "persistence": {"mse": scores([40.0, 60.0]), "ssim": scores([0.7, 0.5])},
            "ms_lstm": {"mse": scores([10.0, 14.0], 0.25), "ssim": scores([0.9, 0.8])},
            "conv_lstm": {"mse": scores([11.0, 13.0]), "ssim": scores([0.95, 0.85])},
        },
        "published": {
            "ms_lstm": {"mse": {"mean": None, "per_frame": [0.141, 0.173]}},
            "mim": {"mse": {"mean": 5.5, "per_frame": None}},
        },
        "note": "Published: table 5 of the paper.",
    } | changes


def sample(frames=2, **changes):
    clip = np.linspace(0, 1, frames * 64, dtype="float32").reshape(frames, 8, 8, 1)
    return {"context": clip, "truth": clip, "forecasts": {"ms_lstm": clip / 2, "persistence": clip}} | changes


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(evaluation(), path, samples=[sample()], command='mslstm evaluate --model "a<b" & c')
    return path


def test_the_file_needs_nothing_beside_it(report):
    text, reader = report.read_text(encoding="utf-8"), read(report)
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    for _, attributes in reader.tags:
        assert attributes.get("src", "data:").startswith("data:")
        assert not {"href", "srcset", "onload", "style"} & set(attributes)
    [policy] = [each["content"] for each in reader.attributes("meta") if "http-equiv" in each]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'",
        policy,
    )
    assert list(report.parent.iterdir()) == [report]


def test_it_is_a_page(report):
    text, reader = report.read_text(encoding="utf-8"), read(report)
    assert text.startswith("<!DOCTYPE html>\n")
    assert ("html", {"lang": "en"}) in reader.tags
    assert ("meta", {"charset": "utf-8"}) in reader.tags
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        attributes for tag, attributes in reader.tags if tag == "meta"
    ]
    assert all(attributes["alt"] for tag, attributes in reader.tags if tag == "img")
    assert "Evaluation on taxibj_clips/inflow" in reader.text
    assert "1,344" in reader.text
    assert "30 min" in reader.text


def test_means_are_those_of_the_evaluation(report):
    means = read(report).tables[0]
    assert means == [
        ["Model", "MSE (sum over a frame) ↓", "SSIM ↑"],
        ["ms_lstm", "12.00 ± 0.250", "0.850"],
        ["conv_lstm", "12.00", "0.900"],
        ["persistence", "50.00", "0.600"],
        ["mim (the paper's)", "5.500", "–"],
    ]


def test_lead_times_are_those_of_the_evaluation(report):
    _, mse, ssim = read(report).tables
    assert mse == [
        ["Model", "+30 min", "+60 min"],
        ["ms_lstm", "10.00", "14.00"],
        ["conv_lstm", "11.00", "13.00"],
        ["persistence", "40.00", "60.00"],
        ["ms_lstm (the paper's)", "0.141", "0.173"],
    ]
    assert ssim[1:] == [
        ["ms_lstm", "0.900", "0.800"],
        ["conv_lstm", "0.950", "0.850"],
        ["persistence", "0.700", "0.500"],
    ]


def test_the_best_are_bold_and_the_papers_are_not_ranked(report):
    # Means: both models have the least MSE, and conv_lstm the largest SSIM; then MSE and SSIM by lead time.
    assert read(report).bold == ["12.00", "12.00", "0.900", "10.00", "13.00", "0.950", "0.850"]


def test_a_score_of_unknown_direction_has_no_best(tmp_path):
    values = evaluation(models={"a": {"lead_2": scores([1.0])}, "b": {"lead_2": scores([2.0])}}, published={})
    write_report(values, tmp_path / "a.html")
    assert read(tmp_path / "a.html").bold == []


def test_notes(report):
    text = read(report).text
    assert "The paper's numbers are not ranked with the others. Published: table 5 of the paper." in text
    assert "± is the standard deviation over the runs of a model." in text


def test_the_note_is_there_where_the_paper_prints_no_number(tmp_path):
    write_report(evaluation(published={}, note="Published: nothing in numbers."), tmp_path / "a.html")
    text = read(tmp_path / "a.html").text
    assert "Published: nothing in numbers." in text
    assert "not ranked" not in text


def test_no_notes_on_what_is_not_there(tmp_path):
    write_report(
        evaluation(models={"a": {"mse": scores([1.0])}}, published={}, note=None), tmp_path / "a.html"
    )
    text = read(tmp_path / "a.html").text
    assert "paper" not in text.replace("the paper's dotted", "")
    assert "±" not in text
    assert "Samples" not in text


def test_missing_pixels(tmp_path):
    masked = {"mean": 12.0, "per_frame": [None, 12.0]}
    changes = {"missing": {"share": 0.1234, "frames": 0}, "models": {"a": {"mse": masked}}, "note": None}
    half = sample()
    half["context"], half["truth"] = (np.where(half["truth"] > 0.5, half["truth"], np.nan) for _ in range(2))
    write_report(evaluation(**changes, published={}), tmp_path / "a.html", samples=[half])
    text = read(tmp_path / "a.html").text
    assert "12.3 % of the pixels of the forecast frames were not observed and count in no score." in text
    assert text.count("not observed") == 1 and "nan" not in text
    write_report(evaluation(**changes, published={}), tmp_path / "b.html", samples=[sample()])
    (_, tall), (_, low) = (
        [size for kind, size, _ in read(tmp_path / name).pictures() if kind == "png"]
        for name in ("a.html", "b.html")
    )
    assert tall == (low[0], low[1] + 36)  # the line that says what is hatched


def test_pictures(report):
    kinds = list(read(report).pictures())
    assert [kind for kind, _, _ in kinds] == ["png", "png", "gif"]  # curves, comparison, animation
    assert kinds[0][1] == (1600, 610)
    assert kinds[2][2] == 4  # input and forecast


def test_radar_scores_are_also_shown_as_means_so_far(tmp_path):
    models = {"ms_lstm": {"csi_0.5": scores([0.5, 0.4]), "mse": scores([1.0, 2.0])}}
    germany = {"data": "dwd_radar_clips/germany", "models": models, "published": {}}
    rain = sample(rain_scale=RAIN_SCALES["dwd"], title="Storm of 8 < 9")
    write_report(evaluation(**germany), tmp_path / "a.html", samples=[rain])
    reader = read(tmp_path / "a.html")
    assert len(list(reader.pictures())) == 4
    assert "Means over the lead times so far" in reader.text
    assert "Storm of 8 < 9" in reader.text
    assert reader.tables[0][0] == ["Model", "CSI at 0.5 mm/h ↑", "MSE (sum over a frame) ↓"]


def test_names_are_escaped(tmp_path):
    name = "<img src='http://a.b/c'> & $x$ \"q\""
    values = evaluation(
        data=name, models={name: {"mse": scores([1.0])}}, published={name: {"mse": scores([2.0])}}, note=name
    )
    write_report(values, tmp_path / "a.html", title=name, command=name, samples=[sample(title=name)])
    reader = read(tmp_path / "a.html")
    assert [row[0] for row in reader.tables[0][1:]] == [name, f"{name} (the paper's)"]
    assert all(attributes["src"].startswith("data:") for tag, attributes in reader.tags if tag == "img")
    assert reader.text.count(name) >= 6


def test_how_it_was_made(report):
    text = read(report).text
    assert 'mslstm evaluate --model "a<b" & c' in text
    for package in ("Python", "mslstm-keras", "keras", "numpy", "matplotlib"):
        assert re.search(rf"{package}\d+\.\d+", text)


def test_synthetic_data_are_called_so_everywhere(tmp_path):
    write_report(evaluation(), tmp_path / "real.html", samples=[sample()])
    write_report(evaluation(synthetic=True), tmp_path / "a.html", samples=[sample()])
    real, reader = read(tmp_path / "real.html"), read(tmp_path / "a.html")
    assert "synthetic" not in real.text.lower()
    assert "Evaluation on taxibj_clips/inflow (synthetic data)" in reader.text
    assert "Synthetic data. The clips come from a generator" in reader.text
    labels = [attributes["aria-label"] for _, attributes in reader.tags if "aria-label" in attributes]
    labels += [attributes["alt"] for tag, attributes in reader.tags if tag == "img"]
    assert len(labels) == 6
    assert all("synthetic data" in label for label in labels)
    for (_, before, _), (_, after, _) in zip(real.pictures(), reader.pictures(), strict=True):
        assert after[1] > before[1] or after == (
            1600,
            610,
        )  # room for the word; the curves' is in their legend


def test_all_frames(tmp_path):
    values = evaluation(frames="all", first_lead=0, interval=None)
    write_report(values, tmp_path / "a.html")
    reader = read(tmp_path / "a.html")
    assert reader.tables[1][0] == ["Model", "t", "t+1", "t+2"]
    assert reader.tables[1][1] == ["ms_lstm", "10.00", "14.00", "–"]
    assert reader.tables[1][4] == ["ms_lstm (the paper's)", "–", "0.141", "0.173"]
    assert "Means over all predicted frames" in reader.text
    assert "Time between frames" not in reader.text


def test_scores_that_are_not_defined_are_dashes(tmp_path):
    models = {
        "a": {"csi_5": {"mean": float("nan"), "per_frame": [float("nan"), None]}},
        "b": {"csi_5": scores([0.5, 0.25])},
    }
    write_report(evaluation(models=models, published={}), tmp_path / "a.html")
    reader = read(tmp_path / "a.html")
    assert reader.tables[0][1:] == [["a", "–"], ["b", "0.375"]]
    assert reader.tables[1][1:] == [["a", "–", "–"], ["b", "0.500", "0.250"]]
    assert reader.bold == ["0.375", "0.500", "0.250"]


def test_means_alone(tmp_path):
    models = {"a": {"mse": {"mean": 2.0, "per_frame": None}}}
    write_report(evaluation(models=models, published={}), tmp_path / "a.html")
    reader = read(tmp_path / "a.html")
    assert len(reader.tables) == 1
    assert list(reader.pictures()) == []


def test_reports_that_are_not_written(tmp_path):
    path = tmp_path / "a.html"
    with pytest.raises(ValueError, match=r"`evaluation` must hold at least one model. Received: none"):
        write_report(evaluation(models={}), path)
    with pytest.raises(
        ValueError, match=r"`samples` must each hold .* Received: one without forecasts, truth"
    ):
        write_report(evaluation(), path, samples=[{"context": sample()["context"]}])
    with pytest.raises(
        ValueError, match=r"`forecasts\['a'\]` must have as many frames as `truth`, 2. Received: 3"
    ):
        write_report(evaluation(), path, samples=[sample(forecasts={"a": sample(3)["truth"]})])
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    models = {"a": {"mse": {"mean": 2.0, "per_frame": None}}}
    with no_file_larger_than(1000), pytest.raises(OSError, match=r"File too large: '.*a.html'"):
        write_report(evaluation(models=models, published={}), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_it(report, tmp_path, width):
    shot = tmp_path / "shot.png"
    browse(report, tmp_path / "user", f"--screenshot={shot}", f"--window-size={width},2400")
    with Image.open(shot) as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    assert picture.shape == (2400, width, 3)
    written = (picture.min(-1) < 120).any(1)
    assert written[:200].any()  # the heading
    assert written[1000:].mean() > 0.2  # curves and pictures
    assert (np.ptp(picture, axis=-1) > 60).sum() > 1000  # in colours
    edge = picture[:, -8:]
    assert (edge == edge[0, 0]).all()  # nothing sticks out on the right


def test_a_browser_reads_the_table(report, tmp_path):
    reader = Reader()
    reader.feed(browse(report, tmp_path / "user", "--dump-dom"))
    assert reader.tables == read(report).tables
    assert reader.tables[0][1][:2] == ["ms_lstm", "12.00 ± 0.250"]
