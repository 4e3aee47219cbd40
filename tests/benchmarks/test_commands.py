"""Each command: a small run with all that it writes, and one line and status 2 for whatever the user got wrong."""

import dataclasses
import json

import pytest
from PIL import Image

from benchmarks import compile, convolutions, grids, input, memory, precision, probes, scaling, step
from benchmarks.workload import Workload

COMMANDS = {
    module.__name__.split(".")[-1]: module
    for module in (step, memory, compile, scaling, grids, input, precision)
}
SMALL = (
    "--side 8 --filters 2 --layers 1 --batch-size 2 --context-frames 2 --forecast-frames 2 --repetitions 1"
)


@pytest.fixture
def in_this_process(monkeypatch):
    """Spares the seconds that a process takes to start."""

    def call(probe, **arguments):
        return probes.PROBES[probe](**arguments)

    monkeypatch.setattr(memory, "in_fresh_process", call)
    monkeypatch.setattr(compile, "in_fresh_process", call)
    monkeypatch.setattr(grids, "in_fresh_process", call)


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a command on a small network and returns the results that it wrote, behind a look at its files."""

    def run(name, words):
        words = f"{SMALL} --models conv_lstm {words}".split()
        table, figure = tmp_path / "found.json", tmp_path / "found.png"
        capsys.readouterr()
        assert COMMANDS[name].main([*words, "--json", str(table), "--figure", str(figure)]) == 0
        found = json.loads(table.read_text())
        assert (
            found["command"]
            == f"python -m benchmarks.{name} {' '.join(words)} --json {table} --figure {figure}"
        )
        assert found["machine"]["versions"]["keras"]
        with Image.open(figure) as image:
            image.load()
        out, progress = capsys.readouterr()
        assert out.startswith(f"command: {found['command']}\nmachine: {found['machine']['processor']}")
        assert progress
        return found["results"]

    return run


@pytest.mark.slow
def test_step(run):
    found = run("step", "--contestants fast plain bfloat16 checkpoint_step stock roofline")
    assert [(one["pass"], one["contestant"]) for one in found] == [
        *(
            ("training", name)
            for name in ("fast", "plain", "bfloat16", "checkpoint_step", "stock", "roofline")
        ),
        *(("forward", name) for name in ("fast", "plain", "bfloat16", "stock", "roofline")),
    ]
    for one in found:
        assert one["times_as_fast_as"].keys() == {"plain", "stock", "roofline"}
        assert one["seconds"]["min"] == one["seconds"]["median"] > 0


def test_step_in_bfloat16_is_that_of_the_fast_network(monkeypatch):
    made = []
    monkeypatch.setattr(
        "benchmarks.networks.compiled", lambda workload, variant: made.append((workload.dtype, variant))
    )
    found = step._contestants(Workload("ms_lstm"), ["fast", "bfloat16"], ["training"])
    assert list(found) == [("training", "fast"), ("training", "bfloat16")]
    assert made == [("float32", "fast"), ("mixed_bfloat16", "fast")]


@pytest.mark.slow
def test_step_with_several_threads(run, monkeypatch):
    class Worker:
        def __init__(self, build, workload, *arguments):
            assert workload.threads in ("1x2", "2x1")
            self.functions = build(dataclasses.replace(workload, threads="auto"), *arguments)

        def close(self):
            pass

    monkeypatch.setattr(step, "Worker", Worker)
    monkeypatch.setattr(
        step.command, "check", lambda workloads: None
    )  # would set the threads of this process
    monkeypatch.setattr(convolutions, "find_convolutions", lambda workload: [])
    found = run("step", "--contestants fast plain --passes forward --threads 1x2 2x1")
    assert [(one["contestant"], one["workload"]["threads"]) for one in found] == [
        ("fast", "1x2"),
        ("plain", "1x2"),
        ("fast", "2x1"),
        ("plain", "2x1"),
    ]
    assert all(one["times_as_fast_as"].keys() == {"plain 1x2", "plain 2x1"} for one in found)


@pytest.mark.slow
def test_account(run):
    fast, roofline = run("step", "--account --passes training --contestants fast roofline")
    assert sum(fast["fractions"].values()) == pytest.approx(1)
    assert fast["seconds"]["elementwise"] > 0
    convolutions = {"convolution forward", "gradient of input", "gradient of kernel"}
    assert sum(roofline["fractions"][name] for name in convolutions) > 0.5


@pytest.mark.slow
def test_memory(run, monkeypatch):
    """In processes of their own: in one with a past, a step may find all the memory that it needs."""

    def predict(model, batch_size, checkpoint):
        assert (model.name, batch_size, checkpoint) == ("conv_lstm", 2, "sqrt")
        return 3 * 2**20

    monkeypatch.setattr("mslstm_keras.cost.training_memory", predict)
    found = run("memory", "--steps 1 --variants checkpoint_sqrt stock")
    assert [(one["variant"], one["predicted_mib"]) for one in found] == [
        ("checkpoint_sqrt", 3),
        ("stock", None),
    ]
    assert found[0]["predicted_by_measured"] == 3 / found[0]["activations"]["median"]
    assert all(one["activations"]["median"] >= one["later"]["median"] > 1 for one in found)
    assert all(len(one["seconds"]["values"]) == 1 for one in found)


def test_grids(run, in_this_process):
    found = run("grids", "--sizes 8x8 20x12")
    assert [(one["height"], one["width"], one["tiles"]) for one in found] == [(8, 8, ""), (20, 12, "")]
    assert all(one["first"] >= one["seconds"] > 0 and one["peak"] > 2**26 for one in found)


def test_memory_by_horizon(run, in_this_process):
    (found,) = run("memory", "--horizon 2 5")
    assert found["frames"] == [2, 5]
    assert len(found["growth_mib"]) == len(found["peak_mib"]) == 2


@pytest.mark.slow
def test_compile(run, in_this_process):
    found = run("compile", "--ways loop plain_loop")
    assert [one["wait"] for one in found[:-2]] == [
        "import keras",
        "then import mslstm_keras",
        *(f"mslstm {words}" for words in probes.COMMANDS),
        "zoo model and first forecast, after the imports",
    ]
    assert [one["way"] for one in found[-2:]] == ["loop", "plain_loop"]
    assert all(one["first_seconds"]["median"] > one["later_seconds"]["median"] for one in found[-2:])


@pytest.mark.slow
def test_scaling(run, monkeypatch):
    def square_of_filters(probe, workload, **arguments):
        assert probe == "training_memory"
        return {"before": 0, "first_peak": 0, "later_peak": workload["filters"] ** 2, "seconds": [1.0]}

    monkeypatch.setattr(scaling, "in_fresh_process", square_of_filters)
    filters, frames = run("scaling", "--axis filters=2,4 --axis frames=4,7")
    assert (filters["axis"], filters["x"]) == ("filters", [2, 4])
    assert (frames["axis"], frames["x"]) == ("frames", [3, 6])
    assert [one["exponents"]["memory"] for one in (filters, frames)] == pytest.approx([2, 0])
    assert frames["exponents"]["convolutions"] == pytest.approx(1)
    assert 1.5 < filters["exponents"]["convolutions"] < 2  # embed and head grow linearly
    assert filters["last_exponents"] == pytest.approx(filters["exponents"])  # there are but two sizes


@pytest.mark.slow
def test_input(run):
    found = run("input", "--side 64 --patch-size 16 --batches 2")
    assert [one["source"] for one in found] == ["stream", "stream: read", "npy", "npy: read", "training"]
    assert found[-1]["times_training"] == 1


@pytest.mark.slow
def test_precision(run):
    found = run("precision", "--policies mixed_bfloat16 --horizon 2 3")
    assert [one["memories"] for one in found] == ["single", "half"]
    for one in found:
        assert all(0 < one[key]["median"] < 0.2 for key in ("frame 2", "frame 3", "worst gradient"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_can_be_run(name, capsys):
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name].main(["--help"])
    assert ended.value.code == 0
    (example,) = capsys.readouterr().out.split("example: ")[1:]
    _, _, module, *words = example.split()
    assert module == f"benchmarks.{name}"
    COMMANDS[name].make_parser().parse_args(words)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        *((name, "--filters x", "argument --filters: must be a positive integer") for name in COMMANDS),
        *((name, "--batch-size 0", "argument --batch-size: must be a positive integer") for name in COMMANDS),
        ("step", "--contestants fastest", "argument --contestants: invalid choice: 'fastest'"),
        ("scaling", "--axis width=1,2", "argument --axis: must name one of frames, side"),
        ("scaling", "--axis filters=4,4", "argument --axis: must hold at least two different values"),
        ("scaling", "--axis frames=2,4", "argument --axis: must hold at least two different values"),
        ("scaling", "--axis filters=4,b", "argument --axis: must be a positive integer"),
        ("memory", "--threads 2", "argument --threads: must be auto or two numbers"),
        ("step", "--threads auto 0x1", "argument --threads: must be auto or two numbers"),
        ("compile", "--jit-compile", "unrecognized arguments: --jit-compile"),
    ],
)
def test_wrong_words(name, words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name].main(words.split())
    assert ended.value.code == 2
    check_one_line(name, capsys.readouterr(), message)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        *((name, "--models nix", "`name` must be a known model") for name in COMMANDS),
        *(
            (name, "--json nowhere/found.json", "the folder of a file to write must exist")
            for name in COMMANDS
        ),
        ("memory", "--side 30", "`frame_shape` must have a height and width that divide"),
        ("step", "--account --jit-compile", "`--account` needs single operations"),
        ("step", "--account --threads 1x2 2x1", "`--account` takes one setting of `--threads`"),
        ("scaling", "--axis side=16,30", "`frame_shape` must have a height and width that divide"),
    ],
)
def test_wrong_values(name, words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert COMMANDS[name].main(words.split()) == 2
    check_one_line(name, capsys.readouterr(), message)


def test_nothing_to_measure(capsys):
    assert step.main(["--models", "ms_lstm", "--contestants", "stock"]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("python -m benchmarks.step: `--models` must hold one")
    )


def check_one_line(name, printed, message):
    assert printed.out == ""
    assert printed.err.startswith(f"python -m benchmarks.{name}: {message}")
    assert printed.err.count("\n") == 1
