"""Look-ups and actions of operators, in the process that has the private listener."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from gateway.admin.access import Operator
from gateway.admin.operations import NotPossible, Operations
from gateway.config.findings import InvalidConfig, Severity
from gateway.config.load import load_document
from gateway.config.schema import Settings
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.errors import StartError
from gateway.core.event_ports import ToldChanges
from gateway.core.invalidation import InvalidationKind
from gateway.core.issuer import canonical
from gateway.core.ports import AuditTrail, Store
from gateway.hooks.dead_letters import DeadLetter, DeadLetters
from gateway.hooks.queue_view import QueueView
from gateway.ratelimit.counts import StoredCounts
from gateway.revocation.notice import end_notice
from gateway.runtime.limit_callers import find_counted
from gateway.runtime.limit_usage import LimitUsage
from gateway.runtime.people import People
from gateway.runtime.reload import NoMoreReloads, ReloadRequests, WatchedFile
from gateway.runtime.services.hooks import endpoints, outbox, queue, recorder
from gateway.runtime.services.identity import server_keys, session_store
from gateway.runtime.services.limits import limit_names
from gateway.runtime.services.lints import find_all
from gateway.runtime.services.store import SharedStore, store_options
from gateway.sessions.places import PlaceDatabase
from gateway.sessions.redis import RedisSessions
from gateway.store import kinds
from gateway.store.bus import StoreBus
from gateway.util.rfc3339 import rfc3339, rfc3339_if_known

_SHOWN_LETTERS: Final = 50
_PORTION: Final = 100
_MAX_REPLAYED: Final = 1000
"""Letters that one request queues again; the rest stays, and can be asked for again."""

MAX_LIMIT_READS: Final = 3
"""Limits whose callers are looked for at one time: each look holds a connection to the store."""
_RELOAD_S: Final = 60.0


class ProcessOperations:
    """
    The port `Operations` over the store of a gateway.

    It changes the store as the command line does, and tells all gateways over the bus. ``settings``
    returns those in use; ``made_up_key`` seals where the config names no key.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        store_url: str,
        store: Store,
        made_up_key: bytes,
        trail: AuditTrail,
    ) -> None:
        self._settings = settings
        self._store_url = store_url
        self._shared = SharedStore(store, StoreBus(store))
        self._made_up_key = made_up_key
        self._trail = trail
        self._people: People | None = None
        self._limit_reads = asyncio.Semaphore(MAX_LIMIT_READS)
        self.file: WatchedFile | None = None
        """The file in use; None where the settings come from none."""
        self.requests = ReloadRequests()
        self.stop: Callable[[], object] | None = None
        """Begins to drain; None in a process that another one ends."""

    async def aclose(self) -> None:
        """End searches that were not gone on with."""
        if self._people is not None:
            await self._people.aclose()

    # --- looking -------------------------------------------------------------------------------

    async def config(self) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        if self.file is None:
            raise NotPossible("the gateway was started without a config file")
        findings = await asyncio.to_thread(_findings, self.file.path)
        return {
            "file": str(self.file.path),
            "sha256": self.file.sha256,
            "findings": findings,
            "reloads": [
                {
                    "time": rfc3339(int(each.at_s * 1000)),
                    "why": each.why,
                    "outcome": each.outcome,
                    "problems": each.problems,
                }
                for each in self.requests.history
            ],
        }

    async def hooks(self) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        settings, store = self._settings(), self._shared.store
        dead = DeadLetters(store, settings.redis.prefix)
        counts = await dead.counts()
        named = [each.name for each in endpoints(settings)]
        others = sorted(counts.kept.keys() - set(named))
        waiting = await asyncio.gather(*(QueueView(store, name).state() for name in named))
        states = dict(zip(named, waiting, strict=True))
        return {
            "endpoints": [
                {
                    "endpoint": name,
                    "waiting": states[name].waiting if name in states else 0,
                    "dead": counts.kept.get(name, 0),
                    "trimmed": counts.trimmed.get(name, 0),
                }
                for name in [*named, *others]
            ],
            "letters": [_letter(each) async for each in _first(dead, None, None, _SHOWN_LETTERS)],
        }

    async def callers(self, limit: str) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        settings = self._settings()
        _check_limit(settings, limit)
        async with self._limit_reads:
            return await LimitUsage(settings, self._shared.store, self._scan).callers(limit)

    async def people(self, wanted: str, more: str) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        if self._people is None:
            self._people = People(self._shared.store, self._sessions, self._scan)
        return (await self._people.page(wanted, more))._asdict()

    async def sessions(self, issuer: str) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        name, sessions = canonical(issuer), self._sessions()
        listed = await sessions.list_for(name)
        with _places(self._settings().pages.places) as known:
            places = await known.find({each.browser.address for each in listed}, "en")
        record = await People(self._shared.store, self._sessions, self._scan).record(name)
        return {
            "issuer": name,
            "roles": [] if record is None else record.standing.roles or [],
            "sessions": [
                {
                    "id": each.id,
                    "device": each.browser.device or None,
                    "address": each.browser.address or None,
                    "place": places.get(each.browser.address),
                    "created_at": rfc3339_if_known(each.created_at_ms),
                    "last_seen_at": rfc3339_if_known(each.seen_at_ms),
                    "expires_at": rfc3339(each.expires_at_ms),
                }
                for each in listed
            ],
        }

    async def _scan(self, start: str) -> AsyncGenerator[list[str], None]:
        settings = self._settings()
        server = kinds.server_of(store_options(self._store_url, settings))
        async with aclosing(server.slices(start)) as slices:
            async for keys in slices:
                yield list(_named(keys, settings.redis.prefix))

    def _sessions(self, changes: ToldChanges | None = None) -> RedisSessions:
        settings = self._settings()
        keys = server_keys(settings) or (self._made_up_key,)
        return session_store(settings, self._shared, keys, changes=changes)

    # --- doing ---------------------------------------------------------------------------------

    async def end_session(self, document: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        issuer, wanted = _texts(document, "issuer", "session")
        issuer, settings = canonical(issuer), self._settings()
        recorded = recorder(settings, outbox(settings, self._shared.store))
        async with aclosing(recorded) as changes:
            sessions = self._sessions(changes)
            listed = await sessions.list_for(issuer)
            chosen = [each.session_key for each in listed if each.id == wanted]
            for key in chosen:
                notices = [end_notice(issuer, "revoked", wanted)]
                await sessions.end(key, issuer, notices, reason="revoked")
        if chosen:
            details: dict[str, AuditDetail] = {"session": wanted}
            await self._record(AuditEvent.SESSION_REVOKED, issuer, operator, details)
        return {"issuer": issuer, "sessions_ended": len(chosen)}

    async def reset_limit(self, document: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        limit, text = _texts(document, "limit", "caller")
        settings = self._settings()
        _check_limit(settings, limit)
        counted = find_counted(settings, limit, text)
        was_there = await StoredCounts(self._shared.store).reset(counted.limit, counted.caller)
        await self._shared.bus.publish(InvalidationKind.LIMIT, f"{limit} {counted.caller}")
        told: dict[str, Any] = {
            "limit": limit,
            "caller": counted.caller,
            "was_counted": was_there,
        }
        await self._record(AuditEvent.LIMIT_RESET, counted.caller, operator, told)
        return told

    async def replay(self, document: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        [endpoint] = _texts({"endpoint": document.get("endpoint")}, "endpoint")
        event_id = document.get("event_id")
        if document.keys() - {"endpoint", "event_id"} or not isinstance(event_id, str | None):
            raise ValueError("expected {endpoint} or {endpoint, event_id}")
        settings, store = self._settings(), self._shared.store
        queues = {each.name: queue(store, each) for each in endpoints(settings)}
        if endpoint not in queues:
            raise ValueError(f"the config has no endpoint {endpoint}")
        dead = DeadLetters(store, settings.redis.prefix)
        letters = [each async for each in _first(dead, endpoint, event_id, _MAX_REPLAYED)]
        moved = 0
        for at in range(0, len(letters), _PORTION):
            taken = await dead.replay(letters[at : at + _PORTION], queues[endpoint])
            moved += len(taken)
            if taken:
                ids: dict[str, AuditDetail] = {"events": [each.event_id for each in taken]}
                await self._record(AuditEvent.HOOKS_REPLAYED, endpoint, operator, ids)
        left = (await dead.counts()).kept.get(endpoint, 0)
        return {"moved": moved, "kept": left}

    async def reload(self, document: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`; the reload itself writes the audit line."""
        _texts(document)
        if self.file is None:
            raise NotPossible("the gateway was started without a config file")
        try:
            async with asyncio.timeout(_RELOAD_S):
                entry = await self.requests.ask(operator)
        except TimeoutError:
            raise NotPossible("the reload takes long: its outcome is shown when it ends") from None
        except NoMoreReloads:
            raise NotPossible("the gateway drains") from None
        return {"outcome": entry.outcome, "problems": entry.problems}

    async def drain(self, document: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
        """See `gateway.admin.operations.Operations`."""
        _texts(document)
        if self.stop is None:
            raise NotPossible("another process ends this one")
        await self._record(AuditEvent.DRAINED, "gateway", operator, {})
        self.stop, stop = _nothing, self.stop  # a second signal would end it at once
        asyncio.get_running_loop().call_soon(stop)
        return {"status": "draining"}

    async def _record(
        self, event: AuditEvent, subject: str, by: Operator, details: Mapping[str, AuditDetail]
    ) -> None:
        await self._trail.write(by.sign(AuditEntry(event, "", subject, details=details)))


@asynccontextmanager
async def process_operations(
    settings: Callable[[], Settings],
    store_url: str,
    store: Store,
    made_up_key: bytes,
    trail: AuditTrail,
) -> AsyncIterator[ProcessOperations]:
    """Build what operators do; searches end with the context."""
    operations = ProcessOperations(settings, store_url, store, made_up_key, trail)
    try:
        yield operations
    finally:
        await operations.aclose()


def _named(keys: Iterable[bytes], prefix: str) -> Iterator[str]:
    for key in keys:
        with suppress(UnicodeDecodeError):  # of another program
            yield key.decode().removeprefix(prefix)


def _places(path: str) -> PlaceDatabase:
    """Open the database of places; none where the file has gone since the pages opened it."""
    try:
        return PlaceDatabase(path)
    except StartError:
        return PlaceDatabase("")


def _nothing() -> None:
    """Stand for what has been done."""


def _check_limit(settings: Settings, name: str) -> None:
    """Raise `ValueError` unless the config has the limit."""
    if name not in limit_names(settings):
        raise ValueError(f"the config has no limit {name}")


def _texts(document: Mapping[str, Any], *names: str) -> list[str]:
    """Return the members of a document that has no others. Raises `ValueError`."""
    texts = [document.get(name) for name in names]
    if document.keys() - set(names) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"expected an object with {', '.join(names) or 'no members'}")
    return [str(text) for text in texts]


def _findings(path: Path) -> list[dict[str, Any]]:
    """Read the file as ``gateway check`` does; its errors are told first."""
    try:
        config = load_document(path, os.environ)
    except InvalidConfig as error:
        found = list(error.findings)
    else:
        lines = config.written.lines
        found = [
            problem.finding(str(path), lines, severity)
            for problem, severity in find_all(config, time.time())
        ]
    found.sort(key=lambda each: each.severity is not Severity.ERROR)
    return [each._asdict() for each in found]


async def _first(
    dead: DeadLetters, endpoint: str | None, event_id: str | None, most: int
) -> AsyncIterator[DeadLetter]:
    async with aclosing(dead.letters(endpoint, event_id)) as letters:  # type: ignore[type-var]
        async for each in letters:
            yield each
            most -= 1
            if not most:
                return


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "endpoint": letter.endpoint,
        "event_id": letter.event_id,
        "attempts": letter.attempts,
        "last": letter.last,
        "at": rfc3339(letter.at_ms),
    }


_: type[Operations] = ProcessOperations
