# %% [markdown]
# # Forecast your clip
#
# A clip of your own becomes a forecast in one command. Here the clip is drawn first, so that everything on this page runs; take
# your own file instead: `.npy`, `.gif`, `.mp4`, `.h5`, `.nc` or a folder of images ([what is read, and how](../clips.md)).

# %%
import base64
from pathlib import Path

import numpy as np
from IPython.display import HTML, Image
from PIL import Image as Picture

frames = np.zeros((10, 80, 96), "uint8")  # (time, height, width)
for time, frame in enumerate(frames):
    top, left = 8 + 3 * time, 10 + 4 * time
    frame[top : top + 20, left : left + 6] = 255  # an L moves down and to the right
    frame[top + 14 : top + 20, left : left + 16] = 255
pictures = [Picture.fromarray(frame) for frame in frames]
pictures[0].save("clip.gif", save_all=True, append_images=pictures[1:], duration=100)

# %% [markdown]
# The model was trained on frames of 64 x 64 pixels. Its convolutions take [any size](../grids.md); what is assumed is said.

# %%
# !mslstm forecast --model ms_lstm_moving_mnist --input clip.gif --horizon 12 --output forecast.png

# %%
Image("forecast.png")

# %% [markdown]
# The suffix says what is written: `.gif` and `.mp4` are films, `.html` a page with a slider, `.npy`, `.nc` and `.zarr` the numbers.

# %%
# !mslstm forecast --model ms_lstm_moving_mnist --input clip.gif --horizon 12 --output forecast.gif

# %%
film = base64.b64encode(Path("forecast.gif").read_bytes()).decode()
HTML(f'<img src="data:image/gif;base64,{film}">')

# %% [markdown]
# ## In Python
#
# A model of the zoo is a `keras.Model`. `forecast` takes frames in [0, 1], one clip or a batch, and any horizon.

# %%
import mslstm_keras as ms

model = ms.load_pretrained("ms_lstm_moving_mnist")
clip = ms.read_clip("clip.gif")  # floats in [0, 1]
future = ms.forecast(model, clip, horizon=12)
clip.shape, future.shape

# %% [markdown]
# Frames that come in one by one go to a `Forecaster`. It keeps the states of the model, so a frame is looked at once, however long
# the stream is.

# %%
live = ms.Forecaster(model)
for frame in clip:
    live.push(frame)
later = live.forecast(12)
float(np.abs(later - future).max())  # the same forecast

# %% [markdown]
# The model knows moving digits and nothing else. For clips of another kind [train one on your own](train.py).
