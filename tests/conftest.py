"""Small runs, a small data set and a small zoo that several files read. Tests copy what they change."""

from unittest import mock

import keras
import pytest
import tensorflow as tf

from mslstm_keras.cells.registry import ARCHITECTURES
from mslstm_keras.data.catalogue import find_builder
from mslstm_keras.data.preparation import prepare
from mslstm_keras.importing import IMPORTED
from mslstm_keras.training.fit import train
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.zoo.adding import add_pretrained
from tests.support.optdigits import OPTDIGITS
from tests.support.own_cells import forget_files
from tests.support.processes import Command
from tests.support.zoos import NAME


@pytest.fixture(scope="module")
def many_models():
    """For modules that run many small models a few times each.

    To shorten tracebacks takes a tenth of every call, and to optimise a graph longer than to run it as it is.
    """
    keras.config.disable_traceback_filtering()
    tf.debugging.disable_traceback_filtering()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    keras.config.enable_traceback_filtering()
    tf.debugging.enable_traceback_filtering()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture(autouse=True)
def no_coasts(monkeypatch):
    """Pictures are the same whether cartopy and files of coasts are there or not."""
    monkeypatch.setattr("mslstm_keras.figures.coasts.LAYERS", ())


@pytest.fixture
def own_registry():
    """A registry of models, and of files that were imported, that forgets what the test adds."""
    classes = keras.saving.get_custom_objects()
    with mock.patch.dict(ARCHITECTURES), mock.patch.dict(classes), mock.patch.dict(IMPORTED):
        yield
        forget_files()


@pytest.fixture
def start(tmp_path):
    """Returns a function that starts commands; none outlives the test."""
    started = []

    def start(*words):
        started.append(Command(tmp_path, len(started), *words))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait()


@pytest.fixture(scope="session")
def optdigits_dir(tmp_path_factory):
    """Folder with the data set optdigits prepared, cut down to 20 test clips."""
    folder = tmp_path_factory.mktemp("optdigits")
    with pytest.MonkeyPatch.context() as patch:
        config = find_builder(OPTDIGITS).builder_config
        patch.setattr(config, "train_clips", 4)
        patch.setattr(config, "test_clips", 20)
        prepare(OPTDIGITS, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, optdigits_dir):
    """Folder of a run of four steps: one cell that forecasts four frames of 64 x 64 from three."""
    recipe = Recipe(
        "tiny",
        model="conv_lstm",
        context_frames=3,
        forecast_frames=4,
        filters=2,
        layers=1,
        patch_size=8,
        data=OPTDIGITS,
        stream=True,
        batch_size=2,
        steps=4,
        interval_steps=2,
        learning_rate=0.01,
        sampling_steps=4,
        validation_clips=3,
    )
    run = tmp_path_factory.mktemp("tiny") / "run"
    train(recipe, run, data_dir=optdigits_dir, verbose=0)
    return run


@pytest.fixture(scope="session")
def other_run(tmp_path_factory):
    """Folder of a run of two steps: one cell that forecasts five frames of 64 x 64 from two."""
    recipe = Recipe(
        "other",
        model="conv_lstm",
        context_frames=2,
        forecast_frames=5,
        filters=1,
        layers=1,
        patch_size=16,
        data=OPTDIGITS,
        stream=True,
        batch_size=2,
        steps=2,
        interval_steps=2,
    )
    run = tmp_path_factory.mktemp("other") / "run"
    train(recipe, run, verbose=0)
    return run


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory, tiny_run, other_run, optdigits_dir):
    """Folder of a zoo whose one entry, made of the tiny run, has the name that the demo asks for."""
    zoo = tmp_path_factory.mktemp("zoo")
    add_pretrained(
        tiny_run,
        name=NAME,
        zoo=zoo,
        count=5,
        data_dir=optdigits_dir,
        beside={"the other": other_run},
    )
    return zoo
