"""Hostile files: none is loaded, none runs anything, none takes more memory than its size suggests."""

import hashlib
import json
import math
import re
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from mslstm_keras import FrameL1L2, FrameMSE
from mslstm_keras.contracts.models import random_frames, small_model
from mslstm_keras.zoo.index import INDEX
from mslstm_keras.zoo.loading import load_model, load_pretrained
from mslstm_keras.zoo.safety import CONFIG, METADATA, WEIGHTS, build_safely, load_safely
from tests.support.contracts import PARTS

pytestmark = pytest.mark.usefixtures("many_models")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model as a file and as a folder."""
    folder = tmp_path_factory.mktemp("saved")
    model = small_model("conv_lstm", layers=1)
    model.save(folder / "model.keras")
    shutil.unpack_archive(folder / "model.keras", folder / "model", format="zip")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved / "model", tmp_path / "model")


def refused(path, received):
    with pytest.raises(ValueError, match=re.escape(f"`model` must be safe to load. Received: {received}")):
        load_safely(path)


@pytest.mark.parametrize("name", PARTS)
def test_models_with_their_optimizers_are_loaded(name, tmp_path):
    model = small_model(name)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 10)
    model.compile(keras.optimizers.AdamW(schedule), FrameL1L2(), metrics=[FrameMSE(3)])
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = load_safely(tmp_path / "model.keras")
    for received, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(received, expected)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


def test_a_file_and_its_folder_are_the_same_model(saved):
    frames = random_frames()
    one, two = (load_safely(saved / name) for name in ("model.keras", "model"))
    np.testing.assert_array_equal(one(frames), two(frames))


def layer(module, name, registered=None, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


FUNCTION = {
    "module": "keras.utils",
    "class_name": "function",
    "config": "get_file",
    "registered_name": "function",
}


@pytest.mark.parametrize(
    "hostile",
    [
        layer("keras.layers", "Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE="}}),
        layer("keras.layers", "TFSMLayer", filepath="/tmp/other", call_endpoint="serve"),
        layer("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
        layer("os", "system", "system", command="true"),
        layer(None, "Conv2D", "Conv2D", filters=2, kernel_size=3),
        layer(["keras.layers"], "Conv2D", 1),
        FUNCTION,
        {"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}},
    ],
    ids=lambda hostile: hostile["class_name"],
)
@pytest.mark.parametrize("key", ["config", "compile_config"])
def test_what_is_no_known_class_is_refused(folder, hostile, key):
    config = json.loads((folder / CONFIG).read_text())
    config[key] = {**(config[key] or {}), "more": [{"deeper": hostile}]}
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder, f"the class {hostile.get('module')}.{hostile['class_name']}, which is registered nowhere")


@pytest.mark.parametrize(
    ("module", "name", "registered"),
    [
        ("my_cells", "FooCell", "my_cells>FooCell"),
        ("mslstm_keras.cells.conv_lstm", "ConvLSTMCell", "elsewhere>ConvLSTMCell"),
        ("my_cells", "FooCell", "one\nline>FooCell"),
    ],
)
@pytest.mark.parametrize("key", ["config", "compile_config"])
def test_who_registers_a_class_is_asked_for(folder, key, module, name, registered):
    config = json.loads((folder / CONFIG).read_text())
    config[key] = {**(config[key] or {}), "more": [{"deeper": layer(module, name, registered, filters=2)}]}
    (folder / CONFIG).write_text(json.dumps(config))
    for load in (load_safely, build_safely):
        with pytest.raises(ValueError) as error:
            load(folder)
        assert str(error.value) == (
            f"`model` must be loaded with the file that registers its class {registered!r}: add --import FILE.py, "
            f"or import that file before. Received: {folder}"
        )


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{", "\xff", '{"class_name": "' + "x" * 2**24 + '"}'],
    ids=["deep", "cut", "bytes", "long"],
)
@pytest.mark.parametrize("name", [CONFIG, METADATA])
def test_json_that_is_none_is_refused(folder, name, text):
    (folder / name).write_bytes(text.encode("latin-1"))
    refused(folder, f"{name} ")


@pytest.mark.parametrize(
    "value", [None, 1, [], {}, {"module": "keras.layers", "class_name": "Add", "config": 3}]
)
def test_a_configuration_of_no_model_is_one_kind_of_error(folder, value):
    (folder / CONFIG).write_text(json.dumps(value))
    for load in (load_safely, build_safely):
        with pytest.raises(
            ValueError, match=f"`model` must be a Keras model that can be read. Received: {folder}"
        ):
            load(folder)


def test_a_model_larger_than_its_weights_is_refused_before_it_takes_memory(folder):
    """Terabytes, which would end the process."""
    config = (folder / CONFIG).read_text()
    assert config.count('"filters": 4') >= 1
    (folder / CONFIG).write_text(config.replace('"filters": 4', '"filters": 500000'))
    refused(folder, "variables of more than ")
    with pytest.raises(ValueError, match="variables of more than "):
        build_safely(folder)


def first_array(file):
    found = []
    file.visititems(lambda name, value: found.append(name) if isinstance(value, h5py.Dataset) else None)
    return max(found, key=lambda name: file[name].nbytes)


def replaced(make):
    """Returns a change of a weights file that puts something else in the place of its largest array."""

    def change(path):
        with h5py.File(path, "r+") as file:
            name = first_array(file)
            shape = file[name].shape
            del file[name]
            make(file, name, shape)

    return change


def external(file, name, shape):
    file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, 4 * math.prod(shape))])


def virtual(file, name, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape)
    file.create_virtual_dataset(name, layout)


def soft_link(file, name, shape):
    file[name] = h5py.SoftLink("/layers")


def external_link(file, name, shape):
    file[name] = h5py.ExternalLink("/tmp/other.h5", "/x")


def twice(file, name, shape):
    file[name] = file["layers"]


def not_written(file, name, shape):
    file.create_dataset(name, (2**40,), "f4", chunks=(2**20,))


def compressed(file, name, shape):
    file.create_dataset(name, data=np.zeros(10**6, "f4"), compression="gzip")


def text(file, name, shape):
    file.create_dataset(name, data=["words"])


@pytest.mark.parametrize(
    "make", [external, virtual, soft_link, external_link, twice, not_written, compressed, text]
)
def test_weights_that_lie_elsewhere_or_nowhere_are_refused(folder, make):
    replaced(make)(folder / WEIGHTS)
    refused(folder, "/")


def test_damaged_weights_are_refused(folder):
    content = (folder / WEIGHTS).read_bytes()
    for damaged in (b"", b"no HDF5", content[: len(content) // 2]):
        (folder / WEIGHTS).write_bytes(damaged)
        refused(folder, f"{WEIGHTS} that cannot be read")


@pytest.mark.parametrize(
    "member", ["../up.txt", "/etc/up.txt", "assets/x", "model.weights.npz", "config.json/"]
)
def test_archives_of_other_members_are_refused(saved, tmp_path, member):
    path = shutil.copy(saved / "model.keras", tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "x")
    refused(path, f"{path} holds {member!r}")


def test_compressed_archives_are_refused(saved, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (CONFIG, METADATA, WEIGHTS):
            archive.write(saved / "model" / name, name)
    refused(path, f"{path}: {CONFIG} is compressed")


@pytest.mark.parametrize("missing", [CONFIG, METADATA, WEIGHTS])
def test_archives_that_lack_a_member_are_refused(saved, tmp_path, missing):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name in {CONFIG, METADATA, WEIGHTS} - {missing}:
            archive.write(saved / "model" / name, name)
    refused(path, f"{path} lacks {missing}")
    path.write_text("no archive")
    refused(path, f"{path} (")


def test_a_zoo_with_right_checksums_is_loaded_no_less_carefully(tiny_zoo, folder, tmp_path):
    zoo = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    (name,) = json.loads((zoo / INDEX).read_text())["entries"]
    path = zoo / name / "1" / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": layer("keras.layers", "Lambda")}))
    index = json.loads((zoo / INDEX).read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    index["entries"][name]["files"][f"1/{CONFIG}"] = {"size": path.stat().st_size, "sha256": digest}
    (zoo / INDEX).write_text(json.dumps(index))
    message = "`model` must be safe to load. Received: the class keras.layers.Lambda"
    with pytest.raises(ValueError, match=message):
        load_pretrained(name, zoo)
    with pytest.raises(ValueError, match=message):
        load_model(zoo / name)
