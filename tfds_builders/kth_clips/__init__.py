"""Clips of walking, jogging and running people (KTH): frame lists, videos, synthetic twin and TFDS builder."""
