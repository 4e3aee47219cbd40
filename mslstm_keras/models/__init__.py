"""How cells become a model: one step, its roll-out through time, and the list of named models."""
