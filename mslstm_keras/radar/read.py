"""Maps of rain that weather services give away, in the order of time."""

import hashlib
import itertools
import os
import uuid
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mslstm_keras.importing import needed
from mslstm_keras.integers import is_whole
from mslstm_keras.radar.files import Source, find_sources, is_archive, members
from mslstm_keras.radar.formats import DECODING, UnknownFormatError, read_map
from mslstm_keras.radar.maps import DEPTH, HIGHEST_RATE, MARSHALL_PALMER, REFLECTIVITY, WHOLE_FILE, RadarMap
from mslstm_keras.radar.sequence import (
    STRAYING,
    kind_of_name,
    runs,
    shown,
    shown_time,
    times_in,
    timetable,
    wide_kind,
)

if TYPE_CHECKING:
    import xarray as xr

MOST_FILLED = 2
"""Maps in a row that may be filled: rain moves too far in longer."""


def read_radar(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    fill_gaps: int = 0,
    product: str | None = None,
    z_r: tuple[float, float] | None = None,
) -> "xr.Dataset":
    """Reads the rain maps of a weather service as rain rates in the order of time.

        R = 60 D / T                        of a depth D in mm that is summed over T minutes
        R = (10^(dBZ / 10) / a)^(1 / b)     of a reflectivity, with the file's a and b, else `z_r`; 0 without echo

    Formats are known from the content of the files, plain, gzip or bzip2, or in tar archives:

    - KNMI: HDF5;
    - DWD: RADOLAN, RADKLIM and RADVOR composites, ASCII grids, and HDF5;
    - EUMETNET OPERA and others: ODIM HDF5 of one rain rate (RATE), depth (ACRR) or reflectivity (DBZH, TH);
    - FMI: PGM and GeoTIFF;
    - MeteoSwiss: GIF and HDF5;
    - NOAA MRMS: GRIB2 of PrecipRate;
    - BoM Rainfields: NetCDF.

    Maps are read when their values are asked for. Opening reads what the first and the last file of each kind of name
    say of themselves; if these names tell their times, so do the others, and each map is held to that when it is read.
    Otherwise every file is opened. Archives are unpacked into a temporary folder.

    Rates above 492 mm/h are hail or clutter; they become 492 mm/h, with a warning. What is said once by a warning,
    too: maps that are missing, maps that are filled, a map that is there twice, and files that are no maps; that a Z-R
    relation was assumed, that files hold other quantities of rain beside, that maps are forecasts, and that depths are
    summed over another time than the interval of the maps. Hidden files, texts and tables are known to be none.

    Args:
        path: folder, with the folders and links in it; file; glob such as `"maps/*.h5"`; or several of these.
        fill_gaps: int in [0, 2]. Up to so many missing maps in a row are interpolated, linearly in time, from the
            maps before and behind; a pixel that is missing in one of them is missing. Default: 0, none.
        product: str. Part of the name of the product, or else of the files, of which there may be several here; or of
            a quantity of ODIM, such as "DBZH", where files hold several.
        z_r: (a, b) of Z = a R^b for reflectivities whose files give none. Default: (200, 1.6), with a warning.

    Returns:
        `xarray.Dataset` with `rain_rate` (time, y, x), float32 in mm/h, NaN where not observed, computed by dask when
        it is asked for. The first row is the northern one: `y` falls. `x` and `y` are the centres of the pixels, in
        metres, or longitude and latitude in degrees; `spatial_ref` is the projection as a CF grid mapping. Where maps
        do not say where they are, `x` and `y` are numbers of pixels, with a warning. `time` is UTC: the nominal time of
        a rate, the end of the time of a depth, the time that a nowcast is for. Attributes are those of CF, `service`,
        `product`, `interval_minutes` (of more than one map), `z_r` and `licence`, where there is one, and of a nowcast
        `forecast_reference_time`.

    Raises:
        ValueError: if there is no map; if a file is damaged, when it is opened or when its map is computed; if maps
            differ in service, product, grid, interval or time of summation, naming two; if two different maps are of
            one time; if links make a loop; if an argument is not as described.
        ImportError: if a package that the format needs is not installed.

    Example:
        >>> rain = ms.read_radar("maps/").rain_rate                                                  # doctest: +SKIP
        >>> rain.sel(time="2010-08-26 02:30").max().item()                                           # doctest: +SKIP
    """
    if not is_whole(fill_gaps, 0) or fill_gaps > MOST_FILLED:
        raise ValueError(
            f"`fill_gaps` must be an integer in [0, {MOST_FILLED}]. Received: fill_gaps={fill_gaps!r}"
        )
    if z_r is not None and not _is_relation(z_r):
        raise ValueError(f"`z_r` must be (a, b) of Z = a R^b, both above 0. Received: z_r={z_r!r}")
    if product is not None and not isinstance(product, str):
        raise ValueError(f"`product` must be part of a name, a text. Received: product={product!r}")
    with needed("Reading radar maps", "radar"):
        import dask.array  # noqa: F401
        import xarray  # noqa: F401
    maps = open_maps(path, product=product, z_r=z_r or MARSHALL_PALMER)
    table = maps.timetable
    _warn_of_assumptions(maps, relation_given=z_r is not None)
    frames = [_Frame(entry.time, index, index, 0.0) for index, entry in enumerate(maps.entries)]
    if table.minutes and len(table.missing):
        frames = _filled(frames, table.missing, table.minutes, fill_gaps)
    return _dataset(_Frames(maps, frames), maps.said, table.minutes)


