"""`mslstm_keras.export.client` under its old name: a client runs elsewhere, and is not updated with its server."""

from mslstm_keras.export.client import predict

__all__ = ["predict"]
