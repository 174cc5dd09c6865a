"""Lua of the scripts that the store runs."""

import pytest

from gateway.core.lua import lua_source
from gateway.core.ports import Script
from gateway.core.replies import is_count


def test_a_script_is_a_file_of_its_package() -> None:
    """By one name in both; where there is no such file, the gateway does not start."""
    script = Script.packaged("gateway.sessions", "end", is_count)
    assert ("end", is_count) == (script.name, script.accepts)
    assert "redis.call" in script.source
    assert script.source == lua_source("gateway.sessions", "end")
    with pytest.raises(FileNotFoundError):
        lua_source("gateway.sessions", "beginning")
