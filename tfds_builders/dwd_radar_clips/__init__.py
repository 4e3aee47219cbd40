"""Clips of rain radar maps: folders of maps, RYDL.hdf5, synthetic rain, windows and TFDS builder."""
