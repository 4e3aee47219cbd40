"""Clips of taxi flows over Beijing: reader of TaxiBJ's files, synthetic flows, windows and TFDS builder."""
