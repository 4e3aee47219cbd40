"""What tests of commands have in common."""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
NAME = "ms_lstm_moving_mnist"
OPTDIGITS = "moving_mnist_clips/optdigits"
TINY = {
    "model": "conv_lstm",
    "filters": 1,
    "layers": 1,
    "patch_size": 16,
    "context_frames": 2,
    "forecast_frames": 2,
}
TINY |= {"batch_size": 2, "steps": 4, "interval_steps": 2, "decay_steps": 0, "sampling_steps": 130}
TINY_TEXT = {name: str(value) for name, value in TINY.items()}
SETTINGS = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


def width_of(picture):
    with Image.open(picture) as image:
        return image.width


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
