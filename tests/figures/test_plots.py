import itertools

import numpy as np
import pytest

from mslstm_keras.figures.plots import (
    curve_figure,
    forecast_animation,
    forecast_figure,
    layers_figure,
    receptive_field_figure,
)
from tests.support.pictures import gif_frames, hatched, pixels
from tests.support.processes import run_without_keras

LABEL, PANEL, GAP, TEXT = 150, 128, 6, 36  # pixels of the layout for ten frames of 64 x 64


def moving_square(frames, size=64, channels=1, start=0):
    clip = np.zeros((frames, size, size, channels), "float32")
    for time in range(frames):
        corner = (start + 2 * time) % (size // 2)
        clip[time, corner : corner + size // 4, corner : corner + size // 4] = 1
    return clip


def panel(picture, column, top):
    left = LABEL + column * (PANEL + GAP)
    return picture[top : top + PANEL, left : left + PANEL]


def test_forecast_figure_shows_every_frame(tmp_path):
    context, truth = moving_square(10), moving_square(10, start=20)
    forecast = 0.5 * truth
    forecast_figure(context, truth, forecast, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (2 * TEXT + 4 * (PANEL + GAP) + GAP, LABEL + 10 * (PANEL + GAP) - GAP + 100, 3)
    tops = [TEXT, 2 * TEXT + PANEL + GAP, 2 * TEXT + 2 * (PANEL + GAP), 2 * TEXT + 3 * (PANEL + GAP)]
    for column in range(10):
        for frames, top in zip((context, truth, forecast), tops, strict=False):
            expected = 255 * frames[column].repeat(2, 0).repeat(2, 1)
            inner = np.abs(panel(picture, column, top) - expected)[4:-4, 4:-4]
            assert np.median(inner) <= 1
            assert (inner > 8).mean() < 0.1  # edges may be smoothed
        red, _, blue = np.moveaxis(panel(picture, column, tops[3])[2:-2, 2:-2], -1, 0)
        darker = 0.5 * truth[column, 1:-1, 1:-1, 0].repeat(2, 0).repeat(2, 1) > 0
        assert ((blue - red > 60) == darker).mean() > 0.97  # blue where the forecast is too dark, else white
        assert not (red > blue + 20).any()


def test_difference_is_red_where_the_forecast_is_too_bright(tmp_path):
    context = moving_square(10)
    forecast_figure(context, 0 * context, 0.5 * context, tmp_path / "a.png")
    red, _, blue = np.moveaxis(panel(pixels(tmp_path / "a.png"), 0, 2 * TEXT + 3 * (PANEL + GAP)), -1, 0)
    assert (red - blue > 60).any()
    assert not (blue - red > 20).any()


def test_forecast_figure_without_truth(tmp_path):
    forecast_figure(moving_square(10), None, moving_square(10, start=20), tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (2 * TEXT + 2 * (PANEL + GAP) + GAP, LABEL + 10 * (PANEL + GAP) - GAP + 12, 3)
    assert (panel(picture, 9, 2 * TEXT + PANEL + GAP) > 250).any()


def test_more_frames_than_columns_are_thinned_out(tmp_path):
    levels = np.linspace(0, 1, 28, dtype="float32").reshape(28, 1, 1, 1) * np.ones((1, 64, 64, 1), "float32")
    forecast_figure(levels, None, levels, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    shown = [panel(picture, column, TEXT)[PANEL // 2, PANEL // 2, 0] for column in range(10)]
    np.testing.assert_allclose(shown, np.linspace(0, 255, 10), atol=1)


def test_labels_and_title_are_drawn(tmp_path):
    clip = moving_square(2, size=8)
    figures = {}
    for name, options in {
        "plain": {},
        "labels": {"lead_labels": ["+5 min", "+10 min"]},
        "title": {"title": "Moving squares"},
        "long": {"title": "Moving squares " * 4},
    }.items():
        forecast_figure(clip, clip, clip, tmp_path / f"{name}.png", **options)
        figures[name] = pixels(tmp_path / f"{name}.png")
    changed = np.argwhere((figures["labels"] != figures["plain"]).any(-1))
    assert len(changed)
    top = TEXT + 216 + GAP  # below the input
    assert top <= changed[:, 0].min() <= changed[:, 0].max() < top + TEXT
    added = figures["title"].shape[0] - figures["plain"].shape[0]
    np.testing.assert_array_equal(figures["title"][added:], figures["plain"])
    assert (figures["title"][:added] < 100).any()
    assert (figures["long"][:added, -GAP:] > 250).all()  # fitted, not cut off


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_channels(tmp_path, channels):
    clip = np.zeros((2, 8, 8, channels), "float32")
    clip[..., 0] = 1
    forecast_figure(clip, clip, clip, tmp_path / "a.png")
    forecast_animation(clip, clip, clip, tmp_path / "a.gif")
    expected = [255, 0, 0] if channels == 3 else [255, 255, 255]
    assert pixels(tmp_path / "a.png")[TEXT + 100, LABEL + 100].tolist() == expected
    assert np.abs(gif_frames(tmp_path / "a.gif")[0][0, 150, 150] - expected).max() < 12


def test_forecast_animation_runs_through_input_and_forecast(tmp_path):
    context, truth = moving_square(3), moving_square(4, start=20)
    forecast_animation(context, truth, 0 * truth, tmp_path / "a.gif", fps=10)
    frames, info = gif_frames(tmp_path / "a.gif")
    assert frames.shape == (7, 256 + 2 * TEXT + 24, 12 + 3 * (256 + 12), 3)
    assert info["duration"] == 100
    assert info["loop"] == 0
    top, middle, right = TEXT + GAP, 12 + 256 + 12, 12 + 2 * (256 + 12)
    for time, frame in enumerate(frames):
        seen = np.concatenate([context, truth])[time, ..., 0].repeat(4, 0).repeat(4, 1)
        panels = [frame[top : top + 256, left : left + 256] for left in (12, middle, right)]
        assert np.mean((panels[0][..., 0] > 128) == seen) > 0.98
        assert np.mean((panels[1][..., 0] > 128) == (seen if time < 3 else 0)) > 0.98
        error = panels[2][..., 0] - panels[2][..., 2] > 60  # red
        assert np.mean(error == (0 if time < 3 else seen)) > 0.98
    headings = [frames[:, : top - 2, left : left + 256] for left in (12, middle)]
    assert (headings[0][:3] == headings[1][:3]).all()  # both are input
    assert (headings[0][3:] != headings[1][3:]).any()  # truth and forecast
    labels = frames[:, top + 262 :]
    assert all((a != b).any() for a, b in itertools.pairwise(labels))


def test_forecast_animation_without_truth(tmp_path):
    forecast_animation(moving_square(2), None, moving_square(3, start=20), tmp_path / "a.gif")
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert frames.shape == (5, 256 + 2 * TEXT + 24, 12 + 256 + 12, 3)


@pytest.mark.parametrize("size", [(1, 1), (8, 20), (20, 8), (300, 400)])
def test_sizes(tmp_path, size):
    clip = np.zeros((2, *size, 1), "float32")
    forecast_figure(clip, clip, clip, tmp_path / "a.png")
    forecast_animation(clip, clip, clip, tmp_path / "a.gif")
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert len(frames) == 4
    dark = (frames[0, TEXT + GAP + 2 : -TEXT - 20] < 10).all(-1)
    height, width = dark.any(1).sum(), dark[dark.any(1)][0].sum() / 2
    assert height / width == pytest.approx(size[0] / size[1], rel=0.05)
    assert width >= 200


def arrays(context=(3, 8, 8, 1), truth=(2, 8, 8, 1), forecast=(2, 8, 8, 1)):
    return [np.zeros(shape, "float32") for shape in (context, truth, forecast)]


@pytest.mark.parametrize("draw", [forecast_figure, forecast_animation])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"context": (8, 8, 1)}, r"`context` must be \(time, .* Received: shape \(8, 8, 1\)"),
        ({"forecast": (0, 8, 8, 1)}, r"`forecast` must be .* Received: shape \(0, 8, 8, 1\)"),
        (
            {"truth": (2, 8, 4, 1)},
            r"`truth` must have frames .* `context`, \(8, 8, 1\). Received: \(8, 4, 1\)",
        ),
        ({"truth": (3, 8, 8, 1)}, "`truth` must have as many frames as `forecast`, 2. Received: 3"),
    ],
)
def test_arrays_that_do_not_belong_together(tmp_path, draw, shapes, message):
    with pytest.raises(ValueError, match=message):
        draw(*arrays(**shapes), tmp_path / "a.out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("draw", [forecast_figure, forecast_animation])
def test_frames_that_cannot_be_drawn(tmp_path, draw):
    context, truth, forecast = arrays()
    with pytest.raises(ValueError, match=r"`forecast` must be finite. Received: NaN or infinite values"):
        draw(context, truth, forecast * np.nan, tmp_path / "a.out")


def test_missing_pixels_are_hatched(tmp_path):
    context, truth, forecast = arrays()
    truth[:] = 0.5
    truth[1, :, 4:] = np.nan
    forecast_figure(context, truth, forecast, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    side, right = 216, LABEL + 216 + GAP
    for row, missing in ((1, True), (2, False), (3, True)):
        top = 2 * TEXT + row * (side + GAP)
        half = picture[top + 3 : top + side - 3, right + side // 2 + 3 : right + side - 3]
        assert hatched(half) == missing
        assert not hatched(picture[top + 3 : top + side - 3, right + 3 : right + side // 2 - 3])
    assert hatched(picture[-TEXT:][11:-11, LABEL + 3 : LABEL + 37])
    forecast_animation(context, truth, forecast, tmp_path / "a.gif")
    last = gif_frames(tmp_path / "a.gif")[0][-1]
    panels = [last[TEXT + GAP :, left:][4:252, 132:252] for left in (12, 280, 548)]
    assert [hatched(panel) for panel in panels] == [True, False, True]


def test_the_scale_of_differences_is_that_of_what_is_there(tmp_path):
    context, truth, forecast = arrays()
    truth[:], forecast[:] = np.nan, 0.5
    forecast_figure(context, truth, forecast, tmp_path / "nothing.png")
    truth[0, 0, 0] = 0.25
    forecast_figure(context, truth, forecast, tmp_path / "a.png")
    nothing, one = (pixels(tmp_path / name) for name in ("nothing.png", "a.png"))
    top = 2 * TEXT + 3 * (216 + GAP)
    assert hatched(nothing[top + 4 : top + 20, LABEL + 4 : LABEL + 20])
    red, _, blue = one[top + 12, LABEL + 12]
    assert red - blue > 60


def test_labels_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"`lead_labels` must be one per forecast frame, 2. Received: 3"):
        forecast_figure(*arrays(), tmp_path / "a.png", lead_labels=["1", "2", "3"])


def coloured(picture, colour):
    return np.argwhere(np.abs(picture - colour).max(-1) < 30)


def test_curves(tmp_path):
    steps = np.arange(50)
    curves = {"falling": (steps, 100 - steps), "rising": (steps.tolist(), [*range(49), float("nan")])}
    curve_figure(
        curves, tmp_path / "a.png", x="step", y="loss", title="Loss", reference_lines={"floor": 60.0}
    )
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (810, 1350, 3)
    for colour, slope in (((31, 111, 180), 1), ((209, 73, 91), -1)):
        places = coloured(picture, colour)
        places = places[(places[:, 0] > 100) & (places[:, 0] < 740)]  # not the legend
        assert len(places) > 500
        assert slope * np.polyfit(places[:, 1], places[:, 0], 1)[0] > 0.1
    curve_figure(curves, tmp_path / "b.png", x="step", y="loss", title="Loss")
    changed = (pixels(tmp_path / "b.png") != picture).any(-1)
    assert changed.sum(1).max() > 600  # the dashes across


def test_one_point_is_seen(tmp_path):
    curve_figure({"one": ([3], [5.0])}, tmp_path / "a.png", x="epoch", y="loss")
    places = coloured(pixels(tmp_path / "a.png"), (31, 111, 180))
    assert ((places[:, 0] > 100) & (places[:, 0] < 740)).sum() > 20


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "`curves` must hold at least one curve. Received: none"),
        ({"loss": ([1, 2], [1])}, "`curves` must have as many x as y values. Received: 2 and 1 for 'loss'"),
    ],
)
def test_curves_that_are_not_drawn(tmp_path, curves, message):
    with pytest.raises(ValueError, match=message):
        curve_figure(curves, tmp_path / "a.png", x="step", y="loss")


def layers():
    maps = np.zeros((4, 8, 8, 3), "float32")
    maps[:, :4] = np.array([-3, 0, 3])
    maps[2:, :4] /= 2
    return {"input": moving_square(4), "cell 1": maps, "output": moving_square(4)}


def test_layers_in_time(tmp_path):
    layers_figure(layers(), tmp_path / "a.png", context_frames=2)
    picture = pixels(tmp_path / "a.png")
    side = 192  # a multiple of 64 pixels
    assert picture.shape == (TEXT + 3 * (side + GAP) + GAP, LABEL + 4 * (side + GAP) - GAP + 12, 3)
    top, rows = TEXT + side + GAP, []
    for column in range(4):
        left = LABEL + column * (side + GAP)
        shown = picture[top : top + side, left : left + side, 0]
        rows.append((shown[side // 4, side // 2], shown[3 * side // 4, side // 2]))
    np.testing.assert_allclose(rows, [(255, 0), (255, 0), (128, 0), (128, 0)], atol=1)


def test_channels_of_layers_at_a_step(tmp_path):
    layers_figure(layers(), tmp_path / "a.png", context_frames=2, step=1, title="cells")
    picture, side = pixels(tmp_path / "a.png"), 192
    top = (TEXT + 12) + (TEXT + side + GAP) + TEXT
    shown = [picture[top + side // 4, LABEL + column * (side + GAP) + side // 2, 0] for column in range(3)]
    np.testing.assert_allclose(shown, [0, 128, 255], atol=1)


@pytest.mark.parametrize(
    ("outputs", "step", "message"),
    [
        ({}, None, "`outputs` must hold at least one layer. Received: none"),
        (layers(), 0, "`step` must be from 1 to 4. Received: step=0"),
        (layers(), 5, "`step` must be from 1 to 4. Received: step=5"),
    ],
)
def test_layers_that_are_not_drawn(tmp_path, outputs, step, message):
    with pytest.raises(ValueError, match=message):
        layers_figure(outputs, tmp_path / "a.png", context_frames=2, step=step)
    assert list(tmp_path.iterdir()) == []


def test_receptive_fields(tmp_path):
    dependence = np.zeros((2, 16, 16), "float32")
    dependence[0, 8, 8] = 0.25
    dependence[1, 6:11, 6:11] = 1
    fields = {"bounded": (dependence, (6, 6, 5)), "a_long_name_without_bound": (dependence, None)}
    receptive_field_figure(fields, tmp_path / "a.png", title="fields")
    picture, side = pixels(tmp_path / "a.png"), 208  # a multiple of 16 pixels
    top, left = (TEXT + 12) + TEXT, LABEL + side + GAP
    edge = coloured(picture, (209, 73, 91))
    assert len(edge) > 200
    ends = [top + 6 * 13, left + 6 * 13, top + 11 * 13, left + 11 * 13]
    np.testing.assert_allclose([*edge.min(0), *edge.max(0)], ends, atol=3)
    assert abs(picture[top + 8 * 13 + 6, LABEL + 8 * 13 + 6, 0] - 128) <= 1  # the root of a quarter
    label = picture[top + side + TEXT :, :LABEL]
    assert (label < 100).any()
    assert (label[:, :GAP] > 250).all()  # in lines, not cut off
    with pytest.raises(ValueError, match=r"`fields` must hold at least one model. Received: none"):
        receptive_field_figure({}, tmp_path / "b.png")


@pytest.mark.parametrize("draw", ["forecast_figure", "forecast_animation", "curve_figure"])
def test_a_failing_write_leaves_what_was_there(tmp_path, draw, monkeypatch):
    path = tmp_path / "a.out"
    path.write_text("old")

    def flush(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", flush)
    with pytest.raises(OSError, match=r"No space left on device: '.*a.out'"):
        if draw == "curve_figure":
            curve_figure({"one": ([1], [1])}, path, x="x", y="y")
        else:
            {"forecast_figure": forecast_figure, "forecast_animation": forecast_animation}[draw](
                *arrays(), path
            )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_leaves_pyplot_alone(tmp_path):
    script = """
        import numpy as np
        from mslstm_keras.frames.write import write_clip
        from mslstm_keras.figures.plots import curve_figure, forecast_animation, forecast_figure

        print(sorted({"matplotlib", "PIL"} & set(sys.modules)))
        frames = np.zeros((2, 8, 8, 1), "float32")
        forecast_figure(frames, frames, frames, "a.png")
        forecast_animation(frames, frames, frames, "a.gif")
        curve_figure({"one": ([1, 2], [1, 2])}, "b.png", x="x", y="y")
        print("matplotlib.figure" in sys.modules, "matplotlib.pyplot" in sys.modules)
    """
    assert run_without_keras(script, tmp_path) == ["[]", "True False"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.png", "b.png"]
