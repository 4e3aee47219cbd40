"""Ensembles in files."""

import re
import sys

import numpy as np
import pytest
import xarray

from mslstm_keras.ensembles.members import stacked
from mslstm_keras.ensembles.output import (
    SUFFIXES,
    check_ensemble_output,
    members_as_maps,
    probability_maps,
    write_probabilities,
)
from mslstm_keras.frames.write import numbers_of
from mslstm_keras.radar.read import read_radar
from tests.support.radar_files import write_knmi_maps

pytestmark = pytest.mark.filterwarnings("ignore:maps are drawn without some or all coasts:UserWarning")
MEMBERS = np.random.default_rng(0).random((4, 3, 6, 8, 1), "float32")


def halved(threshold, probability):
    return probability / (2 * threshold)


@pytest.fixture
def maps(tmp_path):
    """Six Dutch maps of 16 x 24 pixels: four that were seen, and three members for the two behind."""
    maps = read_radar(write_knmi_maps(tmp_path / "maps", 6, (16, 24))).load()
    future = maps.isel(time=slice(4, None))
    members = [future.assign(rain_rate=future.rain_rate * factor) for factor in (0.5, 1, 3)]
    # All attributes stay.
    members = [each.assign(rain_rate=each.rain_rate.assign_attrs(maps.rain_rate.attrs)) for each in members]
    return maps.isel(time=slice(None, 4)), stacked(members)


def test_mean_spread_probabilities_and_members_of_rain(maps):
    _, members = maps
    rates = members.rain_rate.values
    found = probability_maps(members, [0.1, 2.5], source="three members")
    assert sorted(found.data_vars) == [
        "probability_of_rain_rate_above_threshold",
        "rain_rate",
        "rain_rate_members",
        "rain_rate_spread",
    ]
    np.testing.assert_allclose(found.rain_rate, rates.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.rain_rate_spread, rates.std(0, ddof=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.rain_rate_members, rates)
    chances = found.probability_of_rain_rate_above_threshold
    assert chances.dims == ("threshold", "time", "y", "x")
    missing = np.isnan(rates).any(0)
    for threshold, chance in zip((0.1, 2.5), chances.values, strict=True):
        expected = np.where(missing, np.nan, (rates >= threshold).mean(0))
        np.testing.assert_allclose(chance, expected, rtol=1e-6)
    before = members.rain_rate.attrs
    assert found.rain_rate.attrs["cell_methods"] == f"{before['cell_methods']} realization: mean"
    assert found.rain_rate_spread.attrs["cell_methods"].endswith(" realization: standard_deviation")
    for name in ("rain_rate", "rain_rate_spread"):
        assert found[name].attrs["units"] == "mm/h" and found[name].dims == ("time", "y", "x")
    assert chances.attrs["units"] == "1" and chances.attrs["grid_mapping"] == before["grid_mapping"]
    assert found.threshold.attrs["units"] == "mm/h" and found.attrs["ensemble"] == "three members"
    without = probability_maps(members, source="three members")
    assert "threshold" not in without.coords and len(without.data_vars) == 3


def test_probabilities_are_recalibrated_and_say_so(maps):
    single = maps[1].isel(realization=0, drop=True)
    name = "probability_of_rain_rate_above_threshold"
    for given, options in ((maps[1], {}), (single, {"neighbourhood": 3})):
        plain = probability_maps(given, [0.1, 2.5], source="a", **options)
        found = probability_maps(given, [0.1, 2.5], source="a", recalibrate=halved, **options)
        xarray.testing.assert_identical(plain.drop_vars(name), found.drop_vars(name))
        for threshold in (0.1, 2.5):
            before, after = (each[name].sel(threshold=threshold).values for each in (plain, found))
            assert np.nanmax(before) > 0
            np.testing.assert_allclose(after, before / (2 * threshold), rtol=1e-6)
        assert found[name].attrs["comment"] == (
            plain[name].attrs["comment"] + ", recalibrated by how often such a one came true"
        )


def test_neighbourhoods_of_one_forecast(maps):
    single = maps[1].isel(realization=0, drop=True)
    found = probability_maps(single, [1.0], source="one", neighbourhood=3)
    xarray.testing.assert_identical(found.rain_rate.drop_vars("threshold", errors="ignore"), single.rain_rate)
    assert sorted(found.data_vars) == ["probability_of_rain_rate_above_threshold", "rain_rate"]
    window = single.rain_rate.values[0, 4:7, 9:12]
    np.testing.assert_allclose(
        found.probability_of_rain_rate_above_threshold[0, 0, 5, 10],
        (window[~np.isnan(window)] >= 1).mean(),
        atol=1e-6,
    )
    assert "3 x 3" in found.probability_of_rain_rate_above_threshold.attrs["comment"]


@pytest.mark.parametrize("channels", [1, 2])
def test_clips_in_units(channels):
    members = MEMBERS.repeat(channels, -1) * 1.2 - 0.1  # beyond [0, 1] too
    found = probability_maps(members_as_maps(members, "0:200 cars"), [90], source="four")
    rates = np.clip(members, 0, 1) * 200 if channels > 1 else np.clip(members[..., 0], 0, 1) * 200
    np.testing.assert_allclose(found.forecast, rates.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.forecast_members, rates, rtol=1e-5, atol=1e-4)
    chances = found.probability_of_forecast_above_threshold
    np.testing.assert_allclose(chances[0], (rates >= 90).mean(0), rtol=1e-6)
    assert found.forecast.attrs["units"] == "cars" and chances.dims[:2] == ("threshold", "frame")
    one = probability_maps(members_as_maps(members[0], None), [0.5], source="one", neighbourhood=3)
    pixels = members[0] if channels > 1 else members[0][..., 0]
    np.testing.assert_array_equal(one.forecast, pixels)
    share = (members[0, 1, 2:5, 3:6, 0] >= 0.5).mean()
    found = one.probability_of_forecast_above_threshold.isel(threshold=0, frame=1, y=3, x=4)
    np.testing.assert_allclose(np.ravel(found.values)[0], share, atol=1e-6)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".NC"])
