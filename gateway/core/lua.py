"""Lua of the scripts that the store runs: each is a file of the package that runs it."""

from importlib.resources import files


def lua_source(package: str, name: str) -> str:
    """Return the text of the file ``name`` of ``package``."""
    return files(package).joinpath(f"{name}.lua").read_text("utf-8")
