"""Names of a package that are loaded when they are first used."""

import importlib
import sys
import textwrap

import pytest

FILES = {
    "__init__.py": """
        from mslstm_keras import lazy

        __getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
    """,
    "__init__.pyi": """
        from toys import boxes as boxes
        from toys.blocks import Block as Block
    """,
    "blocks.py": "class Block: ...",
    "boxes.py": "size = 3",
    "hidden.py": "",
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A package that offers one of its modules and a class of another one."""
    (tmp_path / "toys").mkdir()
    for name, text in FILES.items():
        (tmp_path / "toys" / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toys")
    for name in loaded():
        del sys.modules[name]


def loaded():
    return sorted(name for name in sys.modules if name.partition(".")[0] == "toys")


def test_names_are_listed_and_nothing_is_loaded(toys):
    assert dir(toys) == toys.__all__ == ["Block", "boxes"]
    assert loaded() == ["toys"]


def test_a_name_is_loaded_on_first_use_and_kept(toys):
    block = toys.Block
    assert loaded() == ["toys", "toys.blocks"]
    assert block is sys.modules.pop("toys.blocks").Block
    assert toys.Block is block
    assert loaded() == ["toys"]  # it was not imported again


def test_a_module_is_loaded_on_first_use(toys):
    assert toys.boxes.size == 3
    assert loaded() == ["toys", "toys.boxes"]


def test_a_star_imports_all_names(toys):
    names = {}
    exec("from toys import *", names)
    assert (names["Block"], names["boxes"]) == (toys.blocks.Block, sys.modules["toys.boxes"])
    assert "hidden" not in names


@pytest.mark.parametrize("name", ["Blocks", "hidden"])
def test_another_name_is_an_attribute_error(toys, name):
    with pytest.raises(AttributeError, match=f"^module 'toys' has no attribute '{name}'$"):
        getattr(toys, name)
    assert not hasattr(toys, name)
    assert loaded() == ["toys"]
