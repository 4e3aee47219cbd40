"""Noise with the spectrum and the local size of errors."""

import numpy as np
import pytest

from mslstm_keras.ensembles.noise import WINDOW, ErrorNoise


def errors(height=24, width=33, channels=2, count=3):
    """Smooth errors, of another size in each channel."""
    white = np.random.default_rng(0).standard_normal((count, height, width, channels))
    smooth = sum(np.roll(white, shift, axis) for shift in range(3) for axis in (1, 2))
    return smooth * np.arange(1, channels + 1)


@pytest.mark.parametrize("size", [(24, 33), (25, 32)])
def test_a_draw_is_white_noise_filtered_and_scaled(size):
    given = errors(*size)
    amplitude = np.mean([np.abs(np.fft.fft2(each, axes=(0, 1))) for each in given], axis=0)
    white = np.random.default_rng(7).standard_normal((*size, 2))
    filtered = np.fft.ifft2(np.fft.fft2(white, axes=(0, 1)) * amplitude, axes=(0, 1)).real
    unit = filtered / np.sqrt((amplitude**2).mean((0, 1)))
    reach = WINDOW // 2
    padded = np.pad((given**2).mean(0), ((reach, reach), (reach, reach), (0, 0)), "symmetric")
    deviation = np.empty((*size, 2))
    for row, column in np.ndindex(*size):
        deviation[row, column] = padded[row : row + WINDOW, column : column + WINDOW].mean((0, 1)) ** 0.5
    noise = ErrorNoise(given)
    drawn = noise.draw(np.random.default_rng(7))
    assert drawn.dtype == "float32"
    np.testing.assert_allclose(noise.deviation, deviation, rtol=1e-9)
    np.testing.assert_allclose(drawn, unit * deviation, rtol=1e-4, atol=1e-5)


def test_draws_have_the_size_and_the_spectrum_of_the_errors():
    given = errors(64, 64, 1, 8)
    noise, generator = ErrorNoise(given), np.random.default_rng(1)
    drawn = np.stack([noise.draw(generator) for _ in range(200)])
    np.testing.assert_allclose(drawn.std(), given.std(), rtol=0.05)

    def power(frames):
        """By rings of wave numbers."""
        numbers = np.fft.fftfreq(64, 1 / 64)
        ring = np.rint(np.hypot(*np.meshgrid(numbers, numbers))).astype(int)
        power = (np.abs(np.fft.fft2(frames[..., 0])) ** 2).mean(0)
        return np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())

    np.testing.assert_allclose(power(drawn)[3:30], power(given)[3:30], rtol=0.35)
    assert power(drawn)[3:6].mean() > 5 * power(drawn)[28:31].mean()


def test_there_is_no_noise_where_there_were_no_errors():
    given = errors(60, 60)
    given[:, :, 20:] = 0
    drawn = ErrorNoise(given).draw(np.random.default_rng(0))
    np.testing.assert_allclose(drawn[:, 20 + WINDOW // 2 + 1 : -WINDOW], 0, atol=1e-6)
    assert (np.abs(drawn[:, :20]) > 0.01).mean() > 0.9
    np.testing.assert_array_equal(ErrorNoise(0 * given).draw(np.random.default_rng(0)), 0)


def test_channels_are_drawn_each_for_itself():
    given = errors()
    given[..., 1] = 0
    drawn = ErrorNoise(given).draw(np.random.default_rng(0))
    assert drawn[..., 0].std() > 0.1
    np.testing.assert_array_equal(drawn[..., 1], 0)
