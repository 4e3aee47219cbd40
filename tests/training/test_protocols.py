"""Which scores a data set is judged by."""

import pytest

from mslstm_keras.training.data import BUILDERS
from mslstm_keras.training.protocols import PROTOCOLS, Protocol, find_protocol, metric_label, score_text
from tfds_builders.rain import RAIN_SCALES


def test_data_sets_are_known():
    assert set(PROTOCOLS) <= set(BUILDERS)


@pytest.mark.parametrize("protocol", [Protocol(), *PROTOCOLS.values()])
def test_every_score_is_made_by_its_name(protocol):
    metrics = protocol.make(3)
    assert tuple(metrics) == protocol.metrics
    assert set(protocol.by_lead_time) <= set(metrics)
    for name, metric in metrics.items():
        assert metric.frames == 3
        assert metric.name.removeprefix("frame_") == name


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
    ],
)
def test_labels_have_units(name, label):
    assert metric_label(name) == label


@pytest.mark.parametrize(
    ("value", "text"), [(115.494, "115.49"), (0.1406, "0.141"), (-12.0, "-12.00"), (0, "0.000")]
)
def test_numbers_tell_models_apart(value, text):
    assert score_text(value) == text
