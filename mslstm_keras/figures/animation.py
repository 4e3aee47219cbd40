"""Pictures one after the other: GIF and MP4."""

import fractions
import io
import os
from types import ModuleType

import numpy as np

from mslstm_keras.files import replacing
from mslstm_keras.frames.write import check_fps, write_gif
from mslstm_keras.importing import check_installed, needed

ANIMATIONS = (".gif", ".mp4")
FORECAST_SUFFIXES = (".png", *ANIMATIONS)


def forecast_suffix(path: str | os.PathLike[str], fps: float) -> str:
    """Returns the suffix of a file that a forecast can be drawn into: that of a PNG, or of an animation.

    Raises:
        ValueError: if it has another one, or there is no animation that runs so fast.
        ImportError: if PyAV, which MP4 needs, is not installed.
    """
    suffix = _suffix(path)
    if suffix not in FORECAST_SUFFIXES:
        raise ValueError(f"`path` must end in .png, .gif or .mp4. Received: path={os.fspath(path)!r}")
    if suffix in ANIMATIONS:
        check_animation(path, fps)
    return suffix


def check_animation(path: str | os.PathLike[str], fps: float = 5) -> None:
    """Makes sure that an animation can be written, before its pictures are made.

    Raises:
        ValueError: if there is no such kind of animation, or none that runs so fast.
        ImportError: if PyAV, which MP4 needs, is not installed.
    """
    if _suffix(path) not in ANIMATIONS:
        raise ValueError(f"`path` must end in .gif or .mp4. Received: path={os.fspath(path)!r}")
    check_fps(fps)
    if _suffix(path) == ".mp4":
        check_installed("MP4", "video", ["av"])


def write_animation(path: str | os.PathLike[str], images: np.ndarray, fps: float) -> None:
    """Writes pictures, uint8 (time, height, width, 3), as a GIF that loops for ever or an MP4.

    Grey pictures keep their levels in a GIF; others share 255 colours. An MP4 holds H.264 where PyAV has an encoder of
    it, else MPEG-4 part 2; its sides are made even by a white edge.

    Args:
        path: file to write, for which `check_animation` raises nothing.
        images: the pictures.
        fps: float in [0.01, 50]. Frames per second.

    Raises:
        ImportError: if PyAV, which MP4 needs, is not installed.
        OSError: if the file cannot be written; what was there before stays.
    """
    if _suffix(path) == ".gif":
        grey = (images == images[..., :1]).all()
        write_gif(path, images[..., 0] if grey else images, fps=fps)
    else:
        _write_mp4(path, images, fps)


def _suffix(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(path)[1].lower()


def _write_mp4(path: str | os.PathLike[str], images: np.ndarray, fps: float) -> None:
    """Writes pictures as a video."""
    with needed("MP4", "video"):
        import av
    odd = [(0, side % 2) for side in images.shape[1:3]]
    images = np.pad(images, [(0, 0), *odd, (0, 0)], constant_values=255)
    rate = fractions.Fraction(fps).limit_denominator(1000)
    video = io.BytesIO()
    with av.open(video, "w", format="mp4") as container:
        # The stub tells by a few names of encoders which of them are for videos.
        stream: av.VideoStream = container.add_stream(_encoder(av), rate=rate)  # type: ignore[assignment]
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuv420p"  # what every player shows
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with replacing(path) as temporary:
        temporary.write_bytes(video.getvalue())


def _encoder(av: ModuleType) -> str:
    """Returns the name of the best encoder that this build of PyAV has."""
    try:
        return av.Codec("h264", "w").name
    except av.codec.codec.UnknownCodecError:
        return "mpeg4"
