"""Videos written through PyAV, read back; damaged ones; a real one where it is at hand."""

import collections
import io
import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.formats.videos import frames_of, read_video, resized
from mslstm_keras.frames.read import read_clip

av = pytest.importorskip("av")

VTEST = Path(os.environ.get("MSLSTM_VTEST", "/usr/share/doc/opencv-doc/examples/data/vtest.avi"))
LEVELS = [20, 90, 128, 200, 255]


def written(frames, *, container="avi", codec="mpeg4", tag="DIVX", pixels="yuv420p"):
    """Content of a video file of frames, uint8 (time, height, width) or (time, height, width, 3)."""
    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        if tag:
            stream.codec_context.codec_tag = tag
        if codec == "mpeg4":
            stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in frames:
            source = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "rgb24")
            output.mux(stream.encode(source))
        output.mux(stream.encode())
    return content.getvalue()


def flat(height=16, width=16):
    """Frames of one level each."""
    return np.array(LEVELS, np.uint8)[:, None, None] * np.ones((height, width), np.uint8)


def noise(seed=0, shape=(5, 16, 16)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def read(content, **options):
    return read_video(io.BytesIO(content), name="clip.avi", **options)


def test_every_frame_of_a_divx_avi_in_full_range_grey(tmp_path):
    path = tmp_path / "person01_walking_d1_uncomp.avi"
    path.write_bytes(written(flat(120, 160)))
    video = read_video(path)
    assert video.shape == (5, 120, 160, 1) and video.dtype == np.uint8
    assert np.abs(video.astype(int) - flat(120, 160)[..., np.newaxis]).max() <= 1
    assert [int(frame[0, 0, 0]) for frame in frames_of(str(path))] == video[:, 0, 0, 0].tolist()


def test_colour():
    frames = np.zeros((2, 16, 16, 3), np.uint8) + np.array([200, 60, 30], np.uint8)
    video = read(written(frames), grey=False)
    assert video.shape == (2, 16, 16, 3)
    assert np.abs(video.astype(int) - frames).max() <= 4
    luminance = 0.299 * 200 + 0.587 * 60 + 0.114 * 30
    assert np.abs(read(written(frames)) - luminance).max() <= 3


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [
        ("mp4", "mpeg4", "yuv420p"),
        ("matroska", "mpeg4", "yuv420p"),
        ("gif", "gif", "gray"),
        ("avi", "ffv1", "gray"),
    ],
)
def test_other_containers(container, codec, pixels):
    video = read(written(flat(), container=container, codec=codec, tag=None, pixels=pixels))
    assert np.abs(video[..., 0].astype(int) - flat()).max() <= 2


def deep(pixels, levels):
    """A film whose levels, uint16, have as many bits as its pixel format."""
    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *levels.shape[1:], pixels
        for frame in levels:
            source = av.VideoFrame(*frame.shape[::-1], pixels)
            for plane in source.planes:
                padded = np.zeros((plane.height, plane.line_size // 2), "<u2")
                padded[:, : plane.width] = frame[: plane.height, : plane.width]
                plane.update(padded.tobytes())
            output.mux(stream.encode(source))
        output.mux(stream.encode())
    return content.getvalue()


@pytest.mark.parametrize(("pixels", "bits"), [("gray16le", 16), ("gray10le", 10)])
def test_deep_grey_levels(tmp_path, pixels, bits):
    levels = np.random.default_rng(0).integers(0, 2**bits, (3, 16, 32), "uint16")
    (tmp_path / "a.mkv").write_bytes(deep(pixels, levels))
    clip = read_clip(tmp_path / "a.mkv", scale=f"0:{2**bits - 1}")
    np.testing.assert_allclose(clip[..., 0], levels / (2**bits - 1), atol=1e-6)
    small = read_clip(tmp_path / "a.mkv", scale=f"0:{2**bits - 1}", size=(8, 16))
    expected = triangle(16, 8) @ (levels / (2**bits - 1)) @ triangle(32, 16).T
    np.testing.assert_allclose(small[..., 0], expected, atol=2 / 2**bits)
    with pytest.warns(UserWarning, match=rf"a\.mkv`: levels of {bits} bits are cut to 8$"):
        clip = read_clip(tmp_path / "a.mkv")
    np.testing.assert_allclose(clip[..., 0], levels / (2**bits - 1), atol=0.006)


def test_deep_colours_have_no_scale(tmp_path):
    (tmp_path / "a.mkv").write_bytes(deep("yuv444p10le", np.full((3, 16, 32), 500, "uint16")))
    with pytest.raises(
        ValueError, match=r"a\.mkv: colours of 10 bits, of which 8 can be read, .* `gray16le`"
    ):
        read_clip(tmp_path / "a.mkv", scale="0:1023")
    with pytest.warns(UserWarning, match="levels of 10 bits are cut to 8"):
        assert read_clip(tmp_path / "a.mkv").shape == (3, 16, 32, 1)


def triangle(length, size):
    """Weights (size, length) of a triangle filter as wide as a pixel of the result, or of the source."""
    scale = length / size
    centre = (np.arange(size)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centre) / max(scale, 1))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [8, np.int64(8), (20, 7), (16, 24)])
