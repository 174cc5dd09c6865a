"""Memory of each kind of key."""

import pytest

from benchmarks.key_sizes import kind_of, measured
from gateway.store.connect import redis_client
from tests.fakes.servers import valkey


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("session:abc", "session"),
        ("user:did:ethr:0x1", "user"),
        ("limit:api:12:{192.0.2.1}", "limit:api"),
    ],
)
def test_kinds(key: str, kind: str) -> None:
    """Limits are told apart by their rule."""
    assert kind == kind_of(key)


async def test_all_keys_of_a_kind_are_measured() -> None:
    """Each with its value and its end."""
    with valkey() as server:
        async with redis_client(server.url, 5) as client:
            for number in range(3):
                await client.set(f"session:{number}", b"x" * 1000, px=60_000)
            await client.set("seen:1", b"")
            found = await measured(client)

    assert {"session", "seen"} == found.keys()
    assert [3, 1] == [len(found[kind]) for kind in ("session", "seen")]
    assert 1000 < found["session"][0] < 2000
    assert found["seen"][0] < 200