def test_every_suffix_is_written(maps, tmp_path, suffix):
    observed, members = maps
    path = tmp_path / f"out{suffix}"
    write_probabilities(path, observed, probability_maps(members, [1, 5], source="three"), "Rain")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["maps", path.name]
    path = tmp_path / f"clip{suffix}"
    found = probability_maps(members_as_maps(MEMBERS, None), source="four")
    write_probabilities(path, MEMBERS[0], found, "Digits")
    assert path.exists()


def test_files_hold_what_was_given(maps, tmp_path):
    observed, members = maps
    expected = probability_maps(members, [1, 5], source="three")
    for suffix in ("nc", "zarr"):
        path = tmp_path / f"out.{suffix}"
        write_probabilities(path, observed, expected, "Rain")
        with xarray.open_dataset(path, decode_timedelta=False) as written:
            for name, values in expected.data_vars.items():
                np.testing.assert_array_equal(written[name], values, str(name))
            assert written.realization.attrs["standard_name"] == "realization"
            assert written.attrs["ensemble"] == "three" and written.attrs["Conventions"] == "CF-1.11"
            mappings = {
                {**each.attrs, **each.encoding}.get("grid_mapping") for each in written.data_vars.values()
            }
            assert mappings == {members.rain_rate.attrs["grid_mapping"]} and mappings <= set(
                written.variables
            )
    write_probabilities(tmp_path / "out.npy", observed, expected, "Rain")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy")[..., 0], members.rain_rate)
    clip = probability_maps(members_as_maps(MEMBERS, "0:200 cars"), source="four")
    write_probabilities(tmp_path / "clip.npy", MEMBERS[0], clip, "Cars", scale="0:200 cars")
    np.testing.assert_allclose(np.load(tmp_path / "clip.npy"), 200 * MEMBERS, rtol=1e-6)


def test_netcdf_keeps_the_cf_conventions(maps, tmp_path):
    """As a checker of the ocean observing community reads them, but for its warning that a mean over `realization`
    has no such axis: by section 7.3 the name of a method is a standard name where there is none. The mapping of KNMI
    lacks an attribute before any forecast.
    """
    runner = pytest.importorskip("compliance_checker.runner")
    runner.CheckSuite.load_all_available_checkers()
    members = maps[1].drop_vars("spatial_ref")
    del members.rain_rate.attrs["grid_mapping"]
    single = members.isel(realization=0, drop=True)
    given = {
        "rain": probability_maps(members, [1, 5], source="three"),
        "around": probability_maps(single, [1], source="one", neighbourhood=3),
        "clip": probability_maps(members_as_maps(MEMBERS, None), [0.5], source="four"),
    }
    for name, found in given.items():
        path, report = tmp_path / f"{name}.nc", tmp_path / f"{name}.txt"
        write_probabilities(path, maps[0], found, "Rain")
        passed, errors = runner.ComplianceChecker.run_checker(
            str(path), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
        )
        assert not errors
        remarks = [line for line in report.read_text().splitlines() if line.startswith("* ")]
        assert passed or all("cell_methods name component realization does not" in each for each in remarks)


def test_units_without_a_scale_are_pixels():
    assert numbers_of(MEMBERS, None) is MEMBERS
    np.testing.assert_allclose(
        numbers_of(MEMBERS - 0.5, "0:10"), 10 * np.clip(MEMBERS - 0.5, 0, 1), rtol=1e-6
    )


def test_other_suffixes_and_colours_are_refused(tmp_path, monkeypatch):
    for name in ("out.gif", "out.mp4", "out.html", "out.tif", "out"):
        with pytest.raises(
            ValueError, match=r"`path` must end in .npy, .nc, .zarr or .png. Received: .*" + name
        ):
            check_ensemble_output(tmp_path / name)
    check_ensemble_output("-")
    found = probability_maps(members_as_maps(MEMBERS.repeat(3, -1), None), source="four")
    with pytest.raises(
        ValueError, match=re.escape("must end in .npy, .nc or .zarr for frames of several channels")
    ):
        write_probabilities(tmp_path / "a.png", MEMBERS[0], found, "Colours")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"mslstm_keras\[netcdf\]' \(xarray is not there\)"):
        check_ensemble_output("out.png")
