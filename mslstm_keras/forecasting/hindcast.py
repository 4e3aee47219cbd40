"""Hindcasts: forecasts from many times of an archive of rain maps, scored by the maps that followed."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mslstm_keras.data.clips import Clips
from mslstm_keras.data.facts import DataFacts
from mslstm_keras.evaluation.comparison import (
    BASELINES,
    check_baselines,
    common_rollout,
    is_synthetic,
    model_families,
    score_families,
)
from mslstm_keras.evaluation.extrapolation import load_pysteps
from mslstm_keras.evaluation.protocols import Protocol, event_scores
from mslstm_keras.evaluation.provenance import weights_checksum
from mslstm_keras.evaluation.scores import persistence
from mslstm_keras.forecasting.forecaster import forecast
from mslstm_keras.forecasting.maps import VARIABLE, warn_of_other_data
from mslstm_keras.forecasting.matching import matched_values
from mslstm_keras.frames.rain import RAIN_SCALES
from mslstm_keras.frames.scales import Coder, Scale, parse_scale, scale_of_units
from mslstm_keras.integers import is_whole
from mslstm_keras.metrics.rain import threshold_pixel
from mslstm_keras.radar.grids import ground_spacing
from mslstm_keras.radar.sequence import timetable
from mslstm_keras.typing import Progress

if TYPE_CHECKING:
    import xarray

CODE = "dwd"
"""Code of the rain rates in which all forecasts are scored."""

NOTE = "A pixel counts where its map and the last map before the forecast observed it."
MATCHED = "Forecasts of models have the rates of the last map, by rank."


def hindcast(
    models: Mapping[str, keras.Model | Sequence[keras.Model]],
    maps: "xarray.Dataset",
    data: str,
    *,
    metrics: Sequence[str] | None = None,
    thresholds: Sequence[float] = (0.5, 1, 5),
    scales: Sequence[int] = (5, 20),
    every: int = 1,
    trained_on: Mapping[str, DataFacts] | None = None,
    ranges: Mapping[str, str | None] | None = None,
    match_rates: bool = False,
    baselines: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Forecasts an archive of rain maps from each of its times, on the whole grid, and scores by lead time.

    A time is one to start from where the models' context up to it and their forecast behind it are there without a
    gap. Scores are CSI, POD, FAR and HSS at the thresholds, FSS at thresholds and scales, and MAE, RMSE and bias in
    mm/h. Counts add up over all start times; MAE and bias are means of the means of frames. A pixel counts where both
    its map and the last map of the context observed it. Rates are scored as pixels of "rain:dwd", in which those below
    0.004 mm/h are none; rates above its end are clipped, which a warning says.

    Maps are read in the order of time, each once; no more than those of one start time are in memory.

    Args:
        models: name -> model, or several models trained by one recipe with different seeds; of one channel. All take
            and forecast as many frames; their sizes do not matter, see `forecast`.
        maps: of `read_radar`, lazy, gaps not filled: what fills a gap is no observation.
        data: str. What tables call the archive.
        metrics: names of scores, in place of all of those above, such as "csi_2"; see `Protocol`.
        thresholds: rain rates of events, mm/h.
        scales: sides of the square windows of the FSS, pixels.
        every: int. Least number of intervals from one start time to the next.
        trained_on: name -> what a model was trained on, see `mslstm_keras.zoo.loading.data_of`: warnings say where
            maps are of another kind, see `mslstm_keras.forecasting.maps.warn_of_other_data`.
        ranges: name -> how pixels of the models stand for mm/h, see `mslstm_keras.frames.parse_scale`. Default: as in
            what they were trained on; "rain:dwd" where nothing is said, with a warning.
        match_rates: bool. Whether the models' forecasts get the rates of the last map, see
            `mslstm_keras.forecasting.matching`.
        baselines: names of `mslstm_keras.evaluation.comparison.BASELINES`. Default: persistence and, where pysteps is
            installed, optical flow; a warning says where it is left out.
        progress: function of the number of start times that are done, and of all.

    Returns:
        What `evaluate_models` returns. "clips" are start times, "missing" also counts the pixels that the last map of
        the context did not observe, and "archive" is {"maps": count, "missing": maps that are missing in between,
        "every": every, "size": [height, width], "first", "last": start times}.

    Raises:
        ValueError: if there is no time to start from, maps are nowcasts, in other units or not at multiples of one
            interval, or models, baselines or another argument are not as described.
    """
    families = model_families(models)
    rollout = common_rollout(families, any_size=True)
    channels = rollout.step.inputs[0].shape[-1]
    if channels != 1:
        raise ValueError(f"`models` must forecast frames of one channel. Received: {channels} channels")
    protocol = _protocol(metrics, thresholds, scales)
    rates = checked_rates(maps)
    _check_windows(scales, rates.shape[1:])
    protocol.make(1)  # unknown names, before anything is read
    known = {name: facts for name, facts in (trained_on or {}).items() if name in families}
    for name, facts in known.items():
        warn_of_other_data(maps, facts, name)
    given = {name: text for name, text in (ranges or {}).items() if text is not None}
    ranges = {name: facts.scale for name, facts in known.items()} | given
    context, horizon = rollout.context_frames, rollout.forecast_frames
    archive = archive_of(rates, context, horizon, every)
    codes = codes_of(families, ranges)
    predictors: dict[tuple[str, int], Callable[[np.ndarray], np.ndarray]] = {
        (name, seed): _Forecaster(
            model, codes[name], context, horizon, archive.reader if match_rates else None
        )
        for name, family in families.items()
        for seed, model in enumerate(family)
    }
    for name in available_baselines(context) if baselines is None else baselines:
        check_baselines([name])
        predictors[name, 0] = BASELINES[name](rollout, protocol)
    scored = score_families(
        predictors,
        archive.clips,
        rollout,
        count=len(archive.starts),
        batch_size=1,
        protocol=protocol,
        any_size=True,
        progress=progress,
    )
    archive.reader.report()
    return {
        "data": data,
        "clips": len(archive.starts),
        "frames": "forecast",
        "first_lead": 1,
        "interval": archive.clips.interval,
        "synthetic": is_synthetic(data),
        **scored,
        "published": {},
        "note": f"{NOTE} {MATCHED}" if match_rates else NOTE,
        "range": protocol.value_scale,
        "archive": {**archive.facts, "every": every},
        "metrics": list(protocol.metrics),
        "weights": {name: [weights_checksum(model) for model in family] for name, family in families.items()},
    }


