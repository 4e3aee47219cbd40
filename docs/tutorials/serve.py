# %% [markdown]
# # Serve a model
#
# A model leaves Keras as a SavedModel, ONNX, LiteRT or OpenVINO. Each export is run in its own runtime and compared with Keras before
# it is kept.

# %%
# !mslstm export ms_lstm_moving_mnist --output model.onnx

# %%
import numpy as np
import onnxruntime

frames = np.zeros((1, 10, 64, 64, 1), "float32")  # (batch, time, height, width, channels), values in [0, 1]
frames[:, :, 20:40, 20:40] = 1
session = onnxruntime.InferenceSession("model.onnx")
(forecast,) = session.run(["forecast"], {"frames": frames})
forecast.shape

# %% [markdown]
# ## TensorFlow Serving
#
# `serving` writes a folder with the model, requests to warm up with, and the settings of the server, and prints the line that starts
# it.

# %%
# !mslstm serving ms_lstm_moving_mnist --output serving --quiet

# %%
# !find serving -type f | sort

# %% [markdown]
# What the server would load needs TensorFlow alone; its signatures are what it would answer.

# %%
import tensorflow as tf

served = tf.saved_model.load("serving/ms_lstm_moving_mnist/1")
answer = served.signatures["serving_default"](frames=tf.constant(frames))["forecast"]
float(np.abs(answer - forecast).max())  # how far ONNX and TensorFlow are apart

# %% [markdown]
# Where the server is up, `mslstm_keras.export.client.predict("http://localhost:8501/v1/models/ms_lstm_moving_mnist", frames)` asks it.
# Bytes in place of floats, rates of rain, streams frame by frame: [export, serve, share](../serving.md).
