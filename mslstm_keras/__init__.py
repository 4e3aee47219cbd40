"""Video prediction with Keras 3: MS-LSTM and its baselines, their data, training and trained weights."""

__version__ = "0.1.0"