def _is_relation(z_r: object) -> bool:
    """Whether these are (a, b) of Z = a R^b."""
    try:
        a, b = np.asarray(z_r, np.float64)
    except (TypeError, ValueError):
        return False
    return bool(0 < a < np.inf and 0 < b < np.inf)


@dataclass(frozen=True)
class FoundMap:
    """A map that has not been read.

    Attributes:
        source: its file.
        time: datetime64[s].
        said: what it, or another map of the same kind, says of itself.
    """

    source: Source
    time: np.datetime64
    said: RadarMap


@dataclass(frozen=True)
class _Frame:
    """A time of the data set: the map `before`, or so much of the way from it to the map `behind`."""

    time: np.datetime64
    before: int
    behind: int
    weight: float


def _describe(source: Source, product: str | None) -> RadarMap:
    with source.unpacked() as path:
        return read_map(source, path, pixels=False, product=product)[0]


def find_maps(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], product: str | None = None
) -> list[FoundMap]:
    """Returns the maps of a path, of all products and in no order; see `read_radar`.

    `product` chooses among the quantities of a file alone.
    """
    named, found = find_sources(path)
    kept: list[FoundMap] = []
    kinds_kept: set[tuple[str, str]] = set()
    left: list[tuple[list[Source], ValueError]] = []
    waiting = [*named, *found]
    while waiting:
        kinds: dict[tuple[str, str], list[Source]] = {}
        for source in waiting:
            kinds.setdefault((str(source.path.suffix), kind_of_name(source.path.name)), []).append(source)
        waiting = []
        for sources in kinds.values():
            if is_archive(sources[0]):
                for source in sources:
                    waiting += sorted(members(source), key=str)
                continue
            said, refused = _samples(sources, product)
            if said and refused:
                raise _among_maps(refused[0])
            if said:
                kept += _entries(sources, said, product)
                kinds_kept.add(wide_kind(sources[0].path))
            elif set(named).isdisjoint(sources):
                left.append((sources, refused[0]))
            else:
                raise refused[0]
    if not kept:
        raise _without_maps(path, left)
    for sources, error in left:
        if wide_kind(sources[0].path) in kinds_kept:
            raise _among_maps(error)
    if left:
        files = [each for sources, error in left for each in (_received(error), *map(str, sources[1:]))]
        warnings.warn(
            f"{len(files)} files are no radar maps that can be read and are left out: "
            + ", ".join(files[:5])
            + (f" and {len(files) - 5} more" if len(files) > 5 else ""),
            stacklevel=4,
        )
    return kept


def _samples(sources: Sequence[Source], product: str | None) -> tuple[list[RadarMap], list[ValueError]]:
    """Returns what the first and the last of files say of themselves, and the errors of those that are no maps."""
    said, refused = [], []
    for source in [sources[0], sources[-1]] if len(sources) > 1 else [sources[0]]:
        try:
            said.append(_describe(source, product))
        except ValueError as error:
            refused.append(error)
    return said, refused


