"""Settings of property tests: the same examples every time, and none is timed."""

from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")
