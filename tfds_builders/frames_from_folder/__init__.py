"""Clips of the user's own: a folder of array files, animations, videos, HDF5 files and folders of images."""
