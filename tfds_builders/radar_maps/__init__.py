"""Clips cut out of radar maps of several weather services: events, draws and TFDS builder."""
