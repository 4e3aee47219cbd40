"""When the package's classes are registered, told by a Keras that stands for the real one and takes no time.

That Keras then knows every class of the package: `test_architecture.py`.
"""

import textwrap
from pathlib import Path

import pytest

import mslstm_keras
from tests.support.processes import run_script

ROOT = Path(mslstm_keras.__file__).parents[1]
FILES = {
    "keras.py": "print('Keras runs'); ready = True",
    "classes.py": "import keras; print('classes register', keras.ready)",
    "others.py": "print('others register')",
}
IMPORT_PACKAGE = """
import mslstm_keras
from mslstm_keras import registration

registration.MODULES = ("classes",)

def finders():
    mine = [finder for finder in sys.meta_path if type(finder).__module__.startswith("mslstm_keras.")]
    return len(mine)
"""


@pytest.fixture
def lines(tmp_path):
    """A function of scripts, run one after the other in a process, that returns the lines that they print."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def run(*scripts):
        child = run_script("\n".join(["sys.path.insert(1, sys.argv[1])", *scripts]), tmp_path, ROOT)
        assert child.returncode == 0, child.stderr
        return child.stdout.splitlines()

    return run


def test_classes_are_registered_behind_keras_and_the_finder_goes(lines):
    printed = lines(IMPORT_PACKAGE, "print(finders())", "import keras", "print(finders())", "import keras")
    assert printed == ["1", "Keras runs", "classes register True", "0"]


def test_where_keras_is_there_classes_are_registered_at_once(lines):
    again = "registration.MODULES = ('others',); registration.register_with_keras()"
    printed = lines(IMPORT_PACKAGE, "import keras", again, "print(finders())")
    assert printed == ["Keras runs", "classes register True", "others register", "0"]


IMPORT_KERAS = """
try:
    import keras
except Exception as error:
    print(type(error).__name__, finders(), "classes" in sys.modules)
"""


def test_a_missing_keras_leaves_the_package_working(lines, tmp_path):
    (tmp_path / "keras.py").rename(tmp_path / "no_keras.py")
    remove = "sys.path[:] = [path for path in sys.path if '-packages' not in path]"
    printed = lines(remove, IMPORT_PACKAGE, "print(*mslstm_keras.data.list_data()[:1])", *[IMPORT_KERAS] * 2)
    assert printed == ["moving_mnist_clips/paper", *["ModuleNotFoundError 1 False"] * 2]


def test_a_keras_that_was_set_to_none_is_waited_for(lines):
    printed = lines(
        "sys.modules['keras'] = None",
        IMPORT_PACKAGE,
        IMPORT_KERAS,
        "del sys.modules['keras']",
        "import keras",
    )
    assert printed == ["ModuleNotFoundError 1 False", "Keras runs", "classes register True"]


def test_a_keras_that_fails_registers_nothing_until_it_does_not(lines, tmp_path):
    text = "import sys\nif 'ready' not in vars(sys): raise RuntimeError('no backend')\n"
    (tmp_path / "keras.py").write_text(text + FILES["keras.py"])
    printed = lines(IMPORT_PACKAGE, *[IMPORT_KERAS] * 2, "sys.ready = True", IMPORT_KERAS, "print(finders())")
    assert printed == [*["RuntimeError 1 False"] * 2, "Keras runs", "classes register True", "0"]


def test_who_asks_whether_keras_is_there_does_not_import_it(lines):
    """As packages do that can use it and need not."""
    ask = "import importlib.util; print(importlib.util.find_spec('keras') is not None, finders())"
    printed = lines(IMPORT_PACKAGE, ask, ask, "import keras", "print(finders())")
    assert printed == ["True 1", "True 1", "Keras runs", "classes register True", "0"]


@pytest.mark.parametrize("module", ["metrics.frame", "models.rollout"])
def test_a_module_may_be_the_first_to_import_keras(module, tmp_path):
    """Classes that need it are registered when it is done, not while it is half made."""
    script = f"""
    sys.path.insert(1, sys.argv[1])
    import mslstm_keras.{module}
    import keras
    from mslstm_keras.registration import MODULES
    print(all(module in sys.modules for module in MODULES))
    print(keras.saving.get_registered_object("mslstm_keras>CSI").__name__)
    """
    child = run_script(textwrap.dedent(script), tmp_path, ROOT)
    assert (child.returncode, child.stdout.split()) == (0, ["True", "CSI"]), child.stderr
