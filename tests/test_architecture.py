"""The package's shape: who may import whom, what is public, what `import mslstm_keras` costs."""

import ast
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import mslstm_keras
from mslstm_keras import cells
from mslstm_keras.models.names import MODELS

ROOT = Path(mslstm_keras.__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
# Each floor may import the floors above it in this list; rooms of one floor know nothing of each other.
FLOORS = (
    ("naming", "integers", "files", "locks", "lazy", "importing", "typing", "compat"),
    ("registration",),
    ("settings", "dtypes", "timing"),
    ("formats", "layers"),
    ("frames",),
    ("radar",),
    ("cells",),
    ("models",),
    ("metrics", "data"),
    ("training", "datasets"),
    ("figures",),
    ("evaluation",),
    ("forecasting",),
    ("ensembles",),
    ("export", "cost", "insight", "contracts"),
    ("zoo", "deploy"),
    ("search",),
    ("cli",),
    ("__main__",),
)
TENSORFLOW = {
    "contracts.models",
    "cost.counting",
    "cost.measurement",
    "cost.memory",
    "export.client",
    "export.formats",
    "export.pruning",
    "export.saved_model",
    "export.serving",
    "export.signatures",
    "forecasting.stepping",
    "insight.receptive_field",
    "layers.lanes",
    "layers.lengths",
    "layers.recomputing",
    "training.devices",
    "training.feeding",
    "training.machine",
    "training.optimizers",
    "zoo.safety",
}
XARRAY = ("xarray", "h5netcdf", "zarr")  # and what it reads by
HEAVY = {*XARRAY, "tensorflow_datasets", "matplotlib", "sklearn", "keras_tuner"}
# Each of them is about subclasses of KerasTuner's classes, and is itself imported inside functions alone.
KERAS_TUNER = {"search.hypermodel", "search.oracles", "search.tuner"}
LARGEST_ROOM = 0.12  # of the lines of the package
NOT_OF_ONE_FILE = {
    "cli/test_commands.py": "every command, run",
    "benchmarks/test_commands.py": "every benchmark, run as a command",
    "export/test_c_program.py": "a SavedModel in a program in C",
    "export/test_model_server.py": "a SavedModel in TensorFlow Serving",
    "export/test_tensorflow_alone.py": "a SavedModel where there is no Keras",
    "metrics/test_backends.py": "all metrics on two devices and on JAX",
    "models/test_backends.py": "models on JAX beside TensorFlow",
    "models/test_contracts.py": "what every named model keeps",
    "models/test_frozen.py": "numbers of every named model, kept over time",
    "models/test_graph.py": "the graph of the training step",
    "models/test_own_cell.py": "a cell from outside the package",
    "models/test_settings.py": "models under every setting of Keras",
    "training/test_hosts.py": "trainings whose hosts share every batch",
    "training/test_mixed_precision.py": "training in half precision on two devices",
    "training/test_resume.py": "trainings that are killed and go on",
}
"""Test files that do not test the source file of their name, and what they test."""


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


def room(module):
    """Returns the room of a module: the first part of its name."""
    return module.partition(".")[0]


def floor(module):
    """Returns the number of the floor of a module."""
    found = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert found, f"`FLOORS` must name the floor of {module}"
    return found[0]


def own_imports(path):
    """Returns the modules of the package that a file imports; "" is the package itself."""
    names = {name for name in imports(path) if name.split(".")[0] == "mslstm_keras"}
    return {name.partition(".")[2] for name in names} & set(MODULES)


MODULES = modules("mslstm_keras")


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


def test_the_floors():
    assert floor("cells.conv_lstm") == floor("cells") < floor("models.step")
    with pytest.raises(AssertionError, match="`FLOORS` must name the floor of elsewhere"):
        floor("elsewhere")


@pytest.mark.parametrize("module", sorted(set(MODULES) - {""}))
def test_import_direction(module):
    for imported in own_imports(MODULES[module]) - {""}:
        same = room(imported) == room(module)
        assert same or floor(imported) < floor(module), f"{module} imports {imported}"


def test_the_page_lists_the_floors():
    """Rooms in the order of `FLOORS`, each with the number of its floor and a word on what it is for."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| .+ \|$", PAGE, re.MULTILINE)
    assert [(int(number), room) for number, room in rows] == [
        (number, room) for number, rooms in enumerate(FLOORS, 1) for room in rooms
    ]


NAMED = sorted({name for name in re.findall(r"`([\w./]+)`", PAGE) if re.match(r"(mslstm_keras|\w+/)", name)})


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_exists(name):
    """Files and folders by their path, functions and tables by their full name."""
    if "/" in name:
        assert (ROOT / name).exists()
    else:
        assert not isinstance(pkgutil.resolve_name(name), types.ModuleType)


def test_links_of_the_page_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_no_circle_of_modules():
    """Within a room too."""
    waiting = {module: own_imports(path) - {"", module} for module, path in MODULES.items() if module}
    packages = {name for name in waiting if any(other.startswith(f"{name}.") for other in waiting)}
    waiting = {name: known - packages for name, known in waiting.items() if name not in packages}
    while waiting:
        free = [module for module, known in waiting.items() if not known & set(waiting)]
        assert free, f"circle among {sorted(waiting)}"
        for module in free:
            del waiting[module]


def test_no_room_is_too_large():
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    for name in {room(module) for module in MODULES}:
        share = sum(count for module, count in lines.items() if room(module) == name) / sum(lines.values())
        assert share <= LARGEST_ROOM, f"{name} has {share:.1%} of all lines"


def test_frames_know_no_tensors():
    for module, path in MODULES.items():
        if room(module) in ("timing", "formats", "frames"):
            known = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
            assert known <= {"mslstm_keras", "numpy", "PIL", "h5py", "av", *XARRAY}, module


def test_losses_and_metrics_know_keras_alone():
    """But for each other, dtypes, rain rates, whole numbers, and the two libraries of a score that is PyTorch's."""
    for module in MODULES:
        if module == "training.losses" or module.startswith("metrics."):
            names = imports(MODULES[module])
            inside = {name for name in names if name.split(".")[0] in ("mslstm_keras", "tfds_builders")}
            allowed = (
                "metrics.",
                "frames.rain",
                "frames.scales",
                "dtypes",
                "typing",
                "integers",
                "importing",
            )
            known = tuple(f"mslstm_keras.{name}" for name in allowed)
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


def test_data_set_builders_know_frames_and_radar_alone():
    """And what TFDS does not document."""
    for module, path in modules("tfds_builders").items():
        known = {name for name in imports(path) if name.split(".")[0] == "mslstm_keras"}
        allowed = (
            "mslstm_keras.timing.",
            "mslstm_keras.formats.",
            "mslstm_keras.frames.",
            "mslstm_keras.radar.",
            "mslstm_keras.compat",
            "mslstm_keras.importing",
        )
        assert all(name.startswith(allowed) for name in known), module


def test_test_files_stand_as_what_they_test():
    """`tests/ROOM/test_X.py` tests `mslstm_keras/ROOM/X.py`, or `benchmarks/X.py`."""
    files = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert len(files) > 50
    sources = {
        name: ROOT / ("" if name.startswith("benchmarks/") else "mslstm_keras") / name.replace("/test_", "/")
        for name in files
    }
    assert {name for name, source in sources.items() if not source.is_file()} == set(NOT_OF_ONE_FILE)


def stubs():
    """Returns package -> name -> where its stub says that the name is from."""
    found = {}
    for path in sorted((ROOT / "mslstm_keras").rglob("__init__.pyi")):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        lines = [line for line in path.read_text().splitlines() if line.startswith("from ")]
        parts = [re.fullmatch(r"from (\S+) import (\w+) as (\w+)", line).groups() for line in lines]
        assert all(name == shown for _, name, shown in parts), path
        found[package] = {name: source for source, name, _ in parts}
    return found


def test_public_names_are_listed_once_and_documented():
    listed = [name for names in stubs().values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    for package, names in stubs().items():
        module = sys.modules.get(package) or __import__(package, fromlist=["_"])
        assert module.__all__ == dir(module) == sorted(names)
        for name in names:
            value = getattr(module, name)
            assert value.__doc__, f"{package}.{name} has no docstring"


def test_no_public_name_is_hidden_by_a_module():
    """A module that is imported takes the place of whatever has its name in its package."""
    for package, names in stubs().items():
        folder = ROOT.joinpath(*package.split("."))
        inside = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
        rooms = {name for name, source in names.items() if source == package}
        assert not (set(names) - rooms) & inside, package


def test_every_cell_is_public():
    names = {
        name for path in MODULES if path.startswith("cells.") for name in registered_classes(MODULES[path])
    }
    assert names - {"MotionGRU"} == set(cells.__all__)


def registered_classes(path):
    """Returns the classes of a file that Keras registers."""
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "register_keras_serializable" in ast.unparse(node)
    }


def test_names_known_without_keras_are_those_that_cells_register():
    assert tuple(mslstm_keras.list_models()) == MODELS


def test_importing_the_package_imports_almost_nothing():
    script = "import sys; before = set(sys.modules); import mslstm_keras; print(*set(sys.modules) - before)"
    loaded = {name.split(".")[0] for name in run(script).split()}
    assert loaded - set(sys.stdlib_module_names) <= {"mslstm_keras"}


REGISTERED = """
{imports}
import sys
print(*[name for name in sys.argv[1:] if keras.saving.get_registered_object(name) is None])
"""


@pytest.mark.parametrize(
    "imports",
    ["import keras\nimport mslstm_keras", "import mslstm_keras\nimport keras"],
    ids=["after", "before"],
)
def test_every_class_is_registered_when_keras_is_there(imports):
    names = {f"mslstm_keras>{name}" for path in MODULES.values() for name in registered_classes(path)}
    assert len(names) > 30
    assert run(REGISTERED.format(imports=imports), *names).split() == []


@pytest.mark.parametrize("package", ["mslstm_keras", "tfds_builders"])
def test_heavy_libraries_are_imported_inside_functions(package):
    builders = ("_dataset_builder", "parts")  # and what they are based on
    for module, path in modules(package).items():
        known = imports(path, functions=False)
        assert not {name.removeprefix("mslstm_keras.") for name in known} & KERAS_TUNER, module
        if not module.endswith((*builders, "_test")):
            allowed = {"keras_tuner"} if module in KERAS_TUNER else set()
            assert not {name.split(".")[0] for name in known} & HEAVY - allowed, module


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout
