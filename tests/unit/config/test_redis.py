"""Section ``redis``: TLS, credentials, time-outs, and how they fit the URL."""

from collections.abc import Callable

import pytest

from gateway.config.schema import Settings

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

SENTINEL = "redis+sentinel://h1,h2/main"


def test_the_defaults(read: Read) -> None:
    """A URL is enough."""
    redis = read("redis: {url: 'redis://h'}").redis

    assert (0.25, 1.0, 2, 2) == (
        redis.timeout_s,
        redis.connect_timeout_s,
        redis.connections,
        redis.retries,
    )
    assert redis.tls is None
    assert redis.password is None


def test_all_keys(read: Read) -> None:
    """Secrets are hidden when the settings are shown."""
    redis = read(
        "redis: {url: 'rediss+sentinel://h1:1,[::1]:2/main/3', username: gw, password: s3cret,"
        " tls: {ca: /ca, certificate: /c, key: /k, server_name: db.internal},"
        " sentinel: {username_file: /u, password_file: /p},"
        " connect_timeout: 3s, connections: 4, retries: 0}"
    ).redis

    assert redis.password is not None
    assert "s3cret" == redis.password.get_secret_value()
    assert "s3cret" not in repr(redis)
    assert redis.tls is not None
    assert ("/ca", "/c", "/k", "db.internal") == tuple(redis.tls.model_dump().values())
    assert ("/u", "/p") == (redis.sentinel.username_file, redis.sentinel.password_file)
    assert (3.0, 4, 0) == (redis.connect_timeout_s, redis.connections, redis.retries)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "url: 'redis://h', password: a, password_file: /p",
            "password_file: password is given, too",
        ),
        (
            "url: 'redis://h', username: a",
            "username: needs a password: add password or password_file",
        ),
        (
            "url: 'redis://:x@h', password: a",
            "password: the URL in redis.url has credentials, too",
        ),
        (
            "url: 'unix:///s?password=x', password_file: /p",
            "password_file: the URL in redis.url has credentials, too",
        ),
        (
            "url: 'embedded://', password: a",
            "password: needs a redis:// or rediss:// URL in redis.url",
        ),
        (
            "url: 'redis://h', sentinel: {password: a}",
            "sentinel.password: needs a redis+sentinel:// URL in redis.url",
        ),
        (
            f"url: '{SENTINEL}', sentinel: {{username_file: /u}}",
            "sentinel.username_file: needs a password: add password or password_file",
        ),
        ("url: 'redis://h', tls: {ca: /ca}", "tls: needs a rediss:// URL in redis.url"),
        (
            "url: 'rediss://h?ssl_ca_certs=/ca', tls: {ca: /ca}",
            "tls: the URL in redis.url has options for TLS, too",
        ),
        ("url: 'rediss://h', tls: {key: /k}", "tls.key: needs tls.certificate"),
    ],
)
def test_keys_that_do_not_fit(complaints: Complain, keys: str, expected: str) -> None:
    """Each is told with the remedy; no value is shown."""
    [problem] = complaints(f"redis: {{{keys}}}")

    assert problem.startswith(f"gateway.yaml:1: redis.{expected}")


@pytest.mark.parametrize(
    "keys",
    [
        "url: 'redis://h', username: u, password_file: /p",
        "url: 'unix:///run/s?db=1', password: a",
        f"url: '{SENTINEL}', password: a, sentinel: {{password: b}}",
        "url: 'rediss://u:p@h?db=1', tls: {ca: /ca}",
    ],
)
def test_keys_that_fit(complaints: Complain, keys: str) -> None:
    """Credentials in one place, certificates where there is TLS."""
    assert [] == complaints(f"redis: {{{keys}}}")
