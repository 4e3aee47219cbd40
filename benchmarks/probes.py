"""What is measured in a process of its own: `python -m benchmarks.probes NAME ARGUMENTS` prints a JSON object.

Nothing heavy is imported at the top: some probes time exactly that.
"""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial

from benchmarks.measure import seconds
from benchmarks.workload import Workload

COMMANDS = ("--version", "--help", "forecast --help", "models", "recipes", "zoo list", "data list")


def training_memory(workload: dict, variant: str, steps: int) -> dict:
    """Measures the memory of training steps.

    Args:
        workload: fields of a `Workload`.
        variant: of `benchmarks.networks.create`.
        steps: int. Training steps behind the first, which is also traced and compiled.

    Returns:
        `before`: bytes in use when the network is built and nothing has run; `first_peak` and `later_peak`: the
        most in use from there on, in the first step and in the later ones; `seconds` of the later ones.
    """
    from benchmarks.networks import compiled, training_step
    from benchmarks.peak import PeakMemory

    workload = Workload(**workload)
    step = training_step(compiled(workload, variant), workload)
    memory = PeakMemory()
    before = memory.current()
    memory.reset()
    step()
    first_peak = memory.peak()
    memory.reset()
    times = [seconds(step) for _ in range(steps)]
    return {"before": before, "first_peak": first_peak, "later_peak": memory.peak(), "seconds": times}


def streaming_memory(workload: dict, horizons: Sequence[int]) -> dict:
    """Measures the memory of a forecast that goes on, frame by frame, each thrown away once it is fed back.

    Args:
        workload: fields of a `Workload`.
        horizons: ints, rising. Numbers of forecast frames to look at.

    Returns:
        `before`: bytes in use behind the context; `current` and `peak`: bytes in use, and the most until then,
        behind each horizon.
    """
    import numpy as np

    import mslstm_keras as ms
    from benchmarks.networks import clips, create
    from benchmarks.peak import PeakMemory

    workload = Workload(**workload)
    forecaster = ms.Forecaster(create(workload, "fast"))
    for frame in np.moveaxis(clips(workload, workload.context_frames), 1, 0):
        prediction = forecaster.push(frame)
    memory = PeakMemory()
    found = {"before": memory.current(), "current": [], "peak": []}
    memory.reset()
    for lead in range(1, horizons[-1] + 1):
        prediction = forecaster.push(np.clip(prediction, 0, 1))
        if lead in horizons:
            found["current"].append(memory.current())
            found["peak"].append(memory.peak())
    return found


def grid_forecast(workload: dict, height: int, width: int, wet: float) -> dict:
    """Measures the forecast of a grid that a model was not made for.

    Args:
        workload: fields of a `Workload`; its side is that of the frames that the model is made for.
        height: int. Of the grid.
        width: int. Of the grid.
        wet: float in (0, 1]. Part of the grid, a rectangle in its corner, with smooth rain; the rest is zero.

    Returns:
        Seconds of the `first` forecast and of the second, `peak` bytes of the process, and what was said of `tiles`.
    """
    import warnings

    import numpy as np

    import mslstm_keras as ms
    from benchmarks.networks import create
    from benchmarks.peak import PeakMemory

    workload = Workload(**workload)
    model = create(workload, "fast")
    rows, columns = (max(round(side * wet**0.5), 1) for side in (height, width))
    wave = np.sin(np.arange(rows) / 9)[:, None] * np.sin(np.arange(columns) / 7)
    frames = np.zeros((workload.context_frames, height, width, workload.channels), "float32")
    frames[:, :rows, :columns] = (0.5 + wave / 2)[..., None]
    memory = PeakMemory()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        first, later = (seconds(partial(ms.forecast, model, frames)) for _ in range(2))
    return {
        "first": first,
        "seconds": later,
        "peak": memory.peak(),
        "tiles": str(said[0].message) if said else "",
    }


def first_step(workload: dict, variant: str) -> dict:
    """Returns the `first` and `later` seconds of a `fit` of one step: the first one is also traced and compiled."""
    from benchmarks.networks import clips, compiled

    workload = Workload(**workload)
    model = compiled(workload, variant)
    x = clips(workload, workload.steps)
    fit = partial(model.fit, x, x[::-1].copy(), batch_size=workload.batch_size, verbose=0)
    return {"first": seconds(fit), "later": seconds(fit)}


def import_times() -> dict:
    """Returns the seconds of `import keras` and, behind it, of `import mslstm_keras`."""
    start = time.perf_counter()
    import keras  # noqa: F401

    middle = time.perf_counter()
    import mslstm_keras  # noqa: F401

    return {"import keras": middle - start, "then import mslstm_keras": time.perf_counter() - middle}


def command_times() -> dict:
    """Returns the seconds of commands that need no tensor, each a process from its start to its end."""
    times = {}
    for words in COMMANDS:
        command = [sys.executable, "-m", "mslstm_keras", *words.split()]
        times[f"mslstm {words}"] = seconds(partial(subprocess.run, command, check=True, capture_output=True))
    return times


def first_forecast(name: str) -> dict:
    """Returns the seconds from the imports to the first forecast of a model of the zoo."""
    import keras  # noqa: F401 - else the forecast would wait for it
    import numpy as np

    import mslstm_keras as ms

    def ask():
        model = ms.load_pretrained(name)
        ms.forecast(
            model, np.zeros((model.get_layer("rollout").context_frames, *model.input_shape[2:]), "float32")
        )

    return {"zoo model and first forecast, after the imports": seconds(ask)}


PROBES = {
    probe.__name__: probe
    for probe in (
        training_memory,
        streaming_memory,
        grid_forecast,
        first_step,
        import_times,
        command_times,
        first_forecast,
    )
}


def main(arguments: Sequence[str]) -> int:
    """Runs a probe with arguments in JSON; a fault is the last line of stderr: status 2 for a `ValueError`, else 1."""
    name, options = arguments
    try:
        print(json.dumps(PROBES[name](**json.loads(options))))
    except Exception as error:  # whatever the backend raises is told by the process that asked
        traceback.print_exc()
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        print(kind + " ".join(str(error).split()), file=sys.stderr)
        return 1 if kind else 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
