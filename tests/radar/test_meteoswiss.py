"""Tests of MeteoSwiss's GIF maps: products, times, equality with pysteps."""

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.radar.maps import DEPTH
from mslstm_keras.radar.meteoswiss import is_gif, read_gif
from mslstm_keras.radar.packages import pysteps_importers
from tests.support.radar_files import codes, stamps, write_gif

TIME = stamps("2015-05-15T15:45", 1)[0]
VALUES = codes(0, (640, 710), 150)
VALUES[0, :3] = 255


@pytest.mark.parametrize("product", ["AQC", "CPC"])
@pytest.mark.parametrize("comment", [True, False])
def test_it_is_as_pysteps_reads_it(tmp_path, product, comment):
    path = write_gif(tmp_path / f"{product}151351545F_00005.801.gif", TIME, VALUES, product, comment)
    assert is_gif(path.read_bytes()[:64])
    found, values = read_gif(path, pixels=True)
    with path.open("rb") as file:
        theirs, _, facts = pysteps_importers().import_mch_gif(file, product, "mm", 5)
    np.testing.assert_array_equal(values, theirs)
    assert np.isnan(values[0, :3]).all() and (values[0, 3:] == 0).all()
    assert (found.service, found.product, found.quantity, found.minutes) == ("MeteoSwiss", product, DEPTH, 5)
    assert found.time == TIME
    assert (found.grid.left, found.grid.top, found.grid.dx) == (facts["x1"], facts["y2"], 1000)


def test_a_name_that_tells_another_time_does_not_count(tmp_path):
    path = write_gif(tmp_path / "AQC160010000F_00060.801.gif", TIME, VALUES)
    found, _ = read_gif(path, pixels=False)
    assert (found.time, found.minutes) == (TIME, 5)


def test_what_cannot_be_read(tmp_path):
    path = write_gif(tmp_path / "XYZ151351545.gif", TIME, VALUES, "XYZ")
    with pytest.raises(ValueError, match="must be one of AQC, CPC, AZC, RZC by its comment or its name"):
        read_gif(path, pixels=True)
    path = write_gif(tmp_path / "AQC153671545F_00005.801.gif", TIME, VALUES, comment=False)
    with pytest.raises(ValueError, match="times must be year, day of the year"):
        read_gif(path, pixels=True)
    path = write_gif(tmp_path / "AQC151351545.gif", TIME, VALUES, comment=False)
    with pytest.raises(ValueError, match="must say over how many minutes"):
        read_gif(path, pixels=True)
    Image.new("P", (64, 64)).save(path)
    with pytest.raises(ValueError, match="must have the 640 x 710 pixels of the Swiss domain, has 64 x 64"):
        read_gif(path, pixels=True)
