"""Recipes for clips that they were not written for."""

import dataclasses
import re

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips
from mslstm_keras.data.own_clips import OwnClips
from mslstm_keras.models.registry import create_model
from mslstm_keras.training.data_recipe import frames_wanted, recipe_of_clips
from mslstm_keras.training.recipes import FIRST_TRY, Recipe, find_recipe


def clips_of(*shape, train=11, held_out=1, **facts):
    return OwnClips(
        "own.npy", shape, Clips(lambda indices: np.zeros((len(indices), *shape)), train, **facts), held_out
    )


def first_try(clips, **given):
    return recipe_of_clips(dataclasses.replace(FIRST_TRY, **given), clips, {*given}, named=False)


def test_what_the_clips_tell_is_put_in():
    clips = clips_of(20, 96, 128, 3, interval=5.0, scale="0:100 mm/h", quantity="rain rate", spacing=1000.0)
    assert first_try(clips) == dataclasses.replace(
        FIRST_TRY,
        data="own.npy",
        frame_shape=(96, 128, 3),
        context_frames=10,
        forecast_frames=10,
        scale="0:100 mm/h",
        quantity="rain rate",
        interval_minutes=5.0,
        spacing_metres=1000.0,
        patch_size=4,
        batch_size=8,
    )
    stream = find_recipe("ms_lstm_moving_mnist")
    changed = recipe_of_clips(stream, clips)
    assert (stream.stream, changed.stream, changed.data) == (True, False, "own.npy")


@pytest.mark.parametrize(
    ("sides", "patch_size", "side"),
    [
        ((64, 64), 4, 16),
        ((96, 128), 4, 24),
        ((28, 28), 1, 28),
        ((100, 100), 5, 20),
        ((8, 8), 1, 8),
        ((120, 160), 5, 24),
        ((720, 1280), 20, 36),
        ((36, 36), 1, 36),
    ],
)
def test_patches_leave_maps_of_some_16_to_32_pixels(sides, patch_size, side):
    recipe = first_try(clips_of(4, *sides, 1))
    assert (recipe.patch_size, sides[0] // recipe.patch_size) == (patch_size, side)
    small = dataclasses.replace(recipe, filters=1)
    create_model(small.model, small.frame_shape, 2, 2, **small.model_options())


@pytest.mark.parametrize(
    ("sides", "near"),
    [
        ((30, 30), "32x32"),
        ((97, 131), "96x128"),
        ((1004, 1004), "1008x1008"),
        ((3, 9), "4x8"),
        ((70, 64), "64x64"),
    ],
)
def test_frames_that_no_patches_divide_are_refused_with_a_size_that_does(sides, near):
    message = (
        f"(--size {near} resizes the clips of a folder; --set patch_size or scales takes others). Received: "
    )
    message += f"{sides[0]} x {sides[1]} pixels, largest scale 4"
    with pytest.raises(ValueError, match=re.escape(message)):
        first_try(clips_of(4, *sides, 1))
    assert first_try(clips_of(4, *map(int, near.split("x")), 1)).patch_size >= 1
    plain = first_try(clips_of(4, *sides, 1), scales=(1,) * 6, patch_size=1)  # who knows better is believed
    assert plain.patch_size == 1


def test_the_patches_of_a_named_recipe_stay_where_they_fit():
    recipe = Recipe("mine", patch_size=2)
    assert recipe_of_clips(recipe, clips_of(20, 64, 64, 1)).patch_size == 2
    assert recipe_of_clips(recipe, clips_of(20, 100, 100, 1)).patch_size == 5


@pytest.mark.parametrize(
    ("length", "given", "frames"),
    [
        (20, {}, (10, 10)),
        (7, {}, (4, 3)),
        (30, {}, (15, 15)),
        (12, {"context_frames": 4}, (4, 8)),
        (12, {"forecast_frames": 4}, (8, 4)),
        (12, {"context_frames": 2, "forecast_frames": 3}, (2, 3)),
    ],
)
def test_a_clip_is_given_and_forecast_by_halves_or_as_it_is_said(length, given, frames):
    recipe = first_try(clips_of(length, 16, 16, 1), **given)
    assert (recipe.context_frames, recipe.forecast_frames) == frames


def test_a_named_recipe_keeps_its_frames_where_clips_are_long_enough():
    recipe = Recipe("mine", context_frames=6, forecast_frames=12)
    for length, frames in ((30, (6, 12)), (18, (6, 12)), (17, (9, 8))):
        changed = recipe_of_clips(recipe, clips_of(length, 16, 16, 1))
        assert (changed.context_frames, changed.forecast_frames) == frames


@pytest.mark.parametrize(
    ("length", "given", "received"),
    [
        (12, {"context_frames": 12}, "context_frames=12, forecast_frames=0"),
        (12, {"forecast_frames": 13}, "context_frames=-1, forecast_frames=13"),
        (12, {"context_frames": 6, "forecast_frames": 7}, "context_frames=6, forecast_frames=7"),
        (12, {"context_frames": 0, "forecast_frames": 7}, "context_frames=0, forecast_frames=7"),
        (1, {}, "context_frames=1, forecast_frames=0"),
    ],
)
def test_clips_that_are_too_short_are_refused(length, given, received):
    message = (
        "`context_frames` and `forecast_frames` must be 1 or more, and together no more than the "
        f"{length} frames of a clip. Received: {received}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        first_try(clips_of(length, 16, 16, 1), **given)


def test_how_many_frames_an_example_of_a_folder_has():
    recipe = Recipe("mine", context_frames=6, forecast_frames=12)
    assert frames_wanted(recipe) == (None, 18)
    assert frames_wanted(recipe, named=False) == (None, 20)
    assert frames_wanted(recipe, {"context_frames"}) == (None, 20)
    assert frames_wanted(recipe, {"forecast_frames"}) == (None, 24)
    assert frames_wanted(recipe, {"context_frames", "forecast_frames"}) == (18, 18)


def test_a_batch_has_no_more_clips_than_there_are():
    for count, size in ((1, 1), (3, 2), (7, 4), (8, 8), (900, 8)):
        assert first_try(clips_of(4, 16, 16, 1, train=count)).batch_size == size
    assert first_try(clips_of(4, 16, 16, 1, train=3), batch_size=3).batch_size == 3


def test_no_more_than_a_tenth_of_the_clips_is_watched():
    recipe = find_recipe("ms_lstm_moving_mnist")  # watches 64 that are held out of training
    assert recipe.validation_split == "train"
    for count, watched in ((1000, 64), (300, 30), (9, 0)):
        assert recipe_of_clips(recipe, clips_of(20, 64, 64, 1, train=count)).validation_clips == watched
    tests = dataclasses.replace(recipe, validation_split="test")
    assert recipe_of_clips(tests, clips_of(20, 64, 64, 1, train=9, held_out=5)).validation_clips == 5
    message = "must leave a clip to learn from. Received: validation_clips=9 of the 9 train clips of own.npy"
    with pytest.raises(ValueError, match=message):
        first_try(clips_of(4, 16, 16, 1, train=9), validation_clips=9)
