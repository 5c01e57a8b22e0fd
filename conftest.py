"""Settings of all tests: a slow machine fails no property."""

from hypothesis import settings

settings.register_profile("cemag", deadline=None)
settings.load_profile("cemag")
