"""Templates of the pages: those that come along, and those of an operator in a sandbox."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.core.errors import PROBLEM_TYPES, StartError

_MISDIRECTED = 421
"""A status that only proxies in front answer with."""
_STATUSES = {int(about.status) for about in PROBLEM_TYPES.values()} | {_MISDIRECTED}
_NAMES = frozenset(
    {
        *("account.html", "base.html", "callback.html", "error.html", "login.html"),
        *("logout.html", "signed-out.html"),
        *(f"{status}.html" for status in _STATUSES if status >= 400),  # noqa: PLR2004 (RFC 9110 section 15)
    }
)
_LARGEST_BYTES = 256 << 10


def templates(folder: str) -> Environment:
    """
    Return the templates; those in ``folder`` go before those that come along.

    Raises `StartError` where one of them cannot be used.
    """
    if not folder:
        return _packaged()
    loaders = [FileSystemLoader(folder), PackageLoader("gateway.pages")]
    made = _environment(ImmutableSandboxedEnvironment, ChoiceLoader(loaders))
    for fault in _faults(made, folder):
        raise StartError(fault)
    return made


def forget(made: Environment) -> None:
    """
    Take the templates of an operator apart, so that they are freed without a garbage collection.

    Each is a cycle of its own with the module that it was compiled to. A config is frozen, and a
    collection would never find it; see `gateway.runtime.garbage`.
    """
    if isinstance(made, ImmutableSandboxedEnvironment) and made.cache is not None:
        for template in made.cache.values():
            template.root_render_func.__globals__.clear()
        made.cache.clear()


def faults(folder: str) -> Iterator[str]:
    """Find what `templates` raises for, all of it, with file and line."""
    yield from _faults(
        _environment(ImmutableSandboxedEnvironment, FileSystemLoader(folder)), folder
    )


def _faults(made: Environment, folder: str) -> Iterator[str]:
    names: list[str] = []
    yield from _faults_of_files(Path(folder), names)
    for name in names:
        try:
            made.get_template(name)
        except TemplateSyntaxError as error:
            yield f"pages.templates: {folder}/{error.name or name}:{error.lineno}: {error.message}"
        except UnicodeDecodeError:
            yield f"pages.templates: {folder}/{name}: expected UTF-8"


@cache
def _packaged() -> Environment:
    return _environment(Environment, PackageLoader("gateway.pages"))


def _environment(kind: type[Environment], loader: BaseLoader) -> Environment:
    return kind(
        loader=loader,
        autoescape=True,
        auto_reload=False,  # a reload of the config reads them again
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _faults_of_files(folder: Path, names: list[str]) -> Iterator[str]:
    """Add the templates in ``folder`` to ``names``; find the files that no page would use."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".html")
        sizes = [path.stat().st_size for path in found]
    except OSError as error:
        yield f"pages.templates: {folder}: {error.strerror}"
        return
    for path, size in zip(found, sizes, strict=True):
        if path.name not in _NAMES:
            yield f"pages.templates: {path}: expected one of {', '.join(sorted(_NAMES))}"
        elif size > _LARGEST_BYTES:
            yield f"pages.templates: {path}: expected up to 256 KiB"
        else:
            names.append(path.name)
