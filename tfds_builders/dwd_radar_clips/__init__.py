"""Clips of rain radar maps: readers of three formats, synthetic rain, windows and TFDS builder."""