def test_resizing_is_bilinear_and_leaves_nothing_out(size):
    content = written(noise())
    height, width = (size, size) if np.ndim(size) == 0 else size
    full, small = read(content)[..., 0].astype(float), read(content, size=size)
    assert small.shape == (5, height, width, 1)
    expected = triangle(16, height) @ full @ triangle(16, width).T
    assert np.abs(small[..., 0] - expected).max() <= 1
    np.testing.assert_array_equal(resized(read(content)[0, ..., 0], (height, width)), small[0, ..., 0])


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 3), (4, None), (0, 1)])
def test_part_of_a_video(start, stop):
    content = written(noise())
    np.testing.assert_array_equal(read(content, start=start, stop=stop), read(content)[start:stop])


def test_what_comes_after_the_part_is_not_decoded():
    content = written(noise())
    assert len(read(content[:-700], stop=2)) == 2
    with pytest.raises(ValueError, match=r"clip.avi: (packet|frame) \d is damaged"):
        read(content[:-700])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": 3, "stop": 6}, "start=3, stop=6, clip.avi of 5 frames"),
        ({"start": 5}, "start=5, stop=None, clip.avi of 5 frames"),
    ],
)
def test_part_beyond_the_video(part, message):
    with pytest.raises(
        ValueError, match=f"`start` and `stop` must lie within the video. Received: {message}"
    ):
        read(written(noise()), **part)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (2, 2), (3, 1)])
def test_part_must_hold_a_frame(start, stop):
    with pytest.raises(
        ValueError, match=f"`start` must be from 0 to `stop` - 1. Received: start={start}, stop={stop}"
    ):
        read(b"", start=start, stop=stop)


@pytest.mark.parametrize("size", [0, (4, 0), (4, 4, 4), True, 4.0])
def test_size_must_be_positive(size):
    with pytest.raises(ValueError, match=r"`size` must be one or two positive integers. Received: size="):
        read(written(flat()), size=size)


def avi_of_sound():
    content = io.BytesIO()
    with av.open(content, "w", format="avi") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return content.getvalue()


def gif_that_claims(side):
    content = io.BytesIO()
    Image.new("L", (16, 16)).save(content, "GIF", save_all=True, append_images=[Image.new("L", (16, 16), 9)])
    return content.getvalue()[:6] + struct.pack("<HH", side, side) + content.getvalue()[10:]


def chunk(content, number):
    """Where the chunk of frame `number`, from 1, begins in an AVI."""
    place = content.index(b"movi")
    for _ in range(number):
        place = content.index(b"00dc", place + 1)
    return place


def with_empty_chunk(content, number):
    """An AVI whose frame `number` has no bytes; what it had becomes padding."""
    place = chunk(content, number)
    (length,) = struct.unpack_from("<I", content, place + 4)
    length += length % 2
    padding = b"JUNK" + struct.pack("<I", length - 8) + bytes(length - 8)
    return content[: place + 4] + bytes(4) + padding + content[place + 8 + length :]


def with_lost_bytes(content, number):
    """An AVI with 100 bytes of frame `number` overwritten."""
    place = chunk(content, number) + 108
    return content[:place] + 100 * b"\xff" + content[place + 100 :]


def with_other_codec(content):
    return content.replace(b"DIVX", b"QQQQ")


DAMAGED = {
    "empty": (b"", "Invalid data"),
    "text": (b"person01_walking_d1 1 95\n" * 50, "Invalid data"),
    "header alone": (written(noise())[:200], "Invalid data|no video stream|no frame|cut off"),
    "cut in a frame": (written(noise())[:-400], r"packet \d is damaged or cut off"),
    "cut between frames": (
        written(noise())[: chunk(written(noise()), 4)],
        r"cut off: 3 frames of the 5 in its header",
    ),
    "bytes lost in a frame": (with_lost_bytes(written(noise()), 3), r"frame 3 is damaged"),
    "unknown codec": (with_other_codec(written(noise())), "codec is unknown|no size"),
    "sound": (avi_of_sound(), "it has no video stream"),
    "huge canvas": (gif_that_claims(65535), "its frames have no size, or more than 33554432 pixels"),
    "large canvas": (gif_that_claims(6000), "its frames have no size, or more than 33554432 pixels"),
    "playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.avi\n#EXT-X-ENDLIST\n", "Invalid data"),
    "list of files": (b"ffconcat version 1.0\nfile clip.avi\n", "Invalid argument"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files(tmp_path, case):
    content, message = DAMAGED[case]
    path = tmp_path / "damaged.avi"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"A video must be whole and decodable. Received: .*damaged.avi: "
    ) as error:
        read_video(path)
    assert error.match(message)


