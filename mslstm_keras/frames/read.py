"""Clips read from the files that people have: arrays, animations, videos, HDF5, NetCDF and folders of images.

A clip is an array (time, height, width, channels) of values in [0, 1].
"""

import dataclasses
import itertools
import numbers
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mslstm_keras.formats.arrays import ARRAYS, HDF5, read_array, read_frame, read_hdf5, split_data_set
from mslstm_keras.formats.checks import (
    MOST_CHANNELS,
    ROUNDING,
    check_count,
    check_crop,
    check_frames,
    check_kind,
    check_size,
    renaming,
)
from mslstm_keras.formats.colours import Colour, ColoursSeen, read_colour_scale, to_values
from mslstm_keras.formats.fitting import Fitting, cut_out
from mslstm_keras.formats.folders import frame_files
from mslstm_keras.formats.labels import Labels
from mslstm_keras.formats.netcdf import NETCDF, read_netcdf
from mslstm_keras.formats.pictures import ANIMATIONS, PICTURES, read_pictures, unpacked_suffix
from mslstm_keras.formats.remarks import Remarks
from mslstm_keras.formats.sequence import Sequence
from mslstm_keras.formats.series import is_series, read_series
from mslstm_keras.formats.stores import ZARR, is_zarr
from mslstm_keras.formats.videos import VIDEOS
from mslstm_keras.frames.scales import (
    RATE_UNITS,
    Coder,
    Ends,
    LinearScale,
    Scale,
    parse_scale,
    rate_factor,
    scale_of_units,
    units_factor,
)
from mslstm_keras.integers import is_whole

CLIPS = ARRAYS + ANIMATIONS + VIDEOS + HDF5 + NETCDF + ZARR
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R BT.601: how bright red, green and blue look

_DARK = 1.001 / 255  # the least grey of 8 bits, however it was rounded
_TWELVE_BITS = 1.001 * (2**12 - 1) / (2**16 - 1)  # their white, stored in 16 bits

Code = Callable[[np.ndarray], np.ndarray]
"""Makes pixels in [0, 1] of the numbers of a file."""