def _received(error: ValueError) -> str:
    """Returns the file that an error is about, and what is wrong with it."""
    return str(error).partition("Received: ")[2]


def _among_maps(error: ValueError) -> ValueError:
    return ValueError(
        f"{WHOLE_FILE[:-1]}; a glob in quotes chooses files. Received: {_received(error)}, among others named like it"
    )


def _without_maps(path: object, left: list[tuple[list[Source], ValueError]]) -> ValueError:
    """Returns what is wrong where there is no map: what a file says that says it is one, else that there is none."""
    for _, error in left:
        if not isinstance(error, UnknownFormatError):
            return error
    count = sum(len(sources) for sources, _ in left)
    detail = (
        f"{count} files of no known format, such as {_received(left[0][1])}" if left else f"none in {path}"
    )
    return ValueError(f"`path` must hold radar maps. Received: {detail}")


def _entries(sources: Sequence[Source], said: Sequence[RadarMap], product: str | None) -> list[FoundMap]:
    """Returns the maps of files whose names differ in their times alone; the first and the last are known."""
    told = [times_in(source.path.name) for source in (sources[0], sources[-1])[: len(said)]]
    # Each nowcast has a time of issue of its own, which its name need not tell.
    ways = range(len(told[0])) if all(one.issued is None for one in said) else ()
    for way in ways:
        if all(times[way] == one.time for times, one in zip(told, said, strict=True)):
            times = [time for source in sources if (time := times_in(source.path.name)[way]) is not None]
            if len(times) == len(sources):
                return [
                    FoundMap(source, time, said[-1] if source is sources[-1] else said[0])
                    for source, time in zip(sources, times, strict=True)
                ]
    all_said = [said[0]]
    for source in sources[1:]:
        try:
            all_said.append(_describe(source, product))
        except ValueError as error:
            raise _among_maps(error) from error
    return [FoundMap(source, one.time, one) for source, one in zip(sources, all_said, strict=True)]


def _chosen(entries: list[FoundMap], product: str | None) -> list[FoundMap]:
    """Returns the maps of the one product, in the order of time."""
    products = sorted({entry.said.product for entry in entries})
    if product is not None:
        part = product.lower()
        chosen = [entry for entry in entries if part in f"{entry.said.product} {entry.said.code}".lower()]
        chosen = chosen or [entry for entry in entries if part in entry.source.path.name.lower()]
        if not chosen:
            raise ValueError(
                f"`product` must be part of a product's or a file's name, of {', '.join(products)}. "
                f"Received: product={product!r}"
            )
        entries = chosen
    first = entries[0]
    for entry in {id(entry.said): entry for entry in entries}.values():
        if difference := first.said.difference(entry.said):
            hint = "; `product` or a glob chooses" if len(products) > 1 else ""
            raise ValueError(
                f"Radar maps of one sequence must be of one kind{hint}. Received: {difference}: "
                f"{first.source} and {entry.source}"
            )
    issues = {entry.said.issued: entry for entry in entries if entry.said.issued is not None}
    leads = {entry.time - entry.said.issued for entry in entries if entry.said.issued is not None}
    if len(issues) > 1 and len(leads) > 1:
        one, other, *_ = issues.values()
        raise ValueError(
            "Nowcasts must be of one issue; a glob chooses. "
            f"Received: {one.source} of {one.said.issued} and {other.source} of {other.said.issued}"
        )
    return sorted(entries, key=lambda entry: entry.time)


def _digest(source: Source) -> bytes:
    with source.unpacked() as path, path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _without_duplicates(entries: list[FoundMap]) -> list[FoundMap]:
    """Drops maps that are there twice.

    Raises:
        ValueError: if two different maps are of one time.
    """
    kept, dropped = [], []
    for _, same in itertools.groupby(entries, key=lambda entry: entry.time):
        first, *others = same
        for other in others:
            if not os.path.samefile(first.source.path, other.source.path) and _digest(
                first.source
            ) != _digest(other.source):
                raise ValueError(
                    f"Radar maps must be one for each time. Received: two different ones of {first.time}: "
                    f"{first.source} and {other.source}"
                )
            dropped.append((first, other))
        kept.append(first)
    if dropped:
        first, other = dropped[0]
        warnings.warn(
            f"{len(dropped)} radar maps are there twice and are taken once, such as {first.source} and {other.source}",
            stacklevel=4,
        )
    return kept


