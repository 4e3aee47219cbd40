"""Several models, baselines and the paper's figures on the test clips of one data set."""

import csv
import functools
import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from mslstm_keras.data.clips import Clips, fill_missing
from mslstm_keras.evaluation.extrapolation import optical_flow_extrapolation
from mslstm_keras.evaluation.intervals import interval
from mslstm_keras.evaluation.protocols import (
    Protocol,
    best_of,
    direction,
    find_protocol,
    metric_label,
    score_text,
)
from mslstm_keras.evaluation.provenance import weights_checksum
from mslstm_keras.evaluation.published_scores import protocol_note, published_scores
from mslstm_keras.evaluation.scores import clips_to_score, persistence, predictor, score, whole_clips
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.naming import nearest
from mslstm_keras.typing import Progress


def _persistence(rollout, protocol):
    return lambda frames: persistence(frames, rollout.context_frames)


def _optical_flow(rollout, protocol):
    def predict(frames):
        predictions = persistence(frames, rollout.context_frames).copy()
        for clip, prediction in zip(frames, predictions, strict=True):
            context = clip[: rollout.context_frames]
            prediction[rollout.context_frames - 1 :] = optical_flow_extrapolation(
                context, rollout.forecast_frames, protocol.rain_scale or FLOW_SCALE
            )
        return predictions

    return predict


FLOW_SCALE = "dwd"  # where the data say none
HEADING_LETTERS = 12  # of a line above a column
BASELINES = {"persistence": _persistence, "optical_flow": _optical_flow}
"""Forecasts that nobody has to train; `optical_flow` needs pysteps, of the extra `nowcast`."""


