"""Frames of video files, decoded by PyAV."""

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import IO, Any

import numpy as np

from mslstm_keras.formats.checks import damage_of
from mslstm_keras.formats.fitting import cut_out
from mslstm_keras.importing import needed
from mslstm_keras.integers import is_whole
from mslstm_keras.timing.durations import MOST_REPEATS, repeats

VIDEOS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".3gp", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".y4m", ".mjpeg"),
)

# Playlists are left out: a file that names others could have them, or addresses in the net, opened.
_FORMATS = "avi,matroska,mov,mpeg,mpegvideo,mpegts,ogg,gif,asf,flv,yuv4mpegpipe,mjpeg"
_STEADY = ("avi", "yuv4mpegpipe", "mjpeg", "mpegvideo")
"""Kinds of files that have a rate of frames and no time of each."""

# FFmpeg's own decoders of VP8 and VP9 pass over what is transparent.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

_MOST_PIXELS = 2**25
"""Of a frame, 8K (7680 x 4320) being the largest that is in use."""
_MOST_LACKING = 1.5
"""Steps from the end of the last frame to the end that a header states, which is not exact."""
_PADDING = 4096
"""Most bytes behind the last frame of raw MJPEG that are looked through: writers fill up blocks."""
_ELEMENTS = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67")
"""The first elements of Matroska: the header of EBML, and the segment, which holds all else."""
_BOXES = (b"moof", b"mdat", b"moov", b"mfra", b"sidx", b"styp", b"emsg")
"""Boxes of MP4 and MOV that hold frames, or say where these lie."""
_TRANSPORT = (188, 192, 204)
"""Bytes of a packet of an MPEG transport stream: plain, with a time, with a code that corrects errors."""
_LONGEST_HEAD = 1024  # bytes before a segment begins
_LIMITS = {"max_pixels": str(_MOST_PIXELS)}


def frames_of(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    grey: bool = True,
    size: int | tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    name: str | None = None,
    as_stored: bool = False,
) -> Iterator[np.ndarray]:
    """Decodes a video frame by frame, every frame that it holds, one in memory at a time.

    An empty chunk of an AVI, which stands for "as before", is no frame. Frames are turned and mirrored as the
    file's display matrix says; what is transparent is black. A frame that lasts several steps stands as often, with
    a warning (the last stands once). Warnings also tell of frames that last unevenly long otherwise, have no time
    of their own, have oblong pixels, or are interlaced; these are yielded as they are. Further video streams,
    and frames that the file hides from players, are left out with a warning; a cover is no stream.

    Grey is full-range luminance (BT.601): black is 0 and white 255, whatever range the file stores. Frames are
    resized by Pillow's `BILINEAR`, whose triangle covers as many pixels as it has to, so that nothing is left
    out where a frame shrinks; both sides scale on their own, so another aspect is squeezed into `size`.

    Args:
        source: path of an AVI, MP4/MOV, Matroska/WebM, MPEG, Ogg, ASF/WMV, FLV, Y4M, MJPEG or GIF file, or such a
            file opened for reading bytes.
        grey: bool. One channel of luminance; otherwise red, green and blue.
        size: int or (height, width), pixels. None: as in the file.
        crop: (top, bottom, left, right), pixels cut out before frames are resized. None: all.
        name: what errors call the video. Default: the path, or the `name` of the open file.
        as_stored: bool. Keeps grey levels of more than 8 bits as the numbers that they are in the file; otherwise they
            are cut to 8 bits, with a warning.

    Yields:
        uint8 (height, width, 1), or (height, width, 3) if not `grey`; uint16 of deep levels that are kept.

    Raises:
        ValueError: if the file holds no video, is damaged, or is cut off (fewer frames or bytes than its header says;
            known at the end), its frames are larger than 2^25 pixels, change their size or are turned by another
            angle than a right one, are of deep colours and asked for as stored, or `crop` does not lie within them.
        FileNotFoundError: if there is no such file.
        ImportError: if PyAV is not installed.
    """
    with needed("A video", "video"):
        import av

    sides = None if size is None else tuple(size) if isinstance(size, tuple | list) else (size, size)
    if sides is not None and (len(sides) != 2 or not all(map(is_whole, sides))):
        raise ValueError(f"`size` must be one or two positive integers. Received: size={sides}")
    with contextlib.ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            # Opened here, as libav would take "http://..." or "concat:..." for more than a path.
            name = name or os.fspath(source)
            source = stack.enter_context(open(source, "rb"))
        name = name or getattr(source, "name", "video")
        rule = "A video must be whole and decodable."
        stack.enter_context(damage_of(name, rule, decoder_errors=(av.FFmpegError,)))
        start = source.tell() if source.seekable() else None
        counts, note = _steps(source)
        container = stack.enter_context(_opened(source))
        for frame in _decoded(container, name, as_stored):
            pixels = _upright(_pixels(frame, grey, as_stored), frame)
            pixels = cut_out(pixels[..., np.newaxis] if grey else pixels, crop, name)
            pixels = resized(pixels[..., 0] if grey else pixels, sides)
            for _ in range(counts.get(frame.pts, 1)):
                yield pixels.reshape(*pixels.shape[:2], 1 if grey else 3)
        if start is not None:
            _check_length(source, start, container.format.name)
        if note:  # behind the last frame: a file that is damaged is refused without it
            _warn(name, note)


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


