"""`mslstm_keras.export.client` under its old name: clients run where the server is asked, and are not updated with it."""

from mslstm_keras.export.client import predict

__all__ = ["predict"]
