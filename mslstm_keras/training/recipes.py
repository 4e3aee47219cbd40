"""Everything that a training depends on, as plain data."""

import dataclasses
import inspect
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mslstm_keras.frames.scales import parse_scale
from mslstm_keras.naming import nearest
from mslstm_keras.settings import read_fields, read_settings

SAMPLINGS = "scheduled", "reverse"
SPLITS = "train", "test"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a model is, what it learns from, and how. The same recipe gives the same weights on one machine.

    Attributes:
        name: str. Name of the recipe, and by default of the zoo entry made with it.
        model: str. One of `mslstm_keras.list_models()`.
        frame_shape: (height, width, channels).
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        filters: int. Channels of every cell.
        layers: int. Number of levels.
        scales: ints or None. Reduction at each level; None for the model's own.
        patch_size: int. Side, in pixels, of the patches that become channels.
        motion: bool. Whether the next frame is this one along a flow, plus a change; see `build_step`.
        options: further arguments of the cells, such as {"kernel_size": 5}.
        data: str. What is learned from: TFDS data set and config, "name/config", or a `.npy` file of uint8 clips
            (number, time, height, width, channels), whose last tenth is kept for tests.
        scale: str or None. How pixels stand for numbers in their units, such as "0:655 bikes/h"; see
            `mslstm_keras.frames.parse_scale`. None for what the prepared data set says, which is often nothing.
        quantity: str or None. What was measured, such as "rain rate". None for what the data set says.
        interval_minutes: float or None. Minutes from one frame to the next. None for what the data set says.
        spacing_metres: float or None. Metres on the ground from one pixel to the next. None for what the data set says.
        stream: bool. Learns from new clips of the data set's generator for ever instead of its train split.
        initial: str or None. What the weights start from, a name in the zoo or a path, as `mslstm train --initial`
            records it; None for weights drawn by the seed.
        initial_clips: int. Training clips that those weights had seen.
        batch_size: int. Clips per step, whatever the number of devices, of hosts and of parts that share them.
        steps: int. Optimiser steps in all.
        interval_steps: int. Steps between two checkpoints, and two lines of the log; divides `steps`.
        l1_weight: float. Weight of the absolute error beside the squared error in the loss; 1 in the paper.
        l1_from: int. Step from which the absolute error counts, until then the squared error alone; a multiple of
            `interval_steps`. A late start sharpens forecasts at little loss of squared error.
        balance: float. How much more a bright pixel counts in the loss than a black one, see `FrameL1L2`.
        learning_rate: float. Of Adam.
        warmup_steps: int. Over how many steps at the beginning the learning rate rises linearly, `WarmUp`; 0 for none.
        decay_steps: int. Over how many steps at the end the learning rate falls to zero along a cosine; 0 keeps
            it constant.
        sampling: "scheduled" or "reverse". Schedule by which a model in training is fed the truth,
            `ScheduledSampling` or `ReverseScheduledSampling`.
        sampling_steps: int. Steps of that schedule, from the beginning; after them the model is fed as in a forecast.
        clip_norm: float or None. Largest norm of all gradients together.
        ema_momentum: float or None. Momentum of a moving average of the weights, as `use_ema` of Keras' optimisers
            makes it. A training that has ended has the averages as its weights, one under way those of its last step.
        validation_clips: int. Clips scored at each interval; 0 for none.
        validation_split: "test" or "train". Where those clips come from: the first of the test split, or clips held out
            of training, the last of the train split or, where clips are streamed, others of the generator.
        gradient_accumulation_steps: int or None. Parts into which a batch is cut that run one after the other, their
            gradients averaged; divides `batch_size`. Takes less memory and gives the same weights up to rounding.
        steps_per_execution: int. Batches that Keras runs in one call; divides `interval_steps`. Changes only the speed.
        jit_compile: bool or None. Whether XLA compiles the step; None lets Keras decide.
        dtype: str. Keras dtype policy of the model, such as "float32", "mixed_bfloat16" or "mixed_float16". In float16
            the loss is scaled, and a step whose gradients overflow is left out: it counts as one all the same.
        checkpoint: None, "step" or "sqrt". How much a training step keeps in memory; see `Rollout`.
        fast: bool. Takes the faster ways of `Rollout`, whose results differ by rounding.
        seed: int. Of weights, data order, streamed clips and sampling.
    """

    name: str
    model: str = "ms_lstm"
    frame_shape: tuple[int, int, int] = (64, 64, 1)
    context_frames: int = 10
    forecast_frames: int = 10
    filters: int = 32
    layers: int = 6
    scales: tuple[int, ...] | None = None
    patch_size: int = 1
    motion: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str = "moving_mnist_clips/paper"
    scale: str | None = None
    quantity: str | None = None
    interval_minutes: float | None = None
    spacing_metres: float | None = None
    stream: bool = False
    initial: str | None = None
    initial_clips: int = 0
    batch_size: int = 4
    steps: int = 1000
    interval_steps: int = 100
    l1_weight: float = 1.0
    l1_from: int = 0
    balance: float = 0.0
    learning_rate: float = 3e-4
    warmup_steps: int = 0
    decay_steps: int = 0
    sampling: str = "scheduled"
    sampling_steps: int = 1000
    clip_norm: float | None = None
    ema_momentum: float | None = None
    validation_clips: int = 0
    validation_split: str = "test"
    gradient_accumulation_steps: int | None = None
    steps_per_execution: int = 1
    jit_compile: bool | None = None
    dtype: str = "float32"
    checkpoint: str | None = None
    fast: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if broken := [*self._broken_rules()]:
            raise ValueError("; ".join(broken))

    def _broken_rules(self):
        """Yields a message for every rule that the fields break."""
        counts = ("steps", "interval_steps", "batch_size", "sampling_steps")
        few = [name for name in counts if getattr(self, name) < 1]
        for name in few:
            yield f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}"
        if not few:
            yield from self._broken_divisions()
        if self.sampling not in SAMPLINGS:
            yield f"`sampling` must be one of {SAMPLINGS}. Received: sampling={self.sampling!r}"
        if not 0 <= self.decay_steps <= self.steps:
            yield f"`decay_steps` must lie in 0 .. steps={self.steps}. Received: decay_steps={self.decay_steps}"
        elif not 0 <= self.warmup_steps <= self.steps - self.decay_steps:
            yield (
                f"`warmup_steps` must lie in 0 .. {self.steps - self.decay_steps}, before the learning rate falls. "
                f"Received: warmup_steps={self.warmup_steps}"
            )
        if self.ema_momentum is not None and not 0 < self.ema_momentum < 1:
            yield f"`ema_momentum` must lie between 0 and 1. Received: ema_momentum={self.ema_momentum}"
        for name in ("learning_rate", "clip_norm", "interval_minutes", "spacing_metres"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                yield f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
        if not 0 <= self.seed < 2**32:
            yield f"`seed` must lie in 0 .. {2**32 - 1}. Received: seed={self.seed}"
        if self.dtype == "float16":
            yield "`dtype` must keep the weights in float32, as mixed_float16 does. Received: dtype='float16'"
        pieces = self.gradient_accumulation_steps
        if pieces is not None and self.dtype == "mixed_float16":
            yield (
                "`gradient_accumulation_steps` must be None in mixed_float16, where a part that overflows is left out "
                f"and the parts of other batches would come together. Received: gradient_accumulation_steps={pieces}"
            )
        if self.scale is not None:
            try:
                parse_scale(self.scale)
            except ValueError as error:
                yield str(error)
        if self.validation_clips < 0:
            yield f"`validation_clips` must be 0 or more. Received: validation_clips={self.validation_clips}"
        if self.validation_split not in SPLITS:
            yield f"`validation_split` must be one of {SPLITS}. Received: validation_split={self.validation_split!r}"

    def _broken_divisions(self):
        if self.steps % self.interval_steps:
            yield (
                "`interval_steps` must divide `steps`, so that the last step is a checkpoint. Received: "
                f"interval_steps={self.interval_steps}, steps={self.steps}"
            )
        if not 0 <= self.l1_from < self.steps or self.l1_from % self.interval_steps:
            yield (
                f"`l1_from` must be a multiple of interval_steps={self.interval_steps} in 0 .. steps={self.steps}, "
                f"which is not reached. Received: l1_from={self.l1_from}"
            )
        pieces = self.gradient_accumulation_steps
        if pieces is not None and (pieces < 2 or self.batch_size % pieces):
            yield (
                "`gradient_accumulation_steps` must be at least 2 and divide `batch_size`. Received: "
                f"gradient_accumulation_steps={pieces}, batch_size={self.batch_size}"
            )
        if self.steps_per_execution < 1 or self.interval_steps % self.steps_per_execution:
            yield (
                "`steps_per_execution` must be at least 1 and divide `interval_steps`. Received: "
                f"steps_per_execution={self.steps_per_execution}, interval_steps={self.interval_steps}"
            )

    def with_settings(self, settings: Mapping[str, str], *, rescale: bool = False) -> "Recipe":
        """Returns a recipe with some fields read from text, as `mslstm train --set field=value` gives them.

        Args:
            settings: name of a field -> text.
            rescale: bool. Where `steps` is set, fields that are counted in steps and are not set follow it, see
                `rescaled`. A run that goes on keeps them, as its past was trained by them.

        Raises:
            ValueError: if a field is unknown (with the nearest names), a text is no value of its type, or fields do not
                fit each other; it names all of them that do not.
        """
        values = read_settings(Recipe, settings, "recipe")
        if rescale and values.get("steps", 0) > 0:
            return rescaled(self, **values)
        return dataclasses.replace(self, **values)

    def model_options(self) -> dict[str, Any]:
        """Returns the keyword arguments of `create_model`."""
        names = ("filters", "layers", "scales", "patch_size", "motion", "fast", "checkpoint", "seed")
        return {name: getattr(self, name) for name in names} | dict(self.options)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain data, ready for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """Returns the recipe of `to_dict`.

        Raises:
            ValueError: if a field is unknown or of another type, or there is no name.
        """
        values = read_fields(Recipe, fields, "recipe")
        if "name" not in values:
            raise ValueError(f"`fields` must hold the name of the recipe. Received: {dict(fields)}")
        return cls(**values)


def rescaled(recipe: Recipe, steps: int, **given: Any) -> Recipe:
    """Returns a recipe of another number of steps, whose course takes the same part of them as before.

        n' = n steps' / steps      n: decay_steps, sampling_steps (rounded), warmup_steps, l1_from (rounded down)

    A short training then also ends with a low learning rate and with a model that is fed its own predictions.
    `interval_steps` stays where it divides the new steps. Elsewhere it is their divisor that is nearest to it, or to a
    tenth of the steps if that is less.

    Args:
        recipe: the recipe.
        steps: int, at least 1.
        **given: other fields of the new recipe, which stay as they are given.

    Raises:
        ValueError: if fields do not fit each other.
    """
    part = steps / recipe.steps
    fields = {
        "interval_steps": recipe.interval_steps,
        "steps_per_execution": recipe.steps_per_execution,
    } | given
    interval = fields["interval_steps"]
    if "interval_steps" not in given and steps % interval:
        wanted = max(1, min(interval, steps // 10))
        small = [count for count in range(1, math.isqrt(steps) + 1) if not steps % count]
        divisors = [
            count
            for count in [*small, *(steps // count for count in small)]
            if fields["steps_per_execution"] > 0 and not count % fields["steps_per_execution"]
        ]
        interval = min(divisors, key=lambda count: abs(math.log(count / wanted)), default=interval)
    decay_steps = given.get("decay_steps", round(part * recipe.decay_steps))
    course = {
        "interval_steps": interval,
        "decay_steps": decay_steps,
        "warmup_steps": max(0, min(int(part * recipe.warmup_steps), steps - decay_steps)),
        "sampling_steps": max(1, round(part * recipe.sampling_steps)),
    }
    if interval > 0:
        course["l1_from"] = min(int(part * recipe.l1_from), steps - 1) // interval * interval
    return dataclasses.replace(recipe, steps=steps, **{**course, **given})


# Small maps and a large learning rate: hours on two cores instead of days. The squared error alone, because in a
# training this short the absolute error fades forecasts to black.
_SMALL: dict[str, Any] = {
    "filters": 16,
    "batch_size": 8,
    "steps": 4800,
    "l1_weight": 0.0,
    "learning_rate": 2e-3,
    "decay_steps": 3600,
    "sampling_steps": 600,
    "clip_norm": 100.0,
    "validation_split": "train",  # what is watched while recipes are chosen must not be what they are scored on
}
# Minutes: to try things.
_QUICK: dict[str, Any] = {
    **_SMALL,
    "filters": 8,
    "layers": 4,
    "batch_size": 4,
    "steps": 400,
    "interval_steps": 50,
    "decay_steps": 200,
    "sampling_steps": 130,
}
_TAXIBJ: dict[str, Any] = {
    "data": "taxibj_clips/inflow",
    "frame_shape": (32, 32, 1),
    "context_frames": 4,
    "forecast_frames": 4,
}
_KTH: dict[str, Any] = {"data": "kth_clips/three_actions", "frame_shape": (128, 128, 1)}
_GERMANY: dict[str, Any] = {
    "data": "dwd_radar_clips/germany",
    "frame_shape": (180, 180, 1),
    "context_frames": 4,
    "forecast_frames": 4,
}
_KNMI: dict[str, Any] = {**_GERMANY, "data": "dwd_radar_clips/knmi_hours", "frame_shape": (152, 140, 1)}
# An hour of rain in steps of 5 minutes. Rain mostly moves. Heavy rain is rare: it counts more, or it fades.
_RADAR: dict[str, Any] = {
    **_SMALL,
    "data": "radar_maps/europe",
    "frame_shape": (96, 96, 1),
    "context_frames": 6,
    "forecast_frames": 12,
    "patch_size": 4,
    "motion": True,
    "steps": 2000,
    "decay_steps": 1500,
    "sampling_steps": 300,
    "l1_weight": 0.2,
    "balance": 16.0,
    "clip_norm": 1000.0,
    "validation_clips": 64,
}


def _paper(name, clips, epochs, interval_steps, **fields):
    """Returns the paper's training: Adam 3e-4 on batches of 4, the loss of squares and absolutes."""
    steps = clips // 4 * epochs
    return Recipe(f"paper_{name}", steps=steps, interval_steps=interval_steps, sampling_steps=steps, **fields)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _paper("moving_mnist", 10_500, 40, 250),
        _paper("taxibj", 19_560, 15, 150, **_TAXIBJ),
        _paper("kth", 6_429, 20, 1607, **_KTH),
        _paper("germany", 19_720, 20, 200, **_GERMANY),  # nine years of eight half hours, were no map missing
        *(  # the paper's ablation
            Recipe(f"{model}_moving_mnist", model, patch_size=4, stream=True, validation_clips=64, **_SMALL)
            for model in ("conv_lstm", "sms_lstm", "tms_lstm", "ms_lstm")
        ),
        Recipe(
            "ms_lstm_large_moving_mnist",
            patch_size=2,
            stream=True,
            batch_size=32,
            steps=10_000,
            l1_weight=0.0,
            learning_rate=2e-3,
            warmup_steps=200,
            decay_steps=7000,
            sampling_steps=1500,
            clip_norm=100.0,
            validation_clips=64,
            validation_split="train",
            dtype="mixed_bfloat16",
        ),  # ten minutes on a large GPU, a day and more on two cores
        *(
            Recipe(
                f"{model}_moving_fashion",
                model,
                patch_size=4,
                data="moving_mnist_clips/fashion",
                stream=True,
                validation_clips=64,
                **_SMALL,
            )
            for model in ("conv_lstm", "ms_lstm")
        ),
        *(Recipe(f"{model}_radar", model, **_RADAR) for model in ("conv_lstm", "ms_lstm")),
        Recipe("ms_lstm_taxibj", patch_size=2, **_TAXIBJ, **_SMALL),
        Recipe("ms_lstm_kth", patch_size=4, **_KTH, **_SMALL),
        Recipe("ms_lstm_germany", patch_size=5, **_GERMANY, **_SMALL),
        Recipe(
            "ms_lstm_knmi", scales=(1, 2, 2, 1), patch_size=2, **_KNMI, **_QUICK
        ),  # a demonstration: five hours
        Recipe("optdigits_quick", data="moving_mnist_clips/optdigits", stream=True, patch_size=4, **_QUICK),
        Recipe("taxibj_synthetic", patch_size=2, **{**_TAXIBJ, "data": "taxibj_clips/synthetic"}, **_QUICK),
        Recipe("kth_synthetic", patch_size=4, **{**_KTH, "data": "kth_clips/synthetic"}, **_QUICK),
        Recipe("rain_synthetic", patch_size=5, **{**_GERMANY, "data": "dwd_radar_clips/synthetic"}, **_QUICK),
    )
}


