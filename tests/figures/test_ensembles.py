"""Mean, spread and probabilities of an ensemble on a sheet."""

import re

import numpy as np
import pytest
import xarray

from mslstm_keras.figures.drawing import BAR_WIDTH, GAP, LABEL_WIDTH, LARGEST_PANEL, TEXT_HEIGHT
from mslstm_keras.figures.ensembles import (
    clip_probability_figure,
    probability_look,
    rain_probability_figure,
)
from mslstm_keras.figures.rain import NO_RAIN, RAIN_COLOURS, RAIN_LEVELS
from tests.support.pictures import hatched, near, pixels, rgb

pytestmark = pytest.mark.filterwarnings("ignore:maps are drawn without some or all coasts:UserWarning")
TOP = TEXT_HEIGHT + 2 * GAP  # below the title


def rain(values, first):
    """Maps of one rate each, 20 x 20 pixels, 5 minutes apart."""
    return xarray.DataArray(
        np.broadcast_to(np.float32(values)[:, None, None], (len(values), 20, 20)).copy(),
        {"time": np.datetime64(first, "ns") + np.arange(len(values)) * np.timedelta64(300, "s")},
        ("time", "y", "x"),
        attrs={"units": "mm/h"},
    )


def panels(path, labelled, columns):
    """Returns the inner parts of the panels of each row, (height, width, 3); `labelled` tells the rows with labels."""
    picture, top, rows = pixels(path), TOP, []
    for labels in labelled:
        top += TEXT_HEIGHT if labels else 0
        lefts = [LABEL_WIDTH + column * (LARGEST_PANEL + GAP) for column in range(columns)]
        rows.append(
            [
                picture[top + 4 : top + LARGEST_PANEL - 4, left + 4 : left + LARGEST_PANEL - 4]
                for left in lefts
            ]
        )
        top += LARGEST_PANEL + GAP
    return rows


def colour_of_chance(share):
    look = probability_look().style
    return (255 * np.array(look["cmap"](look["norm"](share)))[:3]).round()


def colour_of_rate(rate):
    return rgb(RAIN_COLOURS[np.searchsorted(RAIN_LEVELS, rate, "right") - 1])


def test_colours_change_at_tens_of_per_cent():
    look = probability_look()
    colours = [tuple(colour_of_chance(np.float32(share / 10) + 0.02)) for share in range(10)]
    assert len(set(colours)) == 10 and list(colours[0]) == list(rgb(NO_RAIN))
    for tenth in range(1, 10):
        assert tuple(colour_of_chance(np.float32(tenth / 10))) == colours[tenth]
    lightness = [np.dot(colour, (0.2126, 0.7152, 0.0722)) for colour in colours]
    assert (np.diff(lightness) < -5).all()
    assert list(look.ticks.values()) == [str(each) for each in range(10, 100, 10)] and look.unit == "%"


def test_rows_and_columns_of_rain(tmp_path):
    """Eight lead times: the first, the last and four between; seven observed maps: the last six."""
    observed = rain([40, 0.3, 0.3, 0.3, 0.3, 0.3, 3], "2024-05-01T12:00")
    observed[-1, :10] = np.nan
    mean = rain([0.7, 80, 1.5, 0.7, 0.7, 0.7, 80, 7], "2024-05-01T12:35")
    spread = np.full(mean.shape, 0.2, "float32")
    chances = {
        1.0: np.full(mean.shape, 0.55, "float32"),
        5.0: np.broadcast_to(np.float32([0, 0, 1, 0, 0, 0, 0, 0.95])[:, None, None], mean.shape),
    }
    rain_probability_figure(
        observed, mean, tmp_path / "a.png", spread=spread, probabilities=chances, title="R"
    )
    rows = panels(tmp_path / "a.png", [True, True, False, False, False], 6)
    seen, middle, width, likely, rare = rows
    assert all(near(panel, colour_of_rate(0.3), 3).all() for panel in seen[:5])
    assert hatched(seen[5][:95]) and near(seen[5][120:], colour_of_rate(3), 3).all()
    for panel, rate in zip(middle, mean.values[[0, 1, 3, 4, 6, 7], 0, 0], strict=True):
        assert near(panel, colour_of_rate(rate), 3).all(), rate
    assert all(near(panel, colour_of_rate(0.2), 3).all() for panel in width)
    assert all(near(panel, colour_of_chance(0.55), 3).all() for panel in likely)
    assert near(rare[0], rgb(NO_RAIN), 3).all() and near(rare[5], colour_of_chance(0.95), 3).all()
    assert len(np.unique(pixels(tmp_path / "a.png")[:TOP].reshape(-1, 3), axis=0)) > 2  # the title


