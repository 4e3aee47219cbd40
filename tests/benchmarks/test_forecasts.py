"""What the benchmark of forecasts says of small maps."""

import json

import numpy as np
import xarray

from benchmarks import forecasts
from tests.support.radar_files import write_knmi_maps


def test_forecasts_are_those_of_the_command(tmp_path, tiny_run, capsys):
    maps = write_knmi_maps(tmp_path / "maps", 5, (16, 24))
    table, output = tmp_path / "found.json", tmp_path / "out"
    words = [maps, "--model", tiny_run, "--output", output, "--repetitions", 2, "--json", table]
    assert forecasts.main([str(word) for word in words]) == 0
    (found,) = json.loads(table.read_text())["results"]
    assert (found["path"], found["grid"]) == (str(maps), "16 x 24")
    assert len(found["seconds"]) == 2 and min(found["seconds"]) > 0.1 and found["peak"] > 2**26
    assert f"{output / 'maps.nc'}: 4 frames of (16, 24)" in found["said"]
    with xarray.open_dataset(output / "maps.nc", engine="h5netcdf", decode_timedelta=False) as written:
        assert np.isfinite(written.rain_rate).all() and written.sizes["time"] == 4
    assert "16 x 24" in capsys.readouterr().out


def test_a_command_that_fails_is_named(tmp_path, capsys):
    (tmp_path / "maps").mkdir()
    assert forecasts.main([str(tmp_path / "maps"), "--model", "nix"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("python -m benchmarks.forecasts: mslstm forecast --model nix --input ")
    assert "must succeed. Received: mslstm: " in line
