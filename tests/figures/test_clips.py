"""Forecasts of clips behind the frames before them."""

import numpy as np
import pytest

from mslstm_keras.figures.clips import clip_forecast_figure
from tests.support.pictures import gif_frames, hatched, pixels, video_frames

LABEL, GAP, TEXT, MARGIN = 150, 6, 36, 12  # pixels of the layout


def clip(frames, size=(8, 12), channels=1, seed=0):
    return np.random.default_rng(seed).random((frames, *size, channels), "float32")


def levels(frames):
    """Returns the colours of frames."""
    found = np.rint(255 * np.clip(frames, 0, 1)).astype(int)
    return np.broadcast_to(found, (*found.shape[:-1], 3))


@pytest.fixture
def written(monkeypatch):
    """Texts that are written on the figure, in order, and how wide they are."""
    texts = []
    from mslstm_keras.figures import drawing

    write = drawing.write_text

    def note(figure, x, y, text, *style, **styles):
        texts.append(text)
        return write(figure, x, y, text, *style, **styles)

    monkeypatch.setattr(drawing, "write_text", note)
    return texts


def test_a_film_strip(tmp_path, written):
    """The last ten frames of the input, then rows of ten of the forecast, every pixel a square of its level."""
    observed, forecast = clip(12), clip(13, seed=1)
    forecast[0, 0, :2] = [[-3], [3]]
    clip_forecast_figure(observed, forecast, tmp_path / "a.png", title="Digits")
    picture = pixels(tmp_path / "a.png")
    square = 220 // 12
    height, width = 8 * square, 12 * square
    top = TEXT + 2 * GAP
    for row in (observed[2:], forecast[:10], forecast[10:]):
        top += TEXT
        for column, frame in enumerate(levels(row)):
            left = LABEL + column * (width + GAP)
            panel = picture[top : top + height, left : left + width]
            np.testing.assert_array_equal(
                panel[1:-1, 1:-1], frame.repeat(square, 0).repeat(square, 1)[1:-1, 1:-1]
            )
        top += height + GAP
    assert picture.shape == (top + GAP, LABEL + 10 * (width + GAP) - GAP + MARGIN, 3)
    past = [f"t\N{MINUS SIGN}{lead}" for lead in range(9, 0, -1)]
    assert written == [
        *("Digits", "input", *past, "t", "forecast", *(f"t+{lead}" for lead in range(1, 11))),
        *("forecast", "t+11", "t+12", "t+13"),
    ]


@pytest.mark.parametrize(("suffix", "channels"), [("gif", 1), ("gif", 3), ("mp4", 1)])
def test_an_animation(tmp_path, suffix, channels):
    """All frames of the input, then the forecast, which has its lead time below it; grey is exact in a GIF."""
    observed, forecast = clip(3, channels=channels), clip(4, channels=channels, seed=1)
    if channels == 3:
        observed, forecast = np.rint(3 * observed) / 3, np.rint(3 * forecast) / 3  # 64 colours, of 256
    path = tmp_path / f"a.{suffix}"
    clip_forecast_figure(observed, forecast, path, fps=2)
    frames, told = gif_frames(path) if suffix == "gif" else video_frames(path)
    assert told["duration"] == 500 if suffix == "gif" else told == 2
    height, width = 400, 600  # squares of 50
    top = GAP + TEXT
    assert frames.shape[:3] == (7, top + height + MARGIN + GAP + TEXT, width + 2 * MARGIN)
    expected = levels(np.concatenate([observed, forecast]))
    found = frames[:, top + 25 : top + height : 50, MARGIN + 25 : MARGIN + width : 50]
    bound = {("gif", 1): 0, ("gif", 3): 6, ("mp4", 1): 6}[suffix, channels]
    assert np.abs(found - expected).max() <= bound


def test_the_lead_times_of_an_animation(tmp_path, monkeypatch):
    clocks = []
    from mslstm_keras.figures import clips

    draw = clips.draw_panels
    monkeypatch.setattr(
        clips,
        "draw_panels",
        lambda panels, clock, context, **kept: (
            clocks.append((clock, context)) or draw(panels, clock, context, **kept)
        ),
    )
    clip_forecast_figure(clip(2), clip(3), tmp_path / "a.gif")
    assert clocks == [(["input 1/2", "input 2/2", "forecast +1", "forecast +2", "forecast +3"], 2)]


