"""The store that the environment names."""

import pytest

from gateway.config.store_env import NamedStore, store_of

UPSTASH = {"UPSTASH_REDIS_REST_URL": "https://u", "UPSTASH_REDIS_REST_TOKEN": "ut"}
VERCEL = {"KV_REST_API_URL": "https://v", "KV_REST_API_TOKEN": "vt"}


@pytest.mark.parametrize(
    ("env", "named"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"REDIS_URL": "", "KV_REST_API_URL": ""}, None, id="empty-variables"),
        pytest.param(
            {"REDIS_URL": "redis://h", **UPSTASH, **VERCEL},
            NamedStore("REDIS_URL", "redis://h"),
            id="redis-goes-first",
        ),
        pytest.param(
            {**UPSTASH, **VERCEL},
            NamedStore(
                "UPSTASH_REDIS_REST_URL", "upstash+https://u", "ut", "UPSTASH_REDIS_REST_TOKEN"
            ),
            id="then-upstash",
        ),
        pytest.param(
            VERCEL,
            NamedStore("KV_REST_API_URL", "upstash+https://v", "vt", "KV_REST_API_TOKEN"),
            id="then-vercel",
        ),
        pytest.param(
            {"KV_REST_API_URL": "https://v"},
            NamedStore("KV_REST_API_URL", "upstash+https://v", "", "KV_REST_API_TOKEN"),
            id="without-its-token",
        ),
    ],
)
def test_the_first_store_is_taken(env: dict[str, str], named: NamedStore | None) -> None:
    """In the order in which `Redis.fromEnv()` reads the variables, after REDIS_URL."""
    assert named == store_of(env)
