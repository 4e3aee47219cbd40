"""A folder into which radar maps come, and a forecast of each newest one."""

import contextlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np

from mslstm_keras.forecasting.forecaster import Forecaster, checked_horizon, forecast
from mslstm_keras.forecasting.maps import VARIABLE, Maps, last_maps
from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.radar.files import find_sources
from mslstm_keras.radar.maps import RadarMap
from mslstm_keras.radar.read import MOST_FILLED, find_maps, read_radar
from mslstm_keras.radar.sequence import kind_of_name, shown, shown_time

if TYPE_CHECKING:
    import xarray

TRIES = 3
"""Times that a file which cannot be read is opened before a warning says so; then it is when it has changed."""

Signature: TypeAlias = tuple[int, int]  # size in bytes, time of the last change in ns
State: TypeAlias = frozenset[tuple[Path, Signature]]  # of the files that a map is in


@dataclass(frozen=True)
class NewForecast:
    """A forecast from the newest map of a folder.

    Attributes:
        maps: `xarray.Dataset`, the maps that the model saw, as `read_radar` returns them, in memory.
        forecast: `xarray.Dataset`, the maps behind them, as `mslstm_keras.forecast` returns them.
        seconds: that it took from when the map was found.
    """

    maps: "xarray.Dataset"
    forecast: "xarray.Dataset"
    seconds: float


def watch(
    model: keras.Model,
    folder: str | os.PathLike[str],
    *,
    horizon: int | None = None,
    scale: str | None = None,
    fill_gaps: int = 0,
    product: str | None = None,
    carry_states: bool = False,
    every_seconds: float = 5.0,
    fit: Callable[["xarray.Dataset"], "xarray.Dataset"] | None = None,
    is_made: Callable[[np.datetime64], bool] | None = None,
) -> Iterator[NewForecast]:
    """Waits for radar maps in a folder, and in those below it, and forecasts from each newest one.

    The first forecast is from the newest map that is there. If several come at once only the newest is forecast from,
    with a warning. Each forecast is the one that `forecast(model, read_radar(folder))` gives: if a map of the context
    comes late or changes, the forecast from the newest map is made again. Maps stay in memory as long as they are in
    the context, so each file is read once.

    It goes on, with a warning, where there is no forecast: maps are missing, or two of one time differ. A file that
    cannot be read, because it is still being written or is damaged, counts as missing, and is tried again; if it stays
    so for `TRIES` looks, a warning says it, and it is read when its size or its time changes. Nowcasts, and maps of
    another product or grid than the first map has, are left out, with a warning. If the folder goes, it waits until it
    is there again.

    Args:
        model: model of `create_model`, or of the zoo.
        folder: folder that maps of `read_radar` come into, plain, packed or in archives.
        horizon: int. Frames to forecast; the model's `forecast_frames` by default.
        scale: how pixels stand for rain rates, see `forecast`.
        fill_gaps: int in [0, 2]. Missing maps in a row that are interpolated, see `read_radar`.
        product: str. Part of the name of the product, or of the files, where there are several.
        carry_states: bool. Whether the model's states are carried on from map to map: each new map is one step of the
            model in place of its whole context, and the forecast is another one, as the model remembers more maps than
            it was trained on. Where a map is missing the states begin anew, with a warning. What comes late is not
            looked at. Not for grids that are forecast in tiles.
        every_seconds: float. Time from one look into the folder to the next.
        fit: function of the maps that returns those to forecast from, such as a part of the grid.
        is_made: function of the time of a map, datetime64[s], that returns whether a forecast from it is there already,
            so that none is made.

    Yields:
        `NewForecast`, without end.

    Raises:
        ValueError: if the folder is missing at the start or an argument is not as described.
        ImportError: if a package that reading maps needs is not installed.

    Example:
        >>> for new in watch(model, "maps/"):                                                        # doctest: +SKIP
        ...     print(new.forecast.rain_rate.max().item())
    """
    if not Path(folder).is_dir():
        raise ValueError(f"`folder` must be a folder. Received: {folder}")
    if not isinstance(fill_gaps, int) or not 0 <= fill_gaps <= MOST_FILLED:
        raise ValueError(
            f"`fill_gaps` must be an integer in [0, {MOST_FILLED}]. Received: fill_gaps={fill_gaps!r}"
        )
    if not 0 < every_seconds < float("inf"):
        raise ValueError(
            f"`every_seconds` must be a positive number. Received: every_seconds={every_seconds!r}"
        )
    rollout = find_layer(model, Rollout)
    if scale is not None:
        parse_scale(scale)
    maker: _Maker = (_Carrying if carry_states else _Maker)(
        model,
        rollout.context_frames,
        checked_horizon(rollout.forecast_frames if horizon is None else horizon),
        scale,
    )
    watched = _Watch(_Folder(Path(folder), product), maker, fill_gaps, fit, is_made)
    return _forecasts(watched, every_seconds)