def _filled(frames: list[_Frame], missing: np.ndarray, minutes: float, fill_gaps: int) -> list[_Frame]:
    """Fills the gaps that are short enough, and says which maps are missing and which are filled."""
    times = np.array([frame.time for frame in frames])
    made = []
    for run in runs(missing, minutes):
        if len(run) <= fill_gaps:
            behind = int(np.searchsorted(times, run[0]))
            for step, time in enumerate(run, 1):
                made.append(_Frame(time, behind - 1, behind, step / (len(run) + 1)))
    filled = np.array([frame.time for frame in made], missing.dtype)
    absent = missing[~np.isin(missing, filled)]
    if len(filled):
        warnings.warn(
            f"{len(filled)} missing radar maps are filled, linearly in time: {shown(filled, minutes)}",
            stacklevel=3,
        )
    if len(absent):
        warnings.warn(
            f"{len(absent)} radar maps are missing, {minutes:g} minutes apart: {shown(absent, minutes)}",
            stacklevel=3,
        )
    return sorted([*frames, *made], key=lambda frame: frame.time)


class RadarMaps:
    """Maps of one kind in the order of time, which are read when they are asked for.

    Attributes:
        entries: the maps, no two of one time.
        z_r: (a, b) of Z = a R^b for reflectivities whose files give none.
        product: which of several quantities of a file is read, see `read_radar`.
        timetable: their interval, and what is missing.
    """

    def __init__(self, entries: list[FoundMap], z_r: tuple[float, float], product: str | None = None) -> None:
        self.entries, self.z_r, self.product = entries, z_r, product
        times = np.array([entry.time for entry in entries])
        self.timetable = timetable(times, [entry.source for entry in entries])
        self._clipped = False

    @property
    def said(self) -> RadarMap:
        """What all maps say of themselves, but for the time: that of the first one."""
        return self.entries[0].said.with_relation(self.z_r)

    def read(self, index: int) -> np.ndarray:
        """Returns the rain rate of a map, float32 (height, width) in mm/h, NaN where not observed; see `read_radar`.

        Raises:
            ValueError: if its file is damaged, or of another kind or time than the others and its name have it.
        """
        entry, first = self.entries[index], self.entries[0].said
        with entry.source.unpacked() as path:
            said, values = read_map(entry.source, path, pixels=True, product=self.product)
        wrong = first.difference(said)
        if said.time != entry.time:
            wrong = f"is of {said.time} by its content, of {entry.time} by its name"
        if wrong:
            raise ValueError(f"{WHOLE_FILE} Received: {entry.source}: {wrong}")
        assert values is not None  # as pixels were asked for
        rate, clipped = said.with_relation(self.z_r).rain_rate(values)
        if clipped:
            self._warn(entry, clipped)
        return rate

    def _warn(self, entry: FoundMap, clipped: int) -> None:
        with DECODING:
            if not self._clipped:
                self._clipped = True
                warnings.warn(
                    f"Rain above {HIGHEST_RATE:g} mm/h is hail or clutter and is clipped to it: "
                    f"{clipped} pixels of {entry.source}, and perhaps of other maps",
                    stacklevel=3,
                )


def open_maps(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    product: str | None = None,
    z_r: tuple[float, float] = MARSHALL_PALMER,
) -> RadarMaps:
    """Returns the maps of a path, as `read_radar` does, without their gaps filled; no pixel is read."""
    return RadarMaps(_without_duplicates(_chosen(find_maps(path, product), product)), z_r, product)


