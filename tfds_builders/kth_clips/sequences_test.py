"""Frame lists: the published counts, what the windows' definition says, and lists that are wrong."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfds_builders.kth_clips.kth_clips_dataset_builder import Builder
from tfds_builders.kth_clips.sequences import (
    ACTIONS,
    SPLIT_PERSONS,
    FrameRange,
    action_of,
    by_video,
    parse_sequences,
    parse_trimmed,
    window_firsts,
)
from tfds_builders.kth_clips.synthetic_walkers import synthetic_ranges
from tfds_builders.kth_clips.videos import read_lists

LISTS = Path(os.environ.get("MSLSTM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "kth"
needs_lists = pytest.mark.skipif(not LISTS.is_dir(), reason=f"the published frame lists are not in {LISTS}")

# Together 6,429 and 3,669; 3,725 and 2,166; 5,521 and 3,254; 256 and 144.
COUNTS = {
    ("three_actions", "train"): [2405, 1378, 2646],
    ("three_actions", "test"): [1395, 794, 1480],
    ("trimmed", "train"): [1676, 853, 1196],
    ("trimmed", "test"): [993, 506, 667],
    ("six_actions", "train"): [907, 831, 1042, 564, 1683, 494],
    ("six_actions", "test"): [485, 515, 613, 334, 1018, 289],
    ("synthetic", "train"): [96, 64, 96],
    ("synthetic", "test"): [54, 36, 54],
}


def counts(config, ranges, split):
    grouped = by_video(ranges, actions=config.actions, split=split)
    return [
        sum(
            len(window_firsts(parts, window=config.window, stride=stride, from_end=config.from_end))
            for parts in videos.values()
        )
        for videos, stride in zip(grouped.values(), config.strides, strict=True)
    ]


@needs_lists
@pytest.mark.parametrize(("name", "split"), list(COUNTS)[:6])
def test_window_counts_of_the_published_lists(name, split):
    config = Builder.builder_configs[name]
    assert counts(config, read_lists(config.lists, manual_dir=LISTS), split) == COUNTS[name, split]


@pytest.mark.parametrize("split", ["train", "test"])
def test_window_counts_of_the_synthetic_videos(split):
    config = Builder.builder_configs["synthetic"]
    assert counts(config, synthetic_ranges(), split) == COUNTS["synthetic", split]


@needs_lists
def test_published_lists():
    ranges = read_lists("sequences", manual_dir=LISTS)
    assert len(ranges) == 2391 and len({part.video for part in ranges}) == 599
    assert ranges[0] == FrameRange("person01_boxing_d1", 1, 95)
    assert ranges[-1] == FrameRange("person25_walking_d4", 488, 592)
    trimmed = read_lists("trimmed", manual_dir=LISTS)
    assert {part.video for part in trimmed} == {part.video for part in ranges}
    assert FrameRange("person01_walking_d1", 6, 69) in trimmed


def test_form_of_sequences():
    text = (
        "Test: person22, 02\r\n\r\nperson13_handclapping_d3\t*missing*\r\n"
        "person01_walking_d1\t\tframes\t1-75, 152-225,226 - 300 \r\n"
    )
    assert parse_sequences(text, "list") == [
        FrameRange("person01_walking_d1", 1, 75),
        FrameRange("person01_walking_d1", 152, 225),
        FrameRange("person01_walking_d1", 226, 300),
    ]


def test_form_of_trimmed():
    text = "person17_jogging_d1 172 207 \nperson17_jogging_d1 207 335\n"
    ranges = [FrameRange("person17_jogging_d1", 172, 207), FrameRange("person17_jogging_d1", 207, 335)]
    assert parse_trimmed(text, "list") == ranges


WRONG_RANGES = ["75-1", "0-75", "1-75,", "1-", "1-99999", "-5-10", "1-75 152-225", "a-b", "", "¹-7"]


@pytest.mark.parametrize("wrong", WRONG_RANGES)
def test_wrong_ranges_of_sequences(wrong):
    text = f"person01_walking_d1 frames 1-75\nperson02_walking_d1 frames {wrong}\n"
    with pytest.raises(
        ValueError, match=r"ranges of its frames, from 1, .* Received: l.txt, line 2: 'person02"
    ):
        parse_sequences(text, "l.txt")


@pytest.mark.parametrize("wrong", ["75 1", "0 75", "1", "1 2 3", "1-75", "1 99999", "a b"])
def test_wrong_ranges_of_trimmed(wrong):
    with pytest.raises(
        ValueError, match=r"ranges of its frames, from 1, .* Received: l.txt, line 1: 'person02"
    ):
        parse_trimmed(f"person02_walking_d1 {wrong}", "l.txt")


@pytest.mark.parametrize(
    "video", ["person26_walking_d1", "person00_walking_d1", "person01_dancing_d1", "person01_walking_d5"]
)
def test_unknown_videos(video):
    with pytest.raises(ValueError, match="must name a KTH video"):
        parse_sequences(f"{video} frames 1-75", "list")
    with pytest.raises(ValueError, match="must name a KTH video"):
        parse_trimmed(f"{video} 1 75", "list")


def test_a_video_has_one_line():
    line = "person01_walking_d1 frames 1-75\n"
    with pytest.raises(
        ValueError, match=r"must have one line. Received: l.txt, line 2: person01_walking_d1 again"
    ):
        parse_sequences(2 * line, "l.txt")


@pytest.mark.parametrize("parse", [parse_sequences, parse_trimmed])
def test_lists_without_ranges(parse):
    with pytest.raises(ValueError, match=r"A frame list must hold ranges. Received: l.txt without any"):
        parse("\n\n", "l.txt")


@settings(deadline=None)
@given(st.text(alphabet="person0123_walking_d- ,\tframes\n*", max_size=80))
def test_any_text_is_a_list_or_refused(text):
    for parse in (parse_sequences, parse_trimmed):
        try:
            ranges = parse(text, "list")
        except ValueError:
            continue
        assert all(1 <= first <= last <= 9999 for _, first, last in ranges)


videos = st.builds(
    "person{:02}_{}_d{}".format, st.integers(1, 25), st.sampled_from(ACTIONS), st.integers(1, 4)
)
ranges_of_one_video = st.lists(
    st.tuples(st.integers(1, 120), st.integers(0, 60)).map(
        lambda pair: FrameRange("person01_walking_d1", pair[0], pair[0] + pair[1])
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(st.lists(st.builds(FrameRange, videos, st.just(1), st.integers(1, 99)), max_size=30))
def test_persons_are_in_one_split(ranges):
    actions = ("running", "walking", "boxing")
    split = {name: by_video(ranges, actions=actions, split=name) for name in SPLIT_PERSONS}
    persons = {
        name: {video[:8] for found in grouped.values() for video in found} for name, grouped in split.items()
    }
    assert not persons["train"] & persons["test"]
    assert all(list(grouped) == list(actions) for grouped in split.values())
    kept = [
        part
        for grouped in split.values()
        for found in grouped.values()
        for parts in found.values()
        for part in parts
    ]
    assert sorted(kept) == sorted(part for part in ranges if action_of(part.video) in actions)


def test_videos_come_by_name_and_ranges_in_their_order():
    ranges = [FrameRange("person02_walking_d1", 40, 60), FrameRange("person01_walking_d2", 1, 9)]
    ranges += [FrameRange("person02_walking_d1", 1, 30), FrameRange("person01_walking_d1", 2, 9)]
    grouped = by_video(ranges, actions=("walking",), split="train")["walking"]
    assert list(grouped) == ["person01_walking_d1", "person01_walking_d2", "person02_walking_d1"]
    assert grouped["person02_walking_d1"] == [ranges[0], ranges[2]]


@settings(deadline=None)
@given(ranges_of_one_video, st.integers(1, 30), st.integers(1, 12))
def test_forward_windows_lie_in_their_range_and_miss_none(ranges, window, stride):
    expected = []
    for _, first, last in ranges:
        while first + window - 1 <= last:
            expected.append(first)
            first += stride
    assert window_firsts(ranges, window=window, stride=stride) == expected


@settings(deadline=None)
@given(ranges_of_one_video, st.integers(1, 30), st.data())
def test_windows_from_the_end(ranges, window, data):
    """Against a walk over all frames from the last to the first, as PredRNN and OpenSTL describe theirs."""
    stride = data.draw(
        st.integers(1, window)
    )  # a longer one would let the walk leap over frames of the run before
    frames = sorted({frame for _, first, last in ranges for frame in range(first, last + 1)})
    expected, index = [], len(frames) - 1
    while index >= window - 1:
        if frames[index] - frames[index - window + 1] == window - 1:
            expected.append(frames[index - window + 1])
            index -= stride
        else:
            index -= 1
    assert sorted(window_firsts(ranges, window=window, stride=stride, from_end=True)) == sorted(expected)


def test_windows_must_have_frames():
    with pytest.raises(ValueError, match=r"`size` must be at least 1. Received: size=0"):
        window_firsts([FrameRange("person01_walking_d1", 1, 9)], window=0, stride=1)
