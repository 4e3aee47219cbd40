"""The old place of `mslstm_keras.export.client`."""
