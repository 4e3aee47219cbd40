"""Kinds of files that hold frames: array files, NetCDF, pictures, films and folders of images."""
