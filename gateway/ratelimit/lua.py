"""The scripts of limits: the arithmetic of an algorithm, and what charges by it."""

from collections.abc import Iterable

from gateway.core.lua import lua_source


def charge_each(name: str) -> str:
    """Return the script that charges several callers, each for itself."""
    return f"{read(name)}\nlocal algorithm = {name}\n{read('charge_each')}"


def charge_all(names: Iterable[str]) -> str:
    """Return the script that charges all limits of a request or none, by any of ``names``."""
    algorithms = [*names]
    parts = [*map(read, algorithms), f"local algorithms = {{{', '.join(algorithms)}}}"]
    return "\n".join([*parts, read("charge_all")])


def read(name: str) -> str:
    """Return the Lua of the file ``name``."""
    return lua_source("gateway.ratelimit", name)
