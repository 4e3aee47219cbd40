"""What happens around the import of another package."""

import pytest

from mslstm_keras.importing import check_installed, needed


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
