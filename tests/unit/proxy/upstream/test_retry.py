"""What is sent once more, and what is given back."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, cast

import pytest

from gateway.core.errors import (
    BadUpstreamAnswer,
    BodyTooLarge,
    Refusal,
    RequestTimeout,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.reasons import BusyReason
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.proxy.http1.close import ClientGone
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.retry import send_with_retries
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from tests.fakes.heads import request_head

OUTBOUND = Outbound(
    Route("r", "/*", "app"),
    "GET",
    Target("/", "/", has_encoded_slash=False),
    b"",
    None,
    request_head().peer,
)


class Connection:
    """One that remembers which server it leads to."""

    def __init__(self, server: str, *, is_kept: bool) -> None:
        self.name = f"{server} kept" if is_kept else server
        self.has_answered = False
        self.idle_since_s = 1.0 if is_kept else 0.0


class Pool:
    """Gives out connections; ``fails`` is why there is no new one."""

    def __init__(self, server: str, *, keeps: bool, fails: Refusal | None) -> None:
        self._server = server
        self._keeps = keeps
        self._fails = fails
        self.holders = 1

    def clients(self) -> int:
        return self.holders

    def take_idle(self, client: str, **_: bool) -> Connection | None:
        assert OUTBOUND.client.limit_key == client
        return Connection(self._server, is_kept=True) if self._keeps else None

    async def open(self, client: str, _: float, **__: bool) -> Connection:
        assert OUTBOUND.client.limit_key == client
        await asyncio.sleep(0)
        if self._fails is not None:
            raise self._fails
        return Connection(self._server, is_kept=False)


class Work:
    """A request; ``outcomes`` are what becomes of it on each connection in turn."""

    def __init__(
        self, *outcomes: BaseException | int, may_repeat: bool = True, untouched: bool = True
    ) -> None:
        self.outbound = OUTBOUND
        self.record = RequestRecord()
        self.may_repeat = may_repeat
        self.sent: list[str] = []
        self.answers = False
        self.breaks = False
        self._outcomes = list(outcomes)
        self._untouched = untouched

    def is_untouched(self) -> bool:
        return self._untouched

    def was_broken_off(self) -> bool:
        return self.breaks

    async def send(self, connection: UpstreamConnection, server: UpstreamServer) -> int:
        assert server.member.in_flight == 1
        self.sent.append(cast("Connection", connection).name)
        await asyncio.sleep(0)
        connection.has_answered = self.answers
        outcome = self._outcomes.pop(0) if self._outcomes else 200
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def upstream(
    count: int = 2, *, keeps: bool = False, fails: Refusal | None = None, retries: int = 1
) -> Upstream:
    """Servers a, b, …; ``fails`` is why a cannot be connected to."""
    servers = [
        UpstreamServer.of(
            name,
            name,
            cast("Callable[..., object]", None),  # type: ignore[arg-type]  # never called
            cast("UpstreamPool", Pool(name, keeps=keeps, fails=fails if name == "a" else None)),
        )
        for name in "abcdef"[:count]
    ]
    loop = asyncio.get_running_loop()
    return Upstream("app", servers, UpstreamRules(retries=retries), loop, lambda *_: None)


class Case(NamedTuple):
    """What happens first, and what is done about it."""

    refusal: Refusal
    sent: list[str]
    """Over which connections; the last answers, unless it is the only one."""
    may_repeat: bool = True
    untouched: bool = True
    keeps: bool = False
    answers: bool = False
    servers: int = 2
    retries: int = 1


LOST, LATE = UpstreamUnreachable("closed"), UpstreamTimeout("no answer")
BROKEN = BadUpstreamAnswer("junk")

CASES = {
    "lost": Case(LOST, ["a", "b"]),
    "lost-and-not-idempotent": Case(LOST, ["a"], may_repeat=False),
    "lost-with-a-body": Case(LOST, ["a"], untouched=False),
    "lost-after-an-answer-began": Case(LOST, ["a"], answers=True),
    "lost-with-no-retries": Case(LOST, ["a"], retries=0),
    "lost-by-the-only-server": Case(LOST, ["a", "a"], servers=1),
    "late": Case(LATE, ["a"]),
    "broken": Case(BROKEN, ["a"]),
    "the-client-was-slow": Case(RequestTimeout("idle body"), ["a"], untouched=False),
    "the-client-sent-too-much": Case(BodyTooLarge("grew"), ["a"], untouched=False),
    "kept-and-lost": Case(LOST, ["a kept", "a"], keeps=True),
    "kept-and-lost-with-no-retries": Case(LOST, ["a kept", "a"], keeps=True, retries=0),
    "kept-and-lost-not-idempotent": Case(LOST, ["a kept"], keeps=True, may_repeat=False),
    "kept-and-lost-with-a-body": Case(LOST, ["a kept"], keeps=True, untouched=False),
    "kept-and-late": Case(LATE, ["a kept"], keeps=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_first_try_that_fails(case: Case) -> None:
    """Once more, elsewhere or on a new connection, or not at all."""
    app = upstream(case.servers, keeps=case.keeps, retries=case.retries)
    work = Work(case.refusal, may_repeat=case.may_repeat, untouched=case.untouched)
    work.answers = case.answers
    if len(case.sent) > 1:
        await send_with_retries(work, app)
    else:
        with pytest.raises(type(case.refusal)):
            await send_with_retries(work, app)
    assert case.sent == work.sent
    assert {0} == {server.member.in_flight for server in app.servers}


@pytest.mark.parametrize("may_repeat", [True, False])
@pytest.mark.parametrize(
    "refusal", [UpstreamUnreachable("refused"), UpstreamTimeout("connect"), UpstreamBusy("full")]
)
async def test_no_connection(refusal: Refusal, may_repeat: bool) -> None:
    """Nothing was sent, so anything may go elsewhere; a single server is not asked again."""
    work = Work(may_repeat=may_repeat, untouched=may_repeat)
    await send_with_retries(work, upstream(fails=refusal))
    assert ["b"] == work.sent
    work = Work()
    with pytest.raises(type(refusal)):
        await send_with_retries(work, upstream(1, fails=refusal, retries=5))
    assert [] == work.sent


async def test_the_log_says_which_server_it_was() -> None:
    """The last one; where there is one alone, the name of the upstream is enough."""
    for count, expected in ((2, "closed (b)"), (1, "closed")):
        first, second = UpstreamUnreachable("closed"), UpstreamUnreachable("closed")
        with pytest.raises(UpstreamUnreachable) as ended:
            await send_with_retries(Work(first, second), upstream(count))
        assert expected == ended.value.reason


@pytest.mark.parametrize(
    ("work", "fails", "expected"),
    [
        pytest.param(Work(), None, "a", id="answered"),
        pytest.param(Work(LOST), None, "b", id="answered by another"),
        pytest.param(Work(), LOST, "b", id="no connection to the first"),
    ],
)
async def test_the_record_has_the_server_that_was_tried_last(
    work: Work, fails: Refusal | None, expected: str
) -> None:
    """Also where there was no connection to it."""
    await send_with_retries(work, upstream(fails=fails))
    assert expected == work.record.upstream_server


async def test_each_server_is_tried_before_one_is_tried_again() -> None:
    """Up to the number of retries; then the last failure is the answer."""
    work = Work(LOST, LOST, LOST, LOST, LOST)
    with pytest.raises(UpstreamUnreachable):
        await send_with_retries(work, upstream(3, retries=3))
    assert ["a", "b", "c"] == work.sent[:3]
    assert 4 == len(work.sent)


async def test_kept_connections_of_every_server_are_lost() -> None:
    """As when all of them were restarted: each is asked on a new one."""
    work = Work(LOST, LOST, LOST)
    await send_with_retries(work, upstream(keeps=True))
    assert ["a kept", "a", "b kept", "b"] == work.sent


@pytest.mark.parametrize("end", [ClientGone(), asyncio.CancelledError(), RuntimeError("a fault")])
async def test_what_ends_otherwise_is_not_repeated_and_not_counted(end: BaseException) -> None:
    """Neither a client that leaves nor a fault of ours keeps its place."""
    app, work = upstream(), Work(end)
    with pytest.raises(type(end)):
        await send_with_retries(work, app)
    assert ["a"] == work.sent
    assert {0} == {server.member.in_flight for server in app.servers}


async def test_who_leaves_while_connecting_keeps_no_place() -> None:
    """Cancelled before there was a connection."""
    app, work = upstream(), Work()
    task = asyncio.create_task(send_with_retries(work, app))
    await asyncio.sleep(0)
    assert 1 == sum(server.member.in_flight for server in app.servers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == work.sent
    assert {0} == {server.member.in_flight for server in app.servers}


@pytest.mark.parametrize(
    ("status", "asked"), [(500, "ab" * 6), (502, "b" * 12), (503, "b" * 12), (504, "b" * 12)]
)
async def test_answers_that_say_that_the_server_cannot_serve(status: int, asked: str) -> None:
    """Five of them in a row, and it is left alone; other faults are the app's own."""
    app = upstream()

    class Sick(Work):
        async def send(self, connection: UpstreamConnection, server: UpstreamServer) -> int:
            await super().send(connection, server)
            return status if server.member.name == "a" else 200

    for _ in range(10):
        await send_with_retries(Sick(), app)
    sent = []
    for _ in range(12):
        work = Sick()
        await send_with_retries(work, app)
        sent += work.sent
    assert asked == "".join(sent)


