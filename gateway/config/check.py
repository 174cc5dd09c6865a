"""One check of a config, and what the checks share."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gateway.config.draft import Draft
from gateway.config.problems import KeyPath, Problem, dotted

ASSERTION_HEADER = ("identity", "assertion", "header")


class Check(NamedTuple):
    """A check, with the code of its problems. ``remedy`` is for those that bring none."""

    code: str
    find: Callable[[Draft], Iterator[Problem]]
    remedy: str


def routes_of(draft: Draft) -> Iterator[KeyPath]:
    """Iterate over the keys of the routes."""
    return (("routes", place) for place, _ in enumerate(draft.items("routes")))


def repeated(entries: Iterable[tuple[KeyPath, object]], message: str) -> Iterator[Problem]:
    """Report each entry with the value of an earlier one; empty values are ignored."""
    first: dict[object, KeyPath] = {}
    for path, value in entries:
        if value and first.setdefault(value, path) is not path:
            yield Problem(path, f"{message} {dotted(first[value])}")
