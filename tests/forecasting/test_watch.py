"""A folder into which radar maps come."""

import bz2
import gzip
import shutil
import tarfile
import time
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import xarray

from mslstm_keras.forecasting import watch as module
from mslstm_keras.forecasting.forecaster import Forecaster, forecast
from mslstm_keras.forecasting.maps import last_maps
from mslstm_keras.forecasting.watch import TRIES, watch
from mslstm_keras.models.registry import create_model
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.radar import read
from mslstm_keras.radar.read import read_radar
from tests.support.equations import randomise
from tests.support.radar_files import codes, digits, stamps, write_knmi, write_knmi_maps

CONTEXT, HORIZON = 3, 4
BIAS = -0.3
SIZE = (16, 24)
TIMES = stamps("2010-08-26T00:00", 12)
SCALE = "0:25 mm/h"


class IdleError(Exception):
    """Nothing more comes."""


@pytest.fixture(scope="module")
def model():
    model = create_model("conv_lstm", (8, 8, 1), CONTEXT, HORIZON, filters=2, layers=2)
    randomise(model)
    # A bias that brings what is forecast into [0, 1], so that little is clipped.
    bias = find_layer(model, Rollout).step.trainable_variables[-1]
    bias.assign(keras.ops.full(bias.shape, BIAS))
    return model


@pytest.fixture
def folder(tmp_path):
    """Folder of the first four maps."""
    return write_knmi_maps(tmp_path / "maps", 4, SIZE)


@pytest.fixture
def watched(model, folder, monkeypatch):
    """Watches the folder; where it waits for the first time the first event happens, and so on.

    Returns the forecasts and all warnings, after an event where it waits three more times.
    """

    def run(*events, **options):
        left = [*events, *[lambda: None] * (TRIES + 1)]

        def sleep(seconds):
            assert seconds == 5.0
            if not left:
                raise IdleError
            left.pop(0)()

        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
        found = []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                for new in watch(model, folder, **{"scale": SCALE, **options}):
                    found.append(new)
            except IdleError:
                pass
        return found, [str(each.message) for each in said]

    return run


@pytest.fixture
def put(folder):
    """Returns an event: a map comes."""

    def event(number, place="", **changes):
        def come():
            (folder / place).mkdir(exist_ok=True)
            at = TIMES[number]
            write_knmi(folder / place / f"RAD_{digits(at)}.h5", at, codes(number, SIZE), **changes)

        return come

    return event


def path(folder, number):
    return folder / f"RAD_{digits(TIMES[number])}.h5"


