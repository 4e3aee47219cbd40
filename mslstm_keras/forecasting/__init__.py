"""Forecasts of frames: the main job. `mslstm_keras.forecast` and `mslstm_keras.Forecaster` are from here."""