def _forecasts(watched, every_seconds):
    while True:
        found = watched.look()
        if found is None:
            time.sleep(every_seconds)
        else:
            yield found


@dataclass
class _File:
    """A file of the folder; `error` says why it cannot be read, `tries` how often that was tried."""

    signature: Signature
    maps: list[tuple[np.datetime64, RadarMap]] = field(default_factory=list)
    error: str = ""
    tries: int = 0


@dataclass(frozen=True)
class _Newest:
    """The newest maps of a folder.

    Attributes:
        files: time -> the files of its map, in the order of time.
        beside: files of the two maps that lie next to each other in time, which tell the interval.
        skipped: how many maps lie between the last forecast and the newest map.
    """

    files: dict[np.datetime64, State]
    beside: tuple[Path, ...]
    skipped: int

    @property
    def time(self) -> np.datetime64:
        return next(reversed(self.files))

    def are_as_found(self) -> bool:
        """Returns whether no file has gone or changed since."""
        with contextlib.suppress(OSError):
            return all(
                _signature(path) == signature for state in self.files.values() for path, signature in state
            )
        return False

    def paths(self) -> list[Path]:
        used = [path for state in self.files.values() for path, _ in sorted(state)]
        return list(dict.fromkeys((*used, *self.beside)))  # several maps may be in one archive


class _Folder:
    """What is in a folder; only files that are new or have changed are opened."""

    def __init__(self, path: Path, product: str | None) -> None:
        self.path, self.product = path, product
        self._files: dict[Path, _File] = {}
        self._times: dict[np.datetime64, list[Path]] = {}
        self._kind: RadarMap | None = None
        self._trouble = ""
        self._looked = False

    def update(self) -> bool:
        """Looks into the folder and returns whether something is new."""
        try:
            _, sources = find_sources(self.path)
        except (ValueError, OSError) as error:
            if str(error) != self._trouble:
                warnings.warn(f"waiting until {self.path} can be read: {_line(error)}", stacklevel=2)
            self._trouble = str(error)
            return False
        self._trouble = ""
        files: dict[Path, _File] = {}
        for source in sources:
            with contextlib.suppress(OSError):  # it has just gone
                signature = _signature(source.path)
                known = self._files.get(source.path)
                same = known is not None and known.signature == signature
                files[source.path] = known if known and same else _File(signature)
        unread = [path for path, file in files.items() if not file.maps and file.tries < TRIES]
        changed = bool(unread) or files.keys() != self._files.keys() or not self._looked
        self._files, self._looked = files, True
        kinds: dict[tuple[str, str], list[Path]] = {}
        for path in unread:
            kinds.setdefault((path.suffix, kind_of_name(path.name)), []).append(path)
        for paths in kinds.values():
            self._open(paths)
        if changed:
            self._sort()
        return changed

    def _open(self, paths):
        """Finds the maps of files. Of many whose names tell their times only two are read, if none is damaged."""
        try:
            for found in find_maps(paths, product=self.product):
                self._files[found.source.file].maps.append((found.time, found.said))
        except (ValueError, OSError) as error:
            for path in paths:
                self._files[path].maps.clear()
            if len(paths) == 1:
                self._reject(paths[0], error)
            else:
                middle = len(paths) // 2
                self._open(paths[:middle])
                self._open(paths[middle:])

    def _reject(self, path, error):
        file = self._files[path]
        file.maps.clear()
        file.error, file.tries = _line(error), file.tries + 1

    def reject(self, state: State, error: Exception) -> None:
        """Leaves out files whose maps turned out to be damaged."""
        for path, _ in state:
            self._reject(path, error)
        self._sort()

    def report(self) -> None:
        """Warns of files that stay as they are and cannot be read, of each once."""
        stay = [file for file in self._files.values() if file.error and file.tries == TRIES]
        for file in stay:
            file.tries += 1
        if stay:
            more = f", and of {len(stay) - 1} more" if len(stay) > 1 else ""
            warnings.warn(
                f"{len(stay)} files cannot be read and are left out until they change: {stay[0].error}{more}",
                stacklevel=2,
            )

    def _sort(self):
        """Puts the maps of one kind in the order of time."""
        found = [
            (at, path, said)
            for path, file in self._files.items()
            for at, said in file.maps
            if self.product is None
            or self.product.lower() in f"{said.product} {said.code}\n{path.name}".lower()
        ]
        found.sort(key=lambda each: (each[0], each[1]))
        nowcasts = [path for _, path, said in found if said.issued is not None]
        if nowcasts:
            warnings.warn(
                f"nowcasts are no observations and are left out, such as {nowcasts[0]}", stacklevel=3
            )
        found = [each for each in found if each[2].issued is None]
        kinds = {id(said): said for _, _, said in found}
        differ = self._differences(kinds)
        if found and "" not in differ.values():
            self._kind = found[0][2]
            differ = self._differences(kinds)
        self._times = {}
        for at, path, said in found:
            if not differ[id(said)]:
                self._times.setdefault(at, []).append(path)
        for at, path, said in found:
            if differ[id(said)]:
                hint = "" if self.product else "; `product` chooses"
                warnings.warn(
                    f"maps of another kind are left out{hint}: {differ[id(said)]}: {path} of {at}",
                    stacklevel=3,
                )
                break

    def _differences(self, kinds):
        return {key: self._kind.difference(said) if self._kind else "none" for key, said in kinds.items()}

    def newest(self, count: int, last: np.datetime64 | None) -> _Newest | None:
        """Returns the newest maps, or None where there are none; `last` is the time of the last forecast."""
        if not self._times:
            return None
        times = np.array(list(self._times))
        behind = 0 if last is None else int(np.count_nonzero(times > last))
        beside: tuple[Path, ...] = ()
        if len(times) > 1:
            shortest = int(np.diff(times).argmin())
            beside = tuple(path for at in times[shortest : shortest + 2] for path in self._times[at])
        files = {
            at: frozenset((path, self._files[path].signature) for path in self._times[at])
            for at in times[-count:]
        }
        return _Newest(files, beside, max(behind - 1, 0))


