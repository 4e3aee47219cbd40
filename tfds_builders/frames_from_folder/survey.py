"""What the clips of a folder have in common, so that nobody needs to say it."""

import collections
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tfds_builders.frames_from_folder.sources import WindowReader, list_sources, split_sources


class Config(Protocol):
    """Fields of `FramesFromFolderConfig` that are looked at."""

    window: int
    stride: int | None
    channels: int
    size: tuple[int, int] | None
    test_share: float
    skip_short: bool
    data_set: str | None
    colour_scale: str | None


class Survey(NamedTuple):
    """What the clips of a folder tell.

    Attributes:
        fields: fields of `FramesFromFolderConfig`, those that were given among them.
        text: str. What was found, for people.
    """

    fields: dict[str, Any]
    text: str


MOST_CHANNELS = 4  # that nobody has to name: an array with more is rather one of several clips


def survey(folder: Path, config: Config, given: Collection[str], longest: int) -> Survey:
    """Finds channels, frames of an example and share of the tests by reading every clip once.

    - Channels: as the clips have them, where grey and colour come together those of colour.
    - Frames of an example: `longest`, or as many as the shortest clip has. A single clip gives two examples or more
      to train, and one to test.
    - Share of the tests: that of the config; of a single clip at least one example.

    Args:
        folder: folder of clips.
        config: config with the fields that are given.
        given: their names.
        longest: int. The most frames of an example that is not given.

    Raises:
        ValueError: if a clip cannot be read, is too short, or the clips have several sizes or channels that are no
            colours of one another.
    """
    sources = list_sources(folder)
    reader = WindowReader(
        window=config.window,
        stride=config.window,
        channels=config.channels,
        size=config.size,
        dtype="uint8",
        skip_short=config.skip_short,
        data_set=config.data_set,
    )
    shapes = {source: reader.shape(source) for source in sources}
    lengths = {source: shape[0] for source, shape in shapes.items()}
    height, width = config.size or _size(shapes)
    channels = config.channels
    if "channels" not in given and config.colour_scale is None:
        channels = _channels(shapes)
    shortest = min(lengths, key=lengths.__getitem__)
    window, share = config.window, config.test_share
    if len(sources) == 1:
        count = lengths[shortest]
        window = window if "window" in given else min(longest, max(2, count // 3))
        if count < 2 * window:
            raise ValueError(
                f"`{shortest}`, the only clip, must have {2 * window} frames or more, {window} to learn from and "
                f"{window} to be tested by (or add clips). Received: {count} frames"
            )
        if "test_share" not in given:
            share = max(share, window / count)
        split = f"of one clip the last {round(share * count)} frames for tests"
    else:
        if "window" not in given:
            window = longest if config.skip_short else min(longest, lengths[shortest])
        if not config.skip_short and window > lengths[shortest]:
            raise ValueError(
                f"`window`, the frames given and to forecast, must not be above {lengths[shortest]}, the frames of the "
                f"shortest clip, {shortest} (take it out, or pass over clips that are too short: `mslstm "
                f"data prepare` with --set skip_short=true). Received: window={window}"
            )
        if "window" not in given and window < 2:
            raise ValueError(
                f"`{shortest}` must have a frame to be given and one to forecast; images of one clip belong into a "
                f"sub-folder. Received: {lengths[shortest]} frame"
            )
        split = ", ".join(
            f"{len(clips)} {words}"
            for clips, words in zip(
                split_sources(sources, share).values(), ("to train", "for tests"), strict=True
            )
        )
    fewest, most = min(lengths.values()), max(lengths.values())
    frames = f"{most}" if fewest == most else f"{fewest} to {most}"
    clips = "1 clip" if len(sources) == 1 else f"{len(sources)} clips"
    text = (
        f"{clips} of {frames} frames, {height} x {width}, {channels} channel{'s' * (channels > 1)}; "
        f"{split}; examples of {window} frames, one every {config.stride or window}"
    )
    return Survey({"window": window, "channels": channels, "test_share": share}, text)


def _size(shapes):
    counts = collections.Counter(shape[1:3] for shape in shapes.values())
    if len(counts) > 1:
        first = {shape[1:3]: source.name for source, shape in reversed(shapes.items())}
        found = ", ".join(
            f"{height} x {width} ({count}, such as {first[height, width]})"
            for (height, width), count in counts.most_common()
        )
        (height, width), _ = counts.most_common(1)[0]
        raise ValueError(
            f"`size`, (height, width), must be given where clips are of several sizes, such as --size {height}x{width} "
            f'of `mslstm train`, --set "size=[{height},{width}]" of `mslstm data prepare`. Received: {found}'
        )
    return next(iter(counts))


def _channels(shapes):
    counts = collections.Counter(shape[3] for shape in shapes.values())
    if {*counts} - {1, 3} and len(counts) > 1:
        first = {shape[3]: source.name for source, shape in reversed(shapes.items())}
        found = ", ".join(f"{count} (such as {first[count]})" for count in sorted(counts))
        raise ValueError(f"All clips must have as many channels, or be grey and colour. Received: {found}")
    most = max(counts)
    if most > MOST_CHANNELS:
        source = next(source for source, shape in shapes.items() if shape[3] == most)
        raise ValueError(
            f"`channels` must be given where they are more than {MOST_CHANNELS} (`mslstm data prepare` with --set "
            f"channels={most}); of several clips in one array, (clips, time, height, width), each needs a file of its "
            f"own. Received: {most} channels of {source}"
        )
    return most
