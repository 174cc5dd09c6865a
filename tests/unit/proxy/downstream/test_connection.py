"""The phases of a client connection: each row of the table in `Phase`, and no other change."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn, cast

import pytest

from gateway.core.errors import Refusal, Unauthenticated
from gateway.core.problem import ProblemAnswer
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.headers.response import ResponseFields
from gateway.proxy.answer_costs import AnswerCosts
from gateway.proxy.downstream.connection import ClientConnection
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.phase import Phase
from gateway.proxy.downstream.reader import ReadState
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.http1.chunks import MAX_JOINED
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.ratelimit.local import LocalLimiter
from gateway.telemetry.counters import Counters
from gateway.util.deadlines import Deadlines
from tests.fakes.transport import FakeTransport

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MALFORMED = b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n"


class Rig:
    """A connection on a fake transport, and a pipeline that answers when the test says so."""

    def __init__(self, *, limits: ConnectionLimits | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport = FakeTransport()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.log: list[tuple[int, str]] = []
        self.failure: BaseException | None = None
        self.deadlines = Deadlines(self.loop, 1000.0)
        serving = ServingConfig(
            self._admit, {}, ResponseFields("s"), 1000, (), AnswerCosts(LocalLimiter())
        )
        self.server = ProxyServer(
            self.loop,
            serving,
            limits or ConnectionLimits(),
            self.deadlines,
            WriteBatcher(self.loop),
            self._log,
            lambda: 0.0,
            Counters(),
            cast("Any", SimpleNamespace(end_all=lambda: None)),
        )
        self.connection = ClientConnection(self.server)
        self.transport.protocol = self.connection

    async def _admit(self, *_: object) -> Outbound | Reply:
        if not self.may_answer.is_set():  # else an answer would always take a turn of the loop
            await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return Reply(200, (), b"hello")

    def _log(self, *line: Any, **_: object) -> None:
        record, status = line[1:3]
        self.log.append((status, record.refusal))

    @property
    def phase(self) -> Phase:
        """The connection's phase now."""
        return self.connection._phase

    def open(self) -> None:
        """Let asyncio tell the protocol of the connection."""
        self.connection.connection_made(self.transport)

    def receive(self, data: bytes) -> None:
        """Let ``data`` come from the socket."""
        self.connection.data_received(data)

    def end_input(self) -> None:
        """Let the client close its sending side; asyncio closes where the protocol allows it."""
        if not self.connection.eof_received():
            self.transport.close()

    def pass_deadline(self) -> None:
        """Let the deadline of the phase pass; it must have one."""
        assert self.connection._deadline_s < inf
        self.connection.check_deadline(self.connection._deadline_s)

    async def settle(self) -> None:
        """Run what can run."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self) -> None:
        """Let the requests that wait be answered."""
        self.may_answer.set()
        await self.settle()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A connection that is about to be made."""
    rig = Rig()
    yield rig
    rig.deadlines.close()
    if rig.connection.transport is not None:
        rig.connection.connection_lost(None)
    await rig.settle()


# --- the table ---------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of the table in the docstring of `Phase`."""

    before: str
    event: str
    after: str


def rows() -> list[Row]:
    """The table: its lines between the second and the third rule, cut where the rules are."""
    lines = (Phase.__doc__ or "").splitlines()
    rules = [number for number, line in enumerate(lines) if line.strip().startswith("===")]
    columns = lines[rules[0]].split()
    starts = [lines[rules[0]].index(columns[0]), *_starts(lines[rules[0]])]
    return [
        Row(*(line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)))
        for line in lines[rules[1] + 1 : rules[2]]
    ]


def _starts(rule: str) -> list[int]:
    """Where the columns after the first one begin."""
    return [at + 1 for at in range(1, len(rule)) if rule[at] == " " and rule[at - 1] == "="]


async def _head(rig: Rig) -> None:
    rig.open()


async def _head_begun(rig: Rig) -> None:
    rig.open()
    rig.receive(GET[:9])


async def _idle(rig: Rig) -> None:
    rig.open()
    rig.receive(GET)
    await rig.settle()


async def _serving(rig: Rig, request: bytes = GET) -> None:
    rig.may_answer.clear()
    rig.open()
    rig.receive(request)
    await rig.settle()


async def _half_closed(rig: Rig) -> None:
    await _serving(rig)
    rig.end_input()


async def _lingering(rig: Rig) -> None:
    rig.open()
    rig.receive(MALFORMED)
    await rig.settle()


def receive(data: bytes) -> Callable[[Rig], Awaitable[None]]:
    """The event that ``data`` comes."""

    async def event(rig: Rig) -> None:
        rig.receive(data)

    return event