def _warn_of_assumptions(maps: RadarMaps, *, relation_given: bool) -> None:
    """Says what makes rain rates of the maps other than what they seem."""
    first, minutes = maps.entries[0].said, maps.timetable.minutes
    if beside := sorted({code for entry in maps.entries for code in entry.said.beside}):
        warnings.warn(
            f"of the quantities in the files {first.code} is read; `product` chooses another, of {', '.join(beside)}",
            stacklevel=3,
        )
    needed_one = first.quantity == REFLECTIVITY and first.z_r is None
    if needed_one and not relation_given:
        a, b = maps.z_r
        warnings.warn(
            f"the maps of {first.service} are of reflectivity and give no relation with rain: Z = {a:g} R^{b:g} is "
            "assumed; `z_r` of `read_radar` sets another",
            stacklevel=3,
        )
    if relation_given and not needed_one:
        has = f"have their own, {first.z_r}" if first.z_r else f"are of {first.quantity}"
        warnings.warn(f"`z_r` is passed over: the maps of {first.service} {has}", stacklevel=3)
    if first.minutes and minutes and abs(first.minutes - minutes) > STRAYING * minutes:
        warnings.warn(
            f"each map is the rain of {first.minutes:g} minutes, yet they are {minutes:g} minutes apart: rates are "
            f"means over {first.minutes:g} minutes",
            stacklevel=3,
        )
    ahead = [
        (entry.said.issued, entry.time)
        for entry in maps.entries
        if entry.said.issued is not None and entry.said.issued < entry.time
    ]
    if ahead:
        warnings.warn(
            f"{len(ahead)} of the {len(maps.entries)} maps are forecasts (nowcasts) of {first.service}, no "
            f"observations: issued {shown_time(ahead[0][0])} for {shown_time(ahead[0][1])} to "
            f"{shown_time(ahead[-1][1])}",
            stacklevel=3,
        )


@dataclass
class _Frames:
    """Maps and what fills their gaps."""

    maps: RadarMaps
    frames: list[_Frame]

    def block(self, indices: np.ndarray) -> np.ndarray:
        """Returns the rain rates of some times."""
        return np.stack([self.frame(self.frames[index]) for index in indices])

    def frame(self, frame: _Frame) -> np.ndarray:
        before = self.maps.read(frame.before)
        if not frame.weight:
            return before
        return before + np.float32(frame.weight) * (self.maps.read(frame.behind) - before)


def _dataset(frames: _Frames, first: RadarMap, minutes: float | None) -> "xr.Dataset":
    import dask.array as da
    import xarray as xr

    grid, count = first.grid, len(frames.frames)
    rain = da.map_blocks(
        frames.block,
        da.arange(count, chunks=1, dtype=int),
        name=f"rain-rate-{uuid.uuid4().hex}",  # as dask would hash every path
        dtype=np.float32,
        new_axis=(1, 2),
        chunks=((1,) * count, (grid.shape[0],), (grid.shape[1],)),
        meta=np.empty((0, 0, 0), np.float32),
    )
    attributes: dict[str, Any] = {
        "standard_name": "rainfall_rate",
        "long_name": "rain rate",
        "units": "mm/h",
        "cell_methods": "time: mean" if first.quantity == DEPTH else "time: point",
    }
    if grid.projection:
        attributes["grid_mapping"] = "spatial_ref"
    else:
        warnings.warn(
            f"the maps of {first.service} do not say where they are: x and y are numbers of pixels",
            stacklevel=3,
        )
    facts: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": f"Rain rate, {first.service} {first.product}",
        "institution": first.service,
        "source": f"weather radar, {first.quantity}",
        "service": first.service,
        "product": first.product,
    }
    if minutes is not None:
        facts["interval_minutes"] = minutes
    if first.quantity == REFLECTIVITY and first.z_r:
        attributes["z_r"] = list(first.z_r)
        facts["comment"] = f"Rain rate R from reflectivity by Z = {first.z_r[0]:g} R^{first.z_r[1]:g}"
    elif first.quantity == DEPTH:
        facts["comment"] = f"Rain rate from the depth of {first.minutes:g} minutes"
    if first.licence:
        facts["licence"] = first.licence
    coordinates: dict[str, Any] = {
        "time": (
            "time",
            np.array([frame.time for frame in frames.frames]).astype("datetime64[ns]"),
            {"standard_name": "time", "long_name": "time (UTC)", "axis": "T"},
        ),
        **grid.coordinates(),
    }
    issues = {entry.said.issued for entry in frames.maps.entries}
    if len(issues) == 1 and None not in issues:
        facts["forecast_reference_time"] = f"{issues.pop()}Z"
    return xr.Dataset({"rain_rate": (("time", "y", "x"), rain, attributes)}, coordinates, facts)
