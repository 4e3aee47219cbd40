"""Configs of `moving_mnist_clips`: what moves in the clips, how, and how many clips there are."""

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "paper": {
        "description": "MNIST digits, speed 2 to 6 pixels per frame, overlap is the clipped sum.",
        "source": "mnist",
        "motion": "paper",
        "train_clips": 10_500,
        "test_clips": 4_500,
    },
    "srivastava": {
        "description": "MNIST digits, 3.6 pixels per frame, overlap is the maximum; public test clips.",
        "source": "mnist",
        "motion": "srivastava",
        "train_clips": 10_000,
        "test_clips": None,
    },
    "fashion": {
        "description": "Fashion-MNIST articles, 3.6 pixels per frame, overlap is the maximum.",
        "source": "fashion",
        "motion": "srivastava",
        "train_clips": 10_000,
        "test_clips": 10_000,
    },
    "optdigits": {
        "description": "Digits that come with scikit-learn, moving as in `paper`; needs no download.",
        "source": "optdigits",
        "motion": "paper",
        "train_clips": 2_000,
        "test_clips": 500,
    },
}
"""Name -> description, and the fields that differ from the defaults of `MovingMnistClipsConfig`."""
