"""The signatures of a SavedModel: functions that servers call."""

from collections.abc import Callable

import keras
import tensorflow as tf

from mslstm_keras.frames.rain import RAIN_SCALES, RainScale
from mslstm_keras.models.rollout import Rollout

STATE = "state_{:02d}"


Signatures = dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]]


def clip_signatures(model: keras.Model, rollout: Rollout, rain_scale: str | None) -> Signatures:
    """Returns name -> function and what it takes, of the signatures that forecast a clip."""
    shape = (None, rollout.context_frames, *rollout.step.inputs[0].shape[1:])

    def forecast(frames):
        return tf.cast(model(frames)[:, -rollout.forecast_frames :], tf.float32)

    def serving_default(frames):
        return {"forecast": forecast(frames)}

    def uint8(frames):
        pixels = tf.clip_by_value(forecast(tf.cast(frames, tf.float32) / 255.0), 0.0, 1.0)
        return {"forecast": tf.cast(tf.round(pixels * 255.0), tf.uint8)}

    def rain_rate(frames):
        return {"forecast": _to_rate(forecast(_to_pixel(frames, scale)), scale)}

    signatures = {
        "serving_default": (serving_default, [tf.TensorSpec(shape, tf.float32, name="frames")]),
        "uint8": (uint8, [tf.TensorSpec(shape, tf.uint8, name="frames")]),
    }
    if rain_scale is not None:
        scale = RAIN_SCALES[rain_scale]
        signatures["rain_rate"] = rain_rate, [tf.TensorSpec(shape, tf.float32, name="frames")]
    return signatures


def streaming_signatures(rollout: Rollout) -> Signatures:
    """Returns name -> function and what it takes, of the signatures that go from one frame to the next."""
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
        next_frame, *after = rollout.step([frame, *states])
        after = {spec.name: tf.cast(state, spec.dtype) for spec, state in zip(specs, after, strict=True)}
        return {"next_frame": tf.cast(next_frame, tf.float32), **after}

    return {"initial_state": (initial_state, [frame_spec]), "step": (step, [frame_spec, *specs])}


def _to_pixel(rate: tf.Tensor, scale: RainScale) -> tf.Tensor:
    """`RainScale.to_pixel` in TensorFlow; what is NaN or below 0 is no rain."""
    rate = tf.where(rate > 0, rate, 0.0)
    dbz = scale.log_a + 10 * scale.b * tf.math.log(rate) / tf.math.log(10.0)
    return tf.clip_by_value((dbz - scale.lowest) / (scale.highest - scale.lowest), 0.0, 1.0)


def _to_rate(pixel: tf.Tensor, scale: RainScale) -> tf.Tensor:
    """`RainScale.to_rate` in TensorFlow; pixel 0 is no rain."""
    dbz = pixel * (scale.highest - scale.lowest) + scale.lowest
    return tf.where(pixel > 0, 10.0 ** ((dbz - scale.log_a) / (10 * scale.b)), 0.0)