def read_clip(
    path: str | os.PathLike[str],
    channels: int = 1,
    *,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    fill: float = 0.0,
    scale: str | None = None,
    colour_scale: str | os.PathLike[str] | Mapping[Colour, float] | None = None,
) -> np.ndarray:
    """Reads a clip from an array file, an animation, a video, NetCDF, Zarr, HDF5 or a folder of images.

    - `.npy`, or `.npz` of one array: (time, height, width) or (time, height, width, channels); uint8 is
      divided by 255, floats are in [0, 1] already, booleans are 0 and 1.
    - `.h5`, `.hdf5`: the one data set of 3 or 4 axes, as an array above. Where there are several,
      `clip.h5:/group/name` says which, of this and other files; of a folder of them, `folder:/group/name`. Values
      are unpacked by the attributes of the CF conventions (`scale_factor`, `add_offset`, `_Unsigned`); by
      `_FillValue`, `missing_value` and `valid_range` some are missing.
    - `.nc`, `.nc4`, `.cdf` (NetCDF), `.zarr` (a folder) and `.zip` of one: the one variable of time, y and x, in
      whatever order; unpacked as above. Frames are sorted by their times; a warning tells of a gap, of uneven
      intervals and of a time that comes twice. Needs `pip install 'mslstm_keras[netcdf]'`.
    - Pictures, such as `.gif`, `.webp`, `.apng`, `.avif`, `.tif` and `.png`: every frame. Whatever Pillow opens is
      read, compressed by `.gz`, `.bz2` or `.xz` or not. A picture stands upright, as its EXIF says; what is transparent
      is black; previews, thumbnails and masks are no frames. The `SCALE` and `OFFSET` of a GeoTIFF are applied. Where
      frames last unevenly long, those that last longer stand several times, with a warning; the last may pause.
    - Videos (`.mp4`, `.avi`, `.mov`, `.mkv`, `.webm`, `.mpg` and others): every frame, turned as players turn it; grey
      is the luminance of the video, full range; what is transparent is black. Frames that last longer stand
      several times, too; a warning tells of uneven times, oblong pixels and interlacing. Needs
      `pip install 'mslstm_keras[video]'`.
    - A folder of NetCDF files, or of HDF5 files: the one variable of each, of (y, x) or with an axis of time; in the
      order of the times that files say, else of their names. They must be of one size, kind and place.
    - Another folder: images of one size, or `.npy` files of one frame each, (height, width) or (height, width,
      channels), in the order of the numbers or times in their names: 2 before 10, 1.25 before 1.5, -20 before 0,
      31.01.2024 before 01.02.2024. A gap between numbers or times is a warning that names it.
      Nothing is passed over in silence: notes and tables are named in a warning, anything else that is no
      image is an error; hidden files and those of operating systems do not count.

    Colour becomes grey by its brightness, 0.299 red + 0.587 green + 0.114 blue; grey becomes colour by
    standing three times. Colours of a scale, as on radar maps, are no brightness: with `channels=1` they need
    `colour_scale`.

    Numbers beyond [0, 1] need a `scale`. HDF5, NetCDF and Zarr may say one themselves: by the units of a rain rate, or
    by a valid range; a warning tells which.

    Args:
        path: file or folder.
        channels: int. Channels to return: 1 (grey), 3 (red, green, blue), or what an array file has.
        size: (height, width) in pixels that every frame is resized to, by Pillow's `BILINEAR`: where a frame
            shrinks, all of its pixels count. Both sides scale on their own. Default: as in the file.
        crop: (top, bottom, left, right) in pixels of the file: rows `top` to `bottom - 1`, columns `left` to
            `right - 1`, cut out before frames are resized. Default: all.
        fill: float in [0, 1]. What takes the place of pixels that the file marks as missing, before frames are
            resized; a warning counts them. NaN keeps them as NaN.
        scale: how the numbers of the file become pixels, such as "0:655 bikes/h", see
            `mslstm_keras.frames.parse_scale`. They are the numbers as they stand in an array or a picture, and the
            values that an attribute makes of them. Those beyond its ends are clipped, and a warning counts them; NaN
            is missing.
        colour_scale: which value each colour of a picture stands for: a CSV file of rows `#rrggbb,value` or
            `red,green,blue,value`, or a mapping from "#rrggbb" or (red, green, blue). Values lie in [0, 1], or are
            numbers in the units of `scale`; that of a colour that means "not observed" is NaN.

    Returns:
        float32 (time, height, width, channels), values in [0, 1].

    Raises:
        ValueError: naming the file, if it is missing, of another kind, damaged, cut off, empty or of more
            than 2^30 values (of films and folders, after they are cut out and resized), holds other shapes, other
            types or, without a `scale`, values outside [0, 1], or its channels cannot become `channels`; if the
            names of images tell no order, name a frame twice or follow several conventions; if colours are those of a
            scale, or not in `colour_scale`; if `size` is not two positive integers, `crop` does not lie within the
            frames, `fill` is neither in [0, 1] nor NaN, or `scale` is none.
        ImportError: for a video where PyAV is not installed, NetCDF or Zarr where xarray is not.
    """
    coder = None if scale is None else Coder(parse_scale(scale), str(path))
    read = _read(path, channels, coder, size=size, crop=crop, fill=fill, colour_scale=colour_scale)
    if coder is not None:
        coder.report()
    return read.frames


@dataclasses.dataclass(frozen=True)
class LabelledClip:
    """A clip, and what is needed to write a forecast of it as its file is written.

    Attributes:
        frames: float32 (time, height, width, channels) in [0, 1].
        scale: the scale by which the numbers of the file were read; None where they were levels, or pixels.
        labels: names, times and places of the frames, of a file that may say them: NetCDF, Zarr and HDF5; else None.
    """

    frames: np.ndarray
    scale: str | None
    labels: Labels | None


