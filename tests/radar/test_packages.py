"""Tests of packages that may be missing, and of what pysteps does when it is imported."""

import subprocess
import sys

import pytest

from mslstm_keras.radar.packages import needed


def test_a_missing_package_says_how_to_install_it():
    with (
        pytest.raises(
            ImportError, match=r"^A GRIB map needs the package no_such: pip install 'mslstm_keras\[radar\]'"
        ),
        needed("a GRIB map"),
    ):
        import no_such.inside  # noqa: F401


def test_pysteps_is_imported_quietly():
    script = (
        "import warnings\nbefore = list(warnings.filters)\n"
        "from mslstm_keras.radar.packages import pysteps_importers\n"
        "assert pysteps_importers().import_fmi_pgm and before == list(warnings.filters)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
