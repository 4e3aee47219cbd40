# %% [markdown]
# # A cell of your own
#
# A cell in one file is trained, counted, searched, shared and checked like those of the package, and nothing in the package changes.
# This one is a ConvLSTM whose forget gate is one minus its input gate. Its layers are made in the constructor; `build` and `get_config`
# are derived. `architecture` registers the stack as the model `foo`, and its mirrored pyramid as `ms_foo`.

# %%
from pathlib import Path

code = '''
from keras import ops, saving

from mslstm_keras import SpatiotemporalCell, architecture
from mslstm_keras.layers.gates import memory


@saving.register_keras_serializable(package="my_cells")
class FooCell(SpatiotemporalCell):
    """i, g, o = W * [x, h] + b;  c' = (1 - sigmoid(i)) . c + sigmoid(i) . tanh(g);  h' = sigmoid(o) . tanh(c')"""

    state_names = ("h", "c")

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.temporal = self.gates(3)

    def call(self, inputs, states):
        h, c = states
        i, g, o = self.temporal([inputs, h])
        c = memory(c, i, -i, g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


@architecture
def foo(filters, layers, **options):
    return [FooCell(filters, **options) for _ in range(layers)]
'''
_ = Path("my_cells.py").write_text(code)

# %% [markdown]
# ## Check it
#
# The contracts are those that the package's own tests run: no clip of a batch sees another one, no prediction sees a later frame,
# every weight learns, what is saved comes back the same, and so on. A broken one says how, with the numbers.

# %%
# !mslstm check my_cells.py

# %% [markdown]
# ## Count it, train it, forecast
#
# Every command that makes or loads a model takes `--import`. The training here is two steps long.

# %%
# !mslstm cost --import my_cells.py --frame 64x64x1 --context 10 --forecast 10 --models foo ms_foo conv_lstm ms_lstm

# %%
# !mslstm train optdigits_quick --import my_cells.py --set model=ms_foo --set filters=4 --set steps=2 --run-dir runs/mine --quiet

# %%
import numpy as np

import mslstm_keras as ms

ms.import_file("my_cells.py")
model = ms.load_model("runs/mine")
ms.forecast(model, np.zeros((10, 64, 64, 1), "float32"), horizon=5).shape

# %% [markdown]
# Searches, zoos and what a saved model needs: [a cell of your own](../cells.md). What is worth adding to the package itself:
# [contributing](../../CONTRIBUTING.md).
