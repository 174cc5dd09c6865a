"""What holds for all tests."""

from hypothesis import settings

# A property is about results; how long one example takes on a busy machine says nothing of it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
