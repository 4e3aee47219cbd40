"""A recipe for clips that it was not written for: what they tell is not asked."""

import dataclasses
import math
from collections.abc import Collection

from mslstm_keras.data.own_clips import OwnClips
from mslstm_keras.models.registry import default_scales
from mslstm_keras.training.recipes import Recipe

_MAPS = 22  # side of maps that is aimed at, between 16 and 32 and nearer to the cheaper one
_LEAST, _MOST = 8, 128  # sides that patches may leave where the frames allow no better
_EXAMPLE = 20  # frames of an example of long clips


def recipe_of_clips(
    recipe: Recipe, clips: OwnClips, given: Collection[str] = (), *, named: bool = True
) -> Recipe:
    """Returns a recipe with all that clips tell put in.

    - Frames, and what they stand for, are those of the clips.
    - Context and forecast of a named recipe stay where a clip is long enough. Else each is half of a clip, or, if one
      of them is given, the other is the rest.
    - Patches of a named recipe stay where they divide the frames. Else they are such that maps have some 16 to 32
      pixels a side.
    - A batch has no more clips than there are, and at most a tenth of them are watched.

    Args:
        recipe: a recipe of other clips.
        clips: what there is to learn from.
        given: fields of `recipe` that stay as they are.
        named: bool. Whether somebody has chosen the recipe for its course and its frames.

    Raises:
        ValueError: if clips are too short for what is given, no patches fit their frames (with a size that they fit),
            or none is left to learn from.
    """
    count = clips.train.count or 0
    of_train = recipe.validation_split == "train"
    watched = min(recipe.validation_clips, count // 10 if of_train else clips.held_out)
    if "validation_clips" in given:
        watched = recipe.validation_clips
    left = count - watched if of_train else count
    if left < 1:
        raise ValueError(
            f"`validation_clips` must leave a clip to learn from. Received: validation_clips={watched} of the {count} "
            f"train clips of {clips.data}"
        )
    context_frames, forecast_frames = _frames(recipe, clips.shape[0], given, named)
    told = {
        "data": clips.data,
        "stream": False,
        "frame_shape": clips.shape[1:],
        "context_frames": context_frames,
        "forecast_frames": forecast_frames,
        "scale": clips.train.scale,
        "quantity": clips.train.quantity,
        "interval_minutes": clips.train.interval,
        "spacing_metres": clips.train.spacing,
        "batch_size": min(recipe.batch_size, 2 ** int(math.log2(left))),
        "validation_clips": watched,
    }
    if "patch_size" not in given:
        told["patch_size"] = _patch_size(recipe, clips.shape[1:3], named)
    return dataclasses.replace(recipe, **{name: value for name, value in told.items() if name not in given})


def frames_wanted(
    recipe: Recipe, given: Collection[str] = (), *, named: bool = True
) -> tuple[int | None, int]:
    """Returns how many frames an example must have, None where the clips decide, and how many it has at most.

    Args:
        recipe: as in `recipe_of_clips`.
        given: as there.
        named: as there.
    """
    kept = [getattr(recipe, name) for name in ("context_frames", "forecast_frames") if name in given]
    if len(kept) == 2:
        return sum(kept), sum(kept)
    if kept:
        return None, max(_EXAMPLE, 2 * kept[0])
    return None, recipe.context_frames + recipe.forecast_frames if named else _EXAMPLE


def _frames(recipe, length, given, named):
    """Returns how many frames of a clip are given, and how many to forecast."""
    context, forecast = recipe.context_frames, recipe.forecast_frames
    kept = {"context_frames", "forecast_frames"} & {*given}
    if kept == {"context_frames"}:
        forecast = length - context
    elif kept == {"forecast_frames"}:
        context = length - forecast
    elif not kept and not (named and context + forecast <= length):
        context, forecast = length - length // 2, length // 2
    if min(context, forecast) < 1 or context + forecast > length:
        raise ValueError(
            f"`context_frames` and `forecast_frames` must be 1 or more, and together no more than the {length} frames "
            f"of a clip. Received: context_frames={context}, forecast_frames={forecast}"
        )
    return context, forecast


def _patch_size(recipe, sides, named):
    """Returns the side of the patches that leave maps of the size that is aimed at."""
    scale = max(default_scales(recipe.model, recipe.layers) if recipe.scales is None else recipe.scales)
    fitting = [
        patch
        for patch in range(1, min(sides) // scale + 1)
        if not any(side % (patch * scale) for side in sides)
    ]
    if named and recipe.patch_size in fitting:
        return recipe.patch_size

    def map_side(patch):
        return math.sqrt(math.prod(sides)) / patch

    good = [
        patch
        for patch in fitting
        if map_side(patch) <= _MOST and (patch == 1 or min(sides) / patch >= _LEAST)
    ]
    if not good:
        step = scale * (4 if min(sides) >= 64 else 1)
        near = "x".join(str(max(1, round(side / step)) * step) for side in sides)
        raise ValueError(
            "`frame_shape` must have sides that patches and the model's largest scale divide into maps of some 16 to "
            f"32 pixels (--size {near} resizes the clips of a folder; --set patch_size or scales takes others). "
            f"Received: {sides[0]} x {sides[1]} pixels, largest scale {scale}"
        )
    return min(good, key=lambda patch: abs(math.log(map_side(patch) / _MAPS)))