def test_size_that_changes():
    first, second = (
        written(noise(shape=(3, side, side)), container="mpeg", codec="mpeg1video", tag=None)
        for side in (16, 32)
    )
    assert read(first).shape == (3, 16, 16, 1)
    with pytest.raises(ValueError, match=r"clip.avi: frame \d is 32 x 32, frames before are \(16, 16\)"):
        read(first + second)


def test_an_empty_chunk_is_no_frame_and_no_end():
    frames = flat()
    frames[3] = frames[2]
    content = written(frames)
    np.testing.assert_array_equal(read(with_empty_chunk(content, 4)), read(content)[[0, 1, 2, 4]])


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.avi"):
        read_video(tmp_path / "nowhere.avi")


def test_addresses_are_paths():
    with pytest.raises(FileNotFoundError, match=r"http://localhost/clip.avi"):
        read_video("http://localhost/clip.avi")


def test_without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[video\]'"):
        read(b"")


def altered(content, rng):
    """Content with bytes overwritten, in the header more often than not, or cut off, or both."""
    content = bytearray(content)
    kind = rng.integers(4)
    reach = 400 if kind == 0 else len(content)
    if kind < 3:
        for place in rng.integers(reach, size=rng.integers(1, 6)):
            content[place] = rng.integers(256)
    if kind > 1:
        content = content[: rng.integers(len(content))]
    return bytes(content)


@pytest.mark.slow
def test_ten_thousand_altered_videos_read_or_are_refused():
    content, rng = written(noise()), np.random.default_rng(5)
    outcomes = collections.Counter()
    for _ in range(10_000):
        try:
            video = read(altered(content, rng))
        except ValueError as error:
            assert "clip.avi: " in str(error)
            outcomes["refused"] += 1
        else:
            assert video.dtype == np.uint8 and video.ndim == 4 and video.shape[-1] == 1
            assert 1 <= len(video) <= 10 and video.size <= 2**25
            outcomes["read"] += 1
    assert min(outcomes["refused"], outcomes["read"]) > 1000


@pytest.mark.skipif(not VTEST.is_file(), reason=f"no real video {VTEST} (Debian opencv-doc, or MSLSTM_VTEST)")
def test_real_video():
    whole = sum(1 for _ in frames_of(VTEST, size=(72, 96)))
    assert whole == 795
    part = read_video(VTEST, start=100, stop=104)
    assert part.shape == (4, 576, 768, 1)
    assert part.min() == 0 and part.max() == 255
    assert 1 < np.abs(np.diff(part.astype(int), axis=0)).mean() < 10  # people move, the place does not
    small = read_video(VTEST, start=100, stop=104, size=128)
    assert small.shape == (4, 128, 128, 1)
    np.testing.assert_allclose(small.mean((1, 2, 3)), part.mean((1, 2, 3)), atol=0.5)


# What players do


def mp4(frames, times=None, matrix=None, codec="mpeg4", container="mp4", **options):
    """A film with these times of its frames, in units of a tenth of a second."""
    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = options.pop("pixels", "yuv420p")
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        if codec == "libvpx":
            stream.options = {"auto-alt-ref": "0"}  # which it has not with transparent pixels
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for number, frame in enumerate(frames):
            source = av.VideoFrame.from_ndarray(frame, format="rgba" if frame.ndim == 3 else "gray")
            source.pts, source.time_base = times[number] if times else number, Fraction(1, 10)
            output.mux(stream.encode(source))
        output.mux(stream.encode())
    return content.getvalue()


def quarters():
    """Two frames of 16 x 32 whose quarters are 20, 90, 160 and 230."""
    frame = np.zeros((16, 32), np.uint8)
    frame[:8, :16], frame[:8, 16:], frame[8:, :16], frame[8:, 16:] = 20, 90, 160, 230
    return np.stack([frame] * 3)


