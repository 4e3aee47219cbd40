"""The networks that are compared, ready to train and to predict."""

from collections.abc import Callable

import keras
import numpy as np

import mslstm_keras as ms
from benchmarks.workload import AUTOMATIC, STOCK, STOCK_MODELS, VARIANTS, Workload


def create(workload: Workload, variant: str) -> keras.Model:
    """Builds a network.

    Args:
        workload: what to build.
        variant: one of `VARIANTS`, or `STOCK`.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: if the network is unknown or does not fit its size.
    """
    _set_threads(workload.threads)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(workload.dtype)
    keras.utils.set_random_seed(0)
    try:
        if variant == STOCK:
            return _stock(workload)
        return ms.create_model(
            workload.model,
            workload.frame_shape,
            workload.context_frames,
            workload.forecast_frames,
            filters=workload.filters,
            layers=workload.layers,
            patch_size=workload.patch_size,
            **VARIANTS[variant],
        )
    finally:
        keras.config.set_dtype_policy(policy)


def compiled(workload: Workload, variant: str) -> keras.Model:
    """Builds a network and compiles it with Adam and the loss of the paper."""
    model = create(workload, variant)
    # Keras' JAX backend knows no other way to compile: without XLA it runs single operations.
    jit_compile = workload.jit_compile or keras.config.backend() == "jax"
    model.compile(keras.optimizers.Adam(1e-3), ms.FrameL1L2(), jit_compile=jit_compile)
    # Otherwise the first training step builds it while it is traced, and is traced twice.
    model.optimizer.build(model.trainable_variables)
    return model


def clips(workload: Workload, frames: int) -> np.ndarray:
    """Returns a batch of noise, float32 in [0, 1]."""
    return np.random.default_rng(0).random(workload.clips_shape(frames), "float32")


def training_step(model: keras.Model, workload: Workload) -> Callable[[], float]:
    """Returns a function that makes one training step and returns its loss."""
    x = clips(workload, workload.steps)
    y = x[::-1].copy()
    x, y = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)
    return lambda: model.train_on_batch(x, y)


def forward_pass(model: keras.Model, workload: Workload, variant: str) -> Callable[[], np.ndarray]:
    """Returns a function that predicts a batch, from the context alone where the model can feed back."""
    frames = workload.steps if variant == STOCK else workload.context_frames
    x = keras.ops.convert_to_tensor(clips(workload, frames))
    return lambda: model.predict_on_batch(x)


def _set_threads(threads):
    if threads == AUTOMATIC:
        return
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            f"`threads` must be {AUTOMATIC!r} on a backend other than tensorflow. Received: {threads!r}"
        )
    import tensorflow as tf

    of_operation, operations = map(int, threads.split("x"))
    tf.config.threading.set_intra_op_parallelism_threads(of_operation)
    tf.config.threading.set_inter_op_parallelism_threads(operations)


def _stock(workload):
    """The ConvLSTM of stock layers alone. It cannot feed its predictions back: all its input frames are true ones."""
    if workload.model not in STOCK_MODELS:
        raise ValueError(
            f"`{STOCK}` must be a network that stock layers can build, such as {', '.join(STOCK_MODELS)}. "
            f"Received: {workload.model!r}"
        )
    layers = keras.layers
    p, cut, channels = workload.patch_size, workload.side // workload.patch_size, workload.channels
    frames = keras.Input((workload.steps, *workload.frame_shape))
    x = layers.Reshape((workload.steps, cut, p, cut, p, channels))(frames)
    x = layers.Permute((1, 2, 4, 3, 5, 6))(x)
    x = layers.Reshape((workload.steps, cut, cut, p * p * channels))(x)
    x = layers.Conv3D(workload.filters, 1)(x)
    for _ in range(workload.layers):
        x = layers.ConvLSTM2D(
            workload.filters, 3, padding="same", recurrent_activation="sigmoid", return_sequences=True
        )(x)
    x = layers.Conv3D(p * p * channels, 1)(x)
    x = layers.Reshape((workload.steps, cut, cut, p, p, channels))(x)
    x = layers.Permute((1, 2, 4, 3, 5, 6))(x)
    x = layers.Reshape((workload.steps, *workload.frame_shape))(x)
    return keras.Model(frames, x, name="stock_conv_lstm")