async def _deadline(rig: Rig) -> None:
    rig.pass_deadline()


async def _linger_deadline(rig: Rig) -> None:
    rig.transport.unsent_bytes = 1 << 20
    assert rig.connection._lingering is not None
    rig.connection._lingering._undelivered_bytes = 2 << 20
    rig.pass_deadline()


async def _drain(rig: Rig) -> None:
    rig.connection.close_when_idle()


async def _eof(rig: Rig) -> None:
    rig.end_input()


async def _answered(rig: Rig) -> None:
    await rig.answer()


async def _answered_in_head(rig: Rig) -> None:
    rig.receive(GET[:9])
    await rig.answer()


async def _broken(rig: Rig) -> None:
    rig.connection.writer.begin_answer(200, b"HTTP/1.1 200 OK\r\n", b"")
    rig.connection.refuse(Unauthenticated("late"), RequestRecord())


def serving(request: bytes) -> Callable[[Rig], Awaitable[None]]:
    """The phase in which ``request`` is served."""

    async def prepare(rig: Rig) -> None:
        await _serving(rig, request)

    return prepare


async def _full(rig: Rig) -> None:
    rig.server.limits = rig.server.limits._replace(connections=0)
    rig.open()


async def _nothing(_: Rig) -> None:
    """Do nothing: the event is the connection itself."""


Step = Callable[[Rig], Awaitable[None]]
CASES: dict[tuple[str, str], tuple[Step, Step]] = {
    ("HEAD", "part of a head"): (_head, receive(GET[:9])),
    ("HEAD", "rest of a head"): (_head_begun, receive(GET[9:])),
    ("HEAD", "malformed head"): (_head, receive(MALFORMED)),
    ("HEAD", "deadline, head begun"): (_head_begun, _deadline),
    ("HEAD", "deadline, nothing read"): (_head, _deadline),
    ("HEAD", "drain"): (_head, _drain),
    ("HEAD", "end of input"): (_head_begun, _eof),
    ("HEAD", "connection refused"): (_nothing, _full),
    ("IDLE", "part of a head"): (_idle, receive(GET[:9])),
    ("IDLE", "whole head"): (_idle, receive(GET)),
    ("IDLE", "deadline, nothing read"): (_idle, _deadline),
    ("IDLE", "drain"): (_idle, _drain),
    ("IDLE", "end of input"): (_idle, _eof),
    ("SERVING", "whole head"): (_serving, receive(GET)),
    ("SERVING", "end of input"): (_serving, _eof),
    ("SERVING", "end of input, body incomplete"): (serving(POST + b"ab"), _eof),
    ("SERVING", "drain"): (_serving, _drain),
    ("SERVING", "answered"): (_serving, _answered),
    ("SERVING", "answered, next head begun"): (_serving, _answered_in_head),
    ("SERVING", "answered, last"): (serving(LAST), _answered),
    ("SERVING", "answered, last, input unread"): (serving(POST + b"ab"), _answered),
    ("SERVING", "deadline, input ended"): (_half_closed, _deadline),
    ("SERVING", "answer broken"): (_serving, _broken),
    ("LINGERING", "more input"): (_lingering, receive(GET)),
    ("LINGERING", "drain"): (_lingering, _drain),
    ("LINGERING", "deadline, client reads"): (_lingering, _linger_deadline),
    ("LINGERING", "end of input"): (_lingering, _eof),
}


def test_the_table_has_a_case_for_each_row() -> None:
    """The documentation names all events that the tests cause, and no others."""
    assert {(row.before, row.event) for row in rows() if row.before != "any"} == set(CASES)


