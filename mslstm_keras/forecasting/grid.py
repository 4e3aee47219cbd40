"""Grids that are too large to be forecast in one piece, or of another size than a model is made for."""

import warnings

import keras
import numpy as np

from mslstm_keras.forecasting.memory import memory_budget, step_memory
from mslstm_keras.forecasting.tiles import SEAM, Layout, Run, run_in_tiles, tile
from mslstm_keras.models.resizing import size_divisor, tied_to_size
from mslstm_keras.typing import Progress


def fits_whole(step: keras.Model, height: int, width: int) -> bool:
    """Returns whether a grid is forecast in one piece."""
    if tied_to_size(step):
        return (height, width) == step.inputs[0].shape[1:3]
    return step_memory(step, height, width) <= memory_budget()


class TiledGrid:
    """Forecasts a grid in tiles: of the model's own size, or as large as memory allows.

    How they lie is found by the first forecast, and kept for those that follow.

    Args:
        step: step of a model.
        height: int. Of the grid.
        width: int. Of the grid.
    """

    def __init__(self, step: keras.Model, height: int, width: int):
        self._size, self._multiple = (height, width), size_divisor(step)
        self._layout: Layout | None = None
        least: tuple[int, ...] = (self._multiple, self._multiple)
        if tied := tied_to_size(step):
            _, *own, _ = step.inputs[0].shape
            least = tuple(own)
            overlap = tuple(side // 4 // self._multiple * self._multiple for side in own)
            self._layout = Layout(least, overlap, self._multiple)
            self._why = f"the model's own size, for which its {tied} is made"
        else:
            budget = memory_budget()
            self._pixels = budget * height * width // step_memory(step, height, width)
            self._why = f"as the whole grid may take more than {budget >> 20} MiB"
        self._padding = [
            (0, max(-(-side // self._multiple) * self._multiple, shortest) - side)
            for side, shortest in zip((height, width), least, strict=True)
        ]

    def forecast(
        self, run: Run, frames: np.ndarray, horizon: int, progress: Progress | None = None
    ) -> np.ndarray:
        """Forecasts frames of the grid.

        Args:
            run: what forecasts those of a tile.
            frames: (time, height, width, channels).
            horizon: int. Frames that `run` forecasts.
            progress: function of the number of tiles that are forecast, and of all.

        Returns:
            float32 (horizon, height, width, channels).
        """
        height, width = self._size
        padded = np.pad(frames, ((0, 0), *self._padding, (0, 0)))
        if self._layout is None:
            future, self._tiling, self._layout = tile(
                run, padded, horizon, self._multiple, self._pixels, progress
            )
        else:
            future, self._tiling = run_in_tiles(run, padded, horizon, self._layout, progress=progress)
        return future[:, :height, :width]

    def warn(self, stacklevel: int) -> None:
        """Says in a warning how the grid was forecast last."""
        tiling, (height, width), (rows, columns) = self._tiling, self._size, self._tiling.side
        far = ", as the model sees farther than they overlap" if tiling.seam > SEAM else ""
        warnings.warn(
            f"{height} x {width} pixels are forecast in {tiling.count} tiles of {rows} x {columns} that overlap, "
            f"{self._why}; {tiling.empty} are empty and computed once; where tiles meet they differ by "
            f"{tiling.seam:.1e} at most{far}",
            stacklevel=stacklevel + 1,
        )
