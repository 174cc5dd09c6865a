"""Every hostile request, over a real socket, to a real gateway with a real app behind it."""

import asyncio
from collections import Counter

import pytest

from tests.fakes.http import RawClient, connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World
from tests.hostile.requests import (
    BODY_BYTES,
    CASES,
    FIELDS,
    HEAD_BYTES,
    LATE,
    Case,
    Saw,
    Verdict,
    as_saw,
)

asynchronous = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "timeouts": "{head: 20s, body_idle: 20s}",
    "max": f"{{body: {BODY_BYTES}, head_bytes: {HEAD_BYTES}, fields: {FIELDS}}}",
    "more_routes": """
  - {name: any, match: {path: "/any/*", methods: any}, auth: none, upstream: app}
  - {name: listed, match: {path: "/listed/*", methods: [FOO]}, auth: none, upstream: app}""",
}
"""The gateway has little room. Requests that come too late are in ``test_late_requests``."""

PAUSE_S = 0.05
CLOSING_S = 20
PROBE = b"GET /public/probe HTTP/1.1\r\nHost: x\r\n\r\n"

IN_TIME = [case for case in CASES if LATE not in case.answers]

FAULTS: dict[str, str] = {}
"""Cases that do not pass yet, and why; each must go as soon as it does."""


def _marked(cases: list[Case]) -> list[object]:
    return [
        pytest.param(
            case,
            id=case.id,
            marks=[pytest.mark.xfail(reason=FAULTS[case.id])] if case.id in FAULTS else [],
        )
        for case in cases
    ]


def test_table() -> None:
    """The table is long, ids are unique, and every known fault names a case."""
    assert len(CASES) >= 150
    assert [name for name, times in Counter(case.id for case in CASES).items() if times > 1] == []
    assert {case.id for case in CASES} >= FAULTS.keys()


@asynchronous
@pytest.mark.parametrize("case", _marked(IN_TIME))
async def test_verdict(case: Case, around: World) -> None:
    """It is answered as the table says, and the app saw what the table says, and no more."""
    await hold(case, around)


@asynchronous
@pytest.mark.parametrize("case", _marked([case for case in IN_TIME if not case.is_one_read]))
async def test_verdict_on_single_octets(case: Case, around: World) -> None:
    """However its bytes are cut up, it is the same request."""
    await hold_in_octets(case, around)


@asynchronous
@pytest.mark.parametrize("case", _marked(IN_TIME))
async def test_verdict_behind_a_request(case: Case, around: World) -> None:
    """What a connection remembers of its last request makes the next one no better."""
    await hold_behind_a_request(case, around)


async def hold(case: Case, around: World) -> None:
    """Send the parts of a case, and hold it to what must become of it."""
    async with connected(around.port) as client:
        for number, part in enumerate(case.parts):
            if number:
                await asyncio.sleep(PAUSE_S)  # the pause is the attack
            await client.send(part)
        await _judge(case, client, around)


async def hold_in_octets(case: Case, around: World) -> None:
    """Do the same, octet by octet."""
    async with connected(around.port) as client:
        for octet in b"".join(case.parts):
            client.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        await _judge(case, client, around)


async def hold_behind_a_request(case: Case, around: World) -> None:
    """Do the same on a connection that has had two answers."""
    async with connected(around.port) as client:
        for probe in range(2):
            await client.send(PROBE.replace(b"probe", b"%d" % probe))
            assert Verdict() == await _verdict(client)
        around.forget()
        for number, part in enumerate(case.parts):
            if number:
                await asyncio.sleep(PAUSE_S)
            await client.send(part)
        await _judge(case, client, around)


async def _judge(case: Case, client: RawClient, around: World) -> None:
    assert list(case.answers) == [await _verdict(client) for _ in case.answers]
    seen = case.seen
    if case.closes:
        assert await asyncio.wait_for(client.is_closed(), CLOSING_S)
    else:  # both sides agree on where the next request begins
        assert Verdict() == await _verdict(await client.send(PROBE))
        seen = (*seen, Saw(target="/public/probe"))
    for request in around.app.seen:
        _hold_invariants(request)
    assert list(seen) == [as_saw(request) for request in around.app.seen]


async def _verdict(client: RawClient) -> Verdict:
    answer = await client.answer()
    is_problem = answer.values("Content-Type") == ["application/problem+json"]
    return Verdict(answer.status, answer.code if is_problem else "")


def _hold_invariants(request: Seen) -> None:
    """What holds for every request that leaves the gateway."""
    names = [name.lower().replace("_", "-") for name, _ in request.headers]
    framing = [name for name in names if name in {"content-length", "transfer-encoding"}]
    assert 1 == names.count("host")
    assert len(framing) <= 1
    assert not any(name.startswith("x-user-") for name in names)
