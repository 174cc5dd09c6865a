"""The world that hostile bytes are let loose on."""

from tests.journey.conftest import around, shared_world

__all__ = ["around", "shared_world"]
