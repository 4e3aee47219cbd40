"""Tests of MeteoSwiss's GIF maps: products, times, numbers and colours, equality with pysteps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mslstm_keras.radar.maps import DEPTH, RATE
from mslstm_keras.radar.meteoswiss import is_gif, read_gif
from tests.support.radar_files import codes, stamps, write_gif

TIME = stamps("2015-05-15T15:45", 1)[0]
VALUES = codes(0, (640, 710), 150)
VALUES[0, :3] = 255


# Some colours of the tables, and what they stand for; the last is in none.
COLOURS = {
    "RZC": {(235, 235, 235): 1e-4, (145, 161, 161): 0.1, (119, 135, 188): np.nan, (251, 46, 50): 340.05},
    "AZC": {(0, 0, 0): 0, (145, 161, 161): 0.07, (119, 135, 188): 0.87, (251, 46, 50): 5791.61},
}
for table in COLOURS.values():
    table |= {(255, 255, 255): np.nan, (1, 2, 3): np.nan}


@pytest.mark.parametrize("product", ["AQC", "CPC"])
@pytest.mark.parametrize("comment", [True, False])
def test_depths(tmp_path, product, comment):
    path = write_gif(tmp_path / f"{product}151351545F_00005.801.gif", TIME, VALUES, product, comment)
    assert is_gif(path.read_bytes()[:64])
    found, values = read_gif(path, pixels=True)
    dbz = (VALUES[160:] - 71.5) / 2
    expected = (10 ** (dbz / 10) / 316) ** (1 / 1.5)
    np.testing.assert_allclose(values[160:], np.where(VALUES[160:] < 2, 0, expected))
    assert np.isnan(values[0, :3]).all() and (values[0, 3:] == 0).all()
    assert (found.service, found.product, found.quantity, found.minutes) == ("MeteoSwiss", product, DEPTH, 5)
    assert found.time == TIME
    assert (found.grid.left, found.grid.top, found.grid.dx) == (255_000, 480_000, 1000)


@pytest.mark.parametrize(("product", "quantity", "minutes"), [("RZC", RATE, None), ("AZC", DEPTH, 60)])
def test_colours(tmp_path, product, quantity, minutes):
    numbers = codes(1, (640, 710), len(COLOURS[product]))
    palette = np.zeros((256, 3))
    palette[: len(COLOURS[product])] = list(COLOURS[product])
    path = tmp_path / f"{product}151351545F_00060.801.gif"
    write_gif(path, TIME, numbers, product, comment=False, palette=palette)
    found, values = read_gif(path, pixels=True)
    np.testing.assert_array_equal(values, np.array(list(COLOURS[product].values()))[numbers])
    assert (found.product, found.quantity, found.minutes) == (product, quantity, minutes)


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")  # which pysteps calls
@pytest.mark.parametrize("product", ["AQC", "CPC", "RZC", "AZC"])
def test_it_is_as_pysteps_reads_it(tmp_path, product, importers):
    """Every number, and every colour of pysteps' own tables."""
    name = {"RZC": "v103", "AZC": "AZC_V104"}.get(product)
    palette = None
    if name:
        table = Path(importers.__file__).with_name(f"mch_lut_8bit_Metranet_{name}.txt")
        palette = np.genfromtxt(table, skip_header=1)[:, 1:4]
    numbers = np.arange(640 * 710).reshape(640, 710) % 256
    path = write_gif(tmp_path / f"{product}151351545F_00060.801.gif", TIME, numbers, product, False, palette)
    found, values = read_gif(path, pixels=True)
    with path.open("rb") as file:
        theirs, _, facts = importers.import_mch_gif(file, product, "mm", 60)
    np.testing.assert_allclose(values, theirs, rtol=1e-12)
    assert (found.grid.left, found.grid.top, found.grid.dx) == (facts["x1"], facts["y2"], facts["xpixelsize"])


def test_a_name_that_tells_another_time_does_not_count(tmp_path):
    path = write_gif(tmp_path / "AQC160010000F_00060.801.gif", TIME, VALUES)
    found, _ = read_gif(path, pixels=False)
    assert (found.time, found.minutes) == (TIME, 5)


def test_what_cannot_be_read(tmp_path):
    path = write_gif(tmp_path / "XYZ151351545.gif", TIME, VALUES, "XYZ")
    with pytest.raises(ValueError, match="must be one of AQC, CPC, AZC, RZC by its comment or its name"):
        read_gif(path, pixels=True)
    for day in ("367", "366", "000"):  # 2015 had 365
        path = write_gif(tmp_path / f"AQC15{day}1545F_00005.801.gif", TIME, VALUES, comment=False)
        with pytest.raises(ValueError, match="times must be year, day of the year"):
            read_gif(path, pixels=True)
    assert read_gif(write_gif(tmp_path / "a.gif", TIME, VALUES, comment=False), pixels=True) is None
    path = write_gif(tmp_path / "AQC151351545.gif", TIME, VALUES, comment=False)
    with pytest.raises(ValueError, match="must say over how many minutes"):
        read_gif(path, pixels=True)
    Image.new("P", (64, 64)).save(path)
    with pytest.raises(ValueError, match="must have the 640 x 710 pixels of the Swiss domain, has 64 x 64"):
        read_gif(path, pixels=True)
