"""The package's shape: who may import whom, what is public, what `import mslstm_keras` costs."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mslstm_keras

ROOT = Path(mslstm_keras.__file__).parents[1]
# Each line may import the lines above it; the modules of one package may import each other.
LINES = (
    ("naming", "files"),
    ("settings",),
    ("layers",),
    ("cells.base",),
    ("models.step",),
    ("models.rollout",),
    ("models.registry",),
    ("cells",),
    ("training",),
    ("study",),
    ("deploy",),
    ("",),  # the package's __init__, which offers all of the above
    ("cli",),
    ("__main__",),
)
TENSORFLOW = {
    "training.data",
    "training.devices",
    "training.optimizers",
    "deploy.client",
    "deploy.export",
    "deploy.safety",
    "deploy.serving",
    "deploy.signatures",
    "layers.fast",
    "study.memory",
    "study.counting",
    "study.measurement",
    "study.receptive_field",
}
HEAVY = {"tensorflow_datasets", "matplotlib", "imageio", "sklearn", "keras_tuner"}


def modules(package):
    """Returns name -> path of every module of a package; names start behind the package's own."""
    names = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    return names


class Imports(ast.NodeVisitor):
    """Collects the modules that a file imports, in functions too if asked, but not for type checkers alone."""

    def __init__(self, functions=True):
        self.names, self.functions = set(), functions

    def visit_FunctionDef(self, node):
        if self.functions:
            self.generic_visit(node)

    def visit_If(self, node):
        type_checking = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in node.orelse if type_checking else (node.test, *node.body, *node.orelse):
            self.visit(child)

    def visit_Import(self, node):
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        assert node.level == 0, f"line {node.lineno}: imports are written with their full names"
        self.names.add(node.module)
        self.names.update(f"{node.module}.{alias.name}" for alias in node.names)


def imports(path, **options):
    visitor = Imports(**options)
    visitor.visit(ast.parse(path.read_text()))
    return visitor.names


def place(module):
    """Returns the line of a module and the entry there that it belongs to."""
    entries = [(line, entry) for line, names in enumerate(LINES) for entry in names]
    found = [(line, entry) for line, entry in entries if module == entry or module.startswith(f"{entry}.")]
    return max(found, key=lambda each: len(each[1]), default=None)


def own_imports(path):
    """Returns the modules of the package that a file imports; "" is the package itself."""
    names = {name for name in imports(path) if name.split(".")[0] == "mslstm_keras"}
    return {name.partition(".")[2] for name in names} & set(MODULES)


MODULES = modules("mslstm_keras")
PLACED = sorted(set(MODULES) - {"models", "cells"})


def test_the_reader_of_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b\nfrom c import d as e\n"
        "if TYPE_CHECKING:\n    import never\nelse:\n    import f\n"
        "def g():\n    if x:\n        from h.i import j\n"
    )
    assert imports(path) == {"a.b", "c", "c.d", "f", "h.i", "h.i.j"}
    assert imports(path, functions=False) == {"a.b", "c", "c.d", "f"}
    path.write_text("from .. import a")
    with pytest.raises(AssertionError, match="line 1: imports are written with their full names"):
        imports(path)


def test_the_places():
    assert place("cells.base") == (3, "cells.base")
    assert place("cells.conv_lstm") == (7, "cells")
    assert place("training.metrics.frame") == (8, "training")
    assert place("") == (11, "")
    assert place("elsewhere") is None


@pytest.mark.parametrize("module", PLACED)
def test_import_direction(module):
    assert place(module) is not None, f"`LINES` must name the line of {module}"
    line, entry = place(module)
    for imported in own_imports(MODULES[module]):
        other_line, other_entry = place(imported)
        assert other_line < line or other_entry == entry, f"{module} imports {imported or 'mslstm_keras'}"


@pytest.mark.parametrize("module", ["models", "cells"])
def test_packages_across_lines_import_nothing(module):
    assert not imports(MODULES[module])


def test_cells_know_the_registry_and_nothing_else_of_models():
    for module in MODULES:
        if module.startswith("cells."):
            known = {name for name in own_imports(MODULES[module]) if name.startswith("models")}
            assert known <= {"models.registry"}, module


def test_losses_and_metrics_know_keras_alone():
    """But for each other, the codes of rain rates, and the two libraries of a score that is PyTorch's."""
    for module in MODULES:
        if module == "training.losses" or module.startswith("training.metrics"):
            names = imports(MODULES[module])
            inside = {name for name in names if name.split(".")[0] in ("mslstm_keras", "tfds_builders")}
            known = ("mslstm_keras.training.metrics.", "mslstm_keras.frames.rain")
            assert all(name.startswith(known) for name in inside), module
            roots = {name.split(".")[0] for name in names - inside} - set(sys.stdlib_module_names)
            allowed = {"lpips", "torch"} if module.endswith(".perceptual") else set()
            assert roots <= {"keras", "numpy", *allowed}, module


def test_tensorflow_only_where_it_is_needed():
    importing = {
        module
        for module, path in MODULES.items()
        if "tensorflow" in {name.split(".")[0] for name in imports(path)}
    }
    assert importing == TENSORFLOW


def test_data_set_builders_stand_alone():
    for module, path in modules("tfds_builders").items():
        assert "mslstm_keras" not in {name.split(".")[0] for name in imports(path)}, module


def test_public_names_are_written_out():
    public = {
        name
        for name, value in vars(mslstm_keras).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert sorted(mslstm_keras.__all__) == sorted(public)
    for name in public:
        assert getattr(mslstm_keras, name).__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("package", ["mslstm_keras", "tfds_builders"])
def test_heavy_libraries_are_imported_inside_functions(package):
    builders = ("_dataset_builder", "parts")  # and what they are based on
    for module, path in modules(package).items():
        if not module.endswith((*builders, "_test")):
            assert not {name.split(".")[0] for name in imports(path, functions=False)} & HEAVY, module


def test_import_stays_light():
    """Keras itself imports some of the heavy libraries where they are installed; we add none."""
    script = (
        "import sys, keras; before = set(sys.modules); import mslstm_keras; "
        f"print(*sorted({HEAVY} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
