"""The world that real clients are let loose on."""

from tests.journey.conftest import around, shared_world

__all__ = ["around", "shared_world"]
