"""Rain rates in colours: maps on a sheet, and forecasts behind what was observed."""

import numpy as np
import pytest
import xarray

from mslstm_keras.figures import rain
from mslstm_keras.figures.drawing import SHEET_PANEL
from mslstm_keras.figures.rain import (
    NO_RAIN,
    RAIN_COLOURS,
    RAIN_LEVELS,
    rain_forecast_figure,
    rain_sheet,
    scale_bar,
)
from tests.support.pictures import gif_frames, hatched, near, pixels, rgb, video_frames
from tests.support.radar_files import stamps

GAP, TEXT, MARGIN, BAR = 6, 36, 12, 100  # pixels of the layout
LINE = 20 + GAP
RATES = (0.05, 0.3, 0.7, 1.5, 3, 7, 15, 25, 40, 80)  # mm/h, one of each level
INK = (34, 34, 34)


def seen(colour, vision):
    """Returns linear RGB of a colour as somebody sees it without red or green cones (Viénot et al. 1999)."""
    linear = np.array([(value / 255) ** 2.2 for value in rgb(colour)])
    mix = {
        "full": np.eye(3),
        "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "grey": [[0.2126, 0.7152, 0.0722]] * 3,
    }[vision]
    return np.clip(np.array(mix) @ linear, 0, 1)


@pytest.mark.parametrize("vision", ["full", "protanopia", "deuteranopia", "grey"])
def test_rain_colours_differ_for_every_vision(vision):
    colours = [seen(colour, vision) ** (1 / 2.2) * 255 for colour in (NO_RAIN, *RAIN_COLOURS)]
    assert len(colours) == len(RAIN_LEVELS) + 1
    lightness = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in colours]
    assert (np.diff(lightness) < -7).all()  # darker with every level


