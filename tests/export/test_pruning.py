"""What a SavedModel needs for its signatures, and nothing else."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mslstm_keras.export.pruning import prune_saved_model
from mslstm_keras.export.saved_model import export_saved_model
from mslstm_keras.models.rollout import Rollout, find_layer


class Counted(tf.Module):
    """A function that computes what it does not return, and one whose only result is what it has done."""

    def __init__(self):
        self.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], "float32", name="x")])
    def doubled(self, x):
        tf.sin(x)  # nobody needs it
        self.calls.assign_add(1)
        return {"y": 2 * x}


def operations(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return [
        node.op
        for graph in saved.meta_graphs
        for function in graph.graph_def.library.function
        for node in function.node_def
    ]


def test_what_has_an_effect_stays(tmp_path):
    module = Counted()
    tf.saved_model.save(module, str(tmp_path), signatures={"doubled": module.doubled})
    assert "Sin" in operations(tmp_path)
    prune_saved_model(tmp_path)
    assert "Sin" not in operations(tmp_path) and "AssignAddVariableOp" in operations(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    result = loaded.signatures["doubled"](x=tf.constant([1.0, 2.0]))
    assert result["y"].numpy().tolist() == [2.0, 4.0] and loaded.calls.numpy() == 1


class Repeated(tf.Module):
    """A function that computes the same twice, and draws twice."""

    @tf.function(input_signature=[tf.TensorSpec([None], "float32", name="x")])
    def all(self, x):
        return {
            "sum": tf.sin(x) + tf.sin(x),
            "again": tf.sin(x),
            "other": tf.sin(2 * x),
            "draws": tf.stack([tf.random.uniform([]), tf.random.uniform([])]),
        }


def test_what_is_equal_is_there_once_but_for_what_is_drawn(tmp_path):
    module = Repeated()
    tf.saved_model.save(module, str(tmp_path), signatures={"all": module.all})
    assert operations(tmp_path).count("Sin") == 4
    prune_saved_model(tmp_path)
    assert operations(tmp_path).count("Sin") == 2 and operations(tmp_path).count("RandomUniform") == 2
    x = np.array([0.5, 1.0], np.float32)
    result = tf.saved_model.load(str(tmp_path)).signatures["all"](x=tf.constant(x))
    np.testing.assert_allclose(result["again"], np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(result["sum"], 2 * np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(result["other"], np.sin(2 * x), rtol=1e-6)
    assert result["draws"][0] != result["draws"][1]


def test_the_fingerprint_is_that_of_the_smaller_graph(tmp_path):
    module = Counted()
    tf.saved_model.save(module, str(tmp_path), signatures={"doubled": module.doubled})

    def checksum():
        return tf.saved_model.experimental.read_fingerprint(str(tmp_path)).saved_model_checksum

    before = checksum()
    prune_saved_model(tmp_path)
    after = checksum()
    prune_saved_model(tmp_path)  # nothing is left to remove
    assert before != after == checksum()


def test_a_step_is_stored_once_for_the_loop_and_once_for_streaming(toy, tmp_path):
    export_saved_model(toy, tmp_path / "model")
    step = find_layer(toy, Rollout).step
    convolutions = [layer for layer in step._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
    assert operations(tmp_path / "model").count("Conv2D") == 2 * len(convolutions)