@pytest.mark.parametrize(
    "row", [pytest.param(row, id="-".join(row)) for row in rows() if row.before != "any"]
)
async def test_an_event_leads_to_the_phase_of_the_table(
    rig: Rig, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of the table holds."""
    prepare, event = CASES[row.before, row.event]
    await prepare(rig)
    assert Phase[row.before] is rig.phase
    if row.after == "SERVING":  # what needs no wait has left the phase again when the event returns
        monkeypatch.setattr(ClientConnection, "_expect_next", lambda _: None)
    await event(rig)
    assert Phase[row.after] is rig.phase


@pytest.mark.parametrize("prepare", [_head, _head_begun, _idle, _serving, _half_closed, _lingering])
async def test_a_lost_connection_is_closing(rig: Rig, prepare: Step) -> None:
    """In any phase; what comes after it changes nothing."""
    await prepare(rig)
    rig.connection.connection_lost(None)
    await rig.settle()
    rig.receive(GET)
    await rig.settle()
    assert Phase.CLOSING is rig.phase
    assert rig.connection._task is None
    assert 0 == rig.server.open_connections


# --- what the phases are for -------------------------------------------------------------------


async def test_a_slow_head_is_answered_with_408(rig: Rig) -> None:
    """Its client is told why, and the log has a line."""
    await _head_begun(rig)
    rig.pass_deadline()
    await rig.settle()
    assert rig.transport.written.startswith(b"HTTP/1.1 408 ")
    assert [(408, "request_timeout")] == rig.log


async def test_a_half_closed_client_gets_its_answer(rig: Rig) -> None:
    """Then the connection closes."""
    await _half_closed(rig)
    await rig.answer()
    assert rig.transport.written.startswith(b"HTTP/1.1 200 ")
    assert ["close"] == rig.transport.done


async def test_a_half_closed_client_does_not_wait_for_ever(rig: Rig) -> None:
    """An answer that has not begun in ``half_closed_s`` is given up."""
    await _half_closed(rig)
    rig.pass_deadline()
    assert ["abort"] == rig.transport.done


async def test_pipelined_requests_are_answered_in_order(rig: Rig) -> None:
    """One task serves them one after the other."""
    rig.open()
    rig.receive(GET + POST + b"abcd" + LAST)
    await rig.settle()
    assert 3 == rig.transport.written.count(b"HTTP/1.1 200 OK")
    assert [(200, "")] * 3 == rig.log
    assert ["close"] == rig.transport.done


async def test_bytes_that_are_no_request_are_refused_after_the_request_before_them(
    rig: Rig,
) -> None:
    await _head(rig)
    rig.receive(GET + MALFORMED)
    await rig.settle()
    first, second = rig.transport.written.index(b" 200 "), rig.transport.written.index(b" 400 ")
    assert first < second
    assert rig.log == [(200, ""), (400, "bad_request")]


async def test_nothing_is_served_after_the_last_request(rig: Rig) -> None:
    """What follows ``Connection: close`` is ignored."""
    rig.open()
    rig.receive(LAST + GET)
    await rig.settle()
    assert [(200, "")] == rig.log


async def test_an_unread_body_makes_the_answer_the_last(rig: Rig) -> None:
    """Its rest would be read as the next request."""
    await _serving(rig, POST + b"ab")
    await rig.answer()
    assert b"\r\nConnection: close\r\n" in rig.transport.written
    assert Phase.LINGERING is rig.phase
    assert ReadState.STOPPED is rig.connection.reader.state


async def test_an_unexpected_error_is_answered_and_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a 500, the log the traceback."""
    rig.failure = ZeroDivisionError("oops")
    rig.open()
    rig.receive(GET)
    await rig.settle()
    assert [500] == [status for status, _ in rig.log]
    assert "oops" in caplog.text


async def test_a_client_that_leaves_is_logged_as_499(rig: Rig) -> None:
    """Its request is cancelled."""
    await _serving(rig)
    rig.connection.connection_lost(None)
    await rig.settle()
    assert [(499, "client_gone")] == rig.log


async def test_reading_stops_while_the_queue_is_full(rig: Rig) -> None:
    """And goes on, without losing a request, when the queue is served."""
    await _serving(rig)
    rig.receive(GET * 40)
    assert not rig.transport.is_reading_now
    await rig.answer()
    assert rig.transport.is_reading_now
    assert [(200, "")] * 41 == rig.log


async def test_chunks_wait_until_their_request_is_admitted(rig: Rig) -> None:
    """Those of a refused request are not even scanned: its answer is the last."""
    await _serving(rig, CHUNKED + b"no size\r\n")
    assert not rig.transport.is_reading_now
    await rig.answer()
    assert rig.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in rig.transport.written
    assert [(200, "")] == rig.log
    assert Phase.LINGERING is rig.phase


async def test_chunks_that_have_come_are_taken_in_at_once(rig: Rig) -> None:
    """When their body is wanted, and without a turn of the loop; of a broken body, nothing is."""
    bodies: list[bytes | None] = []

    async def begin(*_: object) -> Reply:
        body = rig.connection.reader.body
        assert not body.is_eof()
        rig.connection.begin_body()
        bodies.append(body.read_nowait() if body.is_eof() else None)
        return Reply(200, (), b"")

    rig.server.serving = replace(rig.server.serving, admit=begin)
    rig.open()
    rig.receive(CHUNKED + b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n" + CHUNKED + b"no size\r\n")
    await rig.settle()
    assert [b"abcd", None] == bodies


async def test_others_have_their_turn_while_chunks_are_parsed(rig: Rig) -> None:
    """A part of them takes one turn of the loop, and all of them arrive."""
    taken, turns = [], 0

    def count_turns() -> None:
        nonlocal turns
        turns += 1
        rig.loop.call_soon(count_turns)

    async def take_all(*_: object) -> Reply:
        body = rig.connection.reader.body
        rig.connection.begin_body()
        while data := await rig.connection.read_body(body):
            taken.append((turns, len(data)))
        return Reply(200, (), b"")

    rig.server.serving = replace(rig.server.serving, admit=take_all)
    rig.open()
    rig.receive(CHUNKED)
    await rig.settle()
    count_turns()
    for _ in range(3):
        rig.receive(b"3\r\nabc\r\n" * MAX_JOINED * 3)
        assert not rig.transport.is_reading_now
        while not rig.transport.is_reading_now:
            await asyncio.sleep(0)
    rig.receive(b"0\r\n\r\n" + GET)
    await rig.settle()

    assert 3 * 3 * MAX_JOINED * 3 == sum(size for _, size in taken)
    assert 3 * MAX_JOINED == max(size for _, size in taken)
    assert len(taken) == len({turn for turn, _ in taken})
    assert [(200, ""), (200, "")] == rig.log


async def test_an_idle_connection_frees_its_parser(rig: Rig) -> None:
    """After a moment; the next request is served all the same."""
    rig.open()
    rig.receive(GET * 2)
    await rig.settle()
    keep_alive_s = rig.server.limits.keep_alive_s
    rig.connection.check_deadline(rig.connection._deadline_s - keep_alive_s + 1.9)
    assert rig.connection._parser is not None
    rig.connection.check_deadline(rig.connection._deadline_s - keep_alive_s + 2.1)
    assert rig.connection._parser is None
    rig.receive(GET)
    await rig.settle()
    assert [(200, "")] * 3 == rig.log


async def test_an_idle_connection_frees_its_last_head(rig: Rig) -> None:
    """After a moment, also where it has needed no parser."""
    await _idle(rig)
    keep_alive_s = rig.server.limits.keep_alive_s
    assert rig.connection._parser is None
    rig.connection.check_deadline(rig.connection._deadline_s - keep_alive_s + 1.9)
    assert rig.connection.reader.keeps_head
    rig.connection.check_deadline(rig.connection._deadline_s - keep_alive_s + 2.1)
    assert not rig.connection.reader.keeps_head


@pytest.mark.parametrize("request_bytes", [GET, POST + b"abcd"])
async def test_a_whole_request_needs_no_parser(rig: Rig, request_bytes: bytes) -> None:
    """The first one of a connection, and those after it; bodies are read like others."""
    rig.open()
    for _ in range(3):
        rig.receive(request_bytes)
        await rig.settle()
    assert rig.connection._parser is None
    assert [(200, "")] * 3 == rig.log


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(GET * 3, id="get"),
        pytest.param(POST + b"abcd", id="post"),
        pytest.param(POST + b"ab", id="incomplete-body"),
        pytest.param(MALFORMED, id="malformed"),
        pytest.param(GET[:9], id="part-of-a-head"),
    ],
)
async def test_a_lost_connection_leaves_no_reference_cycle(request_bytes: bytes) -> None:
    """Its memory is free at once, without the garbage collector."""
    rig = Rig()
    rig.open()
    rig.receive(request_bytes)
    await rig.settle()
    rig.connection.connection_lost(None)
    await rig.settle()
    rig.deadlines.close()
    rig.transport.protocol = None
    gc.collect()
    gc.disable()
    try:
        del rig.connection
        unreachable = gc.collect()
    finally:
        gc.enable()
    assert 0 == unreachable


