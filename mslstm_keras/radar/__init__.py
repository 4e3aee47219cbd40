"""Rain maps that weather services give away, read as one `xarray.Dataset`: `mslstm_keras.read_radar`."""
