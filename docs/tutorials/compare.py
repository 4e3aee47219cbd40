# %% [markdown]
# # Compare models
#
# Two models of the zoo are scored on the same clips, beside persistence (the last frame repeated), and drawn side by side. The clips
# are sixteen of moving handwritten digits, made here without a download: too few, and of other digits than the zoo's own table, to be
# quoted.

# %%
import json

import numpy as np
from IPython.display import Image

import mslstm_keras as ms

stream = ms.stream_clips("moving_mnist_clips/optdigits", seed=1)
clips = np.round(255 * stream.frames(range(160))).astype("uint8")
np.save("clips.npy", clips)  # uint8, (number, time, height, width, channels)
clips.shape

# %% [markdown]
# The last tenth of a `.npy` file is its test split. Scores are means over these clips; in JSON they have 95 % intervals by the
# bootstrap over clips.

# %%
# !mslstm evaluate --model ms_lstm_moving_mnist conv_lstm_moving_mnist --dataset clips.npy --output scores.json scores.csv --report report.html

# %% [markdown]
# `report.html` holds tables, curves and animations in one file. The curves alone, by lead time:

# %%
# !mslstm study curves scores.json --output curves.png

# %%
Image("curves.png")

# %%
# !mslstm study compare --model ms_lstm_moving_mnist conv_lstm_moving_mnist --dataset clips.npy --clip 3 --output compare.png

# %%
Image("compare.png")

# %% [markdown]
# ## A table of your own
#
# `scores.csv` has a line for each model, metric and lead time, for any program that reads tables.

# %%
# !head -4 scores.csv

# %% [markdown]
# `scores.json` holds the same with intervals, and says which clips and which frames were counted.

# %%
with open("scores.json") as file:
    scores = json.load(file)
list(scores)
