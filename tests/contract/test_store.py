"""What the port `Store` promises, over fakeredis, Valkey, Redis, and Valkey over REST."""

import asyncio
import time
from contextlib import suppress
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, TaggedKeys
from gateway.store.connect import redis_client as connect
from gateway.store.redis import IN_FLIGHT, RedisStore
from tests.fakes.redis_cluster import ClusterClient
from tests.fakes.servers import TIMEOUT_S, RealServer, eventually, valkey
from tests.fakes.timing import Stopwatch, assert_within, at_best_of

ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
FAIL = Script("fail", "return redis.call('INCRBY', KEYS[1], 'no number')")
ECHO_KEYS = Script(
    "echo-keys",
    "for _, word in ipairs(ARGV) do KEYS[#KEYS + 1] = word end return KEYS",
)
ECHO_TWO = Script("echo-two", "return {ARGV[1], redis.call('GET', KEYS[1])}")
ECHO = Script("echo", "return {KEYS[1], ARGV[1], ARGV[2], ARGV[3]}")

IMPOSSIBLE_MS = 0
"""Redis refuses it: 'invalid expire time'."""


def in_ms(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"\x00\xff\r\n", b"", b"OK", b"data:;base64,/w=="])
async def test_a_value_comes_back_as_it_was_set(store: RedisStore, value: bytes) -> None:
    """Any bytes are kept as they are, also those that look as if they were armoured."""
    await store.set("k", value, expires_at_ms=in_ms(60))
    await store.add("added", value, expires_at_ms=in_ms(60))

    assert [value, value] == [await store.get("k"), await store.get("added")]
    assert [value, value] == await store.run(ECHO_TWO, ["k"], [value])
    assert (value, None) == await store.get_pair("k", "none")


async def test_two_values_come_at_one_time(store: RedisStore) -> None:
    """Each in its place, whichever is absent; what cannot be asked for fails its caller alone."""
    await store.set("k", b"v", expires_at_ms=in_ms(60))
    first, second, wrong = await asyncio.gather(
        store.get_pair("k", "none"),
        store.get_pair("none", "k"),
        store.get_pair("k", "\ud800"),
        return_exceptions=True,
    )

    assert (b"v", None) == first
    assert (None, b"v") == second
    assert isinstance(wrong, UnicodeEncodeError)


async def test_what_was_never_set_is_none(store: RedisStore) -> None:
    """An absent key has no value, which is no error."""
    assert await store.get("k") is None


async def test_the_prefix_comes_before_every_key(store: RedisStore, client: Redis) -> None:
    """Several gateways can share a server, each under its prefix."""
    await store.set("a", b"1", expires_at_ms=in_ms(60))
    await store.add("b", b"1", expires_at_ms=in_ms(60))
    await store.run(ADD, ["c"], [1])

    assert {b"gw:a", b"gw:b", b"gw:c"} == set(await client.keys())


async def test_a_value_ends_at_the_millisecond_that_was_named(
    store: RedisStore, client: Redis
) -> None:
    """A session ends with the DID token that proved it, not a rounded second later."""
    ends_ms = in_ms(60) | 1
    await store.set("a", b"1", expires_at_ms=ends_ms)
    await store.add("b", b"1", expires_at_ms=ends_ms)

    assert [ends_ms] * 2 == [await client.pexpiretime(key) for key in ("gw:a", "gw:b")]


async def test_what_has_ended_is_gone(store: RedisStore) -> None:
    """An expired value is absent."""
    await store.set("k", b"1", expires_at_ms=in_ms(0.02))

    await eventually(lambda: _is_absent(store, "k"), within_s=20)


async def _is_absent(store: RedisStore, key: str) -> bool:
    return await store.get(key) is None


async def test_only_the_first_add_counts(store: RedisStore) -> None:
    """Of many who add one key at a time exactly one hears that it was absent."""
    added = await asyncio.gather(
        *(store.add("k", str(i).encode(), expires_at_ms=in_ms(60)) for i in range(20))
    )

    assert 1 == added.count(True)
    assert str(added.index(True)).encode() == await store.get("k")