ONE, WHOLE = 1 << 16, 1 << 30
TURNS = {
    "clockwise": ((0, ONE, 0, -ONE, 0, 0, 0, 0, WHOLE), lambda frame: np.rot90(frame, -1)),
    "counterclockwise": ((0, -ONE, 0, ONE, 0, 0, 0, 0, WHOLE), np.rot90),
    "upside down": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, WHOLE), lambda frame: np.rot90(frame, 2)),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, WHOLE), np.fliplr),
    "flipped": ((ONE, 0, 0, 0, -ONE, 0, 0, 0, WHOLE), np.flipud),
    "transposed": ((0, ONE, 0, ONE, 0, 0, 0, 0, WHOLE), np.transpose),
}


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_turned_as_the_file_says(turn):
    matrix, expected = TURNS[turn]
    video = read(mp4(quarters(), matrix=matrix))
    expected = expected(quarters()[0])
    assert video.shape == (3, *expected.shape, 1)
    assert np.median(np.abs(video[0, ..., 0].astype(int) - expected)) <= 3


def test_another_angle_is_refused():
    matrix = (46341, 46341, 0, -46341, 46341, 0, 0, 0, WHOLE)
    with pytest.raises(ValueError, match=r"clip.avi: a rotation of 45 degrees"):
        read(mp4(quarters(), matrix=matrix))


def levels_of(video):
    return [int(np.argmin(np.abs(np.array(LEVELS) - level))) for level in video[:, 8, 8, 0].astype(int)]


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_frames_that_last_several_steps(container):
    content = mp4(flat(), [0, 1, 4, 6, 7], container=container)
    with pytest.warns(UserWarning, match=r"`clip.avi`: 5 frames are read as 8 at equal steps"):
        assert levels_of(read(content)) == [0, 1, 1, 1, 2, 2, 3, 4]


def test_frames_at_uneven_times_are_told_of():
    with pytest.warns(UserWarning, match=r"durations of 1000 to 3700 ms and are read as evenly spaced"):
        assert levels_of(read(mp4(flat(), [0, 10, 47, 60, 83]))) == [0, 1, 2, 3, 4]


def test_a_long_last_frame_is_a_pause():
    assert levels_of(read(mp4(flat(), [0, 1, 2, 3, 4]))) == [0, 1, 2, 3, 4]


def test_oblong_pixels_are_told_of():
    with pytest.warns(UserWarning, match=r"its pixels are 16:11, not square, .* as they are stored, 16 x 16"):
        assert read(mp4(flat(), sample_aspect_ratio=Fraction(16, 11))).shape == (5, 16, 16, 1)


def test_further_streams_are_told_of():
    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as output:
        streams = [output.add_stream("ffv1", rate=10, height=16, width=16, pix_fmt="gray") for _ in "ab"]
        for stream, level in zip(streams, (40, 200), strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), level, "uint8"), format="gray")
            output.mux(stream.encode(frame))
            output.mux(stream.encode())
    with pytest.warns(UserWarning, match="it has 2 video streams, of which the first is read"):
        assert read(content.getvalue()).ravel()[0] == 40


@pytest.mark.parametrize("lacking", [1, 30])
def test_a_film_in_fragments_that_is_cut_off(lacking):
    content = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+skip_trailer"}
    with av.open(content, "w", format="mp4", options=options) as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.gop_size = 16, 16, 2
        for frame in noise():
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        output.mux(stream.encode())
    assert len(read(content.getvalue())) == 5
    with pytest.raises(ValueError, match="cut off"):
        read(content.getvalue()[:-lacking])


def test_frames_that_are_hidden_from_players_are_told_of():
    content = mp4(flat(32, 32), [-2, -1, 0, 1, 2], codec="libx264")
    with pytest.warns(UserWarning, match=r"`clip.avi`: 2 of its 5 frames are left out, as its edit list"):
        assert levels_of(read(content)) == [2, 3, 4]


def test_a_transport_stream_that_is_cut_off():
    content = mp4(np.concatenate([flat(32, 32)] * 8), codec="mpeg2video", container="mpegts")
    assert len(read(content)) == 40
    with pytest.raises(ValueError, match=r"cut off: 17356 bytes are no whole number of packets"):
        read(content[: 92 * 188 + 60])  # of which libav makes 28 frames


def test_interlaced_frames_are_told_of():
    interlaced = int(av.codec.context.Flags.interlaced_dct) | int(av.codec.context.Flags.interlaced_me)
    content = mp4(flat(32, 32), codec="mpeg2video", container="mpegts", flags=interlaced)
    with pytest.warns(UserWarning, match="its frames are interlaced"):
        assert len(read(content)) == 5


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [
        ("webm", "libvpx-vp9", "yuva420p"),
        ("webm", "libvpx", "yuva420p"),
        ("mov", "qtrle", "argb"),
    ],
)
def test_transparent_pixels_are_black(container, codec, pixels):
    frames = np.full((3, 32, 32, 4), 200, np.uint8)
    frames[..., 3] = 255
    frames[:, :, 16:, 3] = 0
    content = mp4(frames, codec=codec, container=container, pixels=pixels)
    for grey in (True, False):
        video = read(content, grey=grey).astype(int)
        assert np.abs(video[:, :, :12] - 200).max() <= 6
        assert video[:, :, 20:].max() <= 6


