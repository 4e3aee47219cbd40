"""Tests of packages that may be missing."""

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