async def test_delete_says_whether_the_key_was_there(store: RedisStore) -> None:
    """It removes a value once."""
    await store.set("k", b"1", expires_at_ms=in_ms(60))

    assert [True, False] == [await store.delete("k"), await store.delete("k")]
    assert await store.get("k") is None


async def test_a_key_that_holds_no_string_has_no_value(store: RedisStore, client: Redis) -> None:
    """Whether a read is alone or in company makes no difference to what it hears."""
    await client.rpush("gw:list", "x")

    alone = await store.get("list")
    in_company = await asyncio.gather(store.get("list"), store.get("other"))

    assert [None, None, None] == [alone, *in_company]


# --- scripts ------------------------------------------------------------------------------------


async def test_a_script_gets_its_keys_and_arguments(store: RedisStore) -> None:
    """Text, numbers and bytes arrive as Redis would show them."""
    reply = await store.run(ECHO, ["k"], ["ä", 7, b"\xff"])

    assert [b"gw:k", "ä".encode(), b"7", b"\xff"] == reply


async def test_a_script_gets_keys_that_are_told_by_their_tags(
    store: RedisStore, client: Redis
) -> None:
    """Each with the prefix; also where the server does not know the script yet."""
    await client.script_flush()
    keys = TaggedKeys([(("a:", "b:"), ["ä"]), (("c:",), ["ä"])])

    replies = [await store.run(ECHO_KEYS, keys, ["x", 7]) for _ in range(2)]

    assert [[f"gw:{key}".encode() for key in keys] + [b"x", b"7"]] * 2 == replies
    assert ["a:{ä}", "b:{ä}", "c:{ä}"] == list(keys)


async def test_a_script_has_keys_of_one_slot(store: RedisStore, client: Redis) -> None:
    """A store without slots runs it on any keys; one with slots fails, and nothing is run."""
    keys = TaggedKeys([(("a:", "b:"), ["1", "ä"]), (("c:",), ["1"])])

    assert ["a:{1}", "b:{1}", "a:{ä}", "b:{ä}", "c:{1}"] == list(keys)
    if isinstance(client, ClusterClient):
        assert store.slot_of("a:{1}") == store.slot_of("b:{1}") != store.slot_of("a:{ä}")
        with pytest.raises(StoreUnavailable, match="CrossSlot"):
            await store.run(ECHO_KEYS, keys, [])
    else:
        assert 0 == store.slot_of("a:{1}") == store.slot_of("a:{ä}")
        assert len(keys) == len(cast("list[bytes]", await store.run(ECHO_KEYS, keys, [])))


async def test_a_script_that_the_server_forgot_is_sent_again(
    store: RedisStore, client: Redis
) -> None:
    """A server that restarted or failed over knows no scripts; they are loaded, and run once."""
    await store.run(ADD, ["k"], [1])
    await client.script_flush()

    replies = await asyncio.gather(*(store.run(ADD, ["k"], [1]) for _ in range(3)))

    assert [2, 3, 4] == replies


async def test_a_server_that_refuses_upstashs_flag_runs_scripts_without_it(
    real_client: Redis,
) -> None:
    """Each runs once, the first one too."""
    store = RedisStore(real_client, "gw:", TIMEOUT_S, locks_keys=True)

    assert [1, 2] == [await store.run(ADD, ["k"], [1]) for _ in range(2)]
    assert [b"gw:k", b"a", b"b", b"c"] == await store.run(ECHO, ["k"], ["a", "b", "c"])
    assert 3 == await store.run(ADD, ["k"], [1])


async def test_a_failing_command_hurts_its_own_caller_alone(store: RedisStore) -> None:
    """Those who travel with it get their answers."""
    await store.set("k", b"1", expires_at_ms=in_ms(60))

    got, failed, refused, counted = await asyncio.gather(
        store.get("k"),
        store.run(FAIL, ["k"], []),
        store.set("x", b"", expires_at_ms=IMPOSSIBLE_MS),
        store.run(ADD, ["n"], [2]),
        return_exceptions=True,
    )

    assert (b"1", 2) == (got, counted)
    assert isinstance(failed, StoreUnavailable)
    assert isinstance(refused, StoreUnavailable)
    assert "ResponseError" == refused.reason
    await store.ping()  # the store itself is healthy: no other call is refused


