"""
Lints of a config as it is written: secrets in the file, and keys that a reload cannot change.

They read the document before placeholders are filled in. Messages never show a value.
"""

from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.draft import Draft
from gateway.config.problems import KeyPath, Problem

_LIVE_KEY = "sk_live_"
_MAGIC_KEYS = (_LIVE_KEY, "sk_test_")
"""Starts of Magic's secret keys: those of live mode have a code of their own, others no users."""
_LIVE, _SECRET, _ROTATED = "live-key-in-file", "secret-in-file", "key-from-environment"
WRITTEN_CODES = frozenset({_LIVE, _SECRET, _ROTATED})
"""The codes of `lint_written`."""
_KEYS = (("session", "keys"), ("identity", "assertion", "keys"))
"""Lists of keys that are rotated: the first is used, all are accepted."""

REDIS_URL = ("redis", "url")
SECRETS = frozenset(
    {
        ("admin", "token"),
        ("magic", "secret_key"),
        ("session", "keys", "*"),
        ("audit", "key"),
        ("audit", "old_keys", "*"),
        ("identity", "assertion", "keys", "*"),
        ("redis", "token"),
        ("redis", "password"),
        ("redis", "sentinel", "password"),
        ("hooks", "first_login", "secret"),
        ("hooks", "first_login", "secrets", "*"),
        ("hooks", "endpoints", "*", "secret"),
        ("hooks", "endpoints", "*", "secrets", "*"),
    }
)
"""Keys that are secrets, beside `REDIS_URL`; a star is a place in a list."""


def live_keys_in_the_file(document: Document) -> Iterator[Problem]:
    """Find secret keys of live mode: a config is copied and committed."""
    for path, text in _texts(document.data, ()):
        if text.startswith(_LIVE_KEY):
            yield Problem(
                path,
                "a live secret key stands in the file",
                remedy="use ${NAME}, or ${file:/path}",
                code=_LIVE,
            )


def secrets_in_the_file(document: Document) -> Iterator[Problem]:
    """Find other secrets; not in development mode, where all is on this machine."""
    if Draft(document.data).text("magic", "mode") == "development":
        return
    for path, text in _texts(document.data, ()):
        at = tuple("*" if isinstance(step, int) else step for step in path)
        is_secret = _has_password(text) if at == REDIS_URL else at in SECRETS and bool(text)
        is_written = "${" not in text.replace("$${", "") and not text.startswith(_MAGIC_KEYS)
        if is_secret and is_written:
            remedy = "use ${NAME}, or ${file:/path}"
            yield Problem(path, "a secret stands in the file", remedy=remedy, code=_SECRET)


def _has_password(url: str) -> bool:
    """Whether a password stands in ``url``: between its user name and its host."""
    userinfo, at, _ = url.rpartition("@")
    return bool(at) and ":" in userinfo.partition("://")[2]


def keys_from_the_environment(document: Document) -> Iterator[Problem]:
    """
    Find keys that are rotated and come from variables of the environment.

    A process keeps the environment of its start, so that a reload reads the old values.
    """
    draft = Draft(document.data)
    for at in _KEYS:
        written = draft.items(*at)
        for place, text in enumerate(written):
            if len(written) > 1 and _is_variable(text):
                yield _from_environment((*at, place))


def keys_that_reloads_keep(document: Document) -> Iterator[Problem]:
    """Find all keys of which a reload reads the values of the start."""
    draft = Draft(document.data)
    for at in _KEYS:
        for place, text in enumerate(draft.items(*at)):
            if _is_variable(text):
                yield _from_environment((*at, place))


def rotated_keys(document: Document) -> tuple[list[object], ...]:
    """Return the lists of keys as they are written, to see whether they have changed."""
    return tuple(Draft(document.data).items(*at) for at in _KEYS)


def _from_environment(path: KeyPath) -> Problem:
    return Problem(
        path,
        "a reload reads the environment of the start, so that a new value needs a restart",
        remedy="rotate keys in files, with ${file:/path}",
        code=_ROTATED,
    )


def _is_variable(text: object) -> bool:
    return isinstance(text, str) and "${" in text.replace("$${", "").replace("${file:", "")


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield all texts in ``value``, with their paths."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*path, key))
        case list():
            for place, item in enumerate(value):
                yield from _texts(item, (*path, place))
        case str():
            yield path, value


def lint_written(document: Document) -> tuple[Problem, ...]:
    """Run the lints that `gateway check` reports."""
    return (
        *live_keys_in_the_file(document),
        *secrets_in_the_file(document),
        *keys_from_the_environment(document),
    )