async def test_a_tunnel_that_ends_says_nothing_about_its_server() -> None:
    """It was opened long ago, and many end at once when their server fails."""
    app = upstream()
    for server in app.servers:
        app.failed(server)
    await send_with_retries(Work(101), app)
    assert [True, True] == [server.member.is_doubted for server in app.servers]
    for _ in app.servers:
        await send_with_retries(Work(200), app)
    assert [False, False] == [server.member.is_doubted for server in app.servers]


@pytest.mark.parametrize(
    ("refusal", "breaks", "is_blamed"),
    [
        pytest.param(LOST, True, True, id="lost"),
        pytest.param(BROKEN, True, True, id="malformed"),
        pytest.param(LATE, True, False, id="silent"),
        pytest.param(LOST, False, False, id="not-of-its-own-accord"),
        pytest.param(RequestTimeout("idle body"), True, False, id="the-client"),
        pytest.param(ClientGone(), True, False, id="the-client-left"),
        pytest.param(asyncio.CancelledError(), True, False, id="the-client-left-and-was-noticed"),
    ],
)
async def test_a_server_that_breaks_off_its_answers_is_ejected(
    refusal: BaseException, breaks: bool, is_blamed: bool
) -> None:
    """After five in a row; not for silence, and not for what the client did."""
    app = upstream()

    class Half(Work):
        async def send(self, connection: UpstreamConnection, server: UpstreamServer) -> int:
            self.sent.append(server.member.name)
            connection.has_answered = True
            if server.member.name == "a":
                raise refusal
            return 200

    sent = []
    for _ in range(20):
        work = Half()
        work.breaks = breaks
        with suppress(Refusal, ClientGone, asyncio.CancelledError):
            await send_with_retries(work, app)
        sent += work.sent
    assert (5 if is_blamed else 10) == sent.count("a")
    assert int(is_blamed) == app.servers_out()


@pytest.mark.parametrize(
    ("reason", "holders", "warnings"),
    [
        pytest.param(BusyReason.CLIENT_SHARE, 1, 1, id="the-only-client"),
        pytest.param(BusyReason.CLIENT_SHARE, 2, 0, id="one-of-two"),
        pytest.param("no free connection", 1, 0, id="no-room"),
    ],
)
async def test_a_client_that_is_probably_a_proxy_is_reported(
    caplog: pytest.LogCaptureFixture, reason: str, holders: int, warnings: int
) -> None:
    """Once a minute, with what to set; the reason stays the word that metrics know."""
    app = upstream(1, fails=UpstreamBusy(reason))
    cast("Pool", app.servers[0].pool).holders = holders
    for _ in range(3):
        with pytest.raises(UpstreamBusy) as ended:
            await send_with_retries(Work(), app)
        assert ended.value.reason is reason
    assert warnings == len(caplog.messages)
    assert all("server.client_ip" in message for message in caplog.messages)
