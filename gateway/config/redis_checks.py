"""Checks between keys that concern the store; see `gateway.config.checks`."""

from collections.abc import Iterator

from gateway.config.check import Check
from gateway.config.draft import Draft
from gateway.config.problems import KeyPath, Problem
from gateway.config.store_env import REST_SCHEME

_LOGIN = ("username", "password", "username_file", "password_file")
_OTHERS = (REST_SCHEME, "embedded:")
"""How URLs of stores begin that have no user names and passwords."""
_SENTINEL = ("redis", "sentinel")


def rest_apis_have_tokens(draft: Draft) -> Iterator[Problem]:
    """Require the token of a REST API, and refuse one where there is none."""
    url = draft.text("redis", "url")
    is_rest, token = url.startswith(REST_SCHEME), draft.at("redis", "token")
    if is_rest and token in (None, ""):
        yield Problem(("redis", "token"), "required with upstash+https://", remedy="set it")
    if token not in (None, "") and url and not is_rest:
        yield Problem(("redis", "token"), "needs an upstash+https:// URL in redis.url")


def credentials_are_in_one_place(draft: Draft) -> Iterator[Problem]:
    """Refuse credentials that are given twice, or to a store that takes none."""
    url = draft.text("redis", "url")
    for section in (("redis",), _SENTINEL):
        yield from _given_twice(draft, section)
    for key in _given(draft, ("redis",)):
        if url.startswith(_OTHERS):
            yield Problem(("redis", key), "needs a redis:// or rediss:// URL in redis.url")
        elif _has_credentials(url):
            yield Problem(("redis", key), "the URL in redis.url has credentials, too")
    if url and "+sentinel:" not in url:
        for key in _given(draft, _SENTINEL):
            yield Problem((*_SENTINEL, key), "needs a redis+sentinel:// URL in redis.url")


def store_tls_is_complete(draft: Draft) -> Iterator[Problem]:
    """Refuse certificates where there is no TLS, in two places, or without their key."""
    at, url = ("redis", "tls"), draft.text("redis", "url")
    if draft.at(*at) is None:
        return
    if url and not url.startswith("rediss"):
        yield Problem(at, "needs a rediss:// URL in redis.url")
    if "ssl_" in url.partition("?")[2]:
        yield Problem(at, "the URL in redis.url has options for TLS, too")
    if draft.text(*at, "key") and not draft.text(*at, "certificate"):
        yield Problem((*at, "key"), "needs tls.certificate")


def _given_twice(draft: Draft, section: KeyPath) -> Iterator[Problem]:
    given = _given(draft, section)
    for key in ("username", "password"):
        if key in given and f"{key}_file" in given:
            yield Problem((*section, f"{key}_file"), f"{key} is given, too")
    is_named = "username" in given or "username_file" in given
    if is_named and "password" not in given and "password_file" not in given:
        key = "username" if "username" in given else "username_file"
        yield Problem((*section, key), "needs a password", remedy="add password or password_file")


def _given(draft: Draft, section: KeyPath) -> list[str]:
    return [key for key in _LOGIN if draft.at(*section, key) not in (None, "")]


def _has_credentials(url: str) -> bool:
    authority = url.partition("://")[2].partition("/")[0]
    options = url.partition("?")[2].split("&")
    return "@" in authority or any(
        option.startswith(("username=", "password=")) for option in options
    )


REDIS_CHECKS: tuple[Check, ...] = (
    Check("rest-token", rest_apis_have_tokens, "remove it"),
    Check("store-credentials", credentials_are_in_one_place, "remove one of them"),
    Check("store-tls", store_tls_is_complete, "remove it, or correct redis.url"),
)
