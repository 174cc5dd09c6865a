"""Build the audit log of a process, and what tells it of refused rights."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Final

from gateway import __version__
from gateway.audit.file import AuditFile, writer_name
from gateway.audit.heads import Heads
from gateway.audit.log import AuditHeard, AuditLog
from gateway.audit.sampling import RefusalSampler
from gateway.audit.switch import AuditSwitch
from gateway.config.audit import AuditSettings, decode_audit_key
from gateway.config.schema import Settings
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.errors import (
    DeniedByLimit,
    ExpiredToken,
    Forbidden,
    InvalidToken,
    Refusal,
    RevokedApiKey,
    RevokedCertificate,
    RevokedSession,
    RevokedToken,
    StartError,
)
from gateway.core.handling import RefusalsTold
from gateway.core.ports import AuditTrail, Store
from gateway.core.record import RequestRecord
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import AUDIT_LINES

_RIGHTS: Final = (
    Forbidden,
    DeniedByLimit,
    RevokedToken,
    RevokedSession,
    RevokedApiKey,
    RevokedCertificate,
)
_SIGN_INS: Final = (InvalidToken, ExpiredToken, RevokedToken)
_SIGN_IN_ROUTE: Final = "gateway-sign-in"


class ProcessAudit:
    """The audit log of one process, over all of its configs."""

    def __init__(self, role: str, store: Store, counters: Counters | None = None) -> None:
        """``role`` is what the process is on its machine, such as ``worker-2``."""
        self.trail = AuditSwitch()
        self._role = role
        self._heads = Heads(store)
        self._counters = counters
        self._settings: AuditSettings | None = None

    @contextmanager
    def changing(self, settings: Settings) -> Iterator[None]:
        """
        Open what a config asks for, and write there from the end of the context on.

        Where the context fails, nothing has changed. Raises `StartError` for a file that cannot be
        used.
        """
        wanted = settings.audit
        if wanted == self._settings:
            yield
            return
        writer = writer_name(self._role, secrets.token_hex(4))
        file = None
        if wanted is not None:
            file = open_audit_file(wanted.file, key_of(wanted), writer)
        try:
            yield
        except BaseException:
            if file is not None:
                file.close()
            raise
        self._settings = wanted
        self.trail.use(None if wanted is None or file is None else self._log(wanted, file, writer))

    def _log(self, settings: AuditSettings, file: AuditFile, writer: str) -> AuditLog:
        heard = AuditHeard()
        if self._counters is not None:
            add = partial(self._counters.add, AUDIT_LINES)
            heard = AuditHeard(partial(add, "written"), partial(add, "lost"))
        refuses = settings.on_failure == "refuse"
        log = AuditLog(file, writer, self._heads, key_of(settings), heard, refuses=refuses)
        log.note(AuditEntry(AuditEvent.BEGAN, "gateway", writer, details={"version": __version__}))
        return log


def changing(audit: ProcessAudit | None, settings: Settings) -> AbstractContextManager[None]:
    """See `ProcessAudit.changing`; without an audit log, nothing is to change."""
    return nullcontext() if audit is None else audit.changing(settings)


@asynccontextmanager
async def process_audit(
    settings: Settings, role: str, store: Store, counters: Counters | None = None
) -> AsyncIterator[ProcessAudit]:
    """Begin the chain of this process; it ends with the context. Raises `StartError`."""
    audit = ProcessAudit(role, store, counters)
    with audit.changing(settings):
        pass
    try:
        yield audit
    finally:
        await audit.trail.aclose()


def open_audit_file(path: str, key: bytes, writer: str) -> AuditFile:
    """Open a file to append to. Raises `StartError`."""
    try:
        return AuditFile(path, key, writer)
    except OSError as error:
        raise StartError(f"audit.file: {path} cannot be written: {error.strerror}") from error


def key_of(settings: AuditSettings) -> bytes:
    """Return the key that seals new lines."""
    return decode_audit_key(settings.key.get_secret_value())


def keys_of(settings: AuditSettings) -> tuple[bytes, ...]:
    """Return all keys, for the check of files."""
    old = (decode_audit_key(key.get_secret_value()) for key in settings.old_keys)
    return (key_of(settings), *old)


def audited_refusals(settings: Settings, trail: AuditTrail, told: RefusalsTold) -> RefusalsTold:
    """Add the audit file to what is ``told`` of refusals: of rights, and of tokens at sign-ins."""
    if settings.audit is None:
        return told
    sampler = RefusalSampler()
    audited: dict[type[Refusal], Callable[[Refusal, RequestRecord], None]] = dict(told)
    for kind in dict.fromkeys((*_RIGHTS, *_SIGN_INS)):
        audited[kind] = partial(_tell, trail, sampler, told.get(kind))
    return audited


def _tell(
    trail: AuditTrail,
    sampler: RefusalSampler,
    also: Callable[[Refusal, RequestRecord], None] | None,
    refusal: Refusal,
    record: RequestRecord,
) -> None:
    if also is not None:
        also(refusal, record)
    is_sign_in = record.route == _SIGN_IN_ROUTE
    if not is_sign_in and type(refusal) not in _RIGHTS:
        return
    event = AuditEvent.LOGIN if is_sign_in else AuditEvent.ACCESS_REFUSED
    actor = record.issuer or "unknown"
    kind = (event, record.issuer or record.client, record.route, record.refusal, refusal.reason)
    count = sampler.count(kind, time.time())
    if count:
        details: dict[str, AuditDetail] = {
            "reason": refusal.reason,
            "route": record.route,
            "path": record.path,
            "count": count,
        }
        entry = AuditEntry(event, actor, record.route, record.client, "refused", record.refusal)
        trail.note(entry._replace(request_id=record.request_id, details=details))
