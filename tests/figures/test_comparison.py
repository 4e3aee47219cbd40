"""Forecasts of several models beside the truth, as figures and animations."""

import itertools
import sys

import numpy as np
import pytest

from mslstm_keras.figures.comparison import comparison_animation, comparison_figure, contact_sheet
from mslstm_keras.figures.drawing import clock, time_label
from mslstm_keras.figures.rain import NO_RAIN, RAIN_COLOURS
from mslstm_keras.frames.rain import RAIN_SCALES
from tests.support.pictures import WARNING, gif_frames, hatched, near, pixels, rgb, video_frames
from tests.support.processes import no_file_larger_than

LABEL, GAP, TEXT, SIDE = 150, 6, 36, 216  # pixels of the layout for up to four frames of 8 x 8
RATES = (0.05, 0.3, 0.7, 1.5, 3, 7, 15, 25, 40, 80)  # mm/h, one of each level
DWD = RAIN_SCALES["dwd"]


def flat(values, channels=1):
    """Returns frames of 8 x 8 that each have one value."""
    return np.ones((1, 8, 8, channels), "float32") * np.reshape(values, (-1, 1, 1, 1)).astype("float32")


def middle(picture, column, top):
    return picture[top + SIDE // 2, LABEL + column * (SIDE + GAP) + SIDE // 2]


def tops(models, title=False, rows=2):
    """Returns the upper edges of input, truth, and `rows` rows for each model."""
    first = (TEXT + 12 if title else 0) + TEXT
    after = first + SIDE + GAP + TEXT
    return [first, *(after + index * (SIDE + GAP) for index in range(1 + rows * models))]


def test_rows_and_columns_of_a_comparison(tmp_path):
    context, truth = flat([0.1, 0.2, 0.3]), flat([0.4, 0.5, 0.6, 0.7])
    forecasts = {"ms_lstm": truth + 0.1, "conv_lstm": truth - 0.3}
    comparison_figure(context, truth, forecasts, tmp_path / "a.png")
    picture, rows = pixels(tmp_path / "a.png"), tops(2)
    assert picture.shape == (rows[-1] + SIDE + 2 * GAP, LABEL + 4 * (SIDE + GAP) - GAP + 100, 3)
    for frames, top in zip((context, truth, *forecasts.values()), (*rows[:3], rows[4]), strict=True):
        for column, frame in enumerate(frames):
            np.testing.assert_allclose(middle(picture, column, top), 255 * frame[0, 0, 0], atol=1.5)
    for column in range(4):
        red, _, blue = middle(picture, column, rows[3])
        assert 40 < red - blue < 160  # a third of the scale
        red, _, blue = middle(picture, column, rows[5])
        assert blue - red > 60
    bar = picture[:, LABEL + 4 * (SIDE + GAP) + GAP :][:, :14]
    coloured = np.flatnonzero((np.ptp(bar, axis=-1) > 40).any(1))
    assert (
        rows[2] <= coloured.min() <= coloured.max() < rows[3] + SIDE
    )  # the bar stands beside the first model


def test_all_differences_share_one_scale(tmp_path):
    truth = flat([0.5, 0.5])
    comparison_figure(truth, truth, {"a": truth + 0.2, "b": truth + 0.4}, tmp_path / "a.png")
    picture, rows = pixels(tmp_path / "a.png"), tops(2)
    red = [np.subtract(*middle(picture, 0, rows[index])[[0, 2]]) for index in (3, 5)]
    assert red[0] > 30
    assert middle(picture, 0, rows[5])[0] < middle(picture, 0, rows[3])[0]  # darker at the end of the scale


def test_a_comparison_without_differences(tmp_path):
    truth = flat([0.2, 0.8])
    comparison_figure(truth, truth, {"a": truth, "b": truth}, tmp_path / "a.png", differences=False)
    picture, rows = pixels(tmp_path / "a.png"), tops(2, rows=1)
    assert picture.shape == (rows[-1] + SIDE + 2 * GAP, LABEL + 2 * (SIDE + GAP) - GAP + 12, 3)
    assert (np.ptp(picture, axis=-1) == 0).all()  # nothing is coloured


def test_every_chooses_frames_by_lead_time(tmp_path):
    context, truth = flat(np.linspace(0, 0.5, 5)), flat(np.linspace(0.5, 1, 6))
    comparison_figure(context, truth, {"a": truth}, tmp_path / "a.png", every=2)
    picture, rows = pixels(tmp_path / "a.png"), tops(1)
    for frames, top in (
        (context[[0, 2, 4]], rows[0]),
        (truth[[1, 3, 5]], rows[1]),
        (truth[[1, 3, 5]], rows[2]),
    ):
        for column, frame in enumerate(frames):
            np.testing.assert_allclose(middle(picture, column, top), 255 * frame[0, 0, 0], atol=1.5)
    assert picture.shape[1] == LABEL + 3 * (SIDE + GAP) - GAP + 100


def test_at_most_ten_frames_stand_in_a_row(tmp_path):
    clip = flat(np.linspace(0, 1, 28))
    comparison_figure(clip, clip, {"a": clip}, tmp_path / "a.png")
    side = 128  # a multiple of 8 pixels
    picture = pixels(tmp_path / "a.png")
    shown = [picture[TEXT + 64, LABEL + column * (side + GAP) + 64, 0] for column in range(10)]
    np.testing.assert_allclose(shown, np.linspace(0, 255, 10), atol=1.5)


def test_rain_has_the_colour_of_its_level(tmp_path):
    truth = flat(DWD.to_pixel(np.array(RATES)))
    forecast = flat(DWD.to_pixel(np.array(RATES[::-1])))
    comparison_figure(truth, truth, {"a": forecast}, tmp_path / "a.png", rain_scale=DWD)
    picture, side = pixels(tmp_path / "a.png"), 128
    colours = [rgb(colour) for colour in (NO_RAIN, *RAIN_COLOURS)]
    rows = [TEXT, 2 * TEXT + side + GAP, 2 * TEXT + 2 * (side + GAP)]
    for row, expected in zip(rows, (colours, colours, colours[::-1]), strict=True):
        shown = [picture[row + 64, LABEL + column * (side + GAP) + 64].tolist() for column in range(10)]
        assert shown == expected
    bar = picture[:, LABEL + 10 * (side + GAP) + GAP :][:, 2:12].reshape(-1, 3).tolist()
    assert all(colour in bar for colour in colours)


def test_differences_of_rain_are_in_mm_per_hour(tmp_path):
    truth = flat(DWD.to_pixel(np.array([10.0, 10, 10, 10])))
    forecast = flat(DWD.to_pixel(np.array([10.3, 13, 40, 2])))
    comparison_figure(truth, truth, {"a": forecast}, tmp_path / "a.png", rain_scale=DWD)
    shown = [middle(pixels(tmp_path / "a.png"), column, tops(1)[3]) for column in range(4)]
    assert shown[0].tolist() == [255, 255, 255]  # within 0.5
    assert shown[1][0] - shown[1][2] > 30  # red, 2 to 5 too much
    assert shown[2][0] < shown[1][0] and shown[2][0] - shown[2][2] > 60  # dark red, more than 20
    assert shown[3][2] - shown[3][0] > 60  # blue, 5 to 10 too little


def test_times_are_labelled(tmp_path):
    assert [time_label(lead, None) for lead in (-2, 0, 3)] == ["t−2", "t", "t+3"]
    assert [time_label(lead, 30) for lead in (-2, 0, 3)] == ["−60 min", "0 min", "+90 min"]
    assert time_label(2, 2.5) == "+5 min"
    assert time_label(10, 0.04 / 60) == "+0.4 s"
    assert clock(2, 1) == ["input 1/2", "input 2/2", "forecast +1"]
    assert clock(2, 1, 30) == ["input −30 min", "input 0 min", "forecast +30 min"]
    clip = flat([0.5, 0.5])
    for name, interval in {"frames": None, "minutes": 30}.items():
        comparison_figure(clip, clip, {"a": clip}, tmp_path / f"{name}.png", interval=interval)
    changed = (pixels(tmp_path / "frames.png") != pixels(tmp_path / "minutes.png")).any(-1).any(1)
    strips = np.zeros_like(changed)
    for top in tops(1)[:2]:
        strips[top - TEXT : top] = True
        assert changed[top - TEXT : top].any()
    assert not changed[~strips].any()


def test_heading_and_the_word_synthetic(tmp_path):
    clip = flat([0.5, 0.5])
    figures = {}
    for name, options in {
        "plain": {},
        "title": {"title": "Taxi $1 flow"},
        "synthetic": {"synthetic": True},
        "both": {"synthetic": True, "title": "Taxi flow " * 20},
    }.items():
        comparison_figure(clip, clip, {"a": clip}, tmp_path / f"{name}.png", **options)
        figures[name] = pixels(tmp_path / f"{name}.png")
        band = len(figures[name]) - len(figures["plain"])
        np.testing.assert_array_equal(figures[name][band:], figures["plain"])
        assert band == (0 if name == "plain" else TEXT + 12)
        assert near(figures[name][:band], WARNING).any() == (name in ("synthetic", "both"))
        assert (figures[name][:band, -GAP:] > 250).all()  # fitted, not cut off


@pytest.mark.parametrize("name", ["persistence", "ms_lstm_moving_mnist_paper", "extraordinarilylongword" * 2])
def test_long_names_are_not_cut_off(tmp_path, name):
    clip = flat([0.5])
    comparison_figure(clip, clip, {name: clip}, tmp_path / "a.png")
    label = pixels(tmp_path / "a.png")[tops(1)[2] :][:SIDE, :LABEL]
    assert (label < 100).any()
    assert (label[:, : GAP - 2] > 250).all()


def test_colour_frames(tmp_path):
    clip = np.zeros((2, 8, 8, 3), "float32")
    clip[..., 0] = 1
    comparison_figure(clip, clip, {"a": clip}, tmp_path / "a.png")
    assert middle(pixels(tmp_path / "a.png"), 0, tops(1)[2]).tolist() == [255, 0, 0]


def test_animation_runs_through_input_and_forecasts(tmp_path):
    context, truth = flat([0.0, 0.1, 0.2]), flat([0.4, 0.6])
    forecasts = {"a": truth + 0.2, "b": truth - 0.2}
    comparison_animation(truth, forecasts, tmp_path / "a.gif", context=context, fps=5)
    frames, info = gif_frames(tmp_path / "a.gif")
    assert frames.shape == (5, 256 + 2 * TEXT + 24, 12 + 3 * (256 + 12), 3)
    assert (info["duration"], info["loop"]) == (200, 0)
    for index, ahead in enumerate((truth, *forecasts.values())):
        shown = frames[:, TEXT + 100, 12 + index * 268 + 128]
        expected = 255 * np.concatenate([context, ahead])[:, 0, 0]
        np.testing.assert_allclose(shown, np.broadcast_to(expected, shown.shape), atol=4)
    clocks = frames[:, -TEXT - GAP :]
    assert all((before != after).any() for before, after in itertools.pairwise(clocks))


def test_animation_of_the_forecast_alone(tmp_path):
    truth = flat([0.4, 0.6])
    comparison_animation(truth, {"a": truth}, tmp_path / "a.gif")
    comparison_animation(truth, {"a": truth}, tmp_path / "b.gif", synthetic=True)
    frames, _ = gif_frames(tmp_path / "a.gif")
    labelled, _ = gif_frames(tmp_path / "b.gif")
    assert frames.shape == (2, 256 + 2 * TEXT + 24, 12 + 2 * (256 + 12), 3)
    assert labelled.shape[1] == frames.shape[1] + TEXT + GAP
    assert near(labelled[:, : TEXT + GAP], WARNING).any((1, 2)).all()
    assert not near(frames, WARNING).any()


def test_many_models_stand_in_rows(tmp_path):
    truth = flat([0.4, 0.6])
    comparison_animation(truth, {name: truth for name in "abcde"}, tmp_path / "a.gif")
    frames, _ = gif_frames(tmp_path / "a.gif")
    height = 12 + 2 * (TEXT + 256 + 12) + TEXT
    assert frames.shape == (2, height, 12 + 3 * (256 + 12), 3)
    for top, left in itertools.product((GAP + TEXT, GAP + 2 * TEXT + 268), (12, 280, 548)):
        np.testing.assert_allclose(frames[0, top + 128, left + 128], 102, atol=4)


def test_animation_of_rain(tmp_path):
    truth = flat(DWD.to_pixel(np.array([0.05, 0.7, 15])))
    comparison_animation(truth, {"a": truth}, tmp_path / "a.gif", rain_scale=DWD, interval=30)
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert frames.shape[2] == 12 + 2 * 268 + 100 - 12
    for index, colour in enumerate((NO_RAIN, RAIN_COLOURS[1], RAIN_COLOURS[5])):
        for left in (12, 280):
            np.testing.assert_allclose(frames[index, 150, left + 128], rgb(colour), atol=12)


def test_video_has_the_frames_of_the_animation(tmp_path):
    context, truth = np.zeros((2, 8, 9, 1), "float32"), np.ones((3, 8, 9, 1), "float32")
    comparison_animation(truth, {"a": 0.5 * truth}, tmp_path / "a.mp4", context=context, fps=2.5)
    frames, rate = video_frames(tmp_path / "a.mp4")
    assert len(frames) == 5
    assert not np.mod(frames.shape[1:3], 2).any()
    assert rate == 2.5
    for left, expected in ((12, (0, 0, 255, 255, 255)), (276, (0, 0, 128, 128, 128))):
        np.testing.assert_allclose(frames[:, 150, left + 128, 0], expected, atol=8)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sides_of_a_video_are_made_even(tmp_path):
    truth = np.zeros((2, 11, 1, 1), "float32")
    comparison_animation(truth[:, :9], {"a": truth[:, :9]}, tmp_path / "a.gif")
    comparison_animation(truth, {"a": truth}, tmp_path / "a.mp4")
    frames, _ = video_frames(tmp_path / "a.mp4")
    assert not np.mod(frames.shape[1:3], 2).any()


def test_video_without_an_encoder_of_h264(tmp_path, monkeypatch):
    av = pytest.importorskip("av", reason="writing MP4 needs PyAV")
    codec = av.Codec

    def without_h264(name, mode="r"):
        if name == "h264" and mode == "w":
            raise av.codec.codec.UnknownCodecError(name)
        return codec(name, mode)

    monkeypatch.setattr(av, "Codec", without_h264)
    comparison_animation(flat([0.2, 0.8]), {"a": flat([0.2, 0.8])}, tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert len(video_frames(tmp_path / "a.mp4")[0]) == 2


def test_video_needs_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"MP4 needs pip install 'mslstm_keras\[video\]'"):
        comparison_animation(flat([1]), {"a": flat([1])}, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_video_in_a_folder_that_is_made(tmp_path):
    comparison_animation(flat([1]), {"a": flat([1])}, tmp_path / "new" / "a.mp4")
    assert len(video_frames(tmp_path / "new" / "a.mp4")[0]) == 1


def test_a_failing_write_leaves_what_was_there(tmp_path):
    noise = np.random.default_rng(0).random((6, 64, 64, 1), "float32")
    for name in ("a.png", "a.gif", "a.mp4"):
        path = tmp_path / name
        path.write_text("old")
        with no_file_larger_than(4000), pytest.raises(OSError):
            if name == "a.png":
                comparison_figure(noise, noise, {"a": noise}, path)
            else:
                comparison_animation(noise, {"a": noise}, path)
        assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"forecasts": {}}, "`forecasts` must hold at least one model. Received: none"),
        (
            {"forecasts": {"a": flat([1, 1, 1])}},
            r"`forecasts\['a'\]` must have as many frames as `truth`, 2. Received: 3",
        ),
        (
            {"forecasts": {"a": np.zeros((2, 8, 4, 1))}},
            r"`forecasts\['a'\]` must have frames of the shape of `context`, \(8, 8, 1\). Received: \(8, 4, 1\)",
        ),
        (
            {"truth": np.full((2, 8, 8, 1), -np.inf)},
            "`truth` must be finite, or NaN where pixels are missing. Received: infinite values",
        ),
        (
            {"forecasts": {"a": np.full((2, 8, 8, 1), np.nan)}},
            r"`forecasts\['a'\]` must be finite. Received: NaN or infinite values",
        ),
        ({"context": np.zeros((8, 8))}, r"`context` must be \(time, .* Received: shape \(8, 8\)"),
    ],
)
@pytest.mark.parametrize("draw", [comparison_figure, comparison_animation])
def test_arrays_that_do_not_belong_together(tmp_path, draw, arguments, message):
    given = {"context": flat([1, 1]), "truth": flat([1, 1]), "forecasts": {"a": flat([1, 1])}} | arguments
    with pytest.raises(ValueError, match=message):
        draw(**given, path=tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def with_missing_pixels(channels=1):
    """Returns frames of two values; the upper half of each is missing, and the whole of the last."""
    frames = flat([0.4, 0.6], channels)
    frames[:, :4] = np.nan
    frames[1] = np.nan
    return frames


@pytest.mark.parametrize("rain_scale", [None, DWD])
@pytest.mark.parametrize("channels", [1, 3])
def test_missing_pixels_are_hatched_and_a_line_says_so(tmp_path, rain_scale, channels):
    masked, whole = with_missing_pixels(channels), flat([0.4, 0.6], channels)
    forecast = {"a": whole}
    comparison_figure(masked, masked, forecast, tmp_path / "masked.png", rain_scale=rain_scale)
    comparison_figure(whole, whole, forecast, tmp_path / "whole.png", rain_scale=rain_scale)
    found, plain = pixels(tmp_path / "masked.png"), pixels(tmp_path / "whole.png")
    assert found.shape == (plain.shape[0] + TEXT, *plain.shape[1:])
    assert hatched(found[-TEXT:][11:-11, LABEL + 3 : LABEL + 37])
    assert (found[-TEXT:, LABEL + 50 :] < 160).any()  # the line itself
    top_of = tops(1)
    for column, half in ((0, SIDE // 2), (1, SIDE)):
        left = LABEL + column * (SIDE + GAP)
        for row, top in enumerate(top_of):
            panels = [picture[top : top + SIDE, left : left + SIDE][3:-3, 3:-3] for picture in (found, plain)]
            missing, seen = panels[0][: half - 6], panels[0][half:]
            if row == 2:  # the forecast has no missing pixels
                np.testing.assert_array_equal(*panels)
                continue
            assert hatched(missing)
            np.testing.assert_array_equal(seen, panels[1][half:])


@pytest.mark.parametrize("channels", [1, 3])
def test_missing_pixels_of_an_animation(tmp_path, channels):
    masked, whole = with_missing_pixels(channels), flat([0.4, 0.6], channels)
    for name, context in (("masked", masked), ("whole", whole)):
        comparison_animation(context, {"a": whole}, tmp_path / f"{name}.gif", context=context[::-1])
    found, plain = (gif_frames(tmp_path / f"{name}.gif")[0] for name in ("masked", "whole"))
    assert found.shape == (4, plain.shape[1] + TEXT, *plain.shape[2:])
    assert all(hatched(frame[-TEXT:][10:-10, 16:48]) for frame in found)
    for frame, expected, missing in zip(found, plain, (256, 128, 128, 256), strict=True):
        truth, seen = (each[TEXT + GAP :][:256, 12 : 12 + 256] for each in (frame, expected))
        assert hatched(truth[4 : missing - 4, 4:-4])
        np.testing.assert_allclose(truth[missing + 4 : -4, 4:-4], seen[missing + 4 : -4, 4:-4], atol=12)
    for frame in found[2:]:
        assert not hatched(frame[TEXT + GAP + 4 :][:248, 284:532])  # of the forecast


def test_missing_pixels_of_a_contact_sheet(tmp_path):
    contact_sheet({"7": with_missing_pixels(), "8": flat([0.4, 0.6])}, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert hatched(picture[TEXT + 3 :, LABEL + 3 :][: SIDE // 2 - 6, : SIDE - 6])
    assert hatched(picture[-TEXT:][11:-11, LABEL + 3 : LABEL + 37])
    with pytest.raises(ValueError, match=r"`7` must be finite, or NaN .* Received: infinite values"):
        contact_sheet({"7": flat([0.4, np.inf])}, tmp_path / "b.png")


@pytest.mark.parametrize("every", [0, 3, 1.5])
def test_every_out_of_range(tmp_path, every):
    clip = flat([1, 1])
    with pytest.raises(ValueError, match=rf"`every` must be from 1 to 2. Received: every={every}"):
        comparison_figure(clip, clip, {"a": clip}, tmp_path / "a.png", every=every)


def test_animations_that_are_not_written(tmp_path):
    clip = {"truth": flat([1]), "forecasts": {"a": flat([1])}}
    with pytest.raises(ValueError, match=r"`path` must end in .gif or .mp4. Received: path='.*a.avi'"):
        comparison_animation(**clip, path=tmp_path / "a.avi")
    for suffix, fps in itertools.product(("gif", "mp4"), (0, 60)):
        with pytest.raises(ValueError, match=rf"`fps` must lie in \[0.01, 50\]. Received: fps={fps}"):
            comparison_animation(**clip, path=tmp_path / f"a.{suffix}", fps=fps)
    assert list(tmp_path.iterdir()) == []
