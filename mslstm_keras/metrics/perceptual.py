"""Perceptual distance of frames, by the features of a network trained on photographs."""

import numpy as np

from mslstm_keras.importing import needed


def lpips_distance(y_true: np.ndarray, y_pred: np.ndarray, net: str = "alex") -> np.ndarray:
    """Measures the perceptual distance (LPIPS) of every predicted frame from the true one, 0 at best.

    The package `lpips` computes it, with PyTorch, on the CPU; it downloads the weights of the network on
    first use. Our tests check what is handed to it; the distances themselves are unverified.

    Args:
        y_true: array (batch, time, height, width, channels), values in [0, 1], 1 or 3 channels.
        y_pred: array of the same shape; clipped to [0, 1].
        net: str. The network: "alex", "vgg" or "squeeze". Default: "alex".

    Returns:
        float32 (batch, time).

    Raises:
        ImportError: if `lpips` is not installed.
        ValueError: if the shapes differ or there are not 1 or 3 channels.

    Reference: Zhang, Isola, Efros, Shechtman & Wang, "The unreasonable effectiveness of deep features as a
    perceptual metric", CVPR 2018.
    """
    shapes = np.shape(y_true), np.shape(y_pred)
    if shapes[0] != shapes[1] or len(shapes[0]) != 5 or shapes[0][-1] not in (1, 3):
        raise ValueError(
            "`y_true` and `y_pred` must have one shape (batch, time, height, width, channels) with 1 or 3 "
            f"channels. Received: y_true {shapes[0]}, y_pred {shapes[1]}"
        )
    with needed("LPIPS", "lpips"):
        import lpips
        import torch
    distance = lpips.LPIPS(net=net, verbose=False)
    with torch.no_grad():
        values = distance(*(torch.from_numpy(_images(frames)) for frames in (y_true, y_pred)))
    return values.numpy().reshape(shapes[0][:2])


def _images(frames):
    """Returns frames as `lpips` takes them: float32 (images, 3, height, width), values in [-1, 1]."""
    images = 2 * np.clip(frames, 0, 1).reshape(-1, *frames.shape[2:]) - 1
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), "float32")