def evaluate_models(
    models: Mapping[str, keras.Model | Sequence[keras.Model]],
    clips: Clips,
    data: str,
    *,
    baselines: Sequence[str] = ("persistence",),
    metrics: Sequence[str] | None = None,
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    count: int | None = None,
    batch_size: int = 16,
    all_frames: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores models and baselines on the same clips, by the data set's own protocol.

    Args:
        models: name -> model, or several models trained by one recipe with different seeds.
        clips: test clips, see `split_clips`.
        data: str. Name of the data set, "name/config", or of the file; says what is scored.
        baselines: names of `BASELINES`.
        metrics: names of scores, in place of the protocol's own, see `Protocol.choose`.
        thresholds: rain rates, mm/h, of events to score, for data that are rain.
        scales: sides of windows, in pixels, of the FSS at these thresholds.
        count: int. How many clips; all by default.
        batch_size: int. Clips predicted at a time; does not change the scores.
        all_frames: bool. Scores every prediction, those inside the context too.
        progress: function of the number of clips that are scored, and of all.

    Returns:
        {"data": data, "clips": count, "frames": "forecast" or "all", "first_lead": lead time of the first scored
        frame, 1 for the first forecast frame, "interval": minutes between two frames or None, "synthetic": bool,
        "models": scores, "differences": pairs, "metrics": names of scores, "fingerprint": SHA-256 of the scored clips,
        "weights": name -> SHA-256 of the weights of each of its models, "published": the paper's, "note": how the
        paper's protocol differs or None, "range": how pixels stand for numbers in units, or None}. Scores map a name
        and a metric, such as "mse" or "csi_2", to {"mean": float, "per_frame": [float, ...], "interval": [float,
        float]}, see `Scored`; over several seeds they are means over these, and "deviation" and "per_frame_deviation"
        the standard deviations of a sample. For pairs see `paired_differences`. Of clips that may have missing pixels
        also "missing": {"share": of the pixels of the scored frames, "frames": how many of these frames were not
        observed at all}. They count in no score; a score of nothing is None.

    Raises:
        ValueError: if there is no model, one is called as a baseline is, models differ in their frames, a baseline
            is unknown, or clips and count do not fit.
    """
    families = model_families(models)
    check_baselines(baselines)
    rollout, protocol = common_rollout(families), find_protocol(data).in_units(clips.scale)
    protocol = protocol.choose(metrics, thresholds, scales)
    protocol.make(1)  # unknown names, before anything is read
    count = clips_to_score(clips, count)
    if "optical_flow" in baselines and not protocol.rain_scale:
        warnings.warn(
            f"optical_flow takes pixels as the codes of rain of {FLOW_SCALE}, as the data say no other",
            stacklevel=2,
        )
    predictors = {
        (name, seed): predictor(model)
        for name, family in families.items()
        for seed, model in enumerate(family)
    }
    predictors |= {(name, 0): BASELINES[name](rollout, protocol) for name in baselines}
    scored = score_families(
        predictors,
        clips,
        rollout,
        count=count,
        batch_size=batch_size,
        all_frames=all_frames,
        protocol=protocol,
        progress=progress,
    )
    return {
        "data": data,
        "clips": count,
        "frames": "all" if all_frames else "forecast",
        "first_lead": 2 - rollout.context_frames if all_frames else 1,
        "interval": clips.interval,
        "synthetic": is_synthetic(data),
        **scored,
        "metrics": list(protocol.metrics),
        "weights": {name: [weights_checksum(model) for model in family] for name, family in families.items()},
        "published": published_scores(data),
        "note": protocol_note(data),
        "range": clips.scale,
    }


def model_families(
    models: Mapping[str, keras.Model | Sequence[keras.Model]],
) -> dict[str, list[keras.Model]]:
    """Returns name -> models, of which there is one where there are no seeds.

    Raises:
        ValueError: if one is called as a baseline is.
    """
    for name in models:
        if name in BASELINES:
            raise ValueError(f"`models` must not be called as a baseline is. Received: {name!r}")
    return {
        name: list(family) if isinstance(family, Sequence) else [family] for name, family in models.items()
    }


def check_baselines(baselines: Iterable[str]) -> None:
    """Raises a `ValueError` if one of the names is not that of a baseline."""
    for name in baselines:
        if name not in BASELINES:
            raise ValueError(
                f"`baselines` must be known, such as {nearest(name, BASELINES)}. Received: {name!r}"
            )


def score_families(
    predictors: Mapping[tuple[str, int], Callable[[np.ndarray], np.ndarray]],
    clips: Clips,
    rollout: Rollout,
    **options: Any,
) -> dict[str, Any]:
    """Scores predictors called (name, seed) as `score` does.

    Returns:
        {"models": name -> scores over its seeds, "differences": of `paired_differences`, "fingerprint": of the clips},
        and "missing" where pixels may be.
    """
    scored = score(predictors, clips, rollout, **options)
    seeds: dict[str, list[tuple[str, int]]] = {}
    for name, seed in scored.scores:
        seeds.setdefault(name, []).append((name, seed))
    means = {
        name: {
            metric: np.mean([scored.means[each][metric] for each in family], axis=0)
            for metric in scored.means[family[0]]
        }
        for name, family in seeds.items()
    }
    models = {
        name: _over_seeds([scored.scores[each] for each in family], means[name])
        for name, family in seeds.items()
    }
    found = {
        "models": models,
        "differences": paired_differences(models, means),
        "fingerprint": scored.fingerprint,
    }
    return found if scored.missing is None else {**found, "missing": scored.missing}


def paired_differences(
    scores: Mapping[str, Mapping[str, Any]], means: Mapping[str, Mapping[str, np.ndarray]]
) -> list[dict[str, Any]]:
    """Compares each name with each other one, score by score, on the same clips.

    Args:
        scores: name -> score -> {"mean": ...}, over seeds.
        means: name -> score -> means of clips that were drawn, see `bootstrap_means`.

    Returns:
        One {"metric", "model", "other", "difference": of the means, "interval": of 95 %, by the bootstrap over clips,
        "better": one of the two names, None where the interval holds 0 or nobody knows which way is better} for each
        pair and score, where both have one. An interval tells how far the choice of the clips matters, not how far
        another seed of the training would; of many pairs, one of 20 that are alike differs by chance.
    """
    found = []
    for (model, own), (other, others) in itertools.combinations(scores.items(), 2):
        for metric in own:
            values = own[metric]["mean"], others[metric]["mean"]
            if None in values:
                continue
            between = interval(means[model][metric] - means[other][metric])
            better = None
            if between and direction(metric) and (between[0] > 0 or between[1] < 0):
                better = model if (between[0] > 0) == (direction(metric) > 0) else other
            found.append(
                {
                    "metric": metric,
                    "model": model,
                    "other": other,
                    "difference": values[0] - values[1],
                    "interval": between,
                    "better": better,
                }
            )
    return found


def difference_sentences(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields, by the first score of the evaluation, whether its best model is better than each other one."""
    pairs = evaluation.get("differences", ())  # older files have none
    metric = protocol_of(evaluation).metrics[0]
    means = {
        name: scores[metric]["mean"] for name, scores in evaluation["models"].items() if metric in scores
    }
    top = best_of(metric, means.values())
    if top is None:
        return
    best = next(name for name, mean in means.items() if mean == top)
    for pair in pairs:
        if pair["metric"] == metric and best in (pair["model"], pair["other"]):
            yield _difference_sentence(pair, best, score_label(evaluation, metric))


def _difference_sentence(pair, best, label):
    """Returns what a pair says, from the side of the best model."""
    other = pair["other"] if best == pair["model"] else pair["model"]
    by = score_text(abs(pair["difference"]))
    if pair["interval"] is None:
        return f"{label}: {best} and {other} differ by {by}; how sure that is, these clips cannot tell"
    sign = math.copysign(1, pair["difference"])
    low, high = sorted(sign * end for end in pair["interval"])
    between = f"{by} (95 %: {score_text(low)} to {score_text(high)})"
    if pair["better"] is None:
        return f"{label}: {best} and {other} differ by {between}: these clips do not tell which is better"
    return f"{label}: {best} is better than {other}, by {between}"


def is_synthetic(data: str) -> bool:
    """Returns whether the name of data, "name/config" or a file, says that a generator has made them."""
    return "synthetic" in data


def common_rollout(models: Mapping[str, Sequence[keras.Model]], *, any_size: bool = False) -> Rollout:
    """Returns the roll-out of the first model, whose frames all others have; `any_size` lets their sizes differ.

    Raises:
        ValueError: if there is no model, or models differ in their frames.
    """
    if not models:
        raise ValueError("`models` must hold at least one model. Received: none")
    rollouts = [(name, find_layer(model, Rollout)) for name, family in models.items() for model in family]
    first = rollouts[0][1]
    for name, rollout in rollouts:
        if _frames(rollout, any_size) != _frames(first, any_size):
            raise ValueError(
                "`models` must take and forecast the same frames: (context_frames, forecast_frames, "
                f"{'channels' if any_size else 'frame shape'}) = {_frames(first, any_size)}. "
                f"Received: {_frames(rollout, any_size)} of {name}"
            )
    return first


def sample_forecasts(
    models: Mapping[str, Sequence[keras.Model]], clips: Clips, number: int
) -> dict[str, Any]:
    """Forecasts one clip by the first model of each name.

    Returns:
        {"context", "truth": (time, height, width, channels), "forecasts": name -> forecast, clipped to [0, 1]}. Missing
        pixels of context and truth are NaN; models see 0 there.

    Raises:
        ValueError: if there is no such clip, or it does not fit.
    """
    if clips.count is not None and not 0 <= number < clips.count:
        raise ValueError(f"`number` must lie in 0 .. {clips.count - 1}. Received: number={number}")
    rollout = common_rollout(models)
    frames = whole_clips(clips, rollout, np.array([number]))
    context, (seen, _) = rollout.context_frames, fill_missing(frames)
    forecasts = {
        name: np.clip(np.asarray(predictor(family[0])(seen))[0, context - 1 :], 0, 1)
        for name, family in models.items()
    }
    return {"context": frames[0, :context], "truth": frames[0, context:], "forecasts": forecasts}


def evaluation_table(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields an evaluation as lines for a person: means, then what the paper shows frame by frame."""
    protocol = protocol_of(evaluation)
    yield f"{evaluation['data']}: {counted_clips(evaluation)}, {counted_frames(evaluation)}"
    if note := missing_note(evaluation):
        yield note
    if evaluation.get("range") is not None:
        yield f"units: {evaluation['range']} for pixels 0 and 1"
    rows = rows_with_means(evaluation)
    columns = [
        [score_label(evaluation, metric), *(_mean_text(scores.get(metric)) for _, _, scores in rows)]
        for metric in protocol.metrics
    ]
    yield from _aligned([["", *(shown_name(source, name) for source, name, _ in rows)], *columns])
    for metric in protocol.by_lead_time:
        yield ""
        yield f"{score_label(evaluation, metric)} by lead time ({'minutes' if evaluation['interval'] else 'frames'})"
        yield from _lead_table(evaluation, metric)
        if protocol.cumulative:
            yield f"{score_label(evaluation, metric)}, mean over the lead times so far"
            yield from _lead_table(evaluation, metric, so_far=True)
    if sentences := list(difference_sentences(evaluation)):
        yield ""
        yield from sentences
    if evaluation["note"]:
        yield ""
        yield evaluation["note"]


def evaluation_csv(evaluation: Mapping[str, Any]) -> str:
    """Returns an evaluation as a table for programs: one line per name, metric and lead time, "mean" among them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["data", "synthetic", "frames", "source", "name", "metric", "lead_time", "value", "deviation"]
    )
    facts = [evaluation["data"], str(evaluation["synthetic"]).lower(), evaluation["frames"]]
    for source, name, scores in score_rows(evaluation):
        # What the paper averages is said in `note`, not told by the frames that are counted here.
        own = [*facts, "this run"] if source == "models" else [*facts[:2], "", "the paper"]
        for metric, values in scores.items():
            if _has_mean(values):
                writer.writerow([*own, name, metric, "mean", values["mean"], values.get("deviation", "")])
            found = values["per_frame"] or ()
            deviations = values.get("per_frame_deviation", [""] * len(found))
            for line in zip(lead_times(evaluation, source, len(found)), found, deviations, strict=True):
                writer.writerow([*own, name, metric, *line])
    return text.getvalue()


def protocol_of(evaluation: Mapping[str, Any]) -> Protocol:
    """Returns what an evaluation scored: that of its data set, or the scores that it was asked for."""
    own = find_protocol(evaluation["data"]).in_units(evaluation.get("range"))
    archive = evaluation.get("archive", {})
    # Files of older versions say it of archives alone, and there.
    metrics = tuple(evaluation.get("metrics") or archive.get("metrics") or own.metrics)
    if archive:
        return Protocol(metrics, by_lead_time=metrics)
    return own if metrics == own.metrics else own.choose(metrics)


def score_label(evaluation: Mapping[str, Any], metric: str) -> str:
    """Returns what tables and curves call a score; errors in units name those of the data."""
    return metric_label(metric, evaluation.get("range"))


def counted_clips(evaluation: Mapping[str, Any]) -> str:
    """Returns how many clips were scored, or from how many times forecasts of an archive began, in words."""
    if "archive" not in evaluation:
        return f"{evaluation['clips']:,} {'synthetic clips' if evaluation['synthetic'] else 'clips'}"
    archive = evaluation["archive"]
    height, width = archive["size"]
    return (
        f"{evaluation['clips']:,} start times from {archive['first']} to {archive['last']}, of {archive['maps']:,} "
        f"maps of {height} x {width}, {evaluation['interval']:g} minutes apart, {archive['missing']:,} more missing"
    )


def counted_frames(evaluation: Mapping[str, Any]) -> str:
    """Returns which frames scores are means of, in words."""
    return "forecast frames" if evaluation["frames"] == "forecast" else "all predicted frames"


def missing_note(evaluation: Mapping[str, Any]) -> str:
    """Returns what was not observed of the scored frames, as a sentence; "" where no pixel can be missing."""
    if "missing" not in evaluation:
        return ""
    missing = evaluation["missing"]
    blank = f"; {missing['frames']:,} frames without any count in no mean" if missing["frames"] else ""
    share = f"{100 * missing['share']:.3g} % of the pixels of the {counted_frames(evaluation)}"
    return f"{share} were not observed and count in no score{blank}"


def score_rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields source, "models" or "published", name and scores: models, then baselines, then the paper's."""
    for baselines in (False, True):
        for name, scores in evaluation["models"].items():
            if (name in BASELINES) == baselines:
                yield "models", name, scores
    for name, scores in evaluation["published"].items():
        yield "published", name, scores


def rows_with_means(evaluation: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Returns the `score_rows` that hold a mean; the paper prints some scores by lead time alone."""
    return [row for row in score_rows(evaluation) if any(_has_mean(values) for values in row[2].values())]


def by_lead_time(
    evaluation: Mapping[str, Any], metric: str, *, so_far: bool = False
) -> dict[tuple[str, str], dict[int, float | None]]:
    """Returns (source, name) -> lead time, in frames, -> score, None for none, or, `so_far`, its mean up to there."""
    found = {}
    for source, name, scores in score_rows(evaluation):
        if values := scores.get(metric, {}).get("per_frame"):
            leads = lead_times(evaluation, source, len(values))
            if so_far:  # as far as there are scores
                known = list(itertools.takewhile(lambda value: value is not None, values))
                values = cumulative(known) + [None] * (len(values) - len(known))
            found[source, name] = dict(zip(leads, values, strict=True))
    return found


def shown_name(source: str, name: str) -> str:
    """Returns what the scores of a name in "models" or "published" are called."""
    return f"{name} (the paper's)" if source == "published" else name


def lead_times(evaluation: Mapping[str, Any], source: str, count: int) -> list[int]:
    """Returns the lead times, in frames, of scores in "models" or "published"; the paper's are of the forecast."""
    first = evaluation["first_lead"] if source == "models" else 1
    return list(range(first, first + count))


def cumulative(values: Sequence[float]) -> list[float]:
    """Returns the means over the first 1, 2, ... values; not a number from the first that is missing on."""
    return (np.cumsum(np.array(values, "float64")) / np.arange(1, len(values) + 1)).tolist()


def _over_seeds(scores: list[dict[str, Any]], means: Mapping[str, np.ndarray]) -> dict[str, Any]:
    if len(scores) == 1:
        return scores[0]
    return {
        metric: {
            **_mean_and_deviation([of_one[metric] for of_one in scores]),
            "interval": interval(means[metric]),
        }
        for metric in scores[0]
    }


def _mean_and_deviation(values: list[dict[str, Any]]) -> dict[str, Any]:
    means = [each["mean"] for each in values]
    frames = list(zip(*(each["per_frame"] for each in values), strict=True))
    deviation = functools.partial(np.std, ddof=1)
    return {
        "mean": _of_known(np.mean, means),
        "deviation": _of_known(deviation, means),
        "per_frame": [_of_known(np.mean, frame) for frame in frames],
        "per_frame_deviation": [_of_known(deviation, frame) for frame in frames],
    }


def _of_known(statistic, values):
    return None if None in values else float(statistic(values))


def _frames(rollout, any_size):
    shape = rollout.step.inputs[0].shape
    return rollout.context_frames, rollout.forecast_frames, shape[-1] if any_size else tuple(shape[1:])


def _has_mean(values):
    return bool(values) and values.get("mean") is not None


def _mean_text(values):
    if not _has_mean(values):
        return "-"
    deviation = f" ± {score_text(values['deviation'])}" if "deviation" in values else ""
    return score_text(values["mean"]) + deviation


def _lead_table(evaluation, metric, so_far=False):
    rows = by_lead_time(evaluation, metric, so_far=so_far)
    step = evaluation["interval"] or 1
    columns = [
        [f"{lead * step:+g}", *(score_text(row[lead]) if lead in row else "-" for row in rows.values())]
        for lead in sorted(set().union(*rows.values()))
    ]
    return _aligned([["", *(shown_name(*row) for row in rows)], *columns])


def _aligned(columns: list[list[str]]) -> Iterator[str]:
    """Yields the lines of columns, their headings in narrow lines above them, the first column on the left."""
    headings = [textwrap.wrap(column[0], HEADING_LETTERS) for column in columns]
    height = max(map(len, headings))
    columns = [
        [""] * (height - len(heading)) + heading + column[1:]
        for heading, column in zip(headings, columns, strict=True)
    ]
    first, *others = ((len(max(column, key=len)), column) for column in columns)
    for index, name in enumerate(first[1]):
        cells = (column[index].rjust(width + 2) for width, column in others)
        yield "".join([name.ljust(first[0]), *cells]).rstrip()
