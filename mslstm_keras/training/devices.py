"""What a training runs on: one device, several of a machine, or those of several hosts."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from mslstm_keras.integers import is_whole
from mslstm_keras.training.feeding import WHOLE, Share
from mslstm_keras.training.machine import processor_fact, usable_cores
from mslstm_keras.training.recipes import Recipe

_BFLOAT16 = {
    "avx512_bf16",
    "amx_bf16",
}  # each multiplies and adds in bfloat16, and oneDNN convolves with either


@dataclass(frozen=True)
class Placement:
    """The devices that share every batch.

    Attributes:
        replicas: int. How many, on all hosts together.
        share: what this host feeds of every batch. The host with number 0 writes the run folder.
        scope: function that returns the context in which a model is built, restored and trained.
    """

    replicas: int = 1
    share: Share = WHOLE
    scope: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    def check(self, recipe: Recipe) -> None:
        """Checks that a recipe can be trained on these devices.

        Raises:
            ValueError: if they do not divide its batches, or an option of it fails under a TensorFlow strategy.
        """
        size = recipe.batch_size // (recipe.gradient_accumulation_steps or 1)
        if size % self.replicas:
            raise ValueError(
                f"`batch_size`, divided by the gradient accumulation steps, must divide by the {self.replicas} devices "
                f"that share it. Received: batch_size={recipe.batch_size}, "
                f"gradient_accumulation_steps={recipe.gradient_accumulation_steps}"
            )
        if self.replicas > 1 and keras.backend.backend() == "tensorflow":
            for option, (harmless, reason) in _REFUSED.items():
                value = getattr(recipe, option)
                if all(value is not each for each in harmless):
                    raise ValueError(
                        f"`{option}` must be left as it is under a TensorFlow strategy, where {reason}. Received: "
                        f"{option}={value}"
                    )


# option -> the values that leave it alone, and why others fail
_REFUSED = {
    "steps_per_execution": (
        (1,),
        "Keras cannot loop over the batches of several devices (Keras issue 19246)",
    ),
    "jit_compile": ((None, False), "XLA cannot reach the weights of the other devices (Keras issue 20763)"),
    "gradient_accumulation_steps": (
        (None,),
        "Keras cannot add up gradients within a replica (Keras issue 20582)",
    ),
}


def place(devices: int | str | Sequence[str] | None = None) -> Placement:
    """Finds the devices of a training: `tf.distribute.MirroredStrategy` or, on JAX, `keras.distribution.DataParallel`.

    Args:
        devices: how many of this machine, "all", or their names; GPUs where there are any, else the parts of the
            processor that `split_processor` has made. None for one device without a strategy. After `connect_hosts`,
            None or "all": all devices of all hosts.

    Raises:
        ValueError: if there are not as many devices, or the backend has no way to share a batch.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return Placement() if devices is None else _mirrored(devices)
    if backend == "jax":
        return _data_parallel(devices)
    if devices is not None:
        raise ValueError(f"`devices` must be None on the {backend} backend. Received: devices={devices!r}")
    return Placement()


def _mirrored(devices):
    import tensorflow as tf

    known = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = _chosen(devices, [device.name.removeprefix("/device:") for device in known])
    return Placement(len(names), scope=_strategy(tuple(names)).scope)


@functools.cache  # TensorFlow numbers what a strategy adds up: a second one on the same devices would mix up the sums
def _strategy(names):
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def _data_parallel(devices):
    import jax

    hosts = jax.process_count()
    if hosts == 1 and devices is None:
        return Placement()
    if hosts > 1 and devices not in (None, "all"):
        raise ValueError(
            f"`devices` must be None or 'all' where several hosts share a batch. Received: devices={devices!r}"
        )
    names = _chosen("all" if devices is None else devices, keras.distribution.list_devices())
    # Each host reads its own part of a batch: nothing is left for Keras to cut.
    parallel = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return Placement(len(names), Share(jax.process_index(), hosts), parallel.scope)


def _chosen(devices, known):
    if devices == "all":
        return known
    if is_whole(devices) and devices <= len(known):
        return known[:devices]
    if isinstance(devices, (list, tuple)) and devices and set(devices) <= set(known):
        return list(devices)
    raise ValueError(
        f"`devices` must be 'all', at most as many as there are, or their names: {', '.join(known)}. Received: "
        f"devices={devices!r}"
    )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within it, what Keras makes belongs to this host alone: the others need not make the same at the same moment.

    Keras makes variables even to save or to load a model, and every variable of several hosts is compared between them.
    """
    parallel = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(parallel)


def split_processor(count: int) -> bool:
    """Splits the processor into several devices where there is no GPU, to try out what they do; it is no faster.

    Args:
        count: int. How many.

    Returns:
        Whether the processor was split. A backend cannot do so once it has computed something.
    """
    if keras.backend.backend() == "jax":
        import jax

        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)
            return True
        return False
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return False
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError:
        return False
    return True


def connect_hosts(addresses: Sequence[str], rank: int) -> None:
    """Connects this process to those of the other hosts, by JAX's own runtime; each of them calls it.

    Call it before anything is computed. A training in which a host is lost ends on all of them, and goes on when all
    are started again.

    Args:
        addresses: "host:port" of every host, the same list everywhere; the first one coordinates.
        rank: int, from 0. Which of them this is.

    Raises:
        ValueError: if the backend is not JAX, there are fewer than two hosts, or `rank` is none of them.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "`hosts` must be on the JAX backend: Keras has no multi-worker strategy for TensorFlow (Keras issue "
            f"20585). Received: backend {keras.backend.backend()!r}"
        )
    if len(addresses) < 2 or not all(":" in address for address in addresses):
        raise ValueError(
            f"`hosts` must be host:port of at least two hosts. Received: hosts={','.join(addresses)}"
        )
    if not 0 <= rank < len(addresses):
        raise ValueError(f"`rank` must lie in 0 .. {len(addresses) - 1}. Received: rank={rank}")
    keras.distribution.initialize(",".join(addresses), len(addresses), rank)


def set_threads(batch_size: int) -> bool:
    """Gives each operation of this process one thread and runs as many operations at once as there are processors.

    Without a GPU, and with small maps or a batch that can be cut into as many lanes, this keeps the processors busier
    than TensorFlow's own setting, which gives every operation all threads (docs/performance.md).

    Args:
        batch_size: int. Clips per step; left as it is where the number of processors does not divide it.

    Returns:
        Whether anything was set. TensorFlow cannot change its threads once it has computed something.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    processors = usable_cores()
    if batch_size % processors or tf.config.list_physical_devices("GPU"):
        return False
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(processors)
    except RuntimeError:
        return False
    return True


def native_bfloat16() -> bool | None:
    """Whether TensorFlow convolves in bfloat16 by the processor's own instructions, AVX512-BF16 or AMX-BF16.

    Returns:
        None where that is not known or does not matter: where a GPU computes, on another backend, which does not
        convolve by oneDNN, and where Linux names no flags of an x86 processor.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return None
    flags = processor_fact("flags")  # all processors of a machine have the same
    return None if flags is None else bool(_BFLOAT16 & set(flags.split()))