@pytest.mark.parametrize(
    ("suffix", "container", "codec", "pixels"),
    [
        (".m4v", "mp4", "mpeg4", "yuv420p"),
        (".3gp", "3gp", "mpeg4", "yuv420p"),
        (".mpg", "mpeg", "mpeg1video", "yuv420p"),
        (".ts", "mpegts", "mpeg2video", "yuv420p"),
        (".wmv", "asf", "wmv2", "yuv420p"),
        (".flv", "flv", "flv1", "yuv420p"),
        (".y4m", "yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
        (".mjpeg", "mjpeg", "mjpeg", "yuvj420p"),
    ],
)
def test_other_kinds_of_films(tmp_path, suffix, container, codec, pixels):
    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, pixels
        for frame in flat(96, 128):
            source = av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=pixels)
            output.mux(stream.encode(source))
        output.mux(stream.encode())
    (tmp_path / f"a{suffix}").write_bytes(content.getvalue())
    clip = read_clip(tmp_path / f"a{suffix}")
    assert levels_of(np.rint(clip * 255)) == [0, 1, 2, 3, 4]


def test_a_part_of_each_frame():
    whole = read(mp4(quarters()))
    np.testing.assert_array_equal(read_all(mp4(quarters()), crop=(4, 12, 8, 32)), whole[:, 4:12, 8:32])
    small = read_all(mp4(quarters()), crop=(0, 8, 0, 16), size=(2, 4))
    assert small.shape == (3, 2, 4, 1) and np.abs(small.astype(int) - 20).max() < 20
    with pytest.raises(ValueError, match=r"`crop` must lie within the frames of clip.avi, .*\(16, 32\)"):
        read_all(mp4(quarters()), crop=(0, 17, 0, 32))


def read_all(content, **options):
    return np.stack(list(frames_of(io.BytesIO(content), name="clip.avi", **options)))


# Files that do not say how many frames they have


class Pipe(io.RawIOBase):
    """A file that cannot go back, as where films are written live."""

    def __init__(self):
        self.content = b""

    def writable(self):
        return True

    def write(self, content):
        self.content += bytes(content)
        return len(content)


UNCOUNTED = {
    "mkv": ("matroska", "mpeg4", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
    "flv": ("flv", "flv1", "yuv420p"),
    "y4m": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
    "mjpeg": ("mjpeg", "mjpeg", "yuvj420p"),
}


def uncounted(kind, output=None, count=6):
    container, codec, pixels = UNCOUNTED[kind]
    content = output or io.BytesIO()
    with av.open(content, "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for frame in noise(shape=(count, 48, 64)):
            source = av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=pixels)
            file.mux(stream.encode(source))
        file.mux(stream.encode())
    return content.content if output else content.getvalue()


@pytest.mark.parametrize("kind", UNCOUNTED)
@pytest.mark.parametrize("part", [0.4, 0.6, 0.9])
def test_uncounted_frames_that_are_cut_off(kind, part):
    content = uncounted(kind)
    assert len(read(content)) == 6
    with pytest.raises(
        ValueError, match=r"Received: clip.avi: (cut off|(packet|frame) \d is damaged|Invalid data)"
    ):
        read(content[: int(len(content) * part)])


@pytest.mark.parametrize("kind", ["mkv", "webm", "y4m", "mjpeg"])
def test_a_few_bytes_that_lack(kind):
    with pytest.raises(ValueError, match=r"cut off: |damaged"):
        read(uncounted(kind)[:-3])


@pytest.mark.parametrize("kind", ["mkv", "webm", "flv", "y4m"])
def test_one_uncounted_frame(kind):
    assert len(read(uncounted(kind, count=1))) == 1


@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_films_that_are_written_live_say_no_length(kind):
    content = uncounted(kind, Pipe())
    assert len(content) < len(uncounted(kind))
    assert len(read(content)) == 6


def test_lines_of_frames_may_say_something():
    content = uncounted("y4m")
    assert len(read(content.replace(b"FRAME\n", b"FRAME Ip\n", 1))) == 6


def test_padding_behind_the_last_frame():
    assert len(read(uncounted("mjpeg") + bytes(100))) == 6