@pytest.mark.parametrize("prepare", [_head, _idle, _lingering], ids=["head", "idle", "lingering"])
async def test_a_client_that_ends_its_input_and_reads_nothing_is_aborted(
    rig: Rig, prepare: Step
) -> None:
    """What waits to be sent has a deadline, also where the transport closes by itself."""
    await prepare(rig)
    rig.transport.unsent_bytes = 5000
    rig.end_input()
    assert "abort" not in rig.transport.done
    rig.connection.check_deadline(rig.loop.time() + rig.server.limits.body_idle_s + 1)
    assert "abort" in rig.transport.done


async def test_a_body_that_ended_early_keeps_its_deadline(rig: Rig) -> None:
    """The request does not hold its connection to the app for ever."""
    await _serving(rig, POST + b"ab")
    rig.connection._deadline_s = 5.0
    rig.end_input()
    assert (Phase.SERVING, 5.0) == (rig.connection._phase, rig.connection._deadline_s)


# --- requests that need no wait --------------------------------------------------------------


def _refuse_at_once(rig: Rig, error: Exception) -> None:
    def refuse(*_: object) -> NoReturn:
        raise error

    rig.server.serving = replace(rig.server.serving, admit=refuse)


@pytest.mark.parametrize("request_", [GET, GET.replace(b"Host", b"TE: x\r\nHost"), POST + b"abcd"])
async def test_a_request_that_is_refused_at_once_takes_no_task(rig: Rig, request_: bytes) -> None:
    """It is logged when the read is done; the connection goes on with the next one."""
    serving = rig.server.serving
    _refuse_at_once(rig, Unauthenticated("none"))
    rig.open()
    tasks = asyncio.all_tasks()
    rig.receive(request_)
    assert [(401, "unauthenticated")] == rig.log
    assert tasks == asyncio.all_tasks()
    assert Phase.IDLE is rig.phase
    assert rig.connection.serving is None
    rig.server.serving = serving
    rig.receive(request_)
    await rig.settle()
    assert [(401, "unauthenticated"), (200, "")] == rig.log
    assert 1 == rig.transport.written.count(b"HTTP/1.1 401 Unauthorized\r\n")
    assert rig.transport.written.endswith(b"\r\n\r\nhello")


