"""Clips of moving handwritten digits or fashion articles: generator, objects and TFDS builder."""
