# %% [markdown]
# # Train on your own clips
#
# A folder of clips is all that it takes. Here ten clips of bouncing squares are drawn, so that everything on this page runs; the
# training is far too short to be of use.

# %%
from pathlib import Path

import numpy as np
from IPython.display import Image

random = np.random.default_rng(0)
Path("squares").mkdir()
for number in range(10):
    place, speed = random.uniform(8, 40, 2), random.uniform(-4, 4, 2)
    clip = np.zeros((16, 48, 64), "uint8")  # (time, height, width)
    for frame in clip:
        top, left = place.astype(int)
        frame[top : top + 8, left : left + 8] = 255
        speed = np.where((place + speed < 0) | (place + speed > (40, 56)), -speed, speed)
        place = place + speed
    np.save(f"squares/{number}.npy", clip)

# %% [markdown]
# Sizes, channels and lengths are found, and what was assumed is said. `--set` changes any field of the recipe. On a terminal there are
# bars; here what is said goes to a file.

# %%
# !mslstm train --data squares/ --run-dir runs/mine --set steps=60 --set filters=8 > train.log 2> bars.txt

# %%
# !cat train.log

# %% [markdown]
# The run folder holds the recipe, the weights and the log. A training that was stopped, by Ctrl-C or by a power cut, goes on with
# `--resume`.

# %%
# !ls runs/mine

# %%
# !mslstm evaluate --model runs/mine --dataset frames_from_folder/squares

# %% [markdown]
# ## Forecast with it

# %%
# !mslstm forecast --model runs/mine --input squares/9.npy --output forecast.png

# %%
Image("forecast.png")

# %% [markdown]
# `mslstm zoo add runs/mine --zoo my_zoo` makes an entry of it, with scores, card and checksums, and `mslstm export` a SavedModel, ONNX,
# LiteRT or OpenVINO: [export, serve, share](../serving.md). What a recipe's fields mean: [training](../training.md).