@dataclass(frozen=True)
class Archive:
    """What is forecast and scored of an archive of rain maps.

    Attributes:
        clips: context and truth of each start time, pixels of "rain:dwd"; see `MapReader`.
        reader: reads the clips; `reader.report()` says what was clipped.
        starts: numbers of the last maps of their contexts.
        facts: {"maps": count, "missing": maps that are missing in between, "size": [height, width], "first", "last":
            start times}.
    """

    clips: Clips
    reader: "MapReader"
    starts: np.ndarray
    facts: dict[str, Any]


def archive_of(rates: "xarray.DataArray", context: int, horizon: int, every: int = 1) -> Archive:
    """Returns the clips of an archive that forecasts can be scored on.

    Args:
        rates: of `checked_rates`.
        context: int. Maps that must be there up to a start time, itself among them.
        horizon: int. Maps that must be there behind it.
        every: int. Least number of intervals from one start time to the next.

    Raises:
        ValueError: if there is no time to start from, or maps are not at multiples of one interval.
    """
    times = rates.time.values.astype("datetime64[s]")
    table = timetable(times, times)
    starts = start_maps(times, table.minutes, context, horizon, every)
    reader = MapReader(rates, starts, context, horizon)
    clips = Clips(
        reader,
        len(starts),
        table.minutes,
        masked=True,
        scale=f"rain:{CODE}",
        spacing=ground_spacing(rates),
    )
    facts = {
        "maps": len(times),
        "missing": len(table.missing),
        "size": list(rates.shape[1:]),
        "first": str(times[starts[0]]),
        "last": str(times[starts[-1]]),
    }
    return Archive(clips, reader, starts, facts)


