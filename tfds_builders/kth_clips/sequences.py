"""Frame lists of the KTH videos, and the windows that they leave."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tfds_builders.windows import contiguous_runs, window_starts

ACTIONS = ("walking", "jogging", "running", "boxing", "handwaving", "handclapping")

SPLIT_PERSONS = {"train": range(1, 17), "test": range(17, 26)}
"""Split -> persons. That of video prediction; `00sequences.txt` names another one, for recognition."""

_VIDEO = rf"person(?:0[1-9]|1\d|2[0-5])_(?:{'|'.join(ACTIONS)})_d[1-4]"
# Four digits are enough for every KTH video and keep a damaged list from claiming a year of frames.
_RANGE = r"\d{1,4}\s*-\s*\d{1,4}"


class FrameRange(NamedTuple):
    """Frames of a video that show the person.

    Attributes:
        video: `personPP_ACTION_dN`.
        first: int. First frame, counted from 1.
        last: int. Last frame, included.
    """

    video: str
    first: int
    last: int


def parse_sequences(text: str, name: str) -> list[FrameRange]:
    """Reads `00sequences.txt`: prose, then a line `personPP_ACTION_dN frames 1-95, 96-185, ...` per video.

    The line of a video that the data set lacks says `*missing*` instead; it has no range.

    Args:
        text: content of the file.
        name: what errors call it.

    Returns:
        Ranges in the order of the file.

    Raises:
        ValueError: if a line that begins with `person` is not of that form, a range is empty or begins before
            1, a video comes twice, or there is no range at all.
    """
    return _parse(text, name, rf"({_VIDEO})\s+frames\s+({_RANGE}(?:\s*,\s*{_RANGE})*)")


def parse_trimmed(text: str, name: str) -> list[FrameRange]:
    """Reads one of MCNet's lists, `train_data_list_trimmed.txt` or `test_data_list.txt`: `video first last`.

    Args:
        text: content of the file.
        name: what errors call it.

    Returns:
        Ranges in the order of the file.

    Raises:
        ValueError: if a line is not of that form, a range is empty or begins before 1, or there is no range.
    """
    return _parse(text, name, rf"({_VIDEO})\s+(\d{{1,4}}\s+\d{{1,4}})", prose=False)


def _parse(text: str, name: str, form: str, prose: bool = True) -> list[FrameRange]:
    ranges, videos = [], set()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or (prose and (not line.startswith("person") or line.endswith("*missing*"))):
            continue
        match = re.fullmatch(form, line, re.ASCII)
        numbers = [int(digits) for digits in re.findall(r"\d+", match[2])] if match else []
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if not pairs or any(not 1 <= first <= last for first, last in pairs):
            raise ValueError(
                "A line of a frame list must name a KTH video and ranges of its frames, from 1, first to last. "
                f"Received: {name}, line {number}: {line[:80]!r}"
            )
        if prose and match[1] in videos:
            raise ValueError(f"A video must have one line. Received: {name}, line {number}: {match[1]} again")
        videos.add(match[1])
        ranges += [FrameRange(match[1], first, last) for first, last in pairs]
    if not ranges:
        raise ValueError(f"A frame list must hold ranges. Received: {name} without any")
    return ranges


def action_of(video: str) -> str:
    """Returns the action of a video named `personPP_ACTION_dN`."""
    return video.split("_")[1]


def by_video(
    ranges: Iterable[FrameRange], *, actions: Sequence[str], split: str
) -> dict[str, dict[str, list[FrameRange]]]:
    """Groups the ranges of one split.

    Args:
        ranges: of any videos.
        actions: those wanted, in the order wanted.
        split: `"train"` (persons 1 to 16) or `"test"` (persons 17 to 25).

    Returns:
        Action -> video -> its ranges; actions in the given order, videos by name, ranges as they come.
    """
    persons = SPLIT_PERSONS[split]
    grouped = {action: {} for action in actions}
    for part in sorted(ranges, key=lambda part: part.video):  # stable: ranges of a video keep their order
        action = action_of(part.video)
        if action in grouped and int(part.video[6:8]) in persons:
            grouped[action].setdefault(part.video, []).append(part)
    return grouped


def window_firsts(
    ranges: Sequence[FrameRange], *, window: int, stride: int, from_end: bool = False
) -> list[int]:
    """First frames of the windows that lie within the ranges of one video.

    Forward, each range is cut on its own: first, first + stride, ... as long as the window ends within it.
    From the end, ranges that touch or overlap are one run, and each run is cut backward from its last frame:
    a window may so reach over the border of two ranges, though never over a frame that no range holds.

    Args:
        ranges: of one video.
        window: int. Frames of a window.
        stride: int. Frames from one window to the next.
        from_end: bool. Cut backward.

    Returns:
        Frame numbers counted from 1; those of a range (or run) ascend.

    Raises:
        ValueError: if `window` or `stride` is below 1.
    """
    if not from_end:
        return [
            first + start
            for _, first, last in ranges
            for start in window_starts(last - first + 1, window, stride)
        ]
    frames = np.unique(np.concatenate([np.arange(first, last + 1) for _, first, last in ranges]))
    return [
        int(frames[run.stop - 1]) - window + 1 - start
        for run in contiguous_runs(frames, 1)
        for start in reversed(window_starts(run.stop - run.start, window, stride))
    ]