def read_labelled(
    path: str | os.PathLike[str],
    channels: int,
    *,
    scale: str | None = None,
    data_scale: str | None = None,
    **options: Any,
) -> LabelledClip:
    """Reads a clip whose numbers may stand in the units of a model's data, with what its file says of it.

    Args:
        path: file or folder, see `read_clip`.
        channels: int, see `read_clip`.
        scale: how the numbers of the file become pixels, see `read_clip`: those of pictures and films, too.
        data_scale: how the model's pixels stand for numbers, which is how those of the file are read where `scale` is
            not given. Levels are not: those of pictures, films and arrays of uint8, which are pixels already, of arrays
            with a warning, as they might be counts.
        **options: other arguments of `read_clip`.

    Raises:
        ValueError, ImportError: as `read_clip`.
    """
    given = scale or data_scale
    coder = None if given is None else Coder(parse_scale(given), str(path))
    read = _read(path, channels, coder, levels_too=scale is not None, **options)
    if coder is not None:
        coder.report()
    place = split_data_set(Path(path))[0]
    if given and not read.coded and (_reader_of_sequences(place) or _holds_arrays(place)):
        warnings.warn(
            f"`{path}` holds uint8, which is read as levels 0 .. 255 of pixels, not as numbers in the range of the "
            f"model's data, {given}; the same range given by hand (`--range`) reads numbers",
            stacklevel=2,
        )
    without_units = read.labels is None or not read.labels.attributes.get("units")
    if scale is None and coder is not None and read.coded and coder.may_be_pixels and without_units:
        warnings.warn(
            f"`{path}` has numbers in [0, 1] without units, which are read in the range of the model's data, {given}; "
            "`--range 0:1` takes them as pixels",
            stacklevel=2,
        )
    said = None if read.said is None else str(read.said)
    return LabelledClip(read.frames, given if read.coded else said, read.labels)


def scale_in(path: str | os.PathLike[str]) -> str | None:
    """Returns the scale that the attributes of a file say, as a text; None where they say none, or it has none.

    Args:
        path: file or folder, see `read_clip`.

    Raises:
        ValueError, ImportError: as `read_clip`.
    """
    place, data_set = split_data_set(Path(path))
    read = _reader_of_sequences(place)
    scale = None if read is None else _scale_of(read(place, data_set, False))
    return None if scale is None else str(scale)