def _opened(source: IO[bytes]) -> Any:
    import av

    # Texts of a file that are no UTF-8 are no fault. PyAV 19 takes them as they are, and has no word for it.
    texts: dict[str, Any] = (
        {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
    )
    # libav decodes a little to open a file
    return av.open(source, options={"format_whitelist": _FORMATS, **_LIMITS}, **texts)


def _steps(source: IO[bytes]) -> tuple[dict[int, int], str]:
    """Returns for how many steps each frame lasts, by its time, and what is to be said of that.

    A frame that is not listed lasts for one step. Only the times are read; what is damaged
    is left to the decoder to tell.
    """
    import av

    if not source.seekable():
        return {}, ""
    start = source.tell()
    try:
        with _opened(source) as container:
            if container.format.name in _STEADY or not container.streams.video:
                return {}, ""
            stream = _films(container)[0]
            tick = stream.time_base
            times = [
                packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard
            ]
    except (av.FFmpegError, ValueError):
        return {}, ""
    finally:
        source.seek(start)
    lacking = sum(time is None for time in times)
    if lacking == len(times) or len(times) < 3:
        return {}, ""
    times = sorted(time for time in times if time is not None)
    steps = [later - time for time, later in itertools.pairwise(times)]
    if lacking or not all(steps):
        same = len(steps) - np.count_nonzero(steps)
        return (
            {},
            f"{lacking} frames have no time and {same} that of the frame before; all are read as evenly spaced",
        )
    counts = repeats(steps, 1, jitter=True)
    if counts is None or sum(counts) > MOST_REPEATS * len(counts):
        ends = " to ".join(f"{float(each * tick * 1000):.4g}" for each in (min(steps), max(steps)))
        return {}, f"its frames have durations of {ends} ms and are read as evenly spaced"
    if sum(counts) == len(counts):
        return {}, ""
    note = (
        f"{len(times)} frames are read as {sum(counts) + 1} at equal steps, as some have durations of up to "
        f"{max(counts)} steps"
    )
    return dict(zip(times, counts, strict=False)), note


def _warn(name: object, message: str) -> None:
    warnings.warn(f"`{name}`: {message}", stacklevel=4)


def _bits(frame: Any) -> int:
    """Returns how many bits a level of a frame has."""
    return max(component.bits for component in frame.format.components)


def _pixels(frame: Any, grey: bool, as_stored: bool) -> np.ndarray:
    """Returns the pixels of a frame, (height, width) or (height, width, 3); transparent ones are black."""
    bits = _bits(frame)
    if as_stored and bits > 8:
        if not grey or not frame.format.name.startswith("gray"):
            raise ValueError(
                f"colours of {bits} bits, of which 8 can be read, so that a scale takes them for other numbers; save "
                "grey levels of 16 bits, such as `gray16le` of FFV1"
            )
        return frame.to_ndarray(format="gray16le") >> (16 - bits)
    plain = "gray" if grey else "rgb24"
    if not any(component.is_alpha for component in frame.format.components):
        return frame.to_ndarray(format=plain)
    # In full range, so that what is left of a pixel is a share of 0 .. 255.
    levels = frame.to_ndarray(format="rgba").astype("uint16")
    shown = ((levels[..., :3] * levels[..., 3:] + 127) // 255).astype("uint8")
    return type(frame).from_ndarray(shown, format="rgb24").to_ndarray(format=plain) if grey else shown


def _upright(pixels: np.ndarray, frame: Any) -> np.ndarray:
    """Turns and mirrors pixels as the frame's display matrix has players do.

    (x', y') = (a x + c y, b x + d y)                       x to the right, y downwards
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), "=i4")[:5].tolist()
    straight, turned = min(abs(a), abs(d)), min(abs(b), abs(c))
    if min(straight, turned) * 100 > max(straight, turned) or max(straight, turned) == 0:
        angle = np.degrees(np.arctan2(b, a))
        raise ValueError(f"a rotation of {angle:.0f} degrees; right angles alone can be read")
    if straight > turned:
        return pixels[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    return pixels.swapaxes(0, 1)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]


def _decoder(stream: Any) -> Any:
    """Returns what decodes a stream: one that keeps what is transparent, where the stream has that."""
    import av

    name = _WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    return av.CodecContext.create(name, "r")


def _tell(stream: Any, frame: Any, name: object, as_stored: bool) -> None:
    """Warns of what the pixels of a film are not: square, whole levels, or all of one moment."""
    if _bits(frame) > 8 and not as_stored:
        _warn(name, f"levels of {_bits(frame)} bits are cut to 8")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        _warn(
            name,
            f"its pixels are {aspect.numerator}:{aspect.denominator}, not square, and are read as they are stored, "
            f"{frame.height} x {frame.width}",
        )
    if frame.interlaced_frame:
        _warn(name, "its frames are interlaced, two moments in one frame, and are read as they are stored")


def _films(container: Any) -> list[Any]:
    """Returns the video streams of a file; a cover, which is one picture, is none beside others."""
    from av.stream import Disposition

    streams = list(container.streams.video)
    return [each for each in streams if not each.disposition & Disposition.attached_pic] or streams


def _decoded(container: Any, name: object, as_stored: bool) -> Iterator[Any]:
    """Yields the frames of the first video stream; raises for whatever libav would conceal."""
    if not container.streams.video:
        raise ValueError("it has no video stream")
    stream = _films(container)[0]
    if len(_films(container)) > 1:
        _warn(name, f"it has {len(_films(container))} video streams, of which the first is read")
    if stream.codec_context is None:
        raise ValueError("its codec is unknown")
    if not 0 < stream.codec_context.height * stream.codec_context.width <= _MOST_PIXELS:
        raise ValueError(f"its frames have no size, or more than {_MOST_PIXELS} pixels")
    decoder = _decoder(stream)
    decoder.options = dict(_LIMITS)
    # AVI counts empty chunks too, which libav skips; there, decoding times are numbers of chunks.
    by_time = container.format.name == "avi"
    size, packets, frames, hidden = None, 0, 0, 0
    times: list[int] = []
    for packet in container.demux(stream):
        hidden += packet.is_discard
        if packet.pts is not None:
            times.append(packet.pts)
        if packet.size:  # the last one is empty and makes the decoder give what it holds back
            packets = packet.dts + 1 if by_time and packet.dts is not None else packets + 1
        if packet.is_corrupt:
            raise ValueError(f"packet {packets} is damaged or cut off")
        for frame in decoder.decode(packet):
            frames += 1
            if frame.is_corrupt:
                raise ValueError(f"frame {frames} is damaged")
            if size is None:
                size = frame.height, frame.width
                _tell(stream, frame, name, as_stored)
            if (frame.height, frame.width) != size:
                raise ValueError(
                    f"frame {frames} is {frame.height} x {frame.width}, frames before are {size}"
                )
            yield frame
    if packets < stream.frames:
        raise ValueError(f"cut off: {packets} frames of the {stream.frames} in its header")
    if container.format.name == "flv" and len(container.streams) == 1:
        _check_duration(container.duration, stream.time_base, times)
    if not frames:
        raise ValueError("it has no frame")
    if hidden:
        _warn(
            name, f"{hidden} of its {packets} frames are left out, as its edit list hides them from players"
        )


def _check_duration(stated: int | None, tick: Fraction, times: list[int]) -> None:
    """Makes sure that frames go on to the end that a header states, in microseconds.

    The last frame lasts as long as the longest before it; where it begins may be taken for the end.
    """
    steps = np.diff(sorted(times))
    if stated is None or not len(steps):
        return
    end, longest = float(max(times) * tick), float(int(steps.max()) * tick)
    if stated / 1e6 - end > _MOST_LACKING * longest + longest:
        raise ValueError(
            f"cut off: its last frame begins at {end:.4g} s of the {stated / 1e6:.4g} s in its header"
        )


def _check_length(source: IO[bytes], start: int, kind: str) -> None:
    """Makes sure that a file is as long as it says, or ends as such files do, where libav passes over a cut-off end.

    A file of Matroska that was written live does not say how long it is.
    """
    length = source.seek(0, os.SEEK_END) - start
    source.seek(start)
    if kind.startswith("matroska"):
        stated = _segment_end(source.read(_LONGEST_HEAD))
        if stated is not None and stated > length:
            raise ValueError(f"cut off: {length} bytes of the {stated} in its header")
    elif kind.startswith("mov"):
        lacking = _lacking_of_box(source, start, length)
        if lacking:
            raise ValueError(f"cut off: its last part lacks {lacking} bytes")
    elif kind == "mpegts":
        if all(length % packet for packet in _TRANSPORT):
            raise ValueError(f"cut off: {length} bytes are no whole number of packets")
    elif kind == "mjpeg":
        source.seek(start + max(length - _PADDING, 0))
        if not source.read().rstrip(b"\0\r\n").endswith(b"\xff\xd9"):
            raise ValueError("cut off: it does not end in the end mark of a frame")
    elif kind == "yuv4mpegpipe":
        with _opened(source) as container:
            frame = next(packet.size for packet in container.demux(container.streams.video[0]))
        source.seek(start)
        end = len(source.readline())
        while end < length:  # each frame has a line of its own, which may say something of it
            source.seek(start + end)
            end += len(source.readline()) + frame
        if end > length:
            raise ValueError(f"cut off: its last frame lacks {end - length} bytes")


def _lacking_of_box(source: IO[bytes], start: int, length: int) -> int:
    """Returns how many bytes are missing of the last box of an MP4 or MOV of so many bytes.

    A film in fragments does not say beforehand how many there are.
    """
    end = 0
    while end + 8 <= length:
        source.seek(start + end)
        head = source.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # one that needs eight bytes
            size = int.from_bytes(head[8:], "big")
        if size < 8 or (end + size > length and head[4:8] not in _BOXES):
            return 0  # it goes to the end of the file, or what comes behind the film is no box
        end += size
    return max(end - length, 0)


def _segment_end(head: bytes) -> int | None:
    """Returns where the one segment of a Matroska file ends, in bytes; None where its header does not say."""
    end = 0
    for _ in _ELEMENTS:
        if head[end : end + 4] not in _ELEMENTS or end + 4 >= len(head):
            return None
        element, width = head[end : end + 4], 9 - head[end + 4].bit_length()
        size = int.from_bytes(head[end + 4 : end + 4 + width], "big") & (1 << 7 * width) - 1
        if size == (1 << 7 * width) - 1:  # unknown
            return None
        end += 4 + width + size
        if element == _ELEMENTS[1]:
            return end
    return None


def resized(pixels: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Returns a frame, uint8 (height, width) or (height, width, 3), resized as `frames_of` does."""
    if size in (None, pixels.shape[:2]):
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
