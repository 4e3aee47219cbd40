"""Speed and memory, side by side with stock Keras and with the machine's limit.

Run from the root of the project; each has `--help`, `--json FILE` and `--figure FILE.png`:

- `python -m benchmarks.step`: training step and forward pass; `--account` says where their time goes.
- `python -m benchmarks.memory`: peak memory of a training step, and of a forecast against its horizon.
- `python -m benchmarks.compile`: time until the first training step, the first forecast, the end of small commands.
- `python -m benchmarks.scaling`: growth with frames, pixels, filters, batch and layers.
- `python -m benchmarks.grids`: time and memory of a forecast as the grid grows.
- `python -m benchmarks.gpu`: training step on a GPU without TensorFlow: dtypes, XLA's flags, batches, unrolling.
- `python -m benchmarks.input`: clips per second of the input pipeline beside what a training step takes.

What is compared is measured in turns (A B C A B C ...): shared machines change their speed within minutes, so
only ratios within one run mean something.
"""

import os

# All of these hold from the first import of a backend on. TensorFlow's notes about the processor are no progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Benchmarks start processes of their own: none may take the whole memory of a GPU for itself.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
