"""The signatures of a SavedModel: functions that servers call."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mslstm_keras.frames.rain import RainScale
from mslstm_keras.frames.scales import Scale
from mslstm_keras.metrics.units import to_pixels, to_values
from mslstm_keras.models.rollout import Rollout

STATE = "state_{:02d}"
RAIN_RATE, VALUES = "rain_rate", "values"
"""Signatures of numbers in their units."""


Weights = Callable[[], contextlib.AbstractContextManager[Any]]
Signatures = dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]]


def clip_signatures(
    model: keras.Model, rollout: Rollout, scale: Scale | None, weights: Weights = contextlib.nullcontext
) -> Signatures:
    """Returns name -> function and what it takes, of the signatures that forecast a clip.

    Args:
        model: model of `create_model`.
        rollout: its roll-out.
        scale: how pixels stand for numbers; None where they stand for none.
        weights: function that returns the context in which the model has the weights to export.
    """
    shape = (None, rollout.context_frames, *rollout.step.inputs[0].shape[1:])

    @tf.function  # one graph, which all signatures call, not one in each of them
    def forecast(frames):
        with weights():
            return tf.cast(model(frames)[:, -rollout.forecast_frames :], tf.float32)

    def serving_default(frames):
        return {"forecast": forecast(frames)}

    def uint8(frames):
        pixels = tf.clip_by_value(forecast(tf.cast(frames, tf.float32) / 255.0), 0.0, 1.0)
        return {"forecast": tf.cast(tf.round(pixels * 255.0), tf.uint8)}

    signatures = {
        "serving_default": (serving_default, [tf.TensorSpec(shape, tf.float32, name="frames")]),
        "uint8": (uint8, [tf.TensorSpec(shape, tf.uint8, name="frames")]),
    }
    if scale is not None:
        to_pixel, to_value = functools.partial(to_pixels, scale), functools.partial(to_values, scale)

        def values(frames):
            pixels = tf.clip_by_value(to_pixel(frames), 0.0, 1.0)
            return {"forecast": to_value(tf.clip_by_value(forecast(pixels), 0.0, 1.0))}

        name = RAIN_RATE if isinstance(scale, RainScale) else VALUES
        signatures[name] = values, [tf.TensorSpec(shape, tf.float32, name="frames")]
    return signatures


def streaming_signatures(rollout: Rollout, weights: Weights = contextlib.nullcontext) -> Signatures:
    """Returns name -> function and what it takes, of the signatures that go from one frame to the next.

    Args:
        rollout: roll-out of the model.
        weights: function that returns the context in which it has the weights to export.
    """
    frame, *states = rollout.step.inputs
    names = [STATE.format(number) for number in range(len(states))]
    frame_spec = tf.TensorSpec(frame.shape, tf.float32, name="frame")
    specs = [
        tf.TensorSpec(state.shape, state.dtype, name=name) for name, state in zip(names, states, strict=True)
    ]

    def initial_state(frame):
        batch = tf.shape(frame)[0]
        return {
            spec.name: tf.zeros(tf.concat([[batch], spec.shape[1:]], axis=0), spec.dtype) for spec in specs
        }

    def step(frame, *states):
        with weights():
            next_frame, *after = rollout.step([frame, *states])
        after = {spec.name: tf.cast(state, spec.dtype) for spec, state in zip(specs, after, strict=True)}
        return {"next_frame": tf.cast(next_frame, tf.float32), **after}

    return {"initial_state": (initial_state, [frame_spec]), "step": (step, [frame_spec, *specs])}
