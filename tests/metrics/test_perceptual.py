"""What the package `lpips` is given, by one in its place; and that package itself where it is installed."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mslstm_keras.metrics.perceptual import lpips_distance

SHAPE = (2, 3, 64, 64, 1)


@pytest.fixture
def images(monkeypatch):
    """What stands in for a network was given; its distance is the mean of the first images' first rows."""
    given = {}

    def network(net, verbose):
        given["net"] = net

        def distance(truth, prediction):
            given["truth"], given["prediction"] = truth, prediction
            return SimpleNamespace(numpy=lambda: truth[:, :1, :1, :1])

        return distance

    torch = SimpleNamespace(no_grad=contextlib.nullcontext, from_numpy=lambda array: array)
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=network))
    monkeypatch.setitem(sys.modules, "torch", torch)
    return given


@pytest.mark.parametrize("channels", [1, 3])
def test_images_in_the_order_and_range_of_the_package(images, channels):
    rng = np.random.default_rng(0)
    truth, prediction = rng.random((2, 3, 5, 4, channels)), rng.normal(0.5, 1, (2, 3, 5, 4, channels))
    values = lpips_distance(truth, prediction, net="vgg")
    assert images["net"] == "vgg"
    for name, frames in (("truth", truth), ("prediction", prediction.clip(0, 1))):
        assert images[name].shape == (6, 3, 5, 4)
        assert images[name].dtype == "float32"
        for channel in range(3):
            expected = 2 * frames.reshape(6, 5, 4, channels)[..., channel % channels] - 1
            np.testing.assert_allclose(images[name][:, channel], expected, atol=1e-6)
    np.testing.assert_allclose(values, 2 * truth[:, :, 0, 0, 0] - 1, atol=1e-6)  # (batch, time)


@pytest.mark.parametrize("other", [(2, 3, 64, 32, 1), (2, 3, 64, 64, 3)])
def test_shapes_must_agree(other):
    with pytest.raises(
        ValueError, match=r"`y_true` and `y_pred` must have one shape .* Received: y_true \(2"
    ):
        lpips_distance(np.zeros(SHAPE), np.zeros(other))


@pytest.mark.parametrize("shape", [(2, 3, 64, 64, 2), (2, 64, 64, 1)])
def test_images_must_be_grey_or_colour(shape):
    with pytest.raises(ValueError, match=r"with 1 or 3 channels. Received: y_true \(2"):
        lpips_distance(np.zeros(shape), np.zeros(shape))


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ImportError, match=r"pip install 'mslstm_keras\[lpips\]'"):
        lpips_distance(np.zeros(SHAPE), np.zeros(SHAPE))


@pytest.mark.filterwarnings("ignore")  # of the packages
def test_the_package_itself():
    pytest.importorskip("lpips", reason="LPIPS is unverified: the package lpips is not installed")
    truth = np.random.default_rng(0).random(SHAPE)
    noise = np.random.default_rng(1).normal(size=SHAPE)
    try:
        values = [lpips_distance(truth, truth + size * noise) for size in (0, 0.02, 0.2)]
    except OSError as error:  # also of a download
        pytest.skip(f"LPIPS is unverified: its weights are not at hand ({error})")
    assert np.allclose(values[0], 0, atol=1e-6)
    assert (values[1] > 0).all()
    assert (values[2] > values[1]).all()