class _Maker:
    """Makes each forecast from the whole context.

    Attributes:
        count: maps of the context.
        reach: maps that are read, at most.
        carries: whether what is behind the newest map does not matter any more.
    """

    carries = False

    def __init__(self, model: keras.Model, count: int, horizon: int, scale: str | None) -> None:
        self._model, self._horizon, self._scale = model, horizon, scale
        self.count = self.reach = count

    def context(self, maps: "xarray.Dataset") -> Maps:
        """Returns the frames that the model is to see.

        Raises:
            ValueError: if there are too few, or some are missing.
        """
        return last_maps(maps, self.count, self._scale)

    def forecast(self, seen: Maps) -> "xarray.Dataset":
        """Returns the forecast behind them."""
        return seen.forecast(forecast(self._model, seen.frames, self._horizon))


class _Carrying(_Maker):
    """Carries the states on, where no more maps came since than the context has."""

    carries = True

    def __init__(self, model: keras.Model, count: int, horizon: int, scale: str | None) -> None:
        super().__init__(model, count, horizon, scale)
        self.reach = count + 1
        self._forecaster = Forecaster(model)
        self._last: np.datetime64 | None = None  # time of the map that was pushed last
        self._new = 0  # frames of the context that are to be pushed

    def context(self, maps: "xarray.Dataset") -> Maps:
        before, times = self._last, maps.time.values
        if before is not None and before in times:
            # With the map before them, whose distance in time is looked at too.
            self._new = int(np.count_nonzero(times > before))
            with contextlib.suppress(ValueError):
                seen = last_maps(maps, self._new + 1, self._scale)
                self._last = times[-1]
                return seen
        seen = last_maps(maps, self.count, self._scale)
        self._forecaster.reset()
        self._new, self._last = self.count, times[-1]
        if before is not None:
            warnings.warn(
                f"the states begin anew with {_shown(times[-self.count])}, as maps since "
                f"{_shown(before)} are missing or too many",
                stacklevel=2,
            )
        return seen

    def forecast(self, seen: Maps) -> "xarray.Dataset":
        for frame in seen.frames[-self._new :]:
            self._forecaster.push(frame)
        return seen.forecast(self._forecaster.forecast(self._horizon))


