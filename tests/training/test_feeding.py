"""The order that clips come in, the batches made of them, and the clips held out."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from mslstm_keras.data.clips import Clips
from mslstm_keras.data.splits import split_clips
from mslstm_keras.training.feeding import (
    Share,
    batch_indices,
    scoring_batches,
    training_batches,
    training_clips,
    validation_clips,
)
from mslstm_keras.training.recipes import Recipe
from mslstm_keras.training.sampling import draw_observed
from tests.support.optdigits import OPTDIGITS
from tests.support.processes import run_script
from tfds_builders.moving_mnist_clips.moving_digits import moving_digits
from tfds_builders.moving_mnist_clips.objects import load_objects

ROOT = Path(__file__).parents[2]


def recipe(**changes):
    fields = {"context_frames": 3, "forecast_frames": 2, "frame_shape": (4, 6, 2), "batch_size": 3}
    return Recipe("test", **{**fields, "steps": 8, "interval_steps": 4, **changes})


def numbered_clips(count, time=5):
    """Clips whose pixels tell the clip's number (channel 0) and the frame's (channel 1)."""

    def read(indices):
        clips = np.zeros((len(indices), time, 4, 6, 2), "uint8")
        clips[..., 0] = np.asarray(indices)[:, None, None, None]
        clips[..., 1] = 10 * np.arange(time)[:, None, None]
        return clips

    return Clips(read, count)


def numbers(batch):
    return (batch[:, 0, 0, 0, 0] * 255).round().astype(int).tolist()


def arrays(batches):
    """Returns the frames and the frames that follow them, of every batch."""
    return [(x["frames"].numpy(), y.numpy()) for x, y, *_ in batches]


def planes(batches):
    return [x["observed"].numpy() for x, *_ in batches]


@pytest.mark.parametrize("count", [12, 13, 14])  # what is less than a batch of three is dropped
@pytest.mark.parametrize("seed", [0, 7])
def test_every_epoch_is_a_permutation(count, seed):
    epochs = [
        np.concatenate([batch_indices(4 * epoch + step, 3, count, seed) for step in range(4)])
        for epoch in range(6)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == 12
        assert set(epoch) <= set(range(count))
    assert len({tuple(epoch) for epoch in epochs}) == 6
    # A clip that is dropped in one epoch is not in all others.
    assert set(np.concatenate(epochs)) == set(range(count))


def test_order_depends_on_the_seed_and_on_nothing_before():
    steps = range(9)
    straight = [batch_indices(step, 3, 13, 1).tolist() for step in steps]
    assert [batch_indices(step, 3, 13, 1).tolist() for step in reversed(steps)] == straight[::-1]
    np.random.default_rng(0).random()
    np.random.seed(0)  # noqa: NPY002
    assert [batch_indices(step, 3, 13, 1).tolist() for step in steps] == straight
    assert [batch_indices(step, 3, 13, 2).tolist() for step in steps] != straight


def test_endless_clips_come_once_each():
    taken = np.concatenate([batch_indices(step, 3, None, 5) for step in range(4)])
    assert taken.tolist() == list(range(12))


def test_batches_hold_pixels_from_0_to_1_and_the_frames_that_follow():
    (x, y), *_ = arrays(training_batches(numbered_clips(9, time=7), recipe()))
    assert x.shape == y.shape == (3, 4, 4, 6, 2)
    assert x.dtype == y.dtype == "float32"
    expected = np.array([0, 10, 20, 30, 40], "float32") / 255
    np.testing.assert_array_equal(x[0, :, 0, 0, 1], expected[:-1])
    np.testing.assert_array_equal(y[0, :, 0, 0, 1], expected[1:])
    np.testing.assert_array_equal(y[:, :-1], x[:, 1:])


def test_all_levels_of_grey_are_a_255th():
    levels = np.arange(256, dtype="uint8").reshape(1, 2, 8, 16, 1)
    clips = Clips(lambda indices: levels, 1)
    fields = {"context_frames": 1, "forecast_frames": 1, "frame_shape": (8, 16, 1), "batch_size": 1}
    ((x, y),) = arrays(training_batches(clips, recipe(**fields, steps=1, interval_steps=1)))
    np.testing.assert_array_equal(
        np.concatenate([x, y], axis=1).ravel(), np.arange(256, dtype="float32") / np.float32(255)
    )


@pytest.mark.parametrize("count", [10, None])
@pytest.mark.parametrize("first_step", [0, 1, 4, 7, 8])
def test_a_resumed_run_gets_the_batches_that_are_left(count, first_step):
    straight = arrays(training_batches(numbered_clips(count), recipe(seed=3)))
    batches = training_batches(numbered_clips(count), recipe(seed=3), first_step)
    assert len(straight) == 8
    assert len(batches) == 8 - first_step  # its cardinality, known before it is run
    resumed = arrays(batches)
    assert len(resumed) == 8 - first_step
    for (x, y), (expected_x, expected_y) in zip(resumed, straight[first_step:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_batches_are_those_of_the_step_numbers():
    taken = [numbers(x) for x, _ in arrays(training_batches(numbered_clips(10), recipe(seed=3)))]
    assert taken == [batch_indices(step, 3, 10, 3).tolist() for step in range(8)]
    taken = [numbers(x) for x, _ in arrays(training_batches(numbered_clips(None), recipe(seed=3)))]
    assert taken == np.arange(24).reshape(8, 3).tolist()


def test_batches_tell_which_frames_are_fed():
    fields = recipe(seed=3, sampling_steps=6)
    found = planes(training_batches(numbered_clips(10), fields, 2))
    assert len(found) == 6
    for step, plane in enumerate(found, 2):
        assert plane.dtype == "float32"
        np.testing.assert_array_equal(plane, draw_observed(fields, step))


@pytest.mark.parametrize("count", [10, None])
def test_parts_of_a_batch_are_the_batch(count):
    """Hosts that each read their part, and parts whose gradients are averaged, see the clips of the whole."""
    fields = recipe(batch_size=6, sampling_steps=6)
    clips = numbered_clips(count)
    whole = training_batches(clips, fields)
    hosts = [training_batches(clips, fields, share=Share(number, 3)) for number in range(3)]
    pieces = training_batches(clips, recipe(batch_size=6, sampling_steps=6, gradient_accumulation_steps=2))
    assert len(pieces) == 2 * len(whole)
    assert pieces.element_spec[1].shape[0] == 3
    for see in (planes, lambda batches: [x for x, _ in arrays(batches)], lambda b: [y for _, y in arrays(b)]):
        expected = see(whole)
        together = [np.concatenate(rows) for rows in zip(*map(see, hosts), strict=True)]
        np.testing.assert_array_equal(together, expected)
        np.testing.assert_array_equal(np.reshape(see(pieces), np.shape(expected)), expected)


def test_a_part_goes_on_behind_a_step():
    fields = recipe(batch_size=6, gradient_accumulation_steps=2)
    straight = arrays(training_batches(numbered_clips(10), fields, share=Share(1, 3)))
    resumed = arrays(training_batches(numbered_clips(10), fields, 5, Share(1, 3)))
    np.testing.assert_array_equal(resumed, straight[10:])


def test_scoring_takes_clips_in_order_and_fills_the_last_batch_with_clips_that_do_not_count():
    batches = scoring_batches(numbered_clips(20), recipe(), count=8, batch_size=3)
    assert len(batches) == 3
    found = arrays(batches)
    assert [numbers(x) for x, _ in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 0]]
    for x, y in found:
        assert x.shape[1:] == y.shape[1:] == (4, 4, 6, 2)
        np.testing.assert_array_equal(y[:, :-1], x[:, 1:])
    assert not found[2][0][2].any() and not found[2][1][2].any()
    assert np.all(np.array(planes(batches)) == [1, 1, 1, 0])
    weights = np.concatenate([weights for *_, weights in batches])
    np.testing.assert_allclose(weights, [9 / 8] * 8 + [0], rtol=1e-7)  # as much as nine clips in all


@pytest.mark.parametrize("count", [1, 5, 7, 8])
def test_parts_of_scoring_batches_are_the_batch(count):
    """Also where a host has nothing but clips that do not count."""
    whole = list(scoring_batches(numbered_clips(20), recipe(), count, 4))
    hosts = [scoring_batches(numbered_clips(20), recipe(), count, 4, Share(number, 4)) for number in range(4)]
    for batches in zip(whole, *hosts, strict=True):
        for expected, *pieces in zip(*map(leaves, batches), strict=True):
            np.testing.assert_array_equal(np.concatenate(pieces), expected)


def leaves(batch):
    x, y, weights = batch
    return x["frames"], x["observed"], y, weights


@pytest.mark.parametrize("make", [training_batches, lambda *a: scoring_batches(*a, count=2, batch_size=2)])
@pytest.mark.parametrize(
    "changes", [{"forecast_frames": 3}, {"frame_shape": (4, 6, 1)}, {"frame_shape": (8, 6, 2)}]
)
def test_clips_that_do_not_fit_are_refused(make, changes):
    message = (
        r"`frame_shape`, `context_frames` and `forecast_frames` must fit the clips: .* Received: clips of "
    )
    with pytest.raises(ValueError, match=message + re.escape("shape (5, 4, 6, 2)")):
        make(numbered_clips(20), recipe(**changes))


def test_too_few_clips_are_refused():
    message = "`batch_size` must not be above the 2 clips. Received: batch_size=3"
    with pytest.raises(ValueError, match=re.escape(message)):
        training_batches(numbered_clips(2), recipe())
    message = "`count`, `validation_clips` of a recipe, must not be above the 2 clips. Received: count=3"
    with pytest.raises(ValueError, match=re.escape(message)):
        scoring_batches(numbered_clips(2), recipe(), count=3, batch_size=2)


def test_a_prepared_split_trains_and_scores(optdigits_dir):
    fields = recipe(context_frames=10, forecast_frames=10, frame_shape=(64, 64, 1), steps=4)
    clips = split_clips(OPTDIGITS, "train", optdigits_dir)
    x, y = arrays(training_batches(clips, fields, 2))[0]
    expected = clips.read(batch_indices(2, 3, clips.count, 0)).astype("float32") / np.float32(255)
    np.testing.assert_array_equal(x, expected[:, :-1])
    np.testing.assert_array_equal(y, expected[:, 1:])


def test_floats_are_taken_as_they_are():
    levels = np.random.default_rng(0).random((9, 5, 4, 6, 2))
    ((x, y),) = arrays(training_batches(Clips(lambda i: levels[i], 9), recipe(steps=1, interval_steps=1)))
    expected = levels[batch_indices(0, 3, 9, 0)].astype("float32")
    np.testing.assert_array_equal(np.concatenate([x, y[:, -1:]], axis=1), expected)


def masked_clips(count=20, under_the_mask=np.nan):
    """Random clips with missing pixels: a corner, some of the rest, and frame 3 of every clip that 3 divides."""
    random = np.random.default_rng(1)
    frames = random.random((count, 5, 4, 6, 2), dtype="float32")
    observed = random.random((count, 5, 4, 6, 1)) > 0.2
    observed[:, :, :2, :3] = False
    observed[::3, 3] = False
    frames = np.where(observed, frames, np.float32(under_the_mask))
    return Clips(lambda indices: frames[np.asarray(indices)], count, masked=True), frames, observed


def test_missing_pixels_are_0_in_frames_and_in_weights():
    clips, frames, observed = masked_clips()
    fields = recipe(seed=3, sampling_steps=6)
    batches = training_batches(clips, fields, 2)
    assert batches.element_spec[2].shape == (3, 4, 4, 6, 1)
    for step, (x, y, weights) in enumerate(batches, 2):
        rows = batch_indices(step, 3, 20, 3)
        expected = np.where(observed, frames, 0)[rows]
        np.testing.assert_array_equal(x["frames"], expected[:, :-1])
        np.testing.assert_array_equal(x["observed"], draw_observed(fields, step))
        np.testing.assert_array_equal(y, expected[:, 1:])
        assert weights.dtype == "float32"
        np.testing.assert_array_equal(weights, observed[rows, 1:])


def test_a_pixel_is_observed_where_no_channel_is_missing():
    frames = np.full((3, 5, 4, 6, 2), 0.5, "float32")
    frames[:, 2, 0, 0, 1] = np.nan
    clips = Clips(lambda indices: frames[np.asarray(indices)], 3, masked=True)
    ((x, y, weights),) = training_batches(clips, recipe(steps=1, interval_steps=1))
    assert np.argwhere(weights.numpy() == 0).tolist() == [[clip, 1, 0, 0, 0] for clip in range(3)]
    np.testing.assert_array_equal(x["frames"][:, 2, 0, 0], [[0.5, 0]] * 3)
    np.testing.assert_array_equal(y[:, 1, 0, 0], [[0.5, 0]] * 3)


def test_batches_without_missing_pixels_have_no_weights():
    assert [len(batch) for batch in training_batches(numbered_clips(9), recipe())] == [2] * 8


def test_parts_of_a_batch_with_missing_pixels_are_the_batch():
    clips, *_ = masked_clips()
    whole = [batch[2] for batch in training_batches(clips, recipe(batch_size=6))]
    hosts = [training_batches(clips, recipe(batch_size=6), share=Share(number, 3)) for number in range(3)]
    together = [np.concatenate([batch[2] for batch in batches]) for batches in zip(*hosts, strict=True)]
    np.testing.assert_array_equal(together, whole)
    pieces = training_batches(clips, recipe(batch_size=6, gradient_accumulation_steps=2))
    np.testing.assert_array_equal(np.reshape([batch[2] for batch in pieces], np.shape(whole)), whole)


def test_scoring_weighs_observed_pixels_by_their_clip():
    clips, frames, observed = masked_clips()
    batches = list(scoring_batches(clips, recipe(), count=8, batch_size=3))
    x, y, weights = (np.concatenate(each) for each in zip(*map(scored_arrays, batches), strict=True))
    np.testing.assert_array_equal(x[:8], np.where(observed, frames, 0)[:8, :-1])
    np.testing.assert_array_equal(y[:8], np.where(observed, frames, 0)[:8, 1:])
    np.testing.assert_allclose(weights[:8], 9 / 8 * observed[:8, 1:], rtol=1e-7)
    assert not weights[8].any() and not x[8].any()


def scored_arrays(batch):
    x, y, weights = batch
    return x["frames"], y, weights


BATCHES = """
import os, sys
import numpy as np
if os.environ["KERAS_BACKEND"] == "jax":
    sys.modules["tensorflow"] = sys.modules["tensorflow_datasets"] = None  # importing them fails
