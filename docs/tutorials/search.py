# %% [markdown]
# # Search under a budget
#
# Which kernels and how many channels are worth their cost? `mslstm tune` trains each combination in a process of its own and shows
# scores beside parameters, multiply-accumulates and memory. None above the caps is trained: here [5, 7] is not. The trainings of this page take four
# steps, so their scores say nothing; take steps in the thousands.

# %%
# !mslstm tune optdigits_quick --searcher grid --trials 3 --max-parameters 15000 --vary "options.kernel_sizes=[[3],[3,5],[5,7]]" --set filters=4 --set layers=2 --set patch_size=16 --set steps=4 --run-dir runs/search --quiet

# %% [markdown]
# The folder holds the table, the picture of what no trial beats, and the best recipe.

# %%
# !cat runs/search/results.csv

# %%
from IPython.display import Image

Image("runs/search/pareto.png")

# %% [markdown]
# The best one is trained at full length by its recipe, here for two steps:

# %%
# !mslstm train runs/search/best.json --set steps=2 --run-dir runs/best --quiet

# %% [markdown]
# Hyperband, Bayesian search, several workers, and KerasTuner in a program of your own: [search](../search.md).