async def test_a_lone_failing_command_says_what_kind_of_error_it_was(store: RedisStore) -> None:
    """The reason is for the log; it is the error's class, as its text may hold a key."""
    with pytest.raises(StoreUnavailable) as refusal:
        await store.set("x", b"", expires_at_ms=IMPOSSIBLE_MS)

    assert "ResponseError" == refusal.value.reason


async def test_a_key_that_cannot_be_encoded_hurts_its_own_caller_alone(store: RedisStore) -> None:
    """A mistake of one caller is no fault of the store's."""
    wrong, right = await asyncio.gather(store.get("\ud800"), store.get("k"), return_exceptions=True)

    assert isinstance(wrong, UnicodeEncodeError)
    assert right is None


# --- together -----------------------------------------------------------------------------------


async def _calls(client: Redis) -> dict[str, int]:
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): of["calls"] for name, of in stats.items()}


async def test_the_reads_of_a_tick_are_one_command(
    real_store: RedisStore, real_client: Redis
) -> None:
    """A hundred requests at a time cost the server, and us, one exchange."""
    await real_store.set("k7", b"seven", expires_at_ms=in_ms(60))
    await real_client.config_resetstat()

    values = await asyncio.gather(*(real_store.get(f"k{i % 50}") for i in range(100)))

    assert [i for i in range(100) if i % 50 == 7] == [i for i, v in enumerate(values) if v]
    calls = await _calls(real_client)
    assert 1 == calls["mget"]
    assert "get" not in calls


async def test_what_comes_while_batches_are_under_way_gathers_for_the_next(
    mortal_server: RealServer,
) -> None:
    """Load makes batches longer, not more: a stalled server is owed a few commands, not many."""
    store = RedisStore(connect(mortal_server.url, 10), "", timeout_s=10)
    onlooker = connect(mortal_server.url, 10)
    await store.ping()
    await onlooker.config_resetstat()
    mortal_server.pause()
    asked = []
    for i in range(10 * IN_FLIGHT):
        asked.append(asyncio.ensure_future(store.get(f"k{i}")))
        for _ in range(3):
            await asyncio.sleep(0)  # a tick
    mortal_server.resume()

    await asyncio.gather(*asked)

    assert IN_FLIGHT + 1 >= (await _calls(onlooker))["mget"]
    await store.aclose()
    await onlooker.aclose()


@pytest.mark.parametrize("ticks", range(8))
async def test_the_reply_to_a_cancelled_call_is_discarded(
    real_store: RedisStore, ticks: int
) -> None:
    """
    Wherever a request is broken off, the next ones get their own values.

    redis-py once handed a cancelled command's reply to the next caller (CVE-2023-28858, -28859).
    """
    names = [f"k{i}" for i in range(20)]
    await asyncio.gather(
        *(real_store.set(name, name.encode(), expires_at_ms=in_ms(60)) for name in names)
    )
    doomed = [asyncio.ensure_future(real_store.get(name)) for name in names[:10]]
    others = [asyncio.ensure_future(real_store.get(name)) for name in names[5:]]
    for _ in range(ticks):
        await asyncio.sleep(0)
    for task in doomed:
        task.cancel()

    assert [name.encode() for name in names[5:]] == await asyncio.gather(*others)
    await asyncio.gather(*doomed, return_exceptions=True)
    assert [name.encode() for name in names] == [await real_store.get(name) for name in names]


# --- failures -----------------------------------------------------------------------------------


async def _answers(store: RedisStore) -> bool:
    try:
        await store.ping()
    except StoreUnavailable:
        return False
    return True


@at_best_of(3)
async def test_a_server_that_is_gone_is_noticed_at_once_and_its_return_as_well(
    mortal_server: RealServer,
) -> None:
    """After a crash each call is refused at once, and the store recovers by itself."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=5)
    await store.ping()
    mortal_server.kill()

    with Stopwatch(1):
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                await store.get("k")

    mortal_server.start()
    await eventually(lambda: _answers(store), within_s=20)
    await store.aclose()


async def test_a_server_that_restarted_between_two_reads_is_not_noticed(
    mortal_server: RealServer,
) -> None:
    """Connections that broke while they were idle are replaced."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=5)
    await store.ping()
    mortal_server.restart()

    assert await store.get("k") is None
    await store.aclose()


