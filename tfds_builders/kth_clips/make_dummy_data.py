"""Writes `dummy_data/`: zips of small videos and frame lists of the real formats, for the builder's tests.

Run as `python -m tfds_builders.kth_clips.make_dummy_data`.
"""

import io
import zipfile
from pathlib import Path

import av
import numpy as np

from tfds_builders.kth_clips.sequences import ACTIONS

FOLDER = Path(__file__).with_name("dummy_data")
PERSONS = (1, 17)
FRAMES = 64


def avi(frames: np.ndarray) -> bytes:
    """Content of an AVI of grey frames, uint8 (time, height, width), coded as KTH's are (MPEG-4, DX50)."""
    content = io.BytesIO()
    with av.open(content, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.codec_context.codec_tag = "DX50"
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "yuv420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return content.getvalue()


def moving_bar(frames: int, step: int) -> np.ndarray:
    """A bright bar that goes around a grey 24 x 32 scene, uint8 (frames, 24, 32)."""
    video = np.full((frames, 24, 32), 60, np.uint8)
    for t in range(frames):
        video[t, 6:20, (np.arange(4) + step * t) % 32] = 220
    return video


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for step, action in enumerate(ACTIONS, 1):
        with zipfile.ZipFile(FOLDER / f"{action}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for person in PERSONS:
                member = zipfile.ZipInfo(f"person{person:02}_{action}_d1_uncomp.avi")
                archive.writestr(member, avi(moving_bar(FRAMES, step)), zipfile.ZIP_DEFLATED)
    videos = [f"person{person:02}_{action}_d1" for person in PERSONS for action in sorted(ACTIONS)]
    lines = [f"{video}\t\tframes\t1-30, 32-{FRAMES}" for video in videos]
    prose = ["", "Training:   person11, 12", "", "person13_handclapping_d3\t*missing*"]
    (FOLDER / "00sequences.txt").write_text("\r\n".join([*prose, *lines, ""]), newline="")
    for person, name in zip(PERSONS, ("train_data_list_trimmed.txt", "test_data_list.txt"), strict=True):
        trimmed = [
            f"{video} {part}"
            for video in videos
            if f"person{person:02}" in video
            for part in ("3 30", "31 62")
        ]
        (FOLDER / name).write_text("\n".join([*trimmed, ""]))


if __name__ == "__main__":
    main()
