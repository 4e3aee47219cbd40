"""Recurrent cells, one model family a file: its equations and how its cells are stacked."""
