"""Forecasts from frames: a whole clip at once, or one frame at a time."""

import itertools
from typing import TYPE_CHECKING, Any, overload

import keras
import numpy as np

from mslstm_keras.forecasting.grid import TiledGrid, fits_whole
from mslstm_keras.forecasting.maps import is_labelled, last_maps
from mslstm_keras.forecasting.memory import free_memory, memory_budget, step_memory
from mslstm_keras.forecasting.stepping import Stepper
from mslstm_keras.formats.checks import check_frames
from mslstm_keras.integers import is_whole
from mslstm_keras.models.resizing import tied_to_size
from mslstm_keras.models.rollout import Rollout, find_layer
from mslstm_keras.typing import Progress

if TYPE_CHECKING:
    import xarray


class Forecaster:
    """Takes one frame at a time and predicts the next; the model's states are carried along.

        y_t, s_t = step(x_t, s_{t-1})

    Pushing the context and reading `forecast` gives what the model gives on the whole clip. Memory does not
    grow with the number of frames.

    Args:
        model: model of `create_model`.

    Raises:
        ValueError: if the model has no roll-out.
    """

    def __init__(self, model: keras.Model):
        self._own_step = find_layer(model, Rollout).step
        self.reset()

    def reset(self) -> None:
        """Forgets all frames: the next `push` is the first of a new sequence, perhaps of another size."""
        self._stepper: Stepper | None = None

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Takes the next true frame and predicts the one behind it.

        Args:
            frame: floats in [0, 1], (height, width, channels) or (batch, height, width, channels), of any height and
                width; the same shape each time. What a masked array hides counts as 0, with a warning.

        Returns:
            float32 prediction, shaped as `frame`; not clipped.

        Raises:
            ValueError: if `frame` has another shape, is not finite or leaves [0, 1]; if a step on the first frame may
                take more memory than is free.
        """
        frame = self._received(frame)
        if self._stepper is None:
            self._check_memory(frame)
        return self._step(frame)

    def _received(self, frame):
        frame = check_frames(frame, name="frame")
        channels = self._own_step.inputs[0].shape[-1]
        if frame.ndim not in (3, 4) or frame.shape[-1] != channels:
            raise ValueError(
                f"`frame` must have shape (height, width, {channels}) or (batch, height, width, {channels}). "
                f"Received: frame.shape={frame.shape}"
            )
        if self._stepper is None:
            self._check_size(*frame.shape[-3:-1])
        elif frame.shape != self._frame_shape:
            raise ValueError(
                f"`frame` must keep its shape {self._frame_shape} until `reset`. Received: frame.shape={frame.shape}"
            )
        return frame

    def _step(self, frame):
        if self._stepper is None:
            self._frame_shape = frame.shape
            self._stepper = Stepper(self._own_step, frame.shape[-3:])
            self._states = self._stepper.begin(len(frame) if frame.ndim == 4 else 1)
        padded = self._stepper.pad(frame.reshape(-1, *frame.shape[-3:]))
        self._prediction, self._states = self._stepper(padded, self._states)
        return self._cropped(self._prediction).reshape(frame.shape)

    def forecast(self, horizon: int) -> np.ndarray:
        """Predicts the next frames from the model's own predictions. The carried states stay as they are.

        Args:
            horizon: int. Number of frames.

        Returns:
            float32 (horizon, height, width, channels), or (batch, horizon, height, width, channels) if batches were
            pushed; the first is what the last `push` returned. Not clipped.

        Raises:
            ValueError: if `horizon` is not positive or nothing has been pushed.
        """
        return self._forecast(checked_horizon(horizon), lambda: None)

    def _forecast(self, horizon, step_done):
        if self._stepper is None:
            raise ValueError("`push` must have been called before `forecast`. Received: no frames yet")
        prediction, states = self._prediction, self._states
        predictions = [self._cropped(prediction)]
        while len(predictions) < horizon:
            prediction, states = self._stepper(prediction, states)
            predictions.append(self._cropped(prediction))
            step_done()
        future = np.stack(predictions, axis=1)
        return future if len(self._frame_shape) == 4 else future[0]

    def _check_size(self, height, width):
        tied, own = tied_to_size(self._own_step), self._own_step.inputs[0].shape[1:3]
        if tied and (height, width) != own:
            raise ValueError(
                f"`frame` must be of the model's own size, {own[0]} x {own[1]}, for which its {tied} is made; "
                f"`forecast` takes others, in tiles. Received: {height} x {width}"
            )

    def _check_memory(self, frame):
        height, width = frame.shape[-3:-1]
        batch = len(frame) if frame.ndim == 4 else 1
        needed, free = batch * step_memory(self._own_step, height, width), free_memory()
        if needed > free:
            raise ValueError(
                f"`frame` must be of a size whose step fits into the {free >> 20} MiB that are free; `forecast` takes "
                f"larger ones, in tiles. Received: frame.shape={frame.shape}, whose step may take {needed >> 20} MiB"
            )

    def _cropped(self, prediction):
        height, width, _ = self._frame_shape[-3:]
        # A copy: on some backends the array is the prediction itself.
        return keras.ops.convert_to_numpy(prediction)[:, :height, :width].astype("float32")


@overload
def forecast(
    model: keras.Model,
    frames: np.ndarray,
    horizon: int | None = None,
    *,
    scale: None = None,
    progress: Progress | None = None,
) -> np.ndarray: ...
@overload
def forecast(
    model: keras.Model,
    frames: "xarray.DataArray",
    horizon: int | None = None,
    *,
    scale: str | None = None,
    progress: Progress | None = None,
) -> "xarray.DataArray": ...
@overload
def forecast(
    model: keras.Model,
    frames: "xarray.Dataset",
    horizon: int | None = None,
    *,
    scale: str | None = None,
    progress: Progress | None = None,
) -> "xarray.Dataset": ...
def forecast(
    model: keras.Model,
    frames: Any,
    horizon: int | None = None,
    *,
    scale: str | None = None,
    progress: Progress | None = None,
) -> Any:
    """Forecasts the frames that follow a clip, of any height and width.

    The model's convolutions run over the whole grid. Sides that its patches and scales do not divide are padded with
    zeros below and to the right. Clips of a batch run together, as many as fit into memory. A grid for which a step
    would take too much memory is forecast in tiles that overlap by as much as the forecast of a place depends on what
    lies around; tiles without anything in them are computed once. So are other sizes by a model with a cell that is
    made for one size, in tiles of that size. A warning says so, and by how much tiles differ where they meet.

    Args:
        model: model of `create_model`, or of the zoo.
        frames: floats in [0, 1], (time, height, width, channels) or (batch, time, height, width, channels), at
            least the model's `context_frames` long; of longer clips the last `context_frames` are used, and only those
            are read. What a masked array hides counts as 0, with a warning. Or `xarray.DataArray` with axes time, y, x
            and perhaps channel, or `xarray.Dataset` with `rain_rate` or another variable of these axes, with times at
            one interval, of months or years too, or none. NaN there counts as 0.
        horizon: int. Frames to forecast; the model's `forecast_frames` by default, or any other number.
        scale: how pixels stand for the numbers of xarray's maps, such as "rain:dwd", see
            `mslstm_keras.frames.scales.parse_scale`. Default: "rain:dwd" for maps in mm/h, which a warning says; maps
            without units are pixels in [0, 1].
        progress: function of the number of steps that are done, and of all; of a grid in tiles, of tiles.

    Returns:
        float32 array with the axes of `frames`, `horizon` long; not clipped. For the default horizon it equals
        the last `forecast_frames` of the model's output. For maps of xarray, maps in their units with the same places
        and grid mapping, NaN where the last map is: `time` is the time that a map is for, `forecast_reference_time`
        that of the last map, `forecast_period` the minutes since.

    Raises:
        ValueError: if `frames` has another shape, too few frames, is not finite or leaves [0, 1]; if maps are not at
            one interval or have units without a scale; or if `horizon` is not positive.
    """
    if is_labelled(frames):
        maps = last_maps(frames, find_layer(model, Rollout).context_frames, scale)
        return maps.forecast(_forecast(model, maps.frames, horizon, progress))
    if scale is not None:
        raise ValueError(f"`scale` must be left out where frames are pixels. Received: scale={scale!r}")
    return _forecast(model, frames, horizon, progress)


def last_context(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    """Returns the frames that a model sees of a clip or of clips: float32, the last of them.

    Raises:
        ValueError: if `frames` has another shape, too few frames, is not finite or leaves [0, 1].
    """
    rollout = find_layer(model, Rollout)
    frames = check_frames(frames)
    channels = rollout.step.inputs[0].shape[-1]
    if frames.ndim not in (4, 5) or frames.shape[-1] != channels:
        raise ValueError(
            f"`frames` must have shape (time, height, width, {channels}) or (batch, time, height, width, {channels}). "
            f"Received: frames.shape={frames.shape}"
        )
    if frames.shape[-4] < rollout.context_frames:
        raise ValueError(
            f"`frames` must hold at least the model's {rollout.context_frames} context frames. Received: "
            f"{frames.shape[-4]} frames, frames.shape={frames.shape}"
        )
    return frames[..., -rollout.context_frames :, :, :, :]


def _forecast(model, frames, horizon, progress):
    rollout = find_layer(model, Rollout)
    frames = last_context(model, frames)
    horizon = checked_horizon(rollout.forecast_frames if horizon is None else horizon)
    step, clips = rollout.step, frames.reshape(-1, *frames.shape[-4:])
    if fits_whole(step, *frames.shape[-3:-1]):
        together = max(1, memory_budget() // step_memory(step, *frames.shape[-3:-1]))
        parts = np.split(clips, range(together, len(clips), together))
        future = np.concatenate(
            [
                _whole(model, part, horizon, progress and part_of(progress, index, len(parts)))
                for index, part in enumerate(parts)
            ]
        )
    else:
        future = np.stack(
            [
                _in_tiles(model, clip, horizon, progress and part_of(progress, index, len(clips)))
                for index, clip in enumerate(clips)
            ]
        )
    return future if frames.ndim == 5 else future[0]


def part_of(progress: Progress, index: int, count: int) -> Progress:
    """Returns the progress of one of several alike, in parts of that of all."""
    return lambda done, parts: progress(index * parts + done, count * parts)


def _whole(model, frames, horizon, progress=None):
    forecaster, frames = Forecaster(model), np.moveaxis(frames, -4, 0)
    steps = itertools.count(1)

    def step_done():
        if progress:
            progress(next(steps), len(frames) + horizon - 1)

    for frame in frames:
        forecaster._step(frame)  # its size has been chosen by memory
        step_done()
    return forecaster._forecast(horizon, step_done)


def _in_tiles(model, frames, horizon, progress):
    """Forecasts one clip in tiles, and says so."""
    grid = TiledGrid(find_layer(model, Rollout).step, *frames.shape[1:3])
    future = grid.forecast(lambda tile: _whole(model, tile, horizon), frames, horizon, progress)
    grid.warn(stacklevel=4)
    return future


def checked_horizon(horizon: int) -> int:
    """Returns the number of frames to forecast.

    Raises:
        ValueError: if it is not positive.
    """
    if not is_whole(horizon):
        raise ValueError(f"`horizon` must be a positive number of frames. Received: horizon={horizon!r}")
    return horizon
