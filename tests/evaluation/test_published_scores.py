"""The paper's printed scores, against what can be told without its tables."""

import pytest

from mslstm_keras import list_models
from mslstm_keras.evaluation.published_scores import protocol_note, published_scores

MOVING_MNIST = "moving_mnist_clips/paper"
TAXIBJ = ["taxibj_clips/inflow", "taxibj_clips/reference_order"]
KTH = ["kth_clips/three_actions", "kth_clips/trimmed"]
GERMANY = ["dwd_radar_clips/germany", "dwd_radar_clips/germany_reference"]
OTHERS = [
    "moving_mnist_clips/fashion",
    "moving_mnist_clips/srivastava",
    "taxibj_clips/synthetic",
    "kth_clips/six_actions",
    "dwd_radar_clips/knmi",
    "clips.npz",
]
# Number of models in each table, of which the last is the paper's own.
PRINTED = {MOVING_MNIST: 9, **dict.fromkeys(TAXIBJ, 8), **dict.fromkeys(GERMANY, 8)}


@pytest.mark.parametrize("data", PRINTED)
def test_rows_are_models_of_the_registry(data):
    assert len(published_scores(data)) == PRINTED[data]
    assert set(published_scores(data)) <= set(list_models())


def test_moving_mnist():
    scores = published_scores(MOVING_MNIST)
    assert scores["ms_lstm"] == {
        "ssim": {"mean": 0.879, "per_frame": None},
        "mse": {"mean": 52.63, "per_frame": None},
        "mae": {"mean": 97.9, "per_frame": None},
    }
    assert scores["sms_lstm"] == {
        "mse": {"mean": 63.90, "per_frame": None}
    }  # the ablation prints nothing else
    assert scores["tms_lstm"] == {"mse": {"mean": 67.70, "per_frame": None}}
    # Section 5.2.3: "compared to MotionRNN, the MSE of MS-LSTM is reduced by 11.7%".
    reduction = 1 - scores["ms_lstm"]["mse"]["mean"] / scores["motion_rnn"]["mse"]["mean"]
    assert round(100 * reduction, 1) == 11.7


@pytest.mark.parametrize("data", TAXIBJ)
def test_taxibj_errors_grow_with_the_lead_time(data):
    scores = published_scores(data)
    assert scores["ms_lstm"] == {"mse": {"mean": None, "per_frame": [0.141, 0.173, 0.199, 0.230]}}
    for name, row in scores.items():
        errors = row["mse"]["per_frame"]
        assert len(errors) == 4
        assert errors == sorted(errors), name


def test_taxibj_has_cms_lstm_behind_pred_rnn_plus_plus():
    """Section 5.3.1: "CMS-LSTM performs poorly, it does not even surpass PredRNN++"."""
    scores = published_scores(TAXIBJ[0])
    worse, better = (scores[name]["mse"]["per_frame"] for name in ("cms_lstm", "pred_rnn_plus_plus"))
    assert all(one > other for one, other in zip(worse, better, strict=True))


@pytest.mark.parametrize("data", GERMANY)
def test_germany_scores_fall_with_the_threshold(data):
    scores = published_scores(data)
    assert scores["ms_lstm"]["csi_2"] == {"mean": 0.243, "per_frame": None}
    for name, row in scores.items():
        for score in ("csi", "hss"):
            at = [row[f"{score}_{threshold}"]["mean"] for threshold in ("0.5", "2", "5")]
            assert at == sorted(at, reverse=True), name
        for threshold in (
            "0.5",
            "2",
            "5",
        ):  # HSS > CSI wherever a forecast is better than chance and events are rare
            assert row[f"hss_{threshold}"]["mean"] > row[f"csi_{threshold}"]["mean"], name


@pytest.mark.parametrize("data", PRINTED)
def test_the_paper_finds_ms_lstm_best(data):
    scores = published_scores(data)
    own = scores.pop("ms_lstm")
    for name, row in scores.items():
        for score, value in row.items():
            sign = -1 if score in ("mse", "mae") else 1
            numbers = ([each["mean"]] if each["mean"] else each["per_frame"] for each in (own[score], value))
            for ours, theirs in zip(*numbers, strict=True):
                assert sign * ours > sign * theirs, f"{name}, {score}"


@pytest.mark.parametrize("data", KTH + OTHERS)
def test_nothing_where_the_paper_prints_nothing(data):
    assert published_scores(data) == {}


def test_what_a_caller_does_to_scores_stays_with_him():
    published_scores(TAXIBJ[0])["ms_lstm"]["mse"]["per_frame"].clear()
    assert len(published_scores(TAXIBJ[0])["ms_lstm"]["mse"]["per_frame"]) == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (MOVING_MNIST, "all 19 predictions"),
        (TAXIBJ[0], "here time runs forward"),
        (TAXIBJ[1], "so does this config"),
        (KTH[0], "nothing in numbers"),
        (KTH[1], "nothing in numbers"),
        (GERMANY[0], "here rain rates are averaged"),
        (GERMANY[1], "here pixels are averaged"),
    ],
)
def test_notes(data, words):
    assert words in protocol_note(data)


@pytest.mark.parametrize("data", OTHERS)
def test_no_note_on_data_that_are_not_the_papers(data):
    assert protocol_note(data) is None