# Where nobody has written a recipe for the data. Patches, sizes and frames are those of the data.
FIRST_TRY = Recipe("first_try", **{**_SMALL, "steps": 2000, "decay_steps": 1500, "sampling_steps": 300})


def field_meanings() -> dict[str, str]:
    """Returns each field of `Recipe` and what it means, as the docstring of the class says."""
    _, _, attributes = (inspect.getdoc(Recipe) or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def list_recipes() -> list[str]:
    """Returns the sorted names that `find_recipe` takes."""
    return sorted(RECIPES)


def find_recipe(name: str) -> Recipe:
    """Returns a named recipe, or that of a file.

    Args:
        name: str. One of `list_recipes()`, or the path of a `.json` file with the fields of `Recipe.to_dict`, such as
            the `recipe.json` of a run or the `best.json` of a search.

    Raises:
        ValueError: if there is none of that name (with the nearest names), or the file holds no readable recipe.
    """
    if name.endswith(".json"):
        try:
            return Recipe.from_dict(json.loads(Path(name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"`recipe` must be a readable file of a recipe. Received: {name} ({error})"
            ) from error
    if name not in RECIPES:
        raise ValueError(
            f"`recipe` must be a known recipe, such as {nearest(name, RECIPES)}. Received: {name!r}"
        )
    return RECIPES[name]
