"""What happens around the import of another package, and the import of a file by its path."""

import importlib.util
import re
import sys

import keras
import pytest

from mslstm_keras import import_file, list_models
from mslstm_keras.cells import ConvLSTMCell
from mslstm_keras.importing import IMPORTED, check_installed, needed
from tests.support.own_cells import write_my_cells


def test_a_missing_package_says_how_to_install_it():
    with (
        pytest.raises(
            ImportError,
            match=r"^A GRIB map needs pip install 'mslstm_keras\[radar\]' \(no_such is not there\)$",
        ),
        needed("A GRIB map", "radar"),
    ):
        __import__("no_such.inside")


def test_a_missing_package_is_found_before_it_is_used():
    check_installed("Nothing", "radar", ["re", "math"])
    with pytest.raises(
        ImportError, match=r"^MP4 needs pip install 'mslstm_keras\[video\]' \(no_such is not there\)$"
    ):
        check_installed("MP4", "video", ["re", "no_such"])


def test_a_package_that_is_there_and_broken_is_not_called_missing():
    with (
        pytest.raises(
            ImportError, match=r"^MP4 needs pip install .* \(cannot import name 'no_such' from 're'"
        ),
        needed("MP4", "video"),
    ):
        from re import no_such  # noqa: F401


@pytest.mark.usefixtures("own_registry")
def test_a_file_is_imported_once(tmp_path, monkeypatch):
    path = write_my_cells(tmp_path)
    module = import_file(path)
    assert module.__name__ == "mslstm_keras.imported.my_cells" and module.__file__ == str(path)
    assert sys.modules[module.__name__] is module
    assert keras.saving.get_registered_object("my_cells>FooCell") is module.FooCell
    assert {"foo", "ms_foo"} <= set(list_models())
    monkeypatch.chdir(tmp_path)
    assert import_file("my_cells.py") is import_file(path) is module
    assert list(IMPORTED) == [path]


@pytest.mark.usefixtures("own_registry")
def test_nothing_is_left_beside_a_file(tmp_path, monkeypatch):
    """Also where Python keeps what it has compiled, which is what users have."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write_my_cells(tmp_path)
    import_file(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("own_registry")
def test_a_module_that_is_there_is_taken(tmp_path, monkeypatch):
    path = write_my_cells(tmp_path, "cells_of_a_test.py")
    spec = importlib.util.spec_from_file_location("cells_of_a_test", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cells_of_a_test", module)
    spec.loader.exec_module(module)
    assert import_file(path) is module
    assert list(IMPORTED) == [path]


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\nraise KeyError('oh')\n", r", line 2: KeyError: 'oh'$"),
        ("x = 1\n\nx = = 2\n", r", line 3: SyntaxError: invalid syntax"),
        ("import no_such_module\n", r", line 1: ModuleNotFoundError: No module named 'no_such_module'$"),
        ("import sys\nsys.exit(3)\n", r", line 2: SystemExit: 3$"),
        (
            "from mslstm_keras import architecture\n@architecture\ndef conv_lstm(filters, layers):\n    return []\n",
            r", line \d: ValueError: `name` of an architecture must be new\. Received: name='conv_lstm'$",
        ),
        (
            "import keras\n@keras.saving.register_keras_serializable(package='mslstm_keras')\n"
            "class ConvLSTMCell(keras.layers.Layer):\n    pass\n",
            r": ValueError: `package` and name .* must be new\. Received: mslstm_keras>ConvLSTMCell$",
        ),
    ],
)
def test_a_file_that_does_not_run_is_refused(tmp_path, text, reason):
    path = write_my_cells(tmp_path, "wrong.py", text)
    rule = rf"^`file` must be a Python file that runs\. Received: {re.escape(str(path))}{reason}"
    with pytest.raises(ValueError, match=rule):
        import_file(path)
    assert "mslstm_keras.imported.wrong" not in sys.modules and path not in IMPORTED
    assert keras.saving.get_registered_object("mslstm_keras>ConvLSTMCell") is ConvLSTMCell


@pytest.mark.parametrize("name", ["missing.py", "clip.npy", "folder.py"])
def test_what_is_no_python_file_is_refused(tmp_path, name):
    (tmp_path / "clip.npy").touch()
    (tmp_path / "folder.py").mkdir()
    received = re.escape(f"Received: file={str(tmp_path / name)!r}")
    with pytest.raises(ValueError, match=rf"^`file` must be a Python file, \.py, that exists\. {received}$"):
        import_file(tmp_path / name)


@pytest.mark.usefixtures("own_registry")
def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    first = write_my_cells(tmp_path, text="x = 1\n")
    second = write_my_cells(tmp_path / "other", text="x = 2\n")
    assert import_file(first).x == 1
    received = re.escape(f"Received: {second} and {first}")
    with pytest.raises(
        ValueError, match=rf"^`file` must have another name than files of other folders\. {received}$"
    ):
        import_file(second)
