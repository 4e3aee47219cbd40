"""A SavedModel in a fresh process that imports TensorFlow alone: its signature, TensorFlow's own tool, a long run.

A process takes longer to import TensorFlow than for all of it: there is one.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mslstm_keras.contracts.models import CONTEXT_FRAMES, FORECAST_FRAMES, random_frames
from tests.support.equations import assert_close
from tests.support.processes import run_script

CLIPS, FORECASTS = 8, 10_000
pytestmark = pytest.mark.slow
SCRIPT = """
    import contextlib, io, json, pathlib, sys
    sys.modules.update(dict.fromkeys(["mslstm_keras", "keras"]))  # importing them would fail
    import numpy as np
    import tensorflow as tf
    tf.config.threading.set_inter_op_parallelism_threads(1)  # what there is to compute takes less than to share it out
    from tensorflow.python.tools import saved_model_cli

    folder, forecasts = sys.argv[1], int(sys.argv[2])
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    frames, expected = np.load("frames.npy"), np.load("expected.npy")


    def specs(named):
        return {name: [spec.shape.as_list(), spec.dtype.name] for name, spec in named.items()}


    def signature():
        positional, named = serve.structured_input_signature
        return [len(positional), specs(named), specs(serve.structured_outputs)]


    def forecast():
        for count in (1, 3):
            np.save(f"forecast_{count}.npy", serve(frames=tf.constant(frames[:count]))["forecast"])


    def tool(command, *options):
        sys.argv = ["saved_model_cli", command, "--dir", folder, "--tag_set", "serve", *options]
        sys.argv += ["--signature_def", "serving_default"]
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
            saved_model_cli.main()
        return printed.getvalue()


    def resident():
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


    def soak():
        rng = np.random.default_rng(0)
        mixed = [rng.integers(0, len(frames), size) for size in range(1, len(frames) + 1) for _ in range(8)]
        batches = [(tf.constant(frames[clips]), expected[clips]) for clips in mixed]
        worst = 0.0
        for number in range(1, forecasts + 1):
            batch, right = batches[rng.integers(len(batches))]
            answer = serve(frames=batch)["forecast"].numpy()
            assert answer.shape == right.shape
            worst = max(worst, float(np.abs(answer - right).max()))
            if number == 500:
                before = resident()
        return number, worst, resident() - before


    forecast()
    found = {"signature": signature(), "show": tool("show")}
    tool("run", "--inputs", "frames=frames.npy", "--outdir", "tool")
    if pathlib.Path("/proc/self/status").exists():
        found["soak"] = soak()
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def process(exported, tmp_path_factory):
    """What the process `found`, given `frames`, what it should forecast of them, and its folder."""
    model, path, _ = exported("toy")
    folder, frames = (
        tmp_path_factory.mktemp("alone"),
        random_frames(CONTEXT_FRAMES, CLIPS, model.input_shape[2:]),
    )
    expected = np.array(model(frames))[:, -FORECAST_FRAMES:]
    np.save(folder / "frames.npy", frames)
    np.save(folder / "expected.npy", expected)
    child = run_script(SCRIPT, folder, path, FORECASTS)
    assert child.returncode == 0, child.stderr
    return SimpleNamespace(found=json.loads(child.stdout), frames=frames, expected=expected, folder=folder)


def test_tensorflow_alone_serves_it(process):
    shape = [CONTEXT_FRAMES, *process.frames.shape[2:]]
    positional, takes, gives = process.found["signature"]
    assert positional == 0
    assert takes == {"frames": [[None, *shape], "float32"]}
    assert list(gives) == ["forecast"]
    assert gives["forecast"][1] == "float32"
    for count in (1, 3):
        assert_close(np.load(process.folder / f"forecast_{count}.npy"), process.expected[:count], 1e-5)


def test_saved_model_cli_shows_and_runs_it(process):
    """TensorFlow's own tool, as whoever gets the folder tries it."""
    shape = ", ".join(map(str, (-1, *process.frames.shape[1:])))
    shown = process.found["show"]
    assert f"shape: ({shape})" in shown
    assert "inputs['frames']" in shown and "outputs['forecast']" in shown and "DT_FLOAT" in shown
    assert_close(np.load(process.folder / "tool" / "forecast.npy"), process.expected, 1e-5)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_ten_thousand_forecasts_of_mixed_batches_are_right_and_cost_no_memory(process):
    count, worst, growth = process.found["soak"]
    print(f"{count:,} forecasts: off by {worst:.1e} at most, {growth / 2**20:.1f} MiB more than after 500")
    assert count == FORECASTS
    assert np.ptp(process.expected) > 0.1 and worst < 1e-5
    assert growth < 8 * 2**20