def clip_shape(path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """Returns the (time, height, width, channels) of a clip as it is stored.

    Of pictures and videos, channels are 3, or 1 where every pixel is grey. They are 1, too, where the colours are those
    of a scale: `read_clip` refuses them until somebody says what they stand for.

    Args:
        path: file or folder, see `read_clip`.

    Raises:
        ValueError, ImportError: as `read_clip`, but for what it says of values.
    """
    path, data_set = split_data_set(Path(path))
    check_kind(path)
    read_sequence, suffix = _reader_of_sequences(path), unpacked_suffix(path)
    if read_sequence is not None:
        time, height, width, channels = read_sequence(path, data_set, True).values.shape
        return time, height, width, channels
    pictured = path.is_dir() or suffix in PICTURES
    frames: Iterable[np.ndarray]
    arrays = False
    if path.is_dir():
        files = _read_folder(path, False, Remarks(path), any_numbers=True)
        first = next(files)
        arrays = unpacked_suffix(first[0]) in ARRAYS
        frames = (picture for _, picture in itertools.chain([first], files))
    elif pictured:
        frames = read_pictures(path)
    elif suffix in VIDEOS:
        from mslstm_keras.formats.videos import frames_of

        frames = frames_of(path, grey=False)
    else:
        time, height, width, channels = read_array(path, any_numbers=True).shape
        return time, height, width, channels
    time, coloured, colours = 0, False, ColoursSeen()
    for frame in frames:
        coloured = coloured or bool((frame[..., 1:] != frame[..., :1]).any())
        if pictured:
            colours.add(frame)
        if not time:
            height, width, channels = frame.shape
        time += 1
    if not arrays:
        channels = 3 if coloured and not colours.are_scale() else 1
    return time, height, width, channels


def data_range(
    path: str | os.PathLike[str],
    channels: int = 1,
    *,
    counted: Callable[[int], int] | None = None,
    **options: Any,
) -> tuple[float, float]:
    """Returns the least and the largest number of a clip, without those that are missing.

    Args:
        path: file or folder, see `read_clip`.
        channels: int, see `read_clip`.
        counted: returns how many frames count, the first ones, of so many. Default: None, all.
        **options: `crop` and `colour_scale` of `read_clip`.

    Returns:
        (least, largest); (inf, -inf) if there is no number.

    Raises:
        ValueError, ImportError: as `read_clip`.
    """
    ends = Ends(str(path))
    stored = len(_read(path, channels, ends, fill=np.nan, **options).frames)
    count = stored if counted is None else counted(stored)
    if count < stored:
        ends = Ends(str(path))
        if count:
            _read(path, channels, ends, fill=np.nan, count=count, **options)
    return ends.low, ends.high


@dataclasses.dataclass(frozen=True)
class _Read:
    """A clip, whether the code was used, by which scale of its file it was read, and its labels."""

    frames: np.ndarray
    coded: bool
    said: Scale | None = None
    labels: Labels | None = None


def _read(
    path: str | os.PathLike[str],
    channels: int,
    code: Code | None,
    *,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    fill: float = 0.0,
    colour_scale: str | os.PathLike[str] | Mapping[Colour, float] | None = None,
    levels_too: bool = True,
    count: int | None = None,
) -> _Read:
    """Reads a clip, or its first `count` frames, by a code of numbers, if there is one; levels only if asked for."""
    if not is_whole(channels, 0):
        raise ValueError(f"`channels` must be a whole number. Received: channels={channels!r}")
    if size is not None:
        check_size(size)
    if crop is not None:
        check_crop(crop)
    if not isinstance(fill, numbers.Real) or not (0 <= fill <= 1 or fill != fill):
        raise ValueError(f"`fill` must lie in [0, 1] or be NaN. Received: fill={fill!r}")
    path, data_set = split_data_set(Path(path))
    check_kind(path)
    suffix = unpacked_suffix(path)
    fitting, remarks = Fitting(path, size, crop, fill), Remarks(path)
    read_sequence = _reader_of_sequences(path)
    pictured = read_sequence is None and (path.is_dir() or suffix in PICTURES)
    table = said = labels = None
    of_levels = code if levels_too else None
    if colour_scale is not None:
        if channels != 1 or not pictured:
            raise ValueError(
                "`colour_scale` must come with pictures and `channels=1`, as it gives one value for each colour. "
                f"Received: channels={channels} for {path}"
            )
        table = read_colour_scale(colour_scale, any_numbers=of_levels is not None)
    used = code
    if pictured:
        used = of_levels
        as_stored = used is not None
        if path.is_dir():
            pictures = _read_folder(path, as_stored, remarks, any_numbers=code is not None)
            file, frame = next(pictures)
            if unpacked_suffix(file) in ARRAYS:
                if table is not None:
                    raise ValueError(
                        f"`colour_scale` must come with pictures. Received: arrays, such as {file}"
                    )
                used = of_levels if frame.dtype == np.uint8 else code
            pictures = itertools.chain([(file, frame)], pictures)
        else:
            pictures = ((path, each) for each in read_pictures(path, as_stored, remarks))
        pictures = itertools.islice(_in_values(path, pictures, channels, table), count)
        clip = _stack(path, pictures, channels, fitting, used)
    elif read_sequence is not None:
        sequence = read_sequence(path, data_set, code is not None)
        sequence = dataclasses.replace(sequence, values=sequence.values[:count])
        used = of_levels if sequence.levels else code
        sequence = _in_scale_units(sequence, path, used)
        said = None if used else _scale_of(sequence)
        by = said if used is None else used
        clip = fitting(_of_sequence(sequence, channels, path, by))
        labels = _labels_of(sequence, fitting, by)
    elif suffix in VIDEOS:
        used = of_levels
        film = _read_video(path, channels, size, crop, as_stored=used is not None)
        clip = _to_clip(film[:count], channels, path, used)
    elif suffix in ARRAYS:
        frames = read_array(path, any_numbers=code is not None)
        used = of_levels if frames.dtype == np.uint8 else code
        clip = fitting(_to_clip(frames[:count], channels, path, used))
    else:
        kinds = ", ".join(CLIPS)
        how = renaming(path) or "np.save makes `.npy` of an array (time, height, width)"
        raise ValueError(
            f"`path` must be a folder of images or end in one of {kinds}. Received: {path}: {how}"
        )
    fitting.report()
    remarks.report()
    highest = np.fmax.reduce(clip, axis=None) if used is None and said is None else 1
    if 0 < highest <= _DARK:
        warnings.warn(
            f"`{path}` has no value above 1/255 and is nearly black; where 1 is to be white, as of masks, save 255 for "
            "it, or give `scale` (`--range 0:1`)",
            stacklevel=3,
        )
    elif remarks.has_depth(16) and 0 < highest <= _TWELVE_BITS:
        warnings.warn(
            f"`{path}` has levels of 16 bits, of which none is above 1/16 of the largest that can be; where they are "
            "of 12 bits, give `scale` (`--range 0:4095`)",
            stacklevel=3,
        )
    return _Read(clip, used is not None, said, labels)


def _holds_arrays(path: Path) -> bool:
    """Returns whether a file is an array of NumPy's, or a folder has one a frame."""
    files = path.iterdir() if path.is_dir() else [path]
    return any(unpacked_suffix(file) in ARRAYS for file in files)


def _reader_of_sequences(path: Path) -> Callable[[Path, str | None, bool], Sequence] | None:
    """Returns what reads a file whose attributes say what its numbers are; None for other kinds."""
    if path.is_dir():  # whose suffix may be any, of a store as of images
        return read_netcdf if is_zarr(path) else read_series if is_series(path) else None
    if is_zarr(path) or unpacked_suffix(path) in NETCDF:
        return read_netcdf
    return read_hdf5 if unpacked_suffix(path) in HDF5 else None


def _of_sequence(sequence: Sequence, channels: int, path: Path, code: Code | Scale | None) -> np.ndarray:
    """Returns the clip of a sequence, by a code, or by the scale that its file says.

    Raises:
        ValueError: with the range and the units, if values lie beyond [0, 1] and nothing says what for.
    """
    values = sequence.values
    if isinstance(code, Scale):
        warnings.warn(f"`{path}` is read by the scale that its attributes say, {code}", stacklevel=4)
        coder = Coder(code, str(path))
        clip = _to_clip(values, channels, path, coder)
        coder.report()
        return clip
    if code is not None:
        stored = np.rint(255 * values) if sequence.levels else values  # as they stand in the file
        return _to_clip(stored, channels, path, code)
    notes = ([sequence.units] if sequence.units else []) + ["(unpacked)"] * sequence.unpacked
    _check_range(values, path, " ".join(["", *notes]))
    if sequence.units:
        warnings.warn(
            f"`{path}` has numbers in [0, 1] {sequence.units}, which are taken as pixels; a `scale` "
            "(`--range LOW:HIGH`) says what else they stand for",
            stacklevel=4,
        )
    return _to_clip(values, channels, path)


def _labels_of(sequence: Sequence, fitting: Fitting, code: Code | Scale | None) -> Labels | None:
    """Returns the labels of the frames as they are cut out and resized, with the units of a forecast of them."""
    if sequence.labels is None:
        return None
    scale = code.scale if isinstance(code, Coder) else code
    units = getattr(scale, "units", "") or (None if sequence.levels else sequence.units)
    labels = sequence.labels.cut_out(fitting.crop)
    if fitting.size is not None:
        before = cut_out(sequence.values[-1], fitting.crop, fitting.path).shape[:2]
        labels = labels.resized(before, fitting.size)
    return dataclasses.replace(labels, units=units, unobserved=fitting.missing(sequence.values[-1]))


def _in_scale_units(sequence: Sequence, path: Path, code: Code | None) -> Sequence:
    """Returns a sequence in the units of the scale that reads it: mm/h of all rates of rain.

    Raises:
        ValueError: if the scale is one of rain, and the file has units of something else.
    """
    if code is None and rate_factor(sequence.units) is None:
        return sequence
    units = code.scale.units if isinstance(code, Coder) else "" if code else RATE_UNITS
    factor = units_factor(sequence.units, units, f"`{path}`")
    if factor == 1:
        return sequence
    values, valid = sequence.values * np.float32(factor), sequence.valid_range
    if valid is not None:
        valid = (factor * valid[0], factor * valid[1])
    return dataclasses.replace(sequence, values=values, units=RATE_UNITS, valid_range=valid)


def _scale_of(sequence: Sequence) -> Scale | None:
    """Returns the scale that a file says of its values: by the units of a rain rate, or a valid range."""
    known = scale_of_units(RATE_UNITS) if rate_factor(sequence.units) else None
    if known is not None or sequence.valid_range is None or not np.isfinite(sequence.valid_range).all():
        return known
    low, high = sequence.valid_range
    return None if (low, high) == (0, 1) else LinearScale(low, high, sequence.units or "")


def _check_range(values: np.ndarray, path: Path, note: str = "") -> None:
    """Makes sure that floats without a scale lie in [0, 1].

    Raises:
        ValueError: if some do not; it says how to give a scale.
    """
    low = float(np.fmin.reduce(values, axis=None, initial=np.inf))
    high = float(np.fmax.reduce(values, axis=None, initial=-np.inf))
    if (low < -ROUNDING or high > 1 + ROUNDING) and np.isfinite([low, high]).all():
        raise ValueError(
            f"The frames of `{path}` must lie in [0, 1] unless a `scale` (`--range LOW:HIGH`; of `mslstm data "
            f"prepare` --set range=LOW:HIGH) says what they stand for. Received: values from {low:g} to {high:g}{note}"
        )


def _read_folder(
    path: Path, as_stored: bool, remarks: Remarks, any_numbers: bool
) -> Iterator[tuple[Path, np.ndarray]]:
    """Reads the images of a folder, or arrays, each of one frame, in the order of their names."""
    files = frame_files(path)
    if gaps := files.gaps():
        warnings.warn(f"`{path}`: {gaps}", stacklevel=4)
    if anew := files.anew:
        warnings.warn(
            f"`{path}`: {anew[1].name} comes behind {anew[0].name}, as their names have several numbers; several clips "
            "need a folder each",
            stacklevel=4,
        )
    if turns := files.turns:
        warnings.warn(
            f"`{path}`: words take turns in its names, such as in {turns[0].name} and {turns[1].name}; all are read as "
            "one clip, several cameras need a folder each",
            stacklevel=4,
        )
    kinds = {unpacked_suffix(file) in ARRAYS: file.name for file in reversed(files.paths)}
    if len(kinds) > 1:
        raise ValueError(
            f"`{path}` must hold images, or arrays of one frame each, not both. Received: {kinds[False]} and "
            f"{kinds[True]}"
        )
    dtype = None
    for file in files.paths:
        if True in kinds:
            frame = read_frame(file, any_numbers)
            dtype = dtype or frame.dtype
            if frame.dtype != dtype:
                raise ValueError(
                    f"`{file}` must be of one dtype with the others. Received: {frame.dtype} after {dtype}"
                )
            yield file, frame
            continue
        frames = read_pictures(file, as_stored, remarks)
        if len(frames) > 1:
            raise ValueError(
                f"`{file}` must hold one frame, being one of a folder; a clip by itself is read by its own path. "
                f"Received: {len(frames)}"
            )
        yield file, frames[0]


def _in_values(
    path: Path, pictures: Iterable[tuple[Path, np.ndarray]], channels: int, table: dict[int, float] | None
) -> Iterator[tuple[Path, np.ndarray]]:
    """Yields pictures whose colours are values: by a table, by brightness, or as they are.

    Raises:
        ValueError: at the end, if they are the colours of a scale, and there is no table.
    """
    colours = ColoursSeen()
    for file, picture in pictures:
        if table is None:
            colours.add(picture)
            yield file, picture
        else:
            yield file, to_values(picture, table, file)
    if channels == 1 and colours.are_scale():
        raise ValueError(
            f"`{path}` must hold grey pictures, or colours of a camera, for `channels=1`. Received: few strong "
            "colours of several hues, those of a scale, whose brightness is no value; give the table of the scale as "
            "`colour_scale` (`--colour-scale`), or read `channels=3`"
        )


def _read_video(
    path: Path,
    channels: int,
    size: tuple[int, int] | None,
    crop: tuple[int, int, int, int] | None,
    as_stored: bool,
) -> np.ndarray:
    """Reads every frame of a video, unsigned integers (time, height, width, 1 or 3)."""
    from mslstm_keras.formats.videos import frames_of

    frames = []
    for frame in frames_of(path, grey=channels == 1, size=size, crop=crop, as_stored=as_stored):
        frames.append(frame)
        check_count(path, (len(frames), *frame.shape))
    return np.stack(frames)


def _stack(
    path: Path,
    pictures: Iterable[tuple[Path, np.ndarray]],
    channels: int,
    fitting: Fitting,
    code: Code | None,
) -> np.ndarray:
    """Puts the pictures of a file or folder, each with the file that it is from, into one clip."""
    frames: list[np.ndarray] = []
    whole: tuple[int, ...] = ()
    for file, picture in pictures:
        frame = _to_clip(picture, channels, file, code)
        whole = whole or frame.shape
        if frame.shape != whole:
            raise ValueError(
                f"`{file}` must have frames of one size, (height, width). "
                f"Received: {frame.shape[:2]} after {whole[:2]}"
            )
        frames.append(fitting(frame))
        check_count(path, (len(frames), *frames[0].shape))
    return np.stack(frames)


def _to_clip(pixels: np.ndarray, channels: int, path: Path, code: Code | None = None) -> np.ndarray:
    """Returns pixels (..., channels) as float32 in [0, 1], NaN where missing, grey or colour as asked for."""
    if code is not None:
        pixels = code(pixels)
    elif np.issubdtype(pixels.dtype, np.unsignedinteger):
        pixels = pixels / np.float32(np.iinfo(pixels.dtype).max)
    elif np.issubdtype(pixels.dtype, np.floating):
        _check_range(pixels, path)
    frames = check_frames(pixels, name=str(path), missing=True)
    if frames.shape[-1] == channels:
        return frames
    if (frames.shape[-1], channels) == (3, 1):
        return (frames @ LUMA)[..., np.newaxis]
    if (frames.shape[-1], channels) == (1, 3):
        return np.repeat(frames, 3, axis=-1)
    raise ValueError(
        "`channels` must be 1, 3 or what the file has, and only 1 and 3 become each other. "
        f"Received: channels={channels} for {frames.shape[-1]} in {path}{_other_layout(frames.shape)}"
    )


def _other_layout(shape: tuple[int, ...]) -> str:
    """Returns what else an array with too many channels may be, and what to do then."""
    if shape[-1] <= MOST_CHANNELS:
        return ""
    if len(shape) == 3:
        return f", shape {shape}; if it is a clip by itself, (time, height, width), give its path"
    _, second, third, fourth = shape
    layout = "(clips, time, height, width), save one of them, clips[0]"
    if second == third != fourth:
        layout = "(clips, height, width, time), save one of them, np.moveaxis(clips[0], -1, 0)"
    return f", shape {shape}; if it is several clips, {layout}"
