"""Settings of property tests: the same examples every time, and none is timed. And those of Python's memory."""

import gc

from hypothesis import settings

# TensorFlow's graphs are millions of small objects. To look through them as often as Python does by default takes a
# sixth of the time of the tests.
gc.set_threshold(50_000, 20, 20)

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")
