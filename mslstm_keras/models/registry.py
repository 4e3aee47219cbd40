"""The named models: stacks of cells, each plain and as a mirrored pyramid."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from mslstm_keras.cells.registry import (
    ARCHITECTURES,  # with the package `cells`, whose files register themselves
)
from mslstm_keras.dtypes import require_floats
from mslstm_keras.integers import is_whole, plain
from mslstm_keras.models.rollout import ObservedFrames, Rollout, find_layer
from mslstm_keras.models.step import build_step
from mslstm_keras.naming import nearest


@keras.saving.register_keras_serializable(package="mslstm_keras")
class VideoModel(keras.Model):
    """A functional model of frames. It refuses integers, which Keras would cast to floats without a word.

    Raises:
        ValueError: if it is called on frames of an integer dtype.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        # The first of them: the plane of zeros and ones that `told_model` takes beside them may be of integers.
        require_floats(keras.tree.flatten(inputs)[0], "frames")
        return super().call(inputs, training=training, mask=mask, **kwargs)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Within it, models are made under another dtype policy of Keras, such as "mixed_float16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def list_models() -> list[str]:
    """Returns the sorted names that `create_model` takes."""
    return sorted(ARCHITECTURES)


def pyramid_scales(layers: int) -> tuple[int, ...]:
    """Scales of a mirrored pyramid: (1, 2, 4, 4, 2, 1) for six layers.

    scale_l = 2^min(l, layers - 1 - l)                  0 <= l < layers
    """
    return tuple(2 ** min(layer, layers - 1 - layer) for layer in range(layers))


def default_scales(name: str, layers: int) -> tuple[int, ...]:
    """Returns the scales that a named model of so many layers has where none are given.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in ARCHITECTURES:
        near = nearest(name, list_models())
        raise ValueError(f"`name` must be a known model, such as {near}. Received: name={name!r}")
    return pyramid_scales(layers) if ARCHITECTURES[name].pyramid else (1,) * layers


def create_model(
    name: str,
    frame_shape: Sequence[int],
    context_frames: int,
    forecast_frames: int,
    *,
    filters: int = 32,
    layers: int = 6,
    scales: Sequence[int] | None = None,
    patch_size: int = 1,
    motion: bool = False,
    unroll: bool = False,
    fast: bool = True,
    checkpoint: str | None = None,
    seed: int = 0,
    **options: Any,
) -> keras.Model:
    """Builds a named model, an ordinary functional `keras.Model`.

    Input: frames in [0, 1], (batch, time, height, width, channels); `context_frames` long to predict, or
    context_frames + forecast_frames - 1 long to train. Output: for every step the prediction of the next
    frame, frames 1 .. context_frames + forecast_frames - 1. The forecast is the last `forecast_frames`.

    Args:
        name: str. One of `list_models()`.
        frame_shape: (height, width, channels). Height and width divide by patch_size x the largest scale.
        context_frames: int. Frames given.
        forecast_frames: int. Frames to forecast.
        filters: int. Channels of every cell.
        layers: int. Number of levels.
        scales: ints. Reduction of height and width at each level; (1, 1, ...) for a plain stack and
            (1, 2, 4, 4, 2, 1) for a pyramid of six by default.
        patch_size: int. Side, in pixels, of the square patches that become channels before the embedding.
        motion: bool. The next frame is this one along a flow, plus a change; see `build_step`.
        unroll: bool. Copies the step for each frame instead of looping; slower to compile, needed by some
            exports.
        fast: bool. Takes the faster ways of `Rollout`; False turns them all off.
        checkpoint: None, "step" or "sqrt". How much training keeps in memory; see `Rollout`.
        seed: int. Seed of the frames drawn by scheduled sampling.
        **options: further arguments of the model's cells, for example `kernel_size`.

    Returns:
        A `keras.Model`, not compiled. Values are not clipped.

    Raises:
        ValueError: if the name is unknown, an argument breaks its rule, or a cell does not take an option.
    """
    if not is_whole(layers):
        raise ValueError(f"`layers` must be a whole number of at least 1. Received: layers={layers!r}")
    usual_scales = default_scales(name, layers)
    context_frames, forecast_frames, filters, layers = map(
        plain, (context_frames, forecast_frames, filters, layers)
    )
    scales, patch_size, seed = map(plain, (scales, patch_size, seed))
    options = {option: plain(value) for option, value in options.items()}
    stack, _, penalty = ARCHITECTURES[name]
    scales = usual_scales if scales is None else scales
    try:
        levels = stack(filters, layers, **options)
    except TypeError as error:
        raise ValueError(
            f"`options` must be arguments of the cells of {name!r}. Received: options={options} ({error})"
        ) from None
    penalty = penalty and penalty()
    step = build_step(
        frame_shape, filters, levels, scales, patch_size=patch_size, motion=motion, penalty=penalty
    )
    frames = keras.Input((None, *frame_shape), name="frames")
    observed = ObservedFrames(context_frames, forecast_frames, seed=seed, name="observed")(frames)
    rollout = Rollout(
        step, context_frames, forecast_frames, unroll, fast=fast, checkpoint=checkpoint, name="rollout"
    )
    predictions = rollout(frames, observed)
    return VideoModel(frames, predictions, name=name)


def told_model(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers and weights that is told which frames it may see, instead of drawing them.

    That way the draws can come with the data, as they must where several devices share a batch.

    Args:
        model: model of `create_model`.

    Returns:
        `VideoModel` of {"frames": as the model's, "observed": (batch, context_frames + forecast_frames - 1)}; see
        `Rollout`.

    Raises:
        ValueError: if the model has no roll-out.
    """
    rollout = find_layer(model, Rollout)
    observed = keras.Input((rollout.steps,), name="observed")
    predictions = rollout(model.input, observed)
    return VideoModel({"frames": model.input, "observed": observed}, predictions, name=model.name)
