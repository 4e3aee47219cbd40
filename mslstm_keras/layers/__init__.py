"""Pieces that several cells share; each knows nothing of models."""