def test_a_sheet_of_rain_maps_of_any_sizes(tmp_path):
    """Each in the colour of its rate; pixels that were not observed are hatched."""
    maps = {f"map {number}": np.full((20, 20), rate, "float32") for number, rate in enumerate(RATES)}
    maps["map 1\n2024-05-01"] = maps.pop("map 1").repeat(50, 0).repeat(50, 1)
    maps["map 2"][:10] = np.nan
    rain_sheet(maps, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    margin, line = 2 * GAP, 20 + GAP
    left = [margin + column * (SHEET_PANEL + margin) for column in range(4)]
    top = [GAP + row * (SHEET_PANEL + line + 2 * margin) for row in range(3)]
    rates = {name: rates[-1, -1] for name, rates in maps.items()}
    for place, (name, rate) in enumerate(rates.items()):
        x, y = left[place % 4], top[place // 4]
        colour = ([NO_RAIN, *RAIN_COLOURS])[np.searchsorted(RAIN_LEVELS, rate, "right")]
        panel = picture[y + SHEET_PANEL // 2 + 10 : y + SHEET_PANEL - 5, x + 5 : x + SHEET_PANEL - 5]
        assert near(panel, rgb(colour), 3).all(), name
        upper = picture[y + 5 : y + SHEET_PANEL // 2 - 10, x + 5 : x + SHEET_PANEL - 5]
        assert hatched(upper) == (name == "map 2")
    assert hatched(picture[-TEXT:][11:-11, margin + 3 : margin + 37])


def test_a_sheet_keeps_the_sides_of_its_maps(tmp_path):
    maps = {"wide": np.full((10, 40), 3.0), "high": np.full((40, 10), 3.0)}
    rain_sheet(maps, tmp_path / "a.png", title="Two")
    picture = pixels(tmp_path / "a.png")
    rain = near(picture[:, : 12 + 2 * (SHEET_PANEL + 12)], rgb(RAIN_COLOURS[3]), 3)
    assert abs(rain[:, : 12 + SHEET_PANEL].any(0).sum() - SHEET_PANEL) < 4
    assert abs(rain[:, : 12 + SHEET_PANEL].any(1).sum() - SHEET_PANEL / 4) < 4
    assert abs(rain[:, 24 + SHEET_PANEL :].any(0).sum() - SHEET_PANEL / 4) < 4


def test_large_maps_are_drawn_by_the_means_of_what_was_observed(tmp_path):
    """Of each block of 2 x 2 pixels; one that nobody observed stays missing."""
    image = np.zeros((2 * SHEET_PANEL - 1, 2 * SHEET_PANEL), "float32")
    image[1::2, ::2] = 12  # mean 3
    image[:, : SHEET_PANEL // 2 * 2 - 100 : 2] = np.nan  # in the left part, the dry columns alone are left
    image[:100] = np.nan
    rain_sheet({"a": image}, tmp_path / "a.png")
    panel = pixels(tmp_path / "a.png")[GAP:, 12:][: SHEET_PANEL - 3, :SHEET_PANEL]
    assert hatched(panel[5:45, 5:-5])
    assert near(panel[55:, 5 : SHEET_PANEL // 2 - 55], rgb(NO_RAIN), 3).all()
    assert near(panel[55:, SHEET_PANEL // 2 - 45 : -5], rgb(RAIN_COLOURS[3]), 3).all()


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ({}, "`maps` must hold at least one map. Received: none"),
        (
            {"a": np.zeros((1, 4, 4))},
            r"`a` must be \(height, width\), no axis empty. Received: shape \(1, 4, 4\)",
        ),
        ({"a": np.zeros((0, 4))}, "no axis empty"),
        ({"a": np.full((4, 4), -1.0)}, "`a` must hold rain rates or NaN. Received: negative or infinite"),
        ({"a": np.full((4, 4), np.inf)}, "`a` must hold rain rates or NaN. Received: negative or infinite"),
    ],
)
def test_sheets_that_are_not_drawn(tmp_path, maps, said):
    with pytest.raises(ValueError, match=said):
        rain_sheet(maps, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def maps(rates, first, size=(10, 20), minutes=5, metres=1000.0):
    """Returns maps that each have one rate, on a grid in metres, as `read_radar` does."""
    return xarray.DataArray(
        np.ones((len(rates), *size), "float32") * np.reshape(rates, (-1, 1, 1)).astype("float32"),
        {
            "time": stamps(first, len(rates), minutes).astype("datetime64[ns]"),
            "y": ("y", -metres * np.arange(size[0]), {"units": "m"}),
            "x": ("x", metres * np.arange(size[1]), {"units": "m"}),
        },
        ("time", "y", "x"),
        "rain_rate",
        {"units": "mm/h"},
    )


def colour(rate):
    return rgb([NO_RAIN, *RAIN_COLOURS][np.searchsorted(RAIN_LEVELS, rate, "right")])


@pytest.fixture
def written(monkeypatch):
    """Texts that are written on the figure, in order."""
    texts = []
    write = rain.draw_sheet.__globals__["write_text"]

    def note(figure, x, y, text, *style, **styles):
        texts.append(text)
        return write(figure, x, y, text, *style, **styles)

    monkeypatch.setattr("mslstm_keras.figures.drawing.write_text", note)
    return texts


OBSERVED, FORECAST = (80, 0.05, 0.3), RATES[2:7]


def test_a_sheet_of_a_forecast(tmp_path, written):
    """The last two observed maps, then the forecast, with times above them: each in the colour of its rate."""
    observed, forecast = maps(OBSERVED, "2010-08-26T23:40"), maps(FORECAST, "2010-08-26T23:55")
    rain_forecast_figure(observed, forecast, tmp_path / "a.png", title="KNMI")
    picture = pixels(tmp_path / "a.png")
    width, height = 600, 300  # 20 x 10 squares of 30 pixels
    first = TEXT + 2 * GAP + 2 * LINE + GAP
    row = height + 2 * LINE + 2 * MARGIN
    assert picture.shape == (TEXT + 2 * GAP + 2 * row + TEXT, MARGIN + 4 * (width + MARGIN) + BAR, 3)
    for place, rate in enumerate((*OBSERVED[1:], *FORECAST)):
        left, top = MARGIN + place % 4 * (width + MARGIN), first + place // 4 * row
        panel = picture[top : top + height, left : left + width][3:-3, 3:-3]
        assert near(panel, colour(rate), 3).all(), rate
    assert written[:2] == ["KNMI", "5 km"] and "mm/h" in written
    assert [text for text in written if "UTC" in text or " min" in text] == [
        *("2010-08-26 23:45 UTC", "observed \N{MINUS SIGN}5 min", "2010-08-26 23:50 UTC", "observed 0 min"),
        *("2010-08-26 23:55 UTC", "forecast +5 min", "2010-08-27 00:00 UTC", "forecast +10 min"),
        *("2010-08-27 00:05 UTC", "forecast +15 min", "2010-08-27 00:10 UTC", "forecast +20 min"),
        *("2010-08-27 00:15 UTC", "forecast +25 min"),
    ]
    # 5 km are 5 pixels of 30 each: the longest that a third of the width holds is 6.67 km.
    bar = near(picture[-TEXT // 2, -BAR - MARGIN - 150 - GAP // 2 : -BAR], INK)
    assert abs(bar.sum() - 150) <= 2


def test_of_a_long_forecast_ten_maps_are_drawn(tmp_path, written):
    observed, forecast = maps([1], "2010-08-26T00:00"), maps([2] * 28, "2010-08-26T00:05")
    rain_forecast_figure(observed, forecast, tmp_path / "a.png")
    leads = [text for text in written if text.startswith("forecast ")]
    assert leads == [f"forecast +{5 * number} min" for number in range(1, 29, 3)]


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_an_animation_of_a_forecast(tmp_path, suffix, monkeypatch):
    """All observed maps, then the forecast; the time below says which."""
    clocks = []
    draw = rain.draw_panels
    monkeypatch.setattr(
        rain,
        "draw_panels",
        lambda panels, clock, *more, **kept: clocks.append(clock) or draw(panels, clock, *more, **kept),
    )
    observed, forecast = maps(OBSERVED, "2010-08-26T23:40"), maps(FORECAST, "2010-08-26T23:55")
    observed[:, :5] = forecast[:, :5] = np.nan
    path = tmp_path / f"a.{suffix}"
    rain_forecast_figure(observed, forecast, path, title="KNMI", fps=2)
    frames, told = gif_frames(path) if suffix == "gif" else video_frames(path)
    assert told["duration"] == 500 if suffix == "gif" else told == 2
    top, height, width = TEXT + 2 * GAP + TEXT, 300, 600
    assert frames.shape[:3] == (8, top + height + MARGIN + GAP + 2 * TEXT, MARGIN + width + BAR)
    for frame, rate in zip(frames, (*OBSERVED, *FORECAST), strict=True):
        panel = frame[top : top + height, MARGIN : MARGIN + width]
        assert near(panel[160:-10, 10:-10], colour(rate), 16).all(), rate
        if suffix == "gif":
            assert hatched(panel[5:140, 5:-5])
    assert clocks == [
        [
            *("2010-08-26 23:40 UTC, \N{MINUS SIGN}10 min", "2010-08-26 23:45 UTC, \N{MINUS SIGN}5 min"),
            *("2010-08-26 23:50 UTC, 0 min", "2010-08-26 23:55 UTC, +5 min", "2010-08-27 00:00 UTC, +10 min"),
            *(
                "2010-08-27 00:05 UTC, +15 min",
                "2010-08-27 00:10 UTC, +20 min",
                "2010-08-27 00:15 UTC, +25 min",
            ),
        ]
    ]


def test_large_maps_of_a_forecast_are_drawn_by_the_means_of_blocks(tmp_path):
    observed = maps([12], "2010-08-26T00:00", size=(700, 1300))
    forecast = maps([12], "2010-08-26T00:05", size=(700, 1300))
    forecast[:, ::3] = forecast[:, 1::3] = 0  # mean 4
    rain_forecast_figure(observed, forecast, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    height, width = 234, 434  # blocks of 3 x 3
    top = GAP + 2 * LINE + GAP
    for left, rate in ((MARGIN, 12), (2 * MARGIN + width, 4)):
        panel = picture[top : top + height, left : left + width][3:-3, 3:-3]
        assert near(panel, colour(rate), 3).all()


def degrees(maps):
    """Returns maps on a grid of 0.01 degrees around 60 degrees north."""
    y, x = 60 - 0.01 * (np.arange(10) - 4.5), 5 + 0.01 * np.arange(20)
    return maps.assign_coords(y=("y", y, {"units": "degrees_north"}), x=("x", x, {"units": "degrees_east"}))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda maps: maps, "5 km"),
        (degrees, "2 km"),  # 0.556 km for a pixel, 3.7 km for a third
        (lambda maps: maps.drop_vars("x"), None),
        (lambda maps: maps.assign_coords(x=("x", np.arange(20.0))), None),
    ],
)
def test_the_scale_bar(tmp_path, written, change, name):
    pair = [change(maps([1], f"2010-08-26T00:0{minute}")) for minute in (0, 5)]
    rain_forecast_figure(*pair, tmp_path / "a.png")
    assert [text for text in written if "km" in text] == ([name] if name else [])


@pytest.mark.parametrize("factor", [1 - 1e-15, 1, 1 + 1e-15])
def test_a_bar_of_a_third_of_the_width_but_for_rounding(factor):
    wide = xarray.DataArray(np.zeros((2, 300)), dims=("y", "x"))
    metres = {"units": "m"}
    wide = wide.assign_coords(
        y=("y", [1000.0, 0.0], metres), x=("x", np.arange(300) * 1000.0 * factor, metres)
    )
    bar = scale_bar(wide, 2, 600)
    assert bar.name == "100 km" and bar.length == pytest.approx(200)


def test_times_with_seconds(tmp_path, written):
    pair = [maps([1], f"2010-08-26T00:0{time}") for time in ("0:00", "2:30")]
    rain_forecast_figure(*pair, tmp_path / "a.png")
    assert {"2010-08-26 00:02:30 UTC", "forecast +2.5 min"} <= set(written)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda maps: maps[0], r"`forecast` must have the axes time, y and x, none empty. Received: {'y'"),
        (lambda maps: maps[:0], "`forecast` must have the axes time, y and x, none empty"),
        (lambda maps: maps.assign_attrs(units="dBZ"), "`forecast` must be in mm/h. Received: units 'dBZ'"),
        (lambda maps: maps.drop_vars("time"), "`forecast` must have times of datetime64"),
        (lambda maps: maps[:, 1:], r"on the grid of `observed`, \(10, 20\). Received: \(9, 20\)"),
        (
            lambda maps: maps.assign_coords(x=maps.x + 500),
            "whose `x` is 0 .. 19000. Received: 500 .. 19500",
        ),
        (lambda maps: maps[::-1], "of times behind those of `observed`, and both must rise. Received: 2010"),
        (lambda maps: maps - 5, "`forecast` must hold rain rates or NaN. Received: negative or infinite"),
        (
            lambda maps: maps * np.inf,
            "`forecast` must hold rain rates or NaN. Received: negative or infinite",
        ),
    ],
)
def test_forecasts_that_are_not_drawn(tmp_path, change, said):
    observed, forecast = maps([1, 2], "2010-08-26T00:00"), maps([1, 2], "2010-08-26T00:10")
    with xarray.set_options(keep_attrs=True):
        forecast = change(forecast)
    with pytest.raises(ValueError, match=said):
        rain_forecast_figure(observed, forecast, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_files_that_are_not_written(tmp_path):
    pair = [maps([1], f"2010-08-26T00:0{minute}") for minute in (0, 5)]
    with pytest.raises(ValueError, match=r"`path` must end in .png, .gif or .mp4. Received: path='.*a.nc'"):
        rain_forecast_figure(*pair, tmp_path / "a.nc")
    with pytest.raises(ValueError, match=r"`fps` must lie in \[0.01, 50\]. Received: fps=0"):
        rain_forecast_figure(*pair, tmp_path / "a.gif", fps=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_coasts_are_drawn_above_the_rain(tmp_path, monkeypatch, suffix):
    """In pixels of the map, whose upper left corner is 0: on a line through its middle, and nowhere else."""
    lines = [np.array([[0.0, 2.5], [20.0, 2.5]])]
    monkeypatch.setattr(rain, "coast_lines", lambda maps: lines)
    pair = [maps([7], f"2010-08-26T00:0{minute}") for minute in (0, 5)]
    path = tmp_path / f"a.{suffix}"
    rain_forecast_figure(*pair, path)
    if suffix == "png":
        top = GAP + 2 * LINE + GAP
        panels = [pixels(path)[top : top + 300, left : left + 600] for left in (MARGIN, 600 + 2 * MARGIN)]
    else:
        panels = gif_frames(path)[0][:, GAP + TEXT : GAP + TEXT + 300, MARGIN : MARGIN + 600]
    for panel in panels:
        dark = ~near(panel, colour(7), 16)[3:-3, 3:-3]
        assert dark[70:75].any(0).all()  # 2.5 pixels of 30 are 75, less the 3 at the edge
        assert not dark[:70].any() and not dark[75:].any()


def test_coasts_of_large_maps_are_drawn_where_they_are(tmp_path, monkeypatch):
    lines = [np.array([[650.0, 0.0], [650.0, 700.0]])]
    monkeypatch.setattr(rain, "coast_lines", lambda maps: lines)
    pair = [maps([7], f"2010-08-26T00:0{minute}", size=(700, 1300)) for minute in (0, 5)]
    rain_forecast_figure(*pair, tmp_path / "a.png")
    top = GAP + 2 * LINE + GAP
    panel = pixels(tmp_path / "a.png")[top : top + 234, MARGIN : MARGIN + 434]  # blocks of 3 x 3
    [columns] = np.nonzero(~near(panel, colour(7), 16)[3:-3, 3:-3].all(0))
    assert set(columns + 3) <= {215, 216, 217} and len(columns)