async def test_requests_refused_at_once_are_answered_in_order(rig: Rig) -> None:
    """All that came in one read, up to the last."""
    _refuse_at_once(rig, Unauthenticated("none"))
    rig.open()
    rig.receive(GET * 3 + LAST)
    await rig.settle()
    assert [(401, "unauthenticated")] * 4 == rig.log
    assert 1 == rig.transport.written.count(b"\r\nConnection: close\r\n")
    assert Phase.CLOSING is rig.phase


async def test_a_client_that_does_not_read_is_waited_for_after_a_refusal(rig: Rig) -> None:
    """Its next request is served when it has taken the answer."""
    _refuse_at_once(rig, Unauthenticated("none"))
    rig.open()
    rig.connection.pause_writing()
    rig.receive(GET)
    await rig.settle()
    rig.receive(GET)
    await rig.settle()
    assert 1 == len(rig.log)
    rig.connection.resume_writing()
    await rig.settle()
    assert 2 == len(rig.log)
    assert Phase.IDLE is rig.phase


async def test_a_bug_that_shows_at_once_is_answered_and_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """With 500, and a traceback under the id of the request."""
    _refuse_at_once(rig, ZeroDivisionError("a bug"))
    rig.open()
    rig.receive(GET)
    await rig.settle()
    assert [(500, "internal_error")] == rig.log
    assert rig.transport.written.startswith(b"HTTP/1.1 500 ")
    assert "ZeroDivisionError: a bug" in caplog.text


@pytest.mark.parametrize("request_", [GET, POST])
async def test_a_request_whose_client_left_at_once_is_logged(rig: Rig, request_: bytes) -> None:
    """Its limits are charged by then; the rest of its stages does not begin."""
    rig.may_answer.clear()
    rig.open()
    rig.receive(request_)
    rig.connection.connection_lost(None)
    await rig.settle()
    assert [(499, "client_gone")] == rig.log
    assert rig.connection.serving is None


@pytest.mark.parametrize(
    ("request_", "checked", "pages"),
    [
        pytest.param(GET, "", 1, id="a-request"),
        pytest.param(MALFORMED, "", 1, id="bytes-that-are-none"),
        pytest.param(GET, "GET", 1, id="a-forward-auth-check"),
    ],
)
async def test_what_may_be_answered_by_a_page(
    rig: Rig, request_: bytes, checked: str, pages: int
) -> None:
    """Where there is a head that says whether a person waits for the answer."""
    asked: list[ProblemAnswer] = []

    def to_page(_: RequestHead, __: Refusal, answer: ProblemAnswer) -> ProblemAnswer:
        asked.append(answer)
        return answer._replace(before_id=b"<p>", after_id=b"</p>", heads={})

    def refuse(_: RequestHead, record: RequestRecord) -> NoReturn:
        record.checked = checked
        raise Unauthenticated("none")

    rig.server.serving = replace(rig.server.serving, admit=refuse, to_page=to_page)
    rig.open()
    rig.receive(request_)
    await rig.settle()
    assert pages == len(asked) == rig.transport.written.count(b"<p>")
