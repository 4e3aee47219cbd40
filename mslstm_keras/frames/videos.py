"""Frames of video files, decoded by PyAV."""

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import numpy as np

from mslstm_keras.frames.checks import damage_of

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")

# Playlists are left out: a file that names others could have them, or addresses in the net, opened.
_FORMATS = "avi,matroska,mov,mpeg,mpegts,ogg,gif"

_MOST_PIXELS = 2**25
"""Of a frame, 8K (7680 x 4320) being the largest that is in use."""
_LIMITS = {"max_pixels": str(_MOST_PIXELS)}


def frames_of(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    grey: bool = True,
    size: int | tuple[int, int] | None = None,
    name: str | None = None,
) -> Iterator[np.ndarray]:
    """Decodes a video frame by frame, every frame that it holds, one in memory at a time.

    An empty chunk of an AVI, which stands for "as before", is no frame.

    Grey is full-range luminance (BT.601): black is 0 and white 255, whatever range the file stores. Frames are
    resized by Pillow's `BILINEAR`, whose triangle covers as many pixels as it has to, so that nothing is left
    out where a frame shrinks; both sides scale on their own, so another aspect is squeezed into `size`.

    Args:
        source: path of an AVI, MP4/MOV, Matroska/WebM, MPEG, Ogg or GIF file, or such a file opened for
            reading bytes.
        grey: bool. One channel of luminance; otherwise red, green and blue.
        size: int or (height, width), pixels. None: as in the file.
        name: what errors call the video. Default: the path, or the `name` of the open file.

    Yields:
        uint8 (height, width, 1), or (height, width, 3) if not `grey`.

    Raises:
        ValueError: if the file holds no video, is damaged, or is cut off (fewer frames than its header says;
            known at the end), or its frames are larger than 2^25 pixels or change their size.
        FileNotFoundError: if there is no such file.
        ImportError: if PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("Videos are read by PyAV: pip install 'mslstm_keras[video]'") from error

    sides = None if size is None else (size, size) if isinstance(size, int) else tuple(size)
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise ValueError(f"`size` must be one or two positive integers. Received: size={sides}")
    with contextlib.ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            # Opened here, as libav would take "http://..." or "concat:..." for more than a path.
            name = name or os.fspath(source)
            source = stack.enter_context(open(source, "rb"))
        name = name or getattr(source, "name", "video")
        rule = "A video must be whole and decodable."
        stack.enter_context(damage_of(name, rule, decoder_errors=(av.FFmpegError,)))
        container = stack.enter_context(
            av.open(
                source,
                options={"format_whitelist": _FORMATS, **_LIMITS},  # libav decodes a little to open a file
                metadata_errors="ignore",
            )
        )
        for frame in _decoded(container):
            pixels = frame.to_ndarray(format="gray" if grey else "rgb24")
            yield resized(pixels, sides).reshape(*(sides or pixels.shape[:2]), 1 if grey else 3)


def read_video(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    grey: bool = True,
    size: int | tuple[int, int] | None = None,
    start: int = 0,
    stop: int | None = None,
    name: str | None = None,
) -> np.ndarray:
    """Decodes a video, or frames `start` to `stop - 1` of it; only these are kept in memory.

    Args:
        source: path or open file, see `frames_of`.
        grey: bool. One channel of luminance; otherwise red, green and blue.
        size: int or (height, width), pixels. None: as in the file.
        name: what errors call the video. Default: the path, or the `name` of the open file.
        start: int, 0 or more. First frame.
        stop: int. Frame to end before; nothing after it is decoded. None: the end of the video.

    Returns:
        uint8 (time, height, width, 1), or (time, height, width, 3) if not `grey`; at least one frame.

    Raises:
        ValueError: as `frames_of`; if `start` and `stop` hold no frame, or the video ends before `stop`.
        FileNotFoundError: if there is no such file.
        ImportError: if PyAV is not installed.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"`start` must be from 0 to `stop` - 1. Received: start={start}, stop={stop}")
    kept, count = [], 0
    for count, frame in enumerate(islice(frames_of(source, grey=grey, size=size, name=name), stop), 1):
        if count > start:
            kept.append(frame)
    if not kept or (stop is not None and count < stop):
        raise ValueError(
            "`start` and `stop` must lie within the video. "
            f"Received: start={start}, stop={stop}, {name or source} of {count} frames"
        )
    return np.stack(kept)


def _decoded(container: Any) -> Iterator[Any]:
    """Yields the frames of the first video stream; raises for whatever libav would conceal."""
    if not container.streams.video:
        raise ValueError("it has no video stream")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise ValueError("its codec is unknown")
    if not 0 < stream.codec_context.height * stream.codec_context.width <= _MOST_PIXELS:
        raise ValueError(f"its frames have no size, or more than {_MOST_PIXELS} pixels")
    stream.codec_context.options = dict(_LIMITS)
    # AVI counts empty chunks too, which libav skips; there, decoding times are numbers of chunks.
    by_time = container.format.name == "avi"
    size, packets, frames = None, 0, 0
    for packet in container.demux(stream):
        if packet.size:  # the last one is empty and makes the decoder give what it holds back
            packets = packet.dts + 1 if by_time and packet.dts is not None else packets + 1
        if packet.is_corrupt:
            raise ValueError(f"packet {packets} is damaged or cut off")
        for frame in packet.decode():
            frames += 1
            if frame.is_corrupt:
                raise ValueError(f"frame {frames} is damaged")
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                raise ValueError(
                    f"frame {frames} is {frame.height} x {frame.width}, frames before are {size}"
                )
            yield frame
    if packets < stream.frames:
        raise ValueError(f"cut off: {packets} frames of the {stream.frames} in its header")
    if not frames:
        raise ValueError("it has no frame")


def resized(pixels: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Returns a frame, uint8 (height, width) or (height, width, 3), resized as `frames_of` does."""
    if size in (None, pixels.shape[:2]):
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
