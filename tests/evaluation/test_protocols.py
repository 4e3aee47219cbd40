"""Which scores a data set is judged by."""

import pytest

from mslstm_keras.data.catalogue import BUILDERS
from mslstm_keras.evaluation.protocols import (
    PROTOCOLS,
    Protocol,
    direction,
    find_protocol,
    metric_label,
    score_text,
)
from mslstm_keras.frames.rain import RAIN_SCALES


def test_data_sets_are_known():
    assert set(PROTOCOLS) <= set(BUILDERS)


OTHERS = ("pixel_mse", "pixel_mae", "gdl", "pod_2", "far_10", "fss_0.5_3")


@pytest.mark.parametrize(
    "protocol", [Protocol(), *PROTOCOLS.values(), Protocol(OTHERS, ("gdl",), rain_scale="hko")]
)
def test_every_score_is_made_by_its_name(protocol):
    metrics = protocol.make(3)
    assert tuple(metrics) == protocol.metrics
    assert set(protocol.by_lead_time) <= set(metrics)
    for name, metric in metrics.items():
        assert metric.frames == 3
        assert metric.name.removeprefix("frame_") == name


@pytest.mark.parametrize(
    ("name", "nearest"), [("csi_2_5", "csi_2"), ("fss_2", "fss_2_5"), ("ssin", "ssim"), ("lpips", "balanced")]
)
def test_unknown_scores_are_refused(name, nearest):
    with pytest.raises(
        ValueError, match=rf"`metrics` must be known, such as .*{nearest}.*Received: '{name}'"
    ):
        Protocol((name,), rain_scale="dwd").make(3)


def test_pixels_that_are_no_rain_have_no_scores_of_rain():
    with pytest.raises(ValueError, match=r"`rain_scale` must be one of dwd, .* Received: rain_scale=None"):
        Protocol(("csi_2",)).make(3)


def test_scores_of_rain_know_its_scale():
    protocol = find_protocol("dwd_radar_clips/knmi")
    assert protocol.scale is RAIN_SCALES["dwd"]
    csi = protocol.make(1)["csi_0.5"]
    assert (csi.threshold, csi.rain_scale) == (0.5, "dwd")
    assert find_protocol("kth_clips/trimmed").scale is None


@pytest.mark.parametrize("data", ["moving_mnist_clips/fashion", "frames_from_folder/mine", "own.npy"])
def test_other_data_is_scored_as_moving_mnist(data):
    assert find_protocol(data) == Protocol()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("mse", "MSE (sum over a frame)"),
        ("balanced_mae", "balanced MAE (sum over a frame)"),
        ("csi_0.5", "CSI at 0.5 mm/h"),
        ("fss_2_5", "FSS at 2 mm/h in 5 x 5 pixels"),
        ("pixel_mae", "MAE (mean over pixels)"),
        ("lpips", "LPIPS"),
        ("my_score", "my_score"),
    ],
)
def test_labels_have_units(name, label):
    assert metric_label(name) == label


@pytest.mark.parametrize(
    ("name", "scale", "label"),
    [
        ("value_rmse", "0:655 bikes/h", "RMSE (bikes/h)"),
        ("value_bias", "rain:dwd", "bias (mm/h)"),
        ("value_mae", "0:655", "MAE (in units)"),
        ("mse", "rain:dwd", "MSE (sum over a frame)"),
    ],
)
def test_errors_in_units_name_them(name, scale, label):
    assert metric_label(name, scale) == label


def test_directions_of_scores():
    lower = ("mse", "mae", "gdl", "far_2", "lpips", "pixel_mse", "pixel_mae", "balanced_mse", "balanced_mae")
    assert {direction(name) for name in lower} == {-1}
    assert {direction(name) for name in ("ssim", "psnr", "csi_0.5", "hss_5", "pod_2", "fss_2_5")} == {1}
    assert {direction(name) for name in ("seconds", "lead_2", "csi", "far_away")} == {0}


@pytest.mark.parametrize(
    ("value", "text"),
    [(115.494, "115.49"), (0.1406, "0.141"), (-12.0, "-12.00"), (0, "0.000"), (-0.0004, "0.000")],
)
def test_numbers_tell_models_apart(value, text):
    assert score_text(value) == text


def test_data_in_rain_rates_can_be_scored_as_rain():
    protocol = find_protocol("radar_maps/europe").in_units("rain:hko")
    assert protocol.rain_scale == "hko"
    chosen = protocol.choose(thresholds=[0.5, 10], scales=[5])
    assert chosen.metrics[:4] == ("csi_0.5", "pod_0.5", "far_0.5", "hss_0.5")
    assert chosen.metrics[8:] == (
        "fss_0.5_5",
        "fss_10_5",
        "mse",
        "mae",
        "ssim",
        "psnr",
        "value_mae",
        "value_rmse",
    )
    assert chosen.by_lead_time == chosen.metrics
    assert find_protocol("traffic").in_units("0:655 bikes/h").rain_scale is None
    assert protocol.choose() is protocol


def test_thresholds_take_the_place_of_the_protocols_own():
    chosen = PROTOCOLS["dwd_radar_clips"].choose(thresholds=[1])
    assert chosen.metrics == (
        "csi_1",
        "pod_1",
        "far_1",
        "hss_1",
        "mse",
        "mae",
        "balanced_mse",
        "balanced_mae",
    )
    assert not chosen.cumulative


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"thresholds": [1]},
            r"`thresholds` must be left out for data that are no rain. Received: thresholds=\[1\]",
        ),
        ({"scales": [1]}, r"`scales` must be left out for data that are no rain. Received: scales=\[1\]"),
    ],
)
def test_what_is_no_rain_has_no_thresholds(given, message):
    with pytest.raises(ValueError, match=message):
        Protocol().choose(**given)


def test_scales_need_thresholds():
    with pytest.raises(ValueError, match="`scales` must be given with thresholds"):
        PROTOCOLS["dwd_radar_clips"].choose(scales=[5])
