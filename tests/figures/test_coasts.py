"""Coasts and borders on the grid of a map."""

import sys

import numpy as np
import pytest
import xarray

from mslstm_keras.figures import coasts
from mslstm_keras.figures.coasts import LAYERS, coast_lines
from mslstm_keras.radar.grids import Grid
from tests.support.radar_files import STERE

cartopy = pytest.importorskip("cartopy", reason="coasts need cartopy")

DUTCH = Grid(STERE, (300, 200), -400e3, -3600e3, 2000.0, 2000.0)


def rain(grid):
    """Returns two maps on a grid."""
    return xarray.DataArray(
        np.zeros((2, *grid.shape), "float32"),
        grid.coordinates(),
        ("time", "y", "x"),
        attrs={"units": "mm/h", "grid_mapping": "spatial_ref"},
    )


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the lines of a layer where cartopy looks for them; nothing can be fetched."""
    import shapefile

    monkeypatch.setattr(coasts, "LAYERS", LAYERS)
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path)
    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path / "none")
    monkeypatch.setattr("cartopy.io.shapereader.NEShpDownloader.acquire_resource", None)

    def write(layer, lines):
        folder = tmp_path / "shapefiles" / "natural_earth" / layer[0]
        folder.mkdir(parents=True, exist_ok=True)
        with shapefile.Writer(str(folder / f"ne_50m_{layer[1]}"), shapeType=shapefile.POLYLINE) as file:
            file.field("number", "N")
            for number, parts in enumerate(lines):
                file.line(parts)
                file.record(number)

    return write


def pixels(grid, east, north):
    """Returns where places are in a map, in pixels from its upper left corner."""
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", grid.projection, always_xy=True).transform(east, north)
    return (np.asarray(x) - grid.left) / grid.dx, (grid.top - np.asarray(y)) / grid.dy


def test_lines_lie_where_their_places_are(write):
    """A coast along a parallel and a border along a meridian, which leave the map on both sides."""
    write(LAYERS[0], [[[[0, 53], [30, 53]]], [[[100, 53], [120, 53]]]])
    write(LAYERS[1], [[[[7, 40], [7, 70]], [[-60, 0], [-50, 0]]]])
    coast, border = coast_lines(rain(DUTCH))
    east, north = np.linspace(0, 30, 3001), np.linspace(40, 70, 3001)
    for line, places in (
        (coast, pixels(DUTCH, east, np.full(3001, 53.0))),
        (border, pixels(DUTCH, np.full(3001, 7.0), north)),
    ):
        distances = np.hypot(line[:, :1] - places[0], line[:, 1:] - places[1])
        assert distances.min(1).max() < 1  # all of the line is right
        inside = [(0 < x < 200) and (0 < y < 300) for x, y in zip(*places, strict=True)]
        assert len(line) >= 2 and sum(inside) > 100
        assert line.min() >= 0 and (line <= (200, 300)).all()
        for end in (line[0], line[-1]):  # and it goes as far as the map
            assert min(abs(end[0]), abs(end[0] - 200), abs(end[1]), abs(end[1] - 300)) < 1e-6
    middle = np.interp(100, coast[:, 0], coast[:, 1])
    places = pixels(DUTCH, east, np.full(3001, 53.0))
    assert abs(middle - np.interp(100, *places)) < 0.3  # between its points, too


def test_a_line_that_comes_again_is_two_lines(write):
    """Its part outside of the map is not drawn, as a straight line back neither."""
    write(LAYERS[0], [[[[8, 52], [8, 80], [9, 80], [9, 52]]]])
    write(LAYERS[1], [])
    first, second = coast_lines(rain(DUTCH))
    x, _ = pixels(DUTCH, [8, 9], [52, 52])
    assert abs(first[:, 0].mean() - x[0]) < 10 and abs(second[:, 0].mean() - x[1]) < 10
    assert abs(first[:, 1].min()) < 1e-6 and abs(second[:, 1].min()) < 1e-6


@pytest.mark.parametrize("left", [170.0, -190.0])
def test_maps_across_180_degrees(write, left):
    """Natural Earth ends at 180 degrees and goes on at -180."""
    grid = Grid("EPSG:4326", (100, 200), left, -10.0, 0.1, 0.1)
    write(LAYERS[0], [[[[160, -15], [180, -15]]], [[[-180, -15], [-160, -15]]], [[[0, -15], [10, -15]]]])
    write(LAYERS[1], [])
    lines = coast_lines(rain(grid))
    ends = sorted(tuple(np.sort(line[[0, -1], 0]).round(6)) for line in lines)
    assert ends == [(0, 100), (100, 200)]
    assert all(np.allclose(line[:, 1], 50) for line in lines)


def test_a_map_of_the_pole(write):
    """A circle around it is closed."""
    grid = Grid(STERE, (100, 100), -2000e3, 2000e3, 40e3, 40e3)
    write(LAYERS[0], [[[[-180, 80], [180, 80]]]])
    write(LAYERS[1], [])
    lines = coast_lines(rain(grid))
    radius = np.hypot(*(np.array(pixels(grid, 10, 80)) - 50))
    points = np.concatenate(lines)
    np.testing.assert_allclose(np.hypot(*(points - 50).T), radius, atol=0.3)
    angles = np.sort(np.arctan2(*(points - 50).T))
    assert np.diff(angles).max() < 0.5


@pytest.mark.parametrize("there", [(), (0,), (1,)])
def test_what_is_not_at_hand_is_not_fetched(write, there):
    for number in there:
        write(LAYERS[number], [[[[0, 53], [30, 53]]]])
    with pytest.warns(
        UserWarning, match="cartopy has no files of them yet. With a network: python -c"
    ) as said:
        lines = coast_lines(rain(DUTCH))
    assert len(lines) == len(there) and len(said) == 1
    for number, layer in enumerate(LAYERS):
        assert (f"get('50m', '{layer[0]}', '{layer[1]}')" in str(said[0].message)) == (number not in there)


@pytest.mark.parametrize("kept", [0, 50])
def test_a_damaged_file_is_left_out(write, tmp_path, kept):
    for layer in LAYERS:
        write(layer, [[[[0, 53], [30, 53]]]])
    (path,) = tmp_path.rglob(f"*{LAYERS[0][1]}.shp")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.warns(UserWarning, match=rf"without the lines of {path}, which is damaged .*: remove it"):
        (line,) = coast_lines(rain(DUTCH))
    assert len(line) >= 2


def test_the_command_of_the_warning_is_one(write, monkeypatch):
    """Its code asks cartopy for the files that are looked for."""
    with pytest.warns(UserWarning, match="python -c") as said:
        coast_lines(rain(DUTCH))
    asked = []
    monkeypatch.setattr("cartopy.io.shapereader.natural_earth", lambda *words: asked.append(words))
    exec(str(said[0].message).partition('python -c "')[2].removesuffix('"'), {})
    assert asked == [("50m", *layer) for layer in LAYERS]


@pytest.mark.parametrize(
    "maps",
    [
        rain(Grid.unplaced((20, 20))),
        rain(DUTCH).drop_vars("spatial_ref"),
        rain(DUTCH).drop_vars("x"),
        rain(DUTCH)[:, :1],
    ],
)
def test_maps_that_do_not_say_where_they_are_have_no_coasts(write, maps):
    assert coast_lines(maps) == []


def test_without_cartopy_there_are_no_coasts(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "cartopy.io.shapereader", None)
    assert coast_lines(rain(DUTCH)) == []
