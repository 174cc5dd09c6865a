"""What a program asks of a lock."""

from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.pages.lock_request import (
    AcquireLock,
    LockRequest,
    ReleaseLock,
    RenewLock,
    lock_name,
    read_lock_request,
)

RENEW = {"action": "renew", "holder": "a", "fence": 7}
RELEASE = {"action": "release", "holder": "a", "fence": 7}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"action": "acquire"}, AcquireLock("", 30_000, 0)),
        (
            {"action": "acquire", "holder": "run-1", "lease": "5m", "wait": "1500ms"},
            AcquireLock("run-1", 300_000, 1.5),
        ),
        ({"action": "acquire", "lease": "1h", "wait": "10s"}, AcquireLock("", 3_600_000, 10)),
        ({"action": "acquire", "lease": "1s", "wait": "0s"}, AcquireLock("", 1000, 0)),
        (RENEW, RenewLock("a", 7, 30_000)),
        (RENEW | {"lease": "2m"}, RenewLock("a", 7, 120_000)),
        (RELEASE | {"fence": 2**53 - 1}, ReleaseLock("a", 2**53 - 1)),
    ],
)
def test_what_is_read(document: dict[str, Any], expected: LockRequest) -> None:
    """The defaults are a lease of 30 seconds and no wait."""
    assert expected == read_lock_request(document)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "acquire",
        {},
        {"action": "steal"},
        {"action": ["acquire"]},
        {"action": "acquire", "lease": "999ms"},
        {"action": "acquire", "lease": "61m"},
        {"action": "acquire", "lease": 30},
        {"action": "acquire", "lease": "0s"},
        {"action": "acquire", "lease": None},
        {"action": "acquire", "wait": "10001ms"},
        {"action": "acquire", "wait": "-1s"},
        {"action": "acquire", "wait": 5},
        {"action": "acquire", "holder": ""},
        {"action": "acquire", "holder": "a b"},
        {"action": "acquire", "holder": "ä"},
        {"action": "acquire", "holder": "a" * 129},
        {"action": "acquire", "holder": 1},
        {"action": "acquire", "fence": 7},
        {"action": "acquire", "Wait": "1s"},
        {"action": "renew", "holder": "a"},
        {"action": "renew", "fence": 7},
        RENEW | {"wait": "1s"},
        RENEW | {"fence": "7"},
        RENEW | {"fence": 7.0},
        RENEW | {"fence": True},
        RENEW | {"fence": 0},
        RENEW | {"fence": 2**53},
        RELEASE | {"lease": "30s"},
        {"action": "release", "holder": "a"},
    ],
    ids=str,
)
def test_what_is_refused(document: object) -> None:
    """What is out of bounds, of another type, missing, or of no use to the action."""
    with pytest.raises(BadRequest):
        read_lock_request(document)


@pytest.mark.parametrize(
    "name", ["a", "Welcome", "welcome:did:ethr:0xAb", "9._:~-", "a" * 128], ids=len
)
def test_names(name: str) -> None:
    """They stay as they are."""
    assert name == lock_name(name)


@pytest.mark.parametrize("name", ["", "-a", ":a", "a b", "a/b", "a%", "ä", "a\n", "{}", "a" * 129])
def test_what_is_no_name(name: str) -> None:
    """What a path would have to escape, and what is too long."""
    with pytest.raises(BadRequest):
        lock_name(name)
