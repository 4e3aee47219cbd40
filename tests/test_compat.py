"""What other packages do not document: `mslstm_keras.compat` lists it, and it is still as the package needs it."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

import mslstm_keras
from mslstm_keras import compat

ROOT = Path(mslstm_keras.__file__).parents[1]
FILES = [
    path
    for package in ("mslstm_keras", "tfds_builders")
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.name.endswith("_test.py")
]
TREES = {path: ast.parse(path.read_text()) for path in FILES}
PRIVATE_MODULES = re.compile(r"\.src\b|\._|tensorflow\.python\b|tensorflow_datasets\.core\.")
# Written with an underscore, and documented all the same.
DOCUMENTED = {"_exit", "_info", "_split_generators", "_generate_examples"}
MADE_BY_PYTHON = {"_abc_impl"}
deprecations = pytest.mark.filterwarnings("ignore:.* is deprecated, :DeprecationWarning:keras_tuner")


def found(dotted):
    """Returns what a dotted name means."""
    names = dotted.split(".")
    value = importlib.import_module(names[0])
    for name in names[1:]:
        value = getattr(value, name)
    return value


def signature(value):
    """Returns how a function or class is called, without annotations, as text."""
    call = inspect.signature(value)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in call.parameters.values()]
    return str(call.replace(parameters=plain, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", compat.NAMES)
def test_names(name):
    expected = compat.NAMES[name]
    value = getattr(compat, name)
    assert value is getattr(importlib.import_module(expected.where), name)
    assert (signature(value) if callable(value) else "") == expected.signature


@pytest.mark.parametrize("name", [name for name, private in compat.MEMBERS.items() if private.signature])
def test_methods(name):
    expected = compat.MEMBERS[name]
    assert signature(getattr(found(expected.where), name)) == expected.signature


@pytest.mark.parametrize("name", [*compat.NAMES, *compat.MEMBERS])
def test_each_says_since_when_and_why(name):
    private = {**compat.NAMES, **compat.MEMBERS}[name]
    package, version = private.since.split()
    assert package == private.where.split(".")[0] and re.fullmatch(r"[\d.]+", version)
    assert private.why.endswith(".")


def test_unknown_names():
    with pytest.raises(AttributeError, match=r"module 'mslstm_keras\.compat' has no attribute 'absent'"):
        compat.absent  # noqa: B018


def test_it_imports_nothing_until_it_is_asked():
    script = "import sys, mslstm_keras.compat; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert not {"keras", "keras_tuner", "tensorflow", "tensorflow_datasets"} & set(loaded.stdout.split())


def test_weights_are_read_unrounded():
    weight = keras.Variable(1.0 + 2**-20, dtype="float32")
    with compat.AutocastScope("float16"):
        assert keras.backend.standardize_dtype(weight.value.dtype) == "float16"
        with compat.AutocastScope(None):
            assert float(weight.value) == 1.0 + 2**-20


def test_the_origin_of_a_symbolic_tensor():
    layer = keras.layers.Dense(2)
    first, second = keras.KerasTensor((None, 3)), keras.KerasTensor((None, 3))
    layer(first)
    output = layer(second)
    operation, index, _ = output._keras_history
    node = operation._inbound_nodes[index]
    assert operation is layer
    assert node.input_tensors[0] is second and node.outputs[0] is output
    assert node.arguments.args[0] is second and node.arguments.kwargs == {}


def test_all_layers_inside_a_layer():
    inner = keras.layers.Dense(1)
    outer = keras.layers.TimeDistributed(keras.layers.Bidirectional(keras.layers.LSTM(2)))
    found = keras.Sequential([outer, inner])._flatten_layers()
    assert {"Sequential", "TimeDistributed", "Bidirectional", "LSTM", "LSTMCell"} <= {
        type(layer).__name__ for layer in found
    }
    assert inner in found


def test_a_recurrent_layer_runs_its_inner_loop():
    class Doubling(keras.layers.RNN):
        def inner_loop(self, sequences, initial_state, mask, training=False):
            return super().inner_loop(2 * sequences, initial_state, mask, training=training)

    cell = keras.layers.SimpleRNNCell(1, activation=None, kernel_initializer="ones")
    x = np.ones((1, 1, 1), "float32")
    assert float(Doubling(cell)(x)[0, 0]) == 2 * float(keras.layers.RNN(cell)(x)[0, 0]) == 2


def test_an_optimizer_clips_by_its_own_method():
    class Halving(keras.optimizers.SGD):
        def _clip_gradients(self, grads):
            return [gradient / 2 for gradient in super()._clip_gradients(grads)]

    weight = keras.Variable(0.0)
    Halving(1.0).apply([tf.constant(3.0)], [weight])
    assert float(weight) == -1.5


def test_an_optimizer_counts_batches():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    variable = keras.Variable(1.0)
    for _ in range(3):
        optimizer.apply([keras.ops.ones(())], [variable])
    assert (int(optimizer.iterations), int(optimizer._iterations)) == (1, 3)


def test_a_scaled_optimizer_skips_what_its_own_method_finds_infinite():
    class Refusing(keras.optimizers.LossScaleOptimizer):
        def check_finite(self, grads):
            assert bool(super().check_finite(grads))
            return tf.constant(False)

    weight = keras.Variable(1.0)
    Refusing(keras.optimizers.SGD(1.0)).apply([tf.constant(3.0)], [weight])
    assert float(weight) == 1.0


def test_a_draw_takes_its_seed_from_next():
    class Same(keras.random.SeedGenerator):
        def next(self, ordered=True):
            return keras.ops.convert_to_tensor(self.state)

    seed = Same(3)
    first, second = (keras.random.uniform((2,), seed=seed) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert seed.get_config()["seed"] == 3


def test_the_size_of_what_is_not_computed():
    outside = tf.constant(3)
    with compat.FuncGraph("initial").as_default():
        value = tf.zeros((100_000, 100_000, 3)) + tf.cast(outside, "float32")
    assert value.shape.num_elements() == 3 * 10**10


def test_a_functional_model_is_written_under_its_module():
    x = keras.Input((1,))
    config = keras.saving.serialize_keras_object(keras.Model(x, keras.layers.Dense(1)(x)))
    assert (config["module"], config["class_name"]) == (compat.FUNCTIONAL, "Functional")


def hyperparameters():
    found = keras_tuner.HyperParameters()
    found.Choice("size", [1, 2])
    return found


@deprecations
def test_random_values_are_drawn_until_they_are_no_duplicate():
    class Odd(keras_tuner.oracles.RandomSearchOracle):
        def _duplicate(self, values):
            return super()._duplicate(values) or values["size"] % 2 == 0

        def _save_trial(self, trial):
            saved.append(trial.trial_id)

        def save(self):
            pass

    saved = []
    oracle = Odd(keras_tuner.Objective("score", "min"), hyperparameters=hyperparameters(), seed=1)
    assert {oracle._random_values()["size"] for _ in range(10)} == {1}
    assert oracle.create_trial("one").hyperparameters.values == {"size": 1}
    assert saved == ["00"]  # of at most ten
    assert oracle._random_values() is None


@deprecations
def test_the_chief_knows_when_its_workers_have_gone():
    oracle = keras_tuner.oracles.RandomSearchOracle(keras_tuner.Objective("score", "min"))
    servicer = compat.OracleServicer(oracle)
    assert not servicer.stop_triggered and compat.exit_chief(oracle)
    oracle.tuner_ids.add("one")
    assert not compat.exit_chief(oracle)
    server = SimpleNamespace(
        add_generic_rpc_handlers=lambda handlers: None,
        add_registered_method_handlers=lambda service, handlers: None,
    )
    compat.get_service_grpc().add_OracleServicer_to_server(servicer, server)


def test_records_of_both_kinds(tmp_path):
    records = [(None, b"one"), (None, b"two")]
    compat.TfRecordFileAdapter.write_examples(tmp_path / "clips.tfrecord", iter(records))
    read = tf.data.TFRecordDataset(str(tmp_path / "clips.tfrecord")).as_numpy_iterator()
    assert list(read) == [b"one", b"two"]
    compat.ArrayRecordFileAdapter.write_examples(tmp_path / "clips.array_record", iter(records))
    with closing(ArrayRecordReader(str(tmp_path / "clips.array_record"))) as reader:
        assert reader.read_all() == [b"one", b"two"]


def test_shards():
    count = compat.ShardConfig().get_number_shards(3 << 30, 5000)
    ends = compat.get_shard_boundaries(5000, count)
    assert len(ends) == count > 1
    assert ends[-1] == 5000 and sorted(set(ends)) == ends


def private_imports(tree):
    """Returns what a file imports, or takes of a package, that is private by its name."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names.append(re.sub(r"^tf\.", "tensorflow.", ast.unparse(node)))
            if ast.unparse(node.value) == "tfds.core" and isinstance(
                getattr(tfds.core, node.attr), ModuleType
            ):
                names.append(f"tensorflow_datasets.core.{node.attr}.")
    packages = ("keras", "keras_tuner", "tensorflow", "tensorflow_datasets")
    return {name for name in names if name.split(".")[0] in packages and PRIVATE_MODULES.search(name)}


