"""What is uploaded: the wheel and the sdist, and what works where the wheel alone is."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

from mslstm_keras.zoo.index import SAVED_MODEL, list_pretrained
from tests.test_architecture import ROOT

pytestmark = pytest.mark.slow
LARGEST_WHEEL = 20e6  # bytes
LOADS = """
import sys
import mslstm_keras as ms

print(ms.__file__)
print(*ms.list_pretrained())
model = ms.load_pretrained("ms_lstm_moving_mnist")
print(sum(weight.numpy().size for weight in model.trainable_variables))
"""


def run(*words, folder, **environment):
    """Runs Python in a folder and returns what it prints."""
    child = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    return child.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Returns the sdist of the checkout, and the wheel that is built of the sdist."""
    folder = tmp_path_factory.mktemp("built")
    run("-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def alone(built, tmp_path_factory):
    """Returns the folder that the wheel is unpacked into."""
    folder = tmp_path_factory.mktemp("alone")
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(folder)
    return folder


def test_both_can_be_uploaded(built, tmp_path):
    assert run("-m", "twine", "check", "--strict", *built, folder=tmp_path).count("PASSED") == 2


def test_the_page_of_an_index_has_absolute_links(tmp_path):
    address = "https://example.org/mslstm_keras"
    words = "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT
    run(*words, folder=tmp_path, MSLSTM_KERAS_REPOSITORY=address)
    with zipfile.ZipFile(*tmp_path.glob("*.whl")) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("dist-info/METADATA")]
        said = wheel.read(name).decode()
    links = re.findall(r"\]\(([^)]*)\)", said)
    assert links and not [link for link in links if not link.startswith("https://")]
    assert f"![input, truth, forecast and difference]({address}/raw/main/docs/demo.png)" in said
    assert f"Project-URL: Source, {address}\n" in said
    assert [link for link in links if link.startswith(f"{address}/blob/main/docs/")]


def test_the_wheel_holds_package_builders_and_zoo(alone):
    held = {path.relative_to(alone).as_posix() for path in alone.rglob("*") if path.is_file()}
    assert {name.partition("/")[0] for name in held} == {
        "mslstm_keras",
        "tfds_builders",
        *(path.name for path in alone.glob("mslstm_keras-*.dist-info")),
    }
    listed = {
        f"mslstm_keras/weights/{name}/{path}"
        for name, entry in list_pretrained().items()
        for path in entry.files
        if not path.removeprefix("1/").startswith(SAVED_MODEL)
    }
    assert {name for name in held if name.startswith("mslstm_keras/weights/")} == {
        "mslstm_keras/weights/index.json",
        *listed,
    }
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mslstm_keras/**/*.py*")}
    assert {name for name in sources if "__pycache__" not in name} <= held
    assert "mslstm_keras/py.typed" in held and "tfds_builders/kth_clips/configs.py" in held
    assert not [name for name in held if "_test.py" in name or "dummy_data" in name]


def test_the_sdist_holds_the_tests(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "CHANGELOG.md",
        "tests/test_distribution.py",
        "zoo/index.json",
    } <= names


def test_the_wheel_is_small(built):
    assert built[1].stat().st_size <= LARGEST_WHEEL


def test_the_wheel_works_alone(alone, tmp_path):
    where, names, parameters = run("-c", LOADS, folder=tmp_path, PYTHONPATH=str(alone)).splitlines()
    assert where == str(alone / "mslstm_keras" / "__init__.py")
    assert names.split() == list(list_pretrained())
    assert int(parameters) == list_pretrained()["ms_lstm_moving_mnist"].parameters
    verified = run("-m", "mslstm_keras", "zoo", "verify", folder=tmp_path, PYTHONPATH=str(alone))
    assert [line.partition(":")[0] for line in verified.splitlines()] == list(list_pretrained())