class _Watch:
    """Looks for a new map and forecasts from it."""

    def __init__(
        self,
        folder: _Folder,
        maker: _Maker,
        fill_gaps: int,
        fit: Callable[["xarray.Dataset"], "xarray.Dataset"] | None,
        is_made: Callable[[np.datetime64], bool] | None,
    ) -> None:
        self._folder, self._maker, self._fill_gaps = folder, maker, fill_gaps
        self._fit, self._is_made = fit, is_made
        self._rates: dict[np.datetime64, tuple[State, np.ndarray]] = {}
        self._tried: dict[np.datetime64, State] = {}  # files that were looked at last
        self._made: dict[np.datetime64, State] = {}  # those of the last forecast that was made
        self._last: np.datetime64 | None = None  # time of the map of the last forecast that was made
        self._said: set[str] = set()

    def look(self) -> NewForecast | None:
        """Returns a forecast, or None where there is nothing new to forecast from."""
        start = time.monotonic()
        with self._once():
            found = self._newest() if self._folder.update() else None
            self._folder.report()
        if found is None:
            return None
        maps, newest = found
        with self._once(numbers=False):
            maps = self._fit(maps) if self._fit else maps
        try:
            with self._once(numbers=False):
                seen = self._maker.context(maps)
        except ValueError as error:
            with self._once():
                self._refuse(newest, error)
            return None
        with self._once(numbers=False):
            future = self._maker.forecast(seen)
        with self._once():
            if newest.skipped:
                warnings.warn(
                    f"{newest.skipped} maps between {_shown(self._last)} and {_shown(newest.time)} have no forecast",
                    stacklevel=2,
                )
        self._last, self._made = newest.time, newest.files
        maps = maps.isel(time=slice(-self._maker.count, None))
        return NewForecast(maps, future, time.monotonic() - start)

    def _newest(self):
        """Returns the newest maps, read, and what they are, if they were not tried before."""
        while newest := self._folder.newest(self._maker.reach, self._last):
            if newest.files in (self._tried, self._made) or (
                self._last is not None and newest.time < self._last
            ):
                return None
            self._tried = newest.files
            if newest.time == self._last:
                if self._maker.carries:
                    return None
            elif self._is_made and self._is_made(newest.time):
                self._last = newest.time
                return None
            try:
                maps = self._read(newest)
                return (maps, newest) if newest.are_as_found() else None  # the next look sees the change
            except _DamagedError as error:
                self._folder.reject(error.state, error)
            except (ValueError, OSError) as error:
                self._refuse(newest, error)
                return None
        warnings.warn(f"waiting for radar maps: there are none in {self._folder.path}", stacklevel=2)
        return None

    def _read(self, newest):
        """Returns the maps in memory, at least those of the context."""
        with warnings.catch_warnings():
            # To this list of files more is missing than to the folder.
            warnings.filterwarnings("ignore", r"\d+ (missing )?radar maps are (missing|filled)")
            maps = read_radar(newest.paths(), fill_gaps=self._fill_gaps, product=self._folder.product)
            rates, times = maps[VARIABLE], maps.time.values.astype("datetime64[s]")
            places = {at: index for index, at in enumerate(times)}
            known, self._rates = self._rates, {}
            for at, state in newest.files.items():
                before = known.get(at)
                if before and before[0] == state:
                    self._rates[at] = before
                else:
                    self._rates[at] = state, _decoded(rates, places.get(at), state)
            first = places[next(iter(newest.files))]
            values = [
                self._rates[at][1] if at in self._rates else rates[first + index].values  # filled
                for index, at in enumerate(times[first:])
            ]
        filled = np.array([at for at in times[-self._maker.count :] if at not in self._rates], times.dtype)
        if len(filled):
            warnings.warn(
                f"{len(filled)} missing radar maps are filled, linearly in time: "
                + shown(filled, maps.attrs["interval_minutes"]),
                stacklevel=2,
            )
        maps = maps.isel(time=slice(first, None))
        return maps.assign({VARIABLE: (rates.dims, np.stack(values), rates.attrs)})

    def _refuse(self, newest, error):
        """Says why there is no forecast, but not that a file has just gone or changed: the next look sees it."""
        if newest.are_as_found():
            warnings.warn(f"no forecast from {_shown(newest.time)}: {_line(error)}", stacklevel=2)

    @contextlib.contextmanager
    def _once(self, numbers=True):
        """Lets a warning of the block through when it is new; `numbers` says whether other numbers make it new."""
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                yield
        finally:
            for each in said:
                text = str(each.message)
                key = text if numbers else re.sub(r"\d+", "", text)
                if key not in self._said:
                    self._said.add(key)
                    warnings.warn(text, each.category, stacklevel=4)


class _DamagedError(ValueError):
    """A map that cannot be decoded."""

    def __init__(self, state: State, error: Exception) -> None:
        super().__init__(str(error))
        self.state = state


def _signature(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _decoded(rates, place, state):
    if place is None:
        raise _DamagedError(state, ValueError(f"{min(state)[0]} is of another time by its name"))
    try:
        return rates[place].values
    except (ValueError, OSError) as error:
        raise _DamagedError(state, error) from error


def _shown(at):
    return f"{shown_time(at.astype('datetime64[s]'))} UTC"


def _line(error):
    return " ".join(str(error).split())