def test_the_reader_of_private_imports():
    text = """
import keras.src.ops, tensorflow as tf
from keras.src.backend import AutocastScope
from tensorflow.python.framework import ops
from tensorflow_datasets.core.utils import tqdm
def f():
    import keras_tuner.src
    from keras_tuner.engine.base_tuner import BaseTuner
    return tf.__internal__.FuncGraph, tfds.core.constants.DATA_DIR, tfds.core.FileFormat, keras.saving
"""
    assert private_imports(ast.parse(text)) == {
        "keras.src.ops",
        "keras.src.backend.AutocastScope",
        "tensorflow.python.framework.ops",
        "tensorflow_datasets.core.utils.tqdm",
        "keras_tuner.src",
        "tensorflow.__internal__",
        "tensorflow.__internal__.FuncGraph",
        "tensorflow_datasets.core.constants.",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_modules_are_imported_by_compat_alone(path):
    assert private_imports(TREES[path]) == set()


def own_names():
    """Returns the names that the package itself defines: of functions, methods, classes and attributes."""
    names = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def test_private_attributes_of_others_are_listed():
    own, used = own_names(), set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
                used.add(ast.unparse(node))
    assert "builder._make_download_manager" in used
    assert {name for name in used if name.split(".")[-1] not in DOCUMENTED | set(compat.MEMBERS)} == set()


def subclasses():
    """Yields each class of the package that has foreign bases, as (own classes, foreign ones) that it is made of."""
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if "make_dummy_data" in module or module.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module)).values():
            if inspect.isclass(value) and value.__module__ == module:
                roots = [(base, base.__module__.split(".")[0]) for base in value.__mro__]
                own = [base for base, root in roots if root in ("mslstm_keras", "tfds_builders")]
                foreign = [
                    base for base, root in roots if root in ("keras", "keras_tuner", "tensorflow_datasets")
                ]
                yield own, foreign


def test_private_methods_that_are_overridden_are_listed():
    overridden = {
        name
        for own, foreign in subclasses()
        for name in {name for kind in own for name in vars(kind)}
        if is_private(name) and any(name in vars(base) for base in foreign)
    }
    assert {"_clip_gradients", "_duplicate"} <= overridden
    assert overridden <= DOCUMENTED | MADE_BY_PYTHON | set(compat.MEMBERS)


def test_nothing_is_listed_that_is_not_used():
    text = "\n".join(path.read_text() for path in FILES if path.name != "compat.py")
    for name in [*compat.NAMES, *compat.MEMBERS]:
        assert re.search(rf"\b{name}\b", text), name
