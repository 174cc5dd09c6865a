"""What holds for all tests."""

import os
import sys

from hypothesis import settings

# Tests start more than a hundred gateways, each a process of its own. Python keeps what it compiled
# for the next one: otherwise each of them takes twice as long to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A property is about results; how long one example takes on a busy machine says nothing of it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
