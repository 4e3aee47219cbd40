"""Settings of all tests: what they run is small, and most of their time would go into what is around it."""

import gc
import os
from importlib.metadata import version

from hypothesis import settings

# TensorFlow's graphs are millions of small objects. To look through them as often as Python does by default takes a
# sixth of the time of the tests.
gc.set_threshold(50_000, 20, 20)
# XLA takes longer to compile a small model than to run it. To be set before TensorFlow or JAX is imported.
FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_enable_concurrency_optimized_scheduler=false"
)
if tuple(map(int, version("jax").split(".")[:2])) < (0, 11):  # later ones end at a flag that they do not know
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)
# Property tests: the same examples every time, and none is timed.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


def pytest_make_parametrize_id(val):
    """Names long bytes by their length: what is packed holds the time, and all workers must collect the same tests."""
    return f"{len(val)}_bytes" if isinstance(val, bytes) and len(val) > 16 else None
