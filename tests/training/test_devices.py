"""Devices and hosts that share every batch: the same weights, scores and losses as one device."""

import os
import re
from pathlib import Path

import keras
import pytest

from mslstm_keras.training import machine
from mslstm_keras.training.devices import Placement, connect_hosts, native_bfloat16, place
from mslstm_keras.training.feeding import WHOLE
from mslstm_keras.training.recipes import Recipe
from tests.support.processes import run_script

ROOT = Path(__file__).parents[2]

TWO_DEVICES = """
    import sys
    import numpy as np
    from mslstm_keras.training.devices import split_processor
    assert split_processor(2)
    import csv, dataclasses, keras
    from mslstm_keras import FrameL1L2, FrameMSE, Recipe, create_model, train
    from mslstm_keras.data.clips import Clips
    from mslstm_keras.training import fit
    from mslstm_keras.training.devices import place

    def state(model):
        return [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]

    def assert_same(runs):
        pairs = list(zip(*map(state, runs), strict=True))
        # Weights here are of the size of one; the optimiser's sums of gradients are larger.
        largest = max(np.abs(two - one).max() / max(1, np.abs(one).max()) for one, two in pairs)
        print(f"largest difference of {runs[0].name}: {largest:.1e}")
        assert largest < 1e-6

    def logged(folder):
        with open(folder + "/log.csv", newline="") as file:
            return [
                {name: text for name, text in line.items() if name not in ("seconds", "device")}
                for line in csv.DictReader(file)
            ]

    np.save("clips.npy", np.random.default_rng(0).integers(0, 256, (24, 5, 8, 8), dtype="uint8"))
    recipe = Recipe(
        "test", "conv_lstm", (8, 8, 1), 2, 3, filters=2, layers=1, data="clips.npy", batch_size=4, steps=4,
        interval_steps=2, learning_rate=0.01, sampling_steps=2, clip_norm=100.0,
    )
    # The first steps are drawn, in part; behind step 2 nothing is. Two clips to score: the other two of a batch pad.
    for changes in (
        {"model": "conv_lstm", "validation_clips": 2},
        {"model": "pred_rnn_v2"},
        {"model": "ms_lstm", "layers": 3},
    ):
        recipe = dataclasses.replace(recipe, **{"layers": 1, "validation_clips": 0, **changes})
        folders = f"{recipe.model}-1", f"{recipe.model}-2"
        runs = [
            train(recipe, folder, devices=devices, verbose=0)
            for folder, devices in zip(folders, (None, 2), strict=True)
        ]
        assert len(runs[1].weights[0].value.values) == 2  # one copy for each device
        assert_same(runs)
        assert_same([keras.models.load_model(f"{folder}/checkpoint-before.keras") for folder in folders])
        one, two = map(logged, folders)
        assert one[0].keys() == two[0].keys() >= {"loss", "frame_mse"}
        assert ("val_loss" in one[0]) == (recipe.model == "conv_lstm")
        for expected, received in zip(one, two, strict=True):
            for name in expected:
                np.testing.assert_allclose(float(received[name]), float(expected[name]), rtol=1e-5, err_msg=name)

    # Missing pixels: weights that differ from device to device.
    random = np.random.default_rng(3)
    holes = random.random((24, 5, 8, 8, 1), dtype="float32")
    holes[random.random(holes.shape) < 0.3] = np.nan
    holes[::2, 3] = np.nan
    fit.training_clips = fit.validation_clips = lambda *_: Clips(lambda rows: holes[rows], 24, masked=True)
    recipe = dataclasses.replace(recipe, model="conv_lstm", layers=1, validation_clips=2)
    folders = "holes-1", "holes-2"
    assert_same([train(recipe, folder, devices=each, verbose=0) for folder, each in zip(folders, (None, 2))])
    for expected, received in zip(*map(logged, folders), strict=True):
        for name in expected:
            np.testing.assert_allclose(float(received[name]), float(expected[name]), rtol=1e-5, err_msg=name)

    # What somebody writes without recipes, with nothing drawn.
    frames = np.random.default_rng(1).random((8, 5, 8, 8, 1), dtype="float32")
    runs = []
    for devices in (None, "all"):
        keras.utils.set_random_seed(2)
        with place(devices).scope():
            model = create_model("conv_lstm", (8, 8, 1), 2, 3, filters=2, layers=1)
            model.compile(keras.optimizers.Adam(0.01), FrameL1L2(), metrics=[FrameMSE(3)])
        logs = model.fit(frames[:, :-1], frames[:, 1:], batch_size=4, epochs=2, shuffle=False, verbose=0).history
        runs.append((model, logs))
    assert_same([model for model, _ in runs])
    for name in ("loss", "frame_mse"):
        np.testing.assert_allclose(runs[1][1][name], runs[0][1][name], rtol=1e-5)
    print("same")
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(tmp_path):
    child = run_script(TWO_DEVICES, tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert child.returncode == 0, child.stderr
    print(child.stdout)  # shown by pytest -s
    assert child.stdout.split()[-1] == "same"


def recipe(**changes):
    return Recipe("test", **{"batch_size": 4, "steps": 4, "interval_steps": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps_per_execution": 2}, "Keras cannot loop over the batches of several devices"),
        ({"jit_compile": True}, "XLA cannot reach the weights of the other devices"),
        ({"gradient_accumulation_steps": 2}, "Keras cannot add up gradients within a replica"),
    ],
)
def test_options_that_fail_under_a_strategy_are_refused(changes, reason):
    ((name, value),) = changes.items()
    message = f"`{name}` must be left as it is under a TensorFlow strategy, where {reason}"
    with pytest.raises(ValueError, match=f"{re.escape(message)}.* Received: {name}={value}$"):
        Placement(2, WHOLE).check(recipe(**changes))
    Placement(1, WHOLE).check(recipe(**changes))


def test_a_batch_that_devices_do_not_divide_is_refused():
    message = "`batch_size`, divided by the gradient accumulation steps, must divide by the 3 devices that share it. "
    with pytest.raises(ValueError, match=re.escape(f"{message}Received: batch_size=4, ")):
        Placement(3, WHOLE).check(recipe())
    Placement(2, WHOLE).check(recipe())


@pytest.mark.parametrize("wanted", [0, 2, True, "two", ["CPU:7"], []])
def test_devices_that_are_not_there_are_refused(wanted):
    message = "`devices` must be 'all', at most as many as there are, or their names: CPU:0. Received: "
    with pytest.raises(ValueError, match=re.escape(f"{message}devices={wanted!r}")):
        place(wanted)


@pytest.mark.parametrize("wanted", [1, "all", ["CPU:0"]])
def test_one_device_may_be_named(wanted):
    assert place(wanted).replicas == 1


def test_without_devices_there_is_no_strategy():
    placement = place()
    assert (placement.replicas, placement.share) == (1, WHOLE)
    with placement.scope() as scope:
        assert scope is None


def test_hosts_need_jax():
    message = "`hosts` must be on the JAX backend: Keras has no multi-worker strategy for TensorFlow"
    with pytest.raises(ValueError, match=f"{re.escape(message)}.* Received: backend 'tensorflow'"):
        connect_hosts(["a:1", "b:2"], 0)


@pytest.mark.parametrize(
    ("addresses", "rank", "message"),
    [
        (["a:1"], 0, "`hosts` must be host:port of at least two hosts. Received: hosts=a:1"),
        (["a:1", "b"], 0, "`hosts` must be host:port of at least two hosts. Received: hosts=a:1,b"),
        (["a:1", "b:2"], 2, "`rank` must lie in 0 .. 1. Received: rank=2"),
        (["a:1", "b:2"], -1, "`rank` must lie in 0 .. 1. Received: rank=-1"),
    ],
)
def test_wrong_hosts_are_refused(addresses, rank, message, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=re.escape(message)):
        connect_hosts(addresses, rank)


THREADS = """
import os
import tensorflow as tf
from mslstm_keras.training.devices import set_threads
processors = len(os.sched_getaffinity(0))
print(processors == 1 or set_threads(2 * processors + 1), tf.config.threading.get_intra_op_parallelism_threads())
print(set_threads(2 * processors), tf.config.threading.get_intra_op_parallelism_threads())
print(tf.config.threading.get_inter_op_parallelism_threads() == processors)
tf.constant(0) + 1
print(set_threads(processors))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the script counts processors by it")
def test_threads_are_set_where_the_batch_can_be_cut_and_tensorflow_has_not_begun():
    done = run_script(THREADS, ROOT)
    assert done.returncode == 0, done.stderr
    refused, *rest = done.stdout.splitlines()
    assert refused in ("False 0", "True 0")
    assert rest == ["True 1", "True", "True"]  # set to what they are: nothing to refuse


X86 = "processor\t: 0\nmodel name\t: A processor with avx512_bf16\nflags\t\t: fpu avx512f{0}\nbogomips\t: 4600\n"


@pytest.mark.parametrize(
    ("text", "native"),
    [
        (X86.format(" avx512_bf16 avx512vl"), True),
        (X86.format(" amx_bf16 amx_tile"), True),
        (X86.format(""), False),  # a name is no flag
        (X86.format(" avx512_bf16_of_another_kind"), False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", None),  # ARM
        ("", None),
    ],
)
def test_native_bfloat16_is_a_flag_of_the_processor(text, native, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(machine, "CPU_INFO", path)
    assert native_bfloat16() is native


def test_nothing_is_known_of_bfloat16_without_a_list_of_flags_on_gpus_and_on_other_backends(
    tmp_path, monkeypatch
):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPU_INFO", path)
    assert native_bfloat16() is None
    path.write_text(X86.format(" avx512_bf16"))
    with monkeypatch.context() as patch:
        patch.setattr("tensorflow.config.list_physical_devices", lambda kind: [kind])
        assert native_bfloat16() is None
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert native_bfloat16() is None
