# %% [markdown]
# # A cell of your own
