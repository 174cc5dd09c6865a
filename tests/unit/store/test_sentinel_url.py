"""URLs of primaries that sentinels name."""

import pytest

from gateway.store.sentinel_url import SentinelUrl, read_sentinel_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "redis+sentinel://h1,h2:1/main",
            SentinelUrl((("h1", 26379), ("h2", 1)), "main", "redis://primary/0"),
        ),
        (
            "rediss+sentinel://ann:s%40x@[::1]:2/my%2Dmain/3?ssl_ca_certs=/ca",
            SentinelUrl((("::1", 2),), "my-main", "rediss://ann:s%40x@primary/3?ssl_ca_certs=/ca"),
        ),
        ("redis+sentinel://h/main/", SentinelUrl((("h", 26379),), "main", "redis://primary/0")),
    ],
)
def test_urls(url: str, expected: SentinelUrl) -> None:
    """Ports and the database have defaults; credentials are those of the servers."""
    assert expected == read_sentinel_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://s3cret@h/main",
        "redis+sentinel://s3cret@h1",
        "redis+sentinel://s3cret@/main",
        "redis+sentinel://s3cret@h1,,h2/main",
        "redis+sentinel://s3cret@h1:99999/main",
        "redis+sentinel://s3cret@[::1/main",
        "redis+sentinel://s3cret@h/main/first",
        "redis+sentinel://ann:12/s3cret@h/0",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """The message does not repeat the URL, which may hold a password."""
    with pytest.raises(ValueError, match=r"^expected (redis\+)?sentinel") as error:
        read_sentinel_url(url)
    assert "s3cret" not in str(error.value)