from tests.training.test_feeding import masked_clips, recipe
from mslstm_keras.training.feeding import scoring_batches, training_batches

clips, *_ = masked_clips()
fields = recipe(sampling_steps=6)
batches = [*training_batches(clips, fields), *scoring_batches(clips, fields, 8, 3)]
arrays = [np.asarray(each) for x, y, weights in batches for each in (x["frames"], x["observed"], y, weights)]
np.savez("batches.npz", *arrays)
"""


@pytest.mark.slow
def test_batches_with_missing_pixels_on_jax_alone_are_those_on_tensorflow(tmp_path):
    found = []
    for backend in ("tensorflow", "jax"):
        folder = tmp_path / backend
        folder.mkdir()
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
        }
        child = run_script(BATCHES, folder, env=environment)
        assert child.returncode == 0, child.stderr
        with np.load(folder / "batches.npz") as arrays:
            found.append([arrays[name] for name in arrays.files])
    assert len(found[0]) == 4 * (8 + 3)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def held_out(path, **changes):
    fields = {"frame_shape": (4, 4, 1), "data": str(path), "validation_clips": 3, "validation_split": "train"}
    return Recipe("held_out", **{**fields, **changes})


def test_clips_held_out_are_the_last_of_the_train_split_and_not_learned_from(tmp_path):
    clips = np.random.default_rng(0).integers(
        0, 256, (20, 4, 4, 4, 1), dtype="uint8"
    )  # the last two are for tests
    np.save(tmp_path / "clips.npy", clips)
    recipe = held_out(tmp_path / "clips.npy")
    learned, scored = training_clips(recipe), validation_clips(recipe)
    assert (learned.count, scored.count) == (15, 3)
    np.testing.assert_array_equal(learned.read(np.arange(15)), clips[:15])
    np.testing.assert_array_equal(scored.read(np.arange(3)), clips[15:18])


def test_clips_of_the_test_split_leave_the_train_split_whole(tmp_path):
    clips = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 4, 1), dtype="uint8")
    np.save(tmp_path / "clips.npy", clips)
    recipe = held_out(tmp_path / "clips.npy", validation_split="test")
    assert training_clips(recipe).count == 18
    np.testing.assert_array_equal(validation_clips(recipe).read(np.arange(2)), clips[18:])


def test_not_all_clips_can_be_held_out(tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((20, 4, 4, 4), "uint8"))
    message = (
        "`validation_clips` must be below the 18 train clips that they are held out of. "
        "Received: validation_clips=18"
    )
    for clips in (training_clips, validation_clips):
        with pytest.raises(ValueError, match=re.escape(message)):
            clips(held_out(tmp_path / "clips.npy", validation_clips=18))


def test_clips_held_out_of_a_stream_are_others_of_the_same_objects():
    recipe = Recipe(
        "stream", data=OPTDIGITS, stream=True, validation_clips=2, validation_split="train", seed=3
    )
    learned, scored = training_clips(recipe), validation_clips(recipe)
    assert learned.count is scored.count is None
    images = load_objects("optdigits", "train")
    for clips, seed in ((learned, 3), (scored, 3 + 2**31)):
        expected = moving_digits(images, np.arange(2), motion="paper", seed=seed)
        np.testing.assert_array_equal(clips.read(np.arange(2)), expected)