def test_two_channels_are_drawn_by_themselves(tmp_path, written):
    observed, forecast = clip(2, channels=2), clip(2, channels=2, seed=1)
    clip_forecast_figure(observed, forecast, tmp_path / "a.gif")
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert written[:2] == ["forecast, channel 1", "forecast, channel 2"]
    both = np.concatenate([observed, forecast])
    for channel in range(2):
        left = MARGIN + channel * (600 + MARGIN)
        found = frames[:, GAP + TEXT + 25 :: 50, left + 25 : left + 600 : 50][:, :8]
        np.testing.assert_array_equal(found, levels(both[..., channel : channel + 1]))
    written.clear()
    clip_forecast_figure(observed, forecast, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert [text for text in written if text.startswith("t")] == ["t\N{MINUS SIGN}1", "t", "t+1", "t+2"]
    assert [text.replace("\n", " ") for text in written if "channel" in text] == [
        *("input, channel 1", "input, channel 2", "forecast, channel 1", "forecast, channel 2")
    ]
    tops = np.cumsum([TEXT, 144 + GAP, 144 + GAP + TEXT, 144 + GAP])
    rows = [(frames, channel) for frames in (observed, forecast) for channel in range(2)]
    for top, (given, channel) in zip(tops, rows, strict=True):
        found = picture[top + 9 : top + 144 : 18, LABEL + 9 : LABEL + 216 : 18]
        np.testing.assert_array_equal(found, levels(given[0, ..., channel : channel + 1]))


def test_large_frames_are_drawn_by_the_means_of_blocks(tmp_path):
    observed, forecast = clip(1, (300, 640)), clip(1, (300, 640), seed=1)
    clip_forecast_figure(observed, forecast, tmp_path / "a.png")
    means = levels(forecast.reshape(100, 3, 640, 1)[:, :, :639].reshape(100, 3, 213, 3, 1).mean((1, 3)))
    top = 2 * TEXT + 100 + GAP
    found = pixels(tmp_path / "a.png")[top : top + 100, LABEL : LABEL + 213]
    assert np.abs(found - means)[1:-1, 1:-1].max() <= 1  # halves are rounded up or down


def test_pixels_that_were_not_observed_are_hatched(tmp_path):
    observed = clip(1)
    observed[:, :4] = np.nan
    clip_forecast_figure(observed, clip(1), tmp_path / "a.png")
    panel = pixels(tmp_path / "a.png")[TEXT : TEXT + 144, LABEL : LABEL + 216]
    assert hatched(panel[3:70, 3:-3])
    np.testing.assert_array_equal(panel[72 + 9 :: 18, 9::18], levels(observed[0, 4:]))


@pytest.mark.parametrize(
    ("observed", "forecast", "said"),
    [
        (clip(2)[0], clip(2), r"`observed` must be \(time, height, width, channels\), no axis empty"),
        (
            clip(2),
            clip(2, (8, 8)),
            r"`forecast` must have frames of the shape of `observed`, \(8, 12, 1\). Received: \(8, 8, 1\)",
        ),
        (
            clip(2, channels=4),
            clip(2, channels=4),
            r"`observed` must have 1 to 3 channels to be drawn. Received: shape \(2, 8, 12, 4\)",
        ),
        (clip(2), clip(2) * np.nan, "`forecast` must be finite. Received: NaN or infinite"),
        (clip(2) * np.inf, clip(2), "`observed` must be finite, or NaN where pixels are missing"),
    ],
)
def test_what_is_not_drawn(tmp_path, observed, forecast, said):
    for suffix in ("png", "gif"):
        with pytest.raises(ValueError, match=said):
            clip_forecast_figure(observed, forecast, tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_files_that_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in .png, .gif or .mp4. Received: path='.*a.nc'"):
        clip_forecast_figure(clip(1), clip(1), tmp_path / "a.nc")
    with pytest.raises(ValueError, match=r"`fps` must lie in \[0.01, 50\]. Received: fps=0"):
        clip_forecast_figure(clip(1), clip(1), tmp_path / "a.mp4", fps=0)
    assert list(tmp_path.iterdir()) == []
