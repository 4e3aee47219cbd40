"""Streaming scores of predicted frames."""
