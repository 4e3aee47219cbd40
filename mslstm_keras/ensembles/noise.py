"""Noise that looks like the errors of a model, with which the members of an ensemble differ."""

import numpy as np
from scipy import ndimage

from mslstm_keras.typing import Shape

WINDOW = 15
"""Pixels of the side of the square over which the size of errors is taken."""


class ErrorNoise:
    """Draws noise with the spectrum of errors, as large at each place as they are around it.

        A   = mean_t |F e_t|                                 amplitudes of the errors' Fourier transforms
        n   = F^-1(A F w) / sqrt(mean A^2)                   w white Gaussian noise; n has variance 1
        eta = n sqrt(box(mean_t e_t^2))                      box: mean over 15 x 15 pixels, reflected at the edges

    Where there were no errors around a place, there is no noise. Channels are drawn each for itself.

    Args:
        errors: floats (time, height, width, channels), what was observed minus what was predicted.

    Reference:
        Pulkkinen et al. 2019, pysteps: an open-source Python library for probabilistic precipitation nowcasting,
        section 2.4 (the non-parametric filter). https://doi.org/10.5194/gmd-12-4185-2019
    """

    def __init__(self, errors: np.ndarray):
        errors = np.asarray(errors, "float64")
        amplitude = np.abs(np.fft.fft2(errors, axes=(1, 2))).mean(axis=0)
        level = np.sqrt(np.mean(amplitude**2, axis=(0, 1)))
        # Of a transform of real numbers half is enough: the other half is the same.
        self._filter = amplitude[:, : errors.shape[2] // 2 + 1] / np.where(level, level, 1)
        squares = ndimage.uniform_filter(np.mean(errors**2, axis=0), (WINDOW, WINDOW, 1), mode="reflect")
        self.deviation = np.sqrt(np.maximum(squares, 0))  # rounding of running sums may fall below 0
        """Floats (height, width, channels): the standard deviation of the noise at each place."""

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Returns the next float32 (height, width, channels) of a generator."""
        shape: Shape = self.deviation.shape
        white = np.fft.rfft2(generator.standard_normal(shape), axes=(0, 1))
        coloured = np.fft.irfft2(white * self._filter, s=shape[:2], axes=(0, 1))
        return (coloured * self.deviation).astype("float32")
