"""Synthetic twin of the KTH videos: stick figures with limbs that walk, jog and run past a still camera."""

from typing import NamedTuple

import numpy as np

from tfds_builders.kth_clips.sequences import FrameRange

PERSONS = range(1, 26)

_HEIGHT, _WIDTH = 120, 160
_OFF_SCENE = 20  # pixels from the border to the middle of a figure that is just out of sight


class _Gait(NamedTuple):
    """How an action looks; lengths are fractions of the body's height, angles radians."""

    frames: int  # from one border of the scene to the other, at 25 per second
    stride: float  # way of two steps
    lean: float
    thigh: float  # amplitude of the swing
    knee: float  # flexion of the leg that swings
    upper_arm: float  # amplitude of the swing
    elbow: float  # flexion
    bob: float  # amplitude


GAITS = {
    "walking": _Gait(75, 0.87, 0.04, 0.42, 0.9, 0.4, 0.3, 0.012),
    "jogging": _Gait(50, 1.15, 0.12, 0.55, 1.5, 0.6, 1.4, 0.03),
    "running": _Gait(36, 1.4, 0.22, 0.75, 1.9, 0.9, 1.7, 0.035),
}

# Lengths and half widths as fractions of the body's height.
_LEG, _TRUNK, _NECK, _HEAD, _ARM = 0.25, 0.31, 0.09, 0.065, 0.165
_LEG_WIDTH, _TRUNK_WIDTH, _ARM_WIDTH = 0.035, 0.065, 0.025


def synthetic_ranges() -> list[FrameRange]:
    """Frame ranges of all synthetic videos: each of the 25 persons passes once per action."""
    return [
        FrameRange(f"person{person:02}_{action}_d1", 1, gait.frames)
        for action, gait in GAITS.items()
        for person in PERSONS
    ]


def walking_figure(action: str, person: int, *, seed: int = 0) -> np.ndarray:
    """A synthetic video: one figure passes before a still, plain background, once from border to border.

    Hip, knees, shoulders and elbows swing with the way gone, so that the feet keep step with the ground:

        phase = 2 pi way / stride                   thigh = lean + A sin(phase), other leg half a turn later

    The person's size, pace, clothes and background, and the direction are a function of `person`, `action`
    and `seed` alone.

    Args:
        action: `"walking"` (75 frames), `"jogging"` (50) or `"running"` (36).
        person: int, 0 or more.
        seed: int, 0 or more. Another seed gives other persons.

    Returns:
        uint8 (time, 120, 160), grey, 25 frames per second.

    Raises:
        ValueError: if the action is unknown or a number is negative.
    """
    if action not in GAITS:
        raise ValueError(f"`action` must be one of {list(GAITS)}. Received: action={action!r}")
    if min(person, seed) < 0:
        raise ValueError(f"`person` and `seed` must be 0 or more. Received: person={person}, seed={seed}")
    gait = GAITS[action]
    # Raw uniform numbers only: their stream has never depended on the NumPy version.
    body, light, slope, shirt, trousers, skin = np.random.default_rng([seed, person]).random(6)
    pace, phase, side = np.random.default_rng([seed, person, list(GAITS).index(action)]).random(3)
    height = 60 + 14 * body
    shades = {"shirt": 40 + 70 * shirt, "trousers": 25 + 50 * trousers, "skin": 105 + 40 * skin}
    background = _background(150 + 60 * light, 10 + 25 * slope)
    way = (_WIDTH + 2 * _OFF_SCENE) * (0.92 + 0.16 * pace) * np.arange(gait.frames) / gait.frames
    phases = 2 * np.pi * (way / (gait.stride * height) + phase)
    video = np.empty((gait.frames, _HEIGHT, _WIDTH), np.uint8)
    for t in range(gait.frames):
        canvas = background.copy()
        for start, end, width, shade in _limbs(gait, phases[t], shades):
            _draw_limb(canvas, way[t] - _OFF_SCENE, height, start, end, width, shade)
        video[t] = (canvas if side < 0.5 else canvas[:, ::-1]).round()
    return video


def _background(light: float, slope: float) -> np.ndarray:
    """Lighter at the top, with a darker ground."""
    column = light - slope * np.linspace(-0.5, 0.5, _HEIGHT)
    column[100:] -= 25
    return np.repeat(column[:, np.newaxis], _WIDTH, axis=1)


def _limbs(gait: _Gait, phase: float, shades: dict[str, float]):
    """Yields (start, end, half width, shade) from far to near; points are (forward, up) from the ground."""
    hip = np.array([0, 2 * _LEG - 0.01 + gait.bob * np.cos(2 * phase)])
    shoulder = hip + _TRUNK * np.array([np.sin(gait.lean), np.cos(gait.lean)])
    head = shoulder + _NECK * np.array([np.sin(gait.lean), np.cos(gait.lean)])

    def leg(phase, shade):
        thigh = gait.lean + gait.thigh * np.sin(phase)
        knee = hip + _below(_LEG, thigh)
        shin = thigh - gait.knee * (0.5 + 0.5 * np.cos(phase)) ** 2  # bent while the thigh swings forward
        yield hip, knee, _LEG_WIDTH, shade
        yield knee, knee + _below(_LEG, shin), 0.8 * _LEG_WIDTH, shade

    def arm(phase, shade):
        upper = -gait.upper_arm * np.sin(phase)  # against the leg of its side
        elbow = shoulder + _below(_ARM, upper)
        yield shoulder, elbow, _ARM_WIDTH, shade
        yield elbow, elbow + _below(_ARM, upper + gait.elbow), _ARM_WIDTH, shades["skin"]

    far = phase + np.pi
    yield from arm(far, 0.8 * shades["shirt"])
    yield from leg(far, 0.8 * shades["trousers"])
    yield from leg(phase, shades["trousers"])
    yield hip, shoulder, _TRUNK_WIDTH, shades["shirt"]
    yield head, head, _HEAD, shades["skin"]
    yield from arm(phase, 1.15 * shades["shirt"])


def _below(length: float, angle: float) -> np.ndarray:
    return length * np.array([np.sin(angle), -np.cos(angle)])


def _draw_limb(canvas, forward, height, start, end, width, shade):
    """Blends a line with round ends into the canvas; a pixel at its edge is covered in part."""
    (x0, y0), (x1, y1) = ((forward + height * x, 112 - height * y) for x, y in (start, end))
    reach = height * width + 1
    left, right = (int(np.clip(x, 0, _WIDTH)) for x in (min(x0, x1) - reach, max(x0, x1) + reach + 1))
    top, bottom = (int(np.clip(y, 0, _HEIGHT)) for y in (min(y0, y1) - reach, max(y0, y1) + reach + 1))
    y, x = np.ogrid[top:bottom, left:right]
    along_x, along_y = x1 - x0, y1 - y0
    squared = along_x**2 + along_y**2
    nearest = np.clip(((x - x0) * along_x + (y - y0) * along_y) / squared, 0, 1) if squared else 0.0
    distance = np.hypot(x - x0 - nearest * along_x, y - y0 - nearest * along_y)
    cover = np.clip(height * width + 0.5 - distance, 0, 1)
    part = canvas[top:bottom, left:right]
    part += cover * (shade - part)