def start_maps(
    times: np.ndarray, minutes: float | None, context: int, horizon: int, every: int = 1
) -> np.ndarray:
    """Returns the numbers of the maps that forecasts can start from, the last ones of their context.

    Args:
        times: datetime64[s] (count,), in order, at multiples of the interval.
        minutes: interval; None of one map.
        context: int. Maps that must be there up to the start, itself among them.
        horizon: int. Maps that must be there behind it.
        every: int. Least number of intervals from one start to the next.

    Raises:
        ValueError: if there are none, or `every` is no such number.
    """
    if not is_whole(every):
        raise ValueError(f"`every` must be a whole number of at least 1. Received: every={every!r}")
    length = context + horizon
    interval = np.timedelta64(round(60 * (minutes or 1)), "s")
    places = np.rint((times - times[0]) / interval).astype("int64")
    # A window has no gap if its last map lies as many intervals behind its first as there are maps between.
    whole = places[length - 1 :] - places[: max(len(places) - length + 1, 0)] == length - 1
    starts: list[int] = []
    for start in np.flatnonzero(whole) + context - 1:
        if not starts or places[start] - places[starts[-1]] >= every:
            starts.append(int(start))
    if not starts:
        longest = max(len(run) for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1))
        raise ValueError(
            f"`maps` must hold {length} maps in a row, the context of {context} and the forecast of {horizon}. "
            f"Received: {len(times)} maps, at most {longest} in a row"
        )
    return np.array(starts)


