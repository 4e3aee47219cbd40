"""Scores drawn by lead time."""

import numpy as np
import pytest

from mslstm_keras.evaluation.curves import _line_styles, lead_time_figure
from mslstm_keras.figures.drawing import LINES
from tests.support.pictures import WARNING, near, pixels

BLUE, RED, GREY = (31, 111, 180), (209, 73, 91), (138, 138, 138)


def scores(values, deviation=None):
    of_frames = {} if deviation is None else {"per_frame_deviation": [deviation] * len(values)}
    return {"mean": float(np.mean(values)), "per_frame": list(values)} | of_frames


def evaluation(**changes):
    return {
        "data": "taxibj_clips/inflow",
        "clips": 12,
        "frames": "forecast",
        "first_lead": 1,
        "interval": 30,
        "synthetic": False,
        "models": {
            "ms_lstm": {"mse": scores([1.0, 2, 3, 4]), "ssim": scores([0.9, 0.8, 0.7, 0.6])},
            "persistence": {"mse": scores([4.0, 5, 6, 7]), "ssim": scores([0.7, 0.6, 0.5, 0.4])},
        },
        "published": {},
        "note": None,
    } | changes


def curves(path):
    """Returns the picture below its legend."""
    return pixels(path)[130:]


def test_curves_of_models_and_baselines(tmp_path):
    lead_time_figure(evaluation(), tmp_path / "a.png")
    picture = curves(tmp_path / "a.png")
    assert picture.shape == (480, 1600, 3)
    for half, slope in ((picture[:, :800], -1), (picture[:, 800:], 1)):
        for colour in (BLUE, GREY):
            places = np.argwhere(near(half, colour, 20))
            assert slope * np.polyfit(places[:, 1], places[:, 0], 1)[0] > 0.1
    model, baseline = (near(picture[:, :800], colour, 20).any(0) for colour in (BLUE, GREY))
    assert model.sum() > 600  # across without a gap
    gaps = ~baseline[np.flatnonzero(model).min() :][: model.sum()]
    assert gaps.mean() > 0.1  # dashed


def test_the_curve_lies_at_its_values(tmp_path):
    values = evaluation(models={"a": {"mse": scores([0.0, 10, 0, 10])}, "b": {"mse": scores([0.0, 0, 0, 0])}})
    lead_time_figure(values, tmp_path / "a.png")
    places = np.argwhere(near(curves(tmp_path / "a.png"), BLUE, 20))
    low, high = places[:, 0].max(), places[:, 0].min()
    assert low - high > 300
    ends = places[:, 1].min(), places[:, 1].max()
    thirds = np.linspace(*ends, 4)[1:3]
    for column, row in zip(thirds, (high, low), strict=True):
        there = places[np.abs(places[:, 1] - column) < 6]
        assert np.abs(there[:, 0] - row).min() < 4


def test_means_over_the_lead_times_so_far(tmp_path):
    values = evaluation(models={"a": {"csi_2": scores([0.8, 0.4, 0.6, 0.6])}})
    means = evaluation(models={"a": {"csi_2": scores([0.8, 0.6, 0.6, 0.6])}})
    lead_time_figure(values, tmp_path / "a.png", cumulative=True)
    lead_time_figure(means, tmp_path / "b.png")
    shown = [near(curves(tmp_path / f"{name}.png"), BLUE, 20) for name in "ab"]
    np.testing.assert_array_equal(*shown)


def test_the_band_of_a_deviation(tmp_path):
    models = {"a": {"mse": scores([1.0, 2, 3], deviation=0.5)}}
    lead_time_figure(evaluation(models=models), tmp_path / "a.png")
    light = 255 - 0.18 * (255 - np.array(BLUE))
    assert near(curves(tmp_path / "a.png"), light, 4).sum() > 20_000
    lead_time_figure(evaluation(models=models), tmp_path / "b.png", cumulative=True)
    assert near(curves(tmp_path / "b.png"), light, 4).sum() < 2_000


def test_the_papers_curves_are_dotted(tmp_path):
    published = {
        "ms_lstm": {"mse": {"mean": None, "per_frame": [2.0, 3, 4, 5]}},
        "mim": {"mse": {"mean": None, "per_frame": [3.0, 4, 5, 6]}, "ssim": {"mean": 0.8, "per_frame": None}},
        "motion_rnn": {"ssim": {"mean": 0.8, "per_frame": None}},
    }
    lead_time_figure(evaluation(), tmp_path / "a.png", metrics=["mse"])
    lead_time_figure(evaluation(published=published), tmp_path / "b.png", metrics=["mse"])
    before, after = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    assert near(after[130:], RED).sum() > 300  # the paper's mim, the second colour
    assert not near(before, RED).any()
    assert (after[:60] < 100).any(-1).sum() > 1.5 * (before[:60] < 100).any(-1).sum()  # named in the legend
    blue = [near(picture[130:], BLUE, 20).sum() for picture in (before, after)]
    assert 1.2 * blue[0] < blue[1] < 1.9 * blue[0]  # the paper's ms_lstm has its colour and more gaps


def test_no_curve_of_the_papers_has_the_colour_of_another_model(tmp_path):
    published = {
        name: {"mse": {"mean": None, "per_frame": [2.0, 3, 4, 5]}} for name in ("ms_lstm", *"abcdefgh")
    }
    styles = _line_styles(evaluation(published=published))
    own = styles["models", "ms_lstm"]["color"]
    assert own == LINES[0] == styles["published", "ms_lstm"]["color"]
    assert own not in [styles["published", name]["color"] for name in "abcdefgh"]
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == len(styles)


def test_more_models_than_colours_differ_by_their_markers():
    many = {f"model_{number}": {"mse": scores([1.0, 2, 3, 4])} for number in range(3 * len(LINES))}
    styles = _line_styles(evaluation(models=many)).values()
    assert len({(style["color"], style["marker"]) for style in styles}) == 3 * len(LINES)
    assert [style["marker"] for style in styles][: len(LINES)] == ["o"] * len(LINES)


def test_the_papers_curves_begin_with_the_forecast(tmp_path):
    published = {"mim": {"mse": {"mean": None, "per_frame": [5.0, 6]}}}
    models = {"ms_lstm": {"mse": scores([1.0, 2, 3, 4])}}
    values = evaluation(models=models, published=published, frames="all", first_lead=-1)
    lead_time_figure(values, tmp_path / "a.png")
    picture = curves(tmp_path / "a.png")
    left, right = (np.argwhere(near(picture, colour, 20))[:, 1] for colour in (BLUE, RED))
    assert right.max() == pytest.approx(left.max(), abs=8)
    assert right.min() > left.mean()


def test_synthetic_is_said(tmp_path):
    lead_time_figure(evaluation(), tmp_path / "a.png")
    lead_time_figure(evaluation(synthetic=True), tmp_path / "b.png")
    assert not near(pixels(tmp_path / "a.png"), WARNING).any()
    assert near(pixels(tmp_path / "b.png")[:60], WARNING).sum() > 200


def test_scores_that_are_not_there_leave_a_gap(tmp_path):
    models = {
        "a": {"mse": scores([1.0, 2, 3, 4])},
        "b": {"mse": {"mean": 1.0, "per_frame": [1.0, None, None, 4]}},
    }
    lead_time_figure(evaluation(models=models), tmp_path / "a.png")
    columns = near(curves(tmp_path / "a.png"), RED).any(0)
    assert 10 < columns.sum() < 60  # two marks


@pytest.mark.parametrize(
    ("values", "metrics", "message"),
    [
        (evaluation(), ["gdl"], "`metrics` must be among .* lead time: mse, ssim. Received: gdl"),
        (evaluation(), [], "`metrics` must be among .* lead time: mse, ssim. Received: none"),
        (evaluation(models={}), None, "`metrics` must be among .* lead time: none. Received: none"),
    ],
)
def test_scores_that_are_not_drawn(tmp_path, values, metrics, message):
    with pytest.raises(ValueError, match=message):
        lead_time_figure(values, tmp_path / "a.png", metrics=metrics)
    assert list(tmp_path.iterdir()) == []