def test_a_forecast_alone(tmp_path):
    """No spread and no probabilities: observed and forecast alone."""
    rain_probability_figure(
        rain([1.5], "2024-05-01T12:00"), rain([7], "2024-05-01T12:05"), tmp_path / "a.png"
    )
    picture = pixels(tmp_path / "a.png")
    height = TOP + 2 * (TEXT_HEIGHT + LARGEST_PANEL + GAP) + GAP
    assert picture.shape[:2] == (height, LABEL_WIDTH + LARGEST_PANEL + BAR_WIDTH)
    (seen,), (ahead,) = panels(tmp_path / "a.png", [True, True], 1)
    assert near(seen, colour_of_rate(1.5), 3).all() and near(ahead, colour_of_rate(7), 3).all()


def test_clips_are_grey_between_their_ends(tmp_path):
    observed = np.full((2, 20, 20, 1), 50, "float32")
    mean, spread = np.full((3, 20, 20, 1), 100, "float32"), np.zeros((3, 20, 20, 1), "float32")
    spread[1] = 4
    clip_probability_figure(
        observed,
        mean,
        tmp_path / "a.png",
        spread=spread,
        probabilities={90: np.full(mean.shape, 0.75, "float32")},
        ends=(0, 200),
        units="cars",
        title="Cars",
    )
    seen, middle, width, likely = panels(tmp_path / "a.png", [True, True, False, False], 3)
    assert near(seen[1], (64, 64, 64), 2).all() and (seen[2] == 255).all()  # two frames alone were observed
    assert all(near(panel, (128, 128, 128), 2).all() for panel in middle)
    assert near(width[0], (0, 0, 4), 4).all() and near(width[1], (252, 255, 164), 4).all()
    assert all(near(panel, colour_of_chance(0.75), 3).all() for panel in likely)


def test_large_maps_are_drawn_by_means_of_blocks(tmp_path):
    frames = np.zeros((1, 440, 440, 1), "float32")
    frames[:, ::2] = 1
    clip_probability_figure(frames, frames, tmp_path / "a.png", title="Large")
    (seen,), _ = panels(tmp_path / "a.png", [True, True], 1)
    assert near(seen, (128, 128, 128), 2).all()


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 2), (0, 4, 4, 1)])
def test_clips_that_cannot_be_drawn(tmp_path, shape):
    good = np.zeros((2, 4, 4, 1), "float32")
    for name, frames in (("observed", (np.zeros(shape), good)), ("forecast", (good, np.zeros(shape)))):
        message = (
            f"`{name}` must be (time, height, width, 1), no axis empty, to be drawn. Received: shape {shape}"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            clip_probability_figure(*frames, tmp_path / "a.png")


def test_other_suffixes_are_refused(tmp_path):
    frames = np.zeros((1, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match=r"`path` must end in .png. Received: path='.*a.gif'"):
        clip_probability_figure(frames, frames, tmp_path / "a.gif")
    maps = rain([1, 1], "2024-05-01T12:00")
    with pytest.raises(ValueError, match="of times behind those of `observed`"):
        rain_probability_figure(maps, maps, tmp_path / "a.png")