class MapReader:
    """Reads the context and the truth of start times as pixels of rain; keeps the maps that the next ones need.

    Attributes:
        last: the last map, (height, width, 1), of the context that was read last, NaN where it was not observed.
    """

    last: np.ndarray

    def __init__(self, rates: "xarray.DataArray", starts: np.ndarray, context: int, horizon: int):
        self._rates, self._starts = rates, starts
        self._context, self._horizon = context, horizon
        self._code = Coder(RAIN_SCALES[CODE], VARIABLE)
        self._kept: dict[int, np.ndarray] = {}

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Returns (number, time, height, width, 1); what follows an unobserved pixel of the last map is NaN, too."""
        return np.stack([self._clip(int(start)) for start in self._starts[numbers]])

    def report(self) -> None:
        """Warns of rates that were clipped."""
        self._code.report()

    def _clip(self, start):
        first, end = start - self._context + 1, start + self._horizon + 1
        self._kept = {index: pixels for index, pixels in self._kept.items() if index >= first}
        for index in range(first, end):
            if index not in self._kept:
                # In float64, or rates at a threshold would fall below the pixel of the threshold.
                self._kept[index] = self._code(self._rates[index].values.astype("float64"))
        frames = np.stack([self._kept[index] for index in range(first, end)])[..., np.newaxis]
        self.last = frames[self._context - 1].copy()
        frames[self._context :, np.isnan(self.last)] = np.nan
        return frames


class _Forecaster:
    """Forecasts clips in pixels of the code by a model whose pixels may stand for rates in another way.

    With `reader`, of the clips, one at a time, forecasts get the rates of the last map: it alone knows what of it was
    observed.
    """

    def __init__(
        self, model: keras.Model, scale: Scale, context: int, horizon: int, reader: MapReader | None
    ):
        self._model, self._scale, self._reader = model, scale, reader
        self._context, self._horizon = context, horizon
        self._said = False

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        code, predictions = RAIN_SCALES[CODE], persistence(frames, self._context).copy()
        given = recoded(frames[:, : self._context], code, self._scale)
        with warnings.catch_warnings():
            if self._said:
                warnings.filterwarnings("ignore", r"\d+ x \d+ pixels are forecast in \d+ tiles")
            future = forecast(self._model, given, self._horizon)
        self._said = True
        future = np.clip(future, 0, 1)
        if self._reader is None:
            future = recoded(future, self._scale, code)
        else:  # rates say where it rains, and the order; the pixels of the last map are taken as they were scored
            future = np.clip(matched_values(self._scale.to_value(future[0]), self._reader.last), 0, 1)[
                np.newaxis
            ]
        predictions[:, self._context - 1 :] = future
        return predictions


def recoded(pixels: np.ndarray, old: Scale, new: Scale) -> np.ndarray:
    """Returns pixels of the same rates by another scale."""
    if new == old:
        return pixels
    return np.clip(new.to_pixel(old.to_value(pixels.astype("float64"))), 0, 1).astype("float32")


def _protocol(metrics, thresholds, scales):
    for threshold in thresholds:
        threshold_pixel(threshold, CODE)
    names = [*event_scores(thresholds, scales), "value_mae", "value_rmse", "value_bias"]
    every = tuple(dict.fromkeys(names if metrics is None else metrics))
    return Protocol(every, rain_scale=CODE, value_scale=f"rain:{CODE}")


def checked_rates(maps: "xarray.Dataset") -> "xarray.DataArray":
    """Returns the rain rates of maps that can be hindcast.

    Raises:
        ValueError: if maps are nowcasts, or hold no rain rates in mm/h.
    """
    if VARIABLE not in maps or maps[VARIABLE].dims != ("time", "y", "x") or not maps.sizes["time"]:
        raise ValueError(
            f"`maps` must hold {VARIABLE} (time, y, x), as `read_radar` returns. Received: {maps.sizes}"
        )
    rates = maps[VARIABLE]
    if scale_of_units(rates.attrs.get("units")) is None:
        raise ValueError(f"`maps` must be in mm/h. Received: units {rates.attrs.get('units')!r}")
    if "forecast_reference_time" in maps.attrs:
        raise ValueError(
            "`maps` must be observations. Received: a nowcast issued at "
            f"{maps.attrs['forecast_reference_time']}"
        )
    return rates


def _check_windows(scales, size):
    for scale in scales:
        if not is_whole(scale) or scale > min(size):
            raise ValueError(
                "`scales` must be whole numbers from 1 to the shorter side of the maps, "
                f"{min(size)} pixels. Received: {scale!r}"
            )


def codes_of(names: Iterable[str], given: Mapping[str, str | None]) -> dict[str, Scale]:
    """Returns name -> how pixels of a model stand for rain rates; "rain:dwd" where nothing is said, with a warning.

    Raises:
        ValueError: if they stand for something else.
    """
    codes: dict[str, Scale] = {}
    unknown = []
    for name in names:
        text = given.get(name)
        codes[name] = parse_scale(text or f"rain:{CODE}")
        units = codes[name].units
        if units and scale_of_units(units) is None:
            raise ValueError(f"`models` must forecast rain rates in mm/h. Received: {name} in {units}")
        if not text:
            unknown.append(name)
    if unknown:
        warnings.warn(
            f"pixels of {', '.join(unknown)} are taken for rain rates by rain:{CODE}, as nothing else is said",
            stacklevel=3,
        )
    return codes


def available_baselines(context: int) -> list[str]:
    """Returns the names of the baselines that can run, and says which cannot."""
    try:
        load_pysteps()
        why = "it needs a context of two maps or more" if context < 2 else ""
    except ImportError as error:
        why = str(error)
    if not why:
        return ["persistence", "optical_flow"]
    warnings.warn(f"the optical flow is left out: {why}", stacklevel=3)
    return ["persistence"]