def expected(model, folder, **options):
    """Returns what a forecast of the folder, as it is now, gives."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ (missing )?radar maps are")
        return forecast(model, read_radar(folder, **options), scale=SCALE)


def last_times(found):
    return [int((new.maps.time.values[-1] - TIMES[0]) / np.timedelta64(5, "m")) for new in found]


def test_each_forecast_is_that_of_the_folder(model, folder, watched, put):
    wanted = []

    def come(number, place):
        put(number, place)()
        wanted.append(expected(model, folder))

    wanted.append(expected(model, folder))
    found, said = watched(lambda: come(4, ""), lambda: come(5, "below"))
    assert said == []
    assert last_times(found) == [3, 4, 5]
    for new, future in zip(found, wanted, strict=True):
        xarray.testing.assert_identical(new.forecast, future)
        assert new.maps.sizes["time"] == CONTEXT and new.seconds > 0
    xarray.testing.assert_identical(
        found[-1].maps.compute(), read_radar(folder).isel(time=slice(-3, None)).compute()
    )


def test_each_map_is_decoded_once_and_known_files_are_not_opened(folder, watched, put, monkeypatch):
    decoded, opened = [], []
    read_map = read.read_map

    def counted(name, path, *, pixels, product):
        (decoded if pixels else opened).append(path.name)
        return read_map(name, path, pixels=pixels, product=product)

    monkeypatch.setattr(read, "read_map", counted)
    found, _ = watched(*[lambda: None] * 5, put(4), put(5))
    assert len(found) == 3
    assert decoded == [f"RAD_{digits(at)}.h5" for at in TIMES[1:6]]
    # Two of the four at first, the new ones, and for each data set the first and the last of its files.
    assert len(opened) == 2 + 2 + 3 * 2


def test_only_the_newest_of_several_maps_is_forecast_from(model, folder, watched, put):
    def come():
        for number in (6, 4, 5):
            put(number)()

    found, said = watched(come)
    assert last_times(found) == [3, 6]
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    assert said == ["2 maps between 2010-08-26 00:15 UTC and 2010-08-26 00:30 UTC have no forecast"]


def test_an_empty_folder_is_waited_for(model, folder, watched, put):
    shutil.rmtree(folder)
    folder.mkdir()
    found, said = watched(put(0), put(1), put(2))
    assert last_times(found) == [2]
    xarray.testing.assert_identical(found[0].forecast, expected(model, folder))
    assert said == [
        f"waiting for radar maps: there are none in {folder}",
        "no forecast from 2010-08-26 00:00 UTC: `frames` must hold at least the model's 3 context frames. Received: 1 "
        "frames",
        "no forecast from 2010-08-26 00:05 UTC: `frames` must hold at least the model's 3 context frames. Received: 2 "
        "frames",
    ]


def test_a_folder_that_goes_is_waited_for(folder, watched, put):
    def come_back():
        folder.with_name("away").rename(folder)
        put(4)()

    found, said = watched(
        lambda: folder.rename(folder.with_name("away")), lambda: None, come_back, lambda: None
    )
    assert last_times(found) == [3, 4]
    assert [text.partition(":")[0] for text in said] == [f"waiting until {folder} can be read"]


@pytest.mark.parametrize("length", [0, 100, 0.5, 0.95])
def test_a_map_that_is_being_written_is_waited_for(model, folder, watched, put, length):
    def half():
        put(4)()
        content = path(folder, 4).read_bytes()
        path(folder, 4).write_bytes(content[: int(length * len(content)) if length < 1 else length])

    found, said = watched(half, lambda: None, put(4))
    assert last_times(found) == [3, 4]
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    assert said == []


def test_a_map_that_stays_damaged_counts_as_missing(model, folder, watched, put):
    def damage():
        path(folder, 4).write_bytes(b"no map")

    found, said = watched(damage, *[lambda: None] * TRIES, put(5), put(6), put(7), put(4))
    assert last_times(found) == [3, 7]
    assert len(said) == 4
    assert said[3] == "2 maps between 2010-08-26 00:15 UTC and 2010-08-26 00:35 UTC have no forecast"
    assert said[0] == (
        "1 files cannot be read and are left out until they change: A radar map must be of a known format. Received: "
        f"{path(folder, 4)}"
    )
    for text, at in zip(said[1:3], ("00:25", "00:30"), strict=True):
        assert f"no forecast from 2010-08-26 {at} UTC: `frames` must be at one interval" in text
    assert "10 minutes from 2010-08-26T00:15:00 to 2010-08-26T00:25:00" in said[1]


def test_a_map_whose_pixels_are_damaged_counts_as_missing(model, folder, watched, put):
    """Of many files whose names tell their times only the first and the last are opened before they are read."""
    path(folder, 2).write_bytes(path(folder, 2).read_bytes()[:-2000])
    found, said = watched(put(4), put(2))
    assert last_times(found) == [4]
    xarray.testing.assert_identical(found[0].forecast, expected(model, folder))
    assert ["`frames` must be at one interval" in text for text in said] == [True, True]


def test_one_damaged_file_of_many_costs_few_looks(folder, watched, put, monkeypatch):
    for number in range(4, 12):
        put(number)()
    last = path(folder, 11)
    last.write_bytes(last.read_bytes()[:100])
    asked = []
    find_maps = module.find_maps
    monkeypatch.setattr(
        module, "find_maps", lambda paths, product: asked.append(len(paths)) or find_maps(paths)
    )
    found, _ = watched()
    assert last_times(found) == [10]
    assert asked[:7] == [12, 6, 6, 3, 3, 1, 2]


def test_a_gap_is_said_once_for_each_map_and_a_late_map_closes_it(model, folder, watched, put):
    found, said = watched(put(5), lambda: None, put(6), lambda: None, put(4))
    assert last_times(found) == [3, 6]
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    assert [text.partition(":  ")[0][:37] for text in said[:2]] == [
        "no forecast from 2010-08-26 00:25 UTC",
        "no forecast from 2010-08-26 00:30 UTC",
    ]
    assert said[2:] == ["2 maps between 2010-08-26 00:15 UTC and 2010-08-26 00:30 UTC have no forecast"]


def test_gaps_are_filled_as_by_a_forecast_and_a_late_map_takes_its_place(model, folder, watched, put):
    wanted = []

    def come(number):
        put(number)()
        wanted.append(expected(model, folder, fill_gaps=1))

    found, said = watched(*[lambda number=number: come(number) for number in (5, 7, 6)], fill_gaps=1)
    assert last_times(found) == [3, 5, 7, 7]
    for new, future in zip(found[1:], wanted, strict=True):
        xarray.testing.assert_identical(new.forecast, future)
    assert [text for text in said if "filled" in text] == [
        "1 missing radar maps are filled, linearly in time: 2010-08-26 00:20",
        "1 missing radar maps are filled, linearly in time: 2010-08-26 00:30",
    ]


def test_the_interval_is_that_of_the_folder_not_of_the_context(folder, watched, put):
    """Every second map is at one interval, too, yet not at that of the maps."""
    path(folder, 2).unlink()
    found, said = watched(put(5), put(7), put(9))
    assert found == []
    assert "at one interval within the last 3 maps, here 5 minutes. Received: 10 minutes" in said[-1]


def test_a_map_of_the_context_that_changes_gives_another_forecast(model, folder, watched):
    def change():
        write_knmi(path(folder, 2), TIMES[2], codes(77, SIZE))

    found, said = watched(change)
    assert last_times(found) == [3, 3] and said == []
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    assert abs(found[0].forecast.rain_rate - found[1].forecast.rain_rate).max() > 1e-3


def test_what_comes_late_beyond_the_context_changes_nothing(folder, watched, put):
    path(folder, 0).unlink()
    found, said = watched(put(0))
    assert last_times(found) == [3] and said == []


def test_maps_that_are_deleted_or_renamed(folder, watched, put):
    """No forecast is made from what was not the newest map any more."""
    found, said = watched(
        lambda: path(folder, 3).unlink(),
        lambda: path(folder, 0).unlink(),
        lambda: path(folder, 2).rename(folder / f"moved-{path(folder, 2).name}"),
        put(3),
        put(4),
    )
    assert said == [] and last_times(found) == [3, 3, 4]


@pytest.mark.parametrize("when", ["opened", "read"])
def test_a_map_that_goes_while_it_is_read(folder, watched, put, monkeypatch, when):
    name = "find_maps" if when == "opened" else "read_radar"
    original = getattr(module, name)

    def late(paths, **options):
        if path(folder, 4) in paths:
            path(folder, 4).unlink()
            monkeypatch.setattr(module, name, original)
        return original(paths, **options)

    monkeypatch.setattr(module, name, late)
    found, said = watched(put(4), lambda: None, put(4), put(5))
    assert said == [] and last_times(found) == [3, 4, 5]


def test_a_map_that_changes_while_it_is_read(model, folder, watched, put, monkeypatch):
    """It may not have been whole, though it could be read."""
    original = module.read_radar

    def early(paths, **options):
        maps = original(paths, **options).load()
        if path(folder, 4) in paths:
            write_knmi(path(folder, 4), TIMES[4], codes(55, SIZE))
            monkeypatch.setattr(module, "read_radar", original)
        return maps

    monkeypatch.setattr(module, "read_radar", early)
    found, said = watched(put(4))
    assert said == [] and last_times(found) == [3, 4]
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))


def test_two_maps_of_one_time(folder, watched, put):
    def other():
        write_knmi(folder / f"again-{path(folder, 3).name}", TIMES[3], codes(99, SIZE))

    found, said = watched(other, lambda: None, put(4))
    assert last_times(found) == [3]
    assert [text[:60] for text in said] == [
        "no forecast from 2010-08-26 00:15 UTC: Radar maps must be on",
        "no forecast from 2010-08-26 00:20 UTC: Radar maps must be on",
    ]


def test_a_name_that_tells_another_time_than_the_map(folder, watched, put):
    def wrong():
        write_knmi(path(folder, 5), TIMES[8], codes(5, SIZE))

    found, said = watched(put(4), wrong, lambda: None, put(5), put(6))
    assert last_times(found) == [3, 4, 5, 6] and said == []


def test_maps_of_another_kind_are_left_out(model, folder, watched, put, tmp_path):
    def larger():
        write_knmi(folder / f"other_{digits(TIMES[4])}.h5", TIMES[4], codes(4, (20, 24)))

    found, said = watched(larger, lambda: None, put(4))
    assert last_times(found) == [3, 4]
    shutil.move(folder / f"other_{digits(TIMES[4])}.h5", tmp_path)
    xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    assert len(said) == 1
    assert said[0].startswith("maps of another kind are left out; `product` chooses: grid: ")
    assert said[0].endswith(f"{folder}/other_{digits(TIMES[4])}.h5 of 2010-08-26T00:20:00")


def test_another_kind_is_taken_once_the_first_has_gone(folder, watched):
    def others():
        shutil.rmtree(folder)
        write_knmi_maps(folder, 5, (20, 24))

    found, said = watched(others)
    assert last_times(found) == [3, 4] and said == []
    assert found[-1].forecast.rain_rate.shape == (HORIZON, 20, 24)


def test_the_product_that_is_asked_for_is_taken(model, folder, watched):
    for number in range(4):
        other = {"image_product_name": np.bytes_("RAD_NL25_RAC")}
        write_knmi(folder / f"RAC_{digits(TIMES[number])}.h5", TIMES[number], codes(9, SIZE), **other)
    found, said = watched(product="rap")
    assert said == [] and last_times(found) == [3]
    xarray.testing.assert_identical(found[0].forecast, expected(model, folder, product="rap"))


@pytest.mark.parametrize("packing", ["gz", "bz2", "tar"])
def test_packed_maps_and_archives(model, folder, watched, put, packing):
    def come():
        put(4)()
        file = path(folder, 4)
        if packing == "tar":
            put(5)()
            with tarfile.open(folder / "maps.tar.part", "w") as archive:
                for number in (4, 5):
                    archive.add(path(folder, number), path(folder, number).name)
                    path(folder, number).unlink()
            (folder / "maps.tar.part").rename(folder / "maps.tar")
        else:
            pack = {"gz": gzip.compress, "bz2": bz2.compress}[packing]
            file.with_name(f"{file.name}.{packing}").write_bytes(pack(file.read_bytes()))
            file.unlink()

    found, said = watched(come, put(6))
    assert last_times(found) == [3, 5 if packing == "tar" else 4, 6][: 2 + (packing == "tar")]
    xarray.testing.assert_identical(found[1].maps.compute(), found[1].maps)
    if packing == "tar":
        xarray.testing.assert_identical(found[-1].forecast, expected(model, folder))
    else:
        assert "10 minutes" in said[-1]


def test_what_is_there_already_is_not_made_again(folder, watched, put):
    asked = []

    def is_made(at):
        asked.append(at)
        return at == TIMES[3]

    found, said = watched(put(4), is_made=is_made)
    assert last_times(found) == [4] and said == []
    assert asked == [TIMES[3], TIMES[4]]


def test_a_part_of_the_grid(model, folder, watched):
    found, _ = watched(fit=lambda maps: maps.isel(y=slice(2, 12), x=slice(0, 9)))
    wanted = forecast(model, read_radar(folder).isel(y=slice(2, 12), x=slice(0, 9)), scale=SCALE)
    xarray.testing.assert_identical(found[0].forecast, wanted)
    assert found[0].maps.rain_rate.shape == (CONTEXT, 10, 9)
    with pytest.raises(ZeroDivisionError):
        watched(fit=lambda maps: 1 / 0)


def test_what_a_forecast_warns_of_is_said_once(folder, watched, put):
    """The numbers of pixels that were not observed differ."""

    def come(number):
        pixels = codes(number, SIZE)
        pixels[0, : number + 1] = 65535
        write_knmi(path(folder, number), TIMES[number], pixels)

    found, said = watched(*[lambda number=number: come(number) for number in (4, 5, 6)], scale=None)
    assert len(found) == 4 and len(said) == 2
    assert said[0].startswith("`scale` is rain:dwd") and " pixels of the maps were not observed" in said[1]


def pushed(model, folder, first, last):
    """Returns the frames that follow the maps from `first` to `last`, each pushed once."""
    frames = last_maps(read_radar(folder), len(list(folder.iterdir())), SCALE).frames
    forecaster = Forecaster(model)
    for frame in frames[first : last + 1]:
        forecaster.push(frame)
    return 25 * np.clip(forecaster.forecast(HORIZON), 0, 1)[..., 0]


def test_carried_states_remember_all_maps(model, folder, watched, put):
    def two():
        put(5)()
        put(6)()

    found, said = watched(put(4), two, put(7), carry_states=True)
    assert last_times(found) == [3, 4, 6, 7]
    for new, last in zip(found, last_times(found), strict=True):
        np.testing.assert_allclose(new.forecast.rain_rate, pushed(model, folder, 1, last), atol=1e-5)
        assert new.maps.sizes["time"] == CONTEXT
    whole = expected(model, folder).rain_rate
    assert abs(found[-1].forecast.rain_rate - whole).max() > 1e-4  # another forecast
    assert [text[:14] for text in said] == ["1 maps between"]


def test_carried_states_begin_anew_after_a_gap(model, folder, watched, put):
    found, said = watched(put(4), put(6), put(7), put(8), put(9), carry_states=True)
    assert last_times(found) == [3, 4, 8, 9]
    put(5)()
    np.testing.assert_allclose(found[2].forecast.rain_rate, pushed(model, folder, 6, 8), atol=1e-5)
    np.testing.assert_allclose(found[3].forecast.rain_rate, pushed(model, folder, 6, 9), atol=1e-5)
    assert [text[:25] for text in said] == [
        "no forecast from 2010-08-",
        "no forecast from 2010-08-",
        "the states begin anew wit",
        "2 maps between 2010-08-26",
    ]
    assert "with 2010-08-26 00:30 UTC, as maps since 2010-08-26 00:20 UTC are missing or too many" in said[2]


def test_carried_states_take_no_notice_of_what_comes_late(folder, watched, put):
    path(folder, 0).unlink()
    found, _ = watched(put(0), put(2), put(4), carry_states=True)
    assert last_times(found) == [3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "`horizon` must be a positive number of frames. Received: horizon=0"),
        ({"fill_gaps": 3}, r"`fill_gaps` must be an integer in \[0, 2\]. Received: fill_gaps=3"),
        ({"every_seconds": 0}, "`every_seconds` must be a positive number. Received: every_seconds=0"),
        ({"scale": "rain"}, "must be LOW:HIGH"),
    ],
)
def test_faults_are_said_at_the_start(model, folder, options, message):
    with pytest.raises(ValueError, match=message):
        watch(model, folder, **options)


def test_a_folder_must_be_there_at_the_start(model, tmp_path):
    with pytest.raises(ValueError, match="`folder` must be a folder"):
        watch(model, tmp_path / "missing")
