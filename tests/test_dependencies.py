"""What pyproject.toml declares is what is imported."""

import contextlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import h5py
import numpy as np
from PIL import Image

from tests.test_architecture import ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWN = {"mslstm_keras", "tfds_builders", "tests", "benchmarks"}
NOT_INSTALLED = {"cv2": "opencv-python-headless"}
"""Modules that the tests do without, where the package has another name."""
INDIRECT = {
    "importlib-resources": "tensorflow-datasets imports it and does not declare it",
    "huggingface-hub": "listed in `mslstm_keras/zoo/hub.py`, which imports it",
    "kagglehub": "listed in `mslstm_keras/zoo/hub.py`, which imports it",
    "cftime": "xarray imports it for other calendars",
}
"""Packages that no file that is installed imports, and why they are declared all the same."""
INDIRECT_IN_TESTS = {
    "dill": "tfds.testing imports it",
    "pytest-xdist": "`pytest -n`",
    "ruff": "run as a command",
    "build": "run as a command",
    "hatchling": "builds the wheel",
    "twine": "run as a command",
}
OF_SITE = {
    "mkdocs": "imported by `.ci/site.py`",
    "mkdocs-material": "the theme",
    "mkdocs-jupyter": "a plugin",
    "mkdocstrings": "a plugin",
    "ipykernel": "runs the notebooks",
}
WITHOUT = {"nowcast", "torch", "lpips", "docs"}
"""Extras without which the tests run: pysteps has to be compiled, PyTorch is large, and the site is built alone."""


DISTRIBUTIONS = packages_distributions()


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(lists):
    """Returns the packages that lists of requirements name, but for this one."""
    names = {canonical(re.match(r"[\w.-]+", text)[0]) for texts in lists for text in texts}
    return names - {canonical(PROJECT["name"])}


CORE = declared([PROJECT["dependencies"]])
ANY = CORE | declared(texts for extra, texts in EXTRAS.items() if extra not in ("test", "docs"))


def is_test(path):
    return path.name.endswith("_test.py") or path.name in ("make_dummy_data.py", "conftest.py")


def needed_by_core():
    """Returns the packages of the core, and those that these need."""
    found, waiting = set(), sorted(CORE)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(PackageNotFoundError):
            waiting += declared([[text for text in requires(name) or () if "extra ==" not in text]])
    return found


def files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


INSTALLED = [path for path in files("mslstm_keras", "tfds_builders") if not is_test(path)]
OF_TESTS = [*files("tests", "benchmarks"), *filter(is_test, files("tfds_builders"))]


def packages(path, **options):
    """Yields, for each module from outside that a file imports, the packages that bring it: mostly one."""
    modules = {name.partition(".")[0] for name in imports(path, **options)}
    for module in modules - OWN - set(sys.stdlib_module_names):
        yield bringing(module)


def bringing(module):
    return {*map(canonical, DISTRIBUTIONS.get(module, [NOT_INSTALLED.get(module, module)]))}


def missing(paths, known, **options):
    """Returns the packages that files import and that are not among those known."""
    return {(path.name, *found) for path in paths for found in packages(path, **options) if not found & known}


def imported(paths):
    """Returns the packages that files import, by a statement or by name."""
    texts = [path.read_text() for path in paths]
    named = {name for text in texts for name in re.findall(r"(?:import_module|importorskip)\(\"(\w+)", text)}
    return set().union(*(found for path in paths for found in packages(path)), *map(bringing, named))


def test_what_is_imported_is_declared():
    assert missing(INSTALLED, ANY) == set()
    assert missing(OF_TESTS, ANY | declared([EXTRAS["test"]])) == set()


def test_what_is_declared_is_imported():
    assert ANY - imported(INSTALLED) == set(INDIRECT)
    assert declared([EXTRAS["test"]]) - imported(OF_TESTS) == set(INDIRECT_IN_TESTS)
    assert declared([EXTRAS["docs"]]) == set(OF_SITE)


def test_the_core_starts_without_any_extra():
    """What a file imports outside of its functions is there. Functions alone import the search; JAX is a backend."""
    assert missing(INSTALLED, CORE | {"keras-tuner", "jax"}, functions=False) == set()
    assert rooms_that_need("keras-tuner") == {"search"}
    assert rooms_that_need("jax") == {"forecasting"}


def rooms_that_need(package):
    """Returns the rooms that import a package outside of functions."""
    return {
        path.parent.name
        for path in INSTALLED
        if any(package in found for found in packages(path, functions=False))
    }


def test_tests_have_every_extra_but_those_that_are_named():
    (own,) = [text for text in EXTRAS["test"] if text.startswith(f"{PROJECT['name']}[")]
    assert {*own.partition("[")[2].rstrip("]").split(",")} == EXTRAS.keys() - {"test"} - WITHOUT


def test_messages_name_extras_that_there_are():
    """In every call of `needed` and `check_installed`, and wherever else a text says what to install."""
    texts = [path.read_text() for path in INSTALLED]
    named = {
        extra
        for text in texts
        for extra in re.findall(r"(?:needed|check_installed)\([^()]*, \"(\w+)\"\)", text)
    }
    pages = [path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
    written = {extra for text in texts + pages for extra in re.findall(r"mslstm_keras\[(\w+)\]", text)}
    assert len(named) > 8
    assert named | written - {"extra"} <= EXTRAS.keys()


# Runs in a process of its own: hides modules, imports every module of the package, and forecasts clips.
LEAN = """
import importlib, importlib.abc, pkgutil, sys
from mslstm_keras.cli import main

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
import mslstm_keras
for module in pkgutil.walk_packages(mslstm_keras.__path__, "mslstm_keras."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            print(module.name, error)
for clip in sys.argv[2:]:
    assert main(["forecast", "--model", "ms_lstm_moving_mnist", "--input", clip, "--output", clip + ".gif"]) == 0
"""


def test_the_core_alone_imports_every_module_and_forecasts(tmp_path):
    core = needed_by_core()
    hidden = sorted(
        module
        for module, packages in DISTRIBUTIONS.items()
        if {*map(canonical, packages)} & (ANY - core) and not {*map(canonical, packages)} & core
    )
    assert {"pyproj", "xarray", "scores"} <= {*hidden} and not {"keras", "matplotlib", "h5py"} & {*hidden}
    levels = np.random.default_rng(0).integers(0, 256, (12, 24, 20), "uint8")
    pictures = [Image.fromarray(each) for each in levels]
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:])
    np.save(tmp_path / "clip.npy", levels)
    with h5py.File(tmp_path / "clip.h5", "w") as file:
        file["frames"] = levels
    (tmp_path / "folder").mkdir()
    for number, each in enumerate(pictures):
        each.save(tmp_path / "folder" / f"{number}.png")
    clips = [str(tmp_path / name) for name in ("clip.gif", "clip.npy", "clip.h5", "folder")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LEAN, ",".join(hidden), *clips],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("mslstm_keras.")}
    assert {name.rpartition(".")[0] for name in refused} <= {"mslstm_keras.search"}, (
        "which is the extra `tuner`"
    )
    assert len(list(tmp_path.glob("*.gif"))) == 5