async def test_a_server_that_may_not_write_any_more_is_left(mortal_server: RealServer) -> None:
    """After a failover the address leads to another server; open connections are not told."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=5)
    assert await store.get("k") is None
    with valkey() as promoted:
        async with connect(mortal_server.url, 1) as operator:
            await operator.slaveof("127.0.0.1", 1)
        promoted.take_over(mortal_server)
        with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
            await store.set("k", b"1", expires_at_ms=in_ms(60))

        await store.set("k", b"2", expires_at_ms=in_ms(60))

        assert b"2" == await store.get("k")
        await store.aclose()


@at_best_of(3)
async def test_a_server_that_stalls_is_waited_for_no_longer_than_the_timeout(
    mortal_server: RealServer,
) -> None:
    """All who wait are released together; those who come later do not wait at all."""
    store = RedisStore(connect(mortal_server.url, 0.2), "", timeout_s=0.2)
    await eventually(lambda: _answers(store), within_s=20)
    mortal_server.pause()

    began_s = time.monotonic()
    refused = await asyncio.gather(*(store.get(f"k{i}") for i in range(10)), return_exceptions=True)
    waited_s = time.monotonic() - began_s
    with pytest.raises(StoreUnavailable) as later:
        await store.get("k")
    all_s = time.monotonic() - began_s

    assert {StoreUnavailable} == set(map(type, refused))
    mortal_server.resume()
    assert 0.15 < waited_s
    assert_within(1, waited_s)
    assert_within(waited_s + 0.1, all_s)
    assert "a moment ago" in str(later.value)
    await eventually(lambda: _answers(store), within_s=20)
    await store.aclose()


async def test_late_replies_are_discarded(mortal_server: RealServer) -> None:
    """After a stall each caller gets what it asked for, not what someone before it asked for."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=0.2)
    async with connect(mortal_server.url, 10) as client:
        for i in range(10):
            await client.set(f"k{i}", str(i))
    await eventually(lambda: _answers(store), within_s=20)
    mortal_server.pause()
    await asyncio.gather(*(store.get("k0") for _ in range(3)), return_exceptions=True)
    mortal_server.resume()
    await eventually(lambda: _answers(store), within_s=20)

    values = [await _value_at_last(store, f"k{i}") for i in range(10)]

    assert [str(i).encode() for i in range(10)] == values
    await store.aclose()


async def _value_at_last(store: RedisStore, key: str) -> bytes | None:
    """Ask again where a busy machine has let the time-out pass."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                return await store.get(key)
            await asyncio.sleep(0.01)


async def test_nothing_is_written_twice_when_a_connection_breaks(
    mortal_server: RealServer,
) -> None:
    """What may have been carried out is not repeated, or a request would be charged twice."""
    store = RedisStore(connect(mortal_server.url, 1), "", timeout_s=5)
    client = connect(mortal_server.url, 1)
    await store.ping()
    mortal_server.pause()
    adding = asyncio.ensure_future(store.run(ADD, ["n"], [1]))
    for _ in range(20):
        await asyncio.sleep(0)  # until it is on its way
    mortal_server.restart()

    with pytest.raises(StoreUnavailable):
        await adding
    assert await client.get("n") is None
    await store.aclose()
    await client.aclose()


async def test_calls_after_the_close_are_refused(store: RedisStore) -> None:
    """What is under way at the close is still answered; what comes later is refused."""
    under_way = asyncio.ensure_future(store.get("k"))
    await asyncio.sleep(0)

    await store.aclose()

    assert await under_way is None
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get("k")


@at_best_of(3)
async def test_a_close_waits_for_one_timeout_at_most(mortal_server: RealServer) -> None:
    """A server that stalls while the gateway stops holds it up for one timeout."""
    store = RedisStore(connect(mortal_server.url, 0.2), "", timeout_s=0.2)
    await eventually(lambda: _answers(store), within_s=20)
    mortal_server.pause()
    waiting = asyncio.ensure_future(store.get("k"))
    await asyncio.sleep(0)

    with Stopwatch(2):
        await store.aclose()

    with pytest.raises(StoreUnavailable):
        await waiting
