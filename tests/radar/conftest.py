"""What tests of several formats of radar maps share."""

import pytest

from benchmarks.radar import pysteps_importers


@pytest.fixture
def importers():
    """pysteps' importers, which others are compared with; it has no wheel, so not every machine has it."""
    pytest.importorskip("pysteps")
    return pysteps_importers()
