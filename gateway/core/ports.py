"""
The ports: what the pipeline may ask of the outside world, as protocols.

Each port has a contract suite in ``tests/contract``, which runs over every implementation.
`TokenVerifier` has none of its own: what a valid token is differs by kind, so each verifier has its
tests. docs/architecture.md lists both.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol, overload

from gateway.core.audit import AuditEntry
from gateway.core.errors import StoreUnavailable
from gateway.core.event import Notice
from gateway.core.identity import (
    UNKNOWN_BROWSER,
    Browser,
    Identity,
    SessionEnd,
    SessionSummary,
    User,
)
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.lua import lua_source
from gateway.core.replies import Shape, is_any


class Script(NamedTuple):
    """A Lua script that the store runs atomically."""

    name: str
    source: str
    accepts: Shape = is_any
    """What it may reply; a store takes any other reply for that of another command."""

    @classmethod
    def packaged(cls, package: str, name: str, accepts: Shape = is_any) -> "Script":
        """Return the script in the file ``name`` of ``package``."""
        return cls(name, lua_source(package, name), accepts)


class TaggedKeys(Sequence[str]):
    """
    Keys of a script, each of which is a name and a hash tag in braces: all names with each tag.

    A store may read the ``groups`` of names and tags instead of each key.
    """

    def __init__(self, groups: Sequence[tuple[tuple[str, ...], Sequence[str]]]) -> None:
        self.groups = groups

    @cached_property
    def _keys(self) -> list[str]:
        return [f"{name}{{{tag}}}" for names, tags in self.groups for tag in tags for name in names]

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        return self._keys[at]


class Store(Protocol):
    """
    A Redis-compatible server.

    Every method raises `StoreUnavailable` when no reply came in time, or another than was asked
    for, and no other exception of the client library. Keys are given without the configured prefix.
    """

    def get(self, key: str) -> Awaitable[bytes | None]:
        """
        Get the value, or None. Calls of one event-loop tick travel together.

        Whatever it raises, it raises when it is awaited, so that several can be asked for at once.
        """

    def get_pair(self, first: str, second: str) -> Awaitable[tuple[bytes | None, bytes | None]]:
        """Get two values at one time, like `get`."""

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        """Store ``value`` until ``expires_at_ms`` (Unix time in milliseconds, ``PXAT``)."""

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        """Like `set`, but only if the key is absent (``NX``); return whether it was."""

    async def delete(self, key: str) -> bool:
        """Delete ``key``; return whether it was there."""

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> Awaitable[object]:
        """
        Run a script. Every key that it touches must be in ``keys``.

        Whatever it raises, it raises when it is awaited.
        """

    def slot_of(self, key: str) -> int:
        """Return the slot of ``key``, which the keys of a script share; 0 where are no slots."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Publish to the subscribers of ``channel``, which gets the configured prefix too."""

    async def ping(self) -> None:
        """Check that the store answers."""

    async def aclose(self) -> None:
        """Close all connections."""


class Limiter(Protocol):
    """Counts the requests of callers against rate limits."""

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        """Do what `spend` does, if that needs no wait; None, with nothing charged, if it does."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """
        Charge ``caller`` one request, unless that would exceed ``limit``.

        A refused request is not charged. Raises `StoreUnavailable` only for limits with
        ``on_store_failure: closed``.
        """

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        """
        Do what `spend_all` does, if that needs no wait; None, with nothing charged, if it does.

        A refusal may have the states of those alone that refuse: the others need not be known.
        """

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        """
        Charge all of ``spends``, or none of them where one would exceed its limit.

        Returns their states in order; those that were the reason have ``allowed`` False. Raises
        like `spend`.
        """

    async def settle(self, spend: Spend) -> None:
        """
        Charge what a request cost beyond what was charged before; a negative cost gives back.

        Whatever the limit says: its caller waits until there is room again. Raises nothing where
        the store is unavailable.
        """


class RequestLease(Protocol):
    """A place among the requests of a caller that are under way."""

    state: LimitState
    """Where it allows none, there is no place, and nothing to release."""

    def release(self) -> None:
        """Give the place to another request; the first call counts."""


class Leases(Protocol):
    """Counts the requests of callers that are under way, against limits on their number."""

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        """
        Take a place for a request of ``caller``; the caller of this releases it.

        Raises `StoreUnavailable` only for limits with ``on_store_failure: closed``.
        """


class TokenVerifier(Protocol):
    """
    Verifies one kind of credential, such as DID tokens, API keys or JWTs.

    The verifier itself applies the revocation epoch, where ``AuthMethod.revoked_by`` names one: it
    asks `Revocations`, or its record of the credential. No later stage does that for a request.
    """

    async def verify(self, token: str) -> Identity:
        """
        Verify ``token`` and return the identity that it proves.

        Raises one of these refusals:

        - `InvalidToken` or `InvalidApiKey`: counted, and charged to the client's failure limit.
        - `ExpiredToken`, `RevokedToken`, `ExpiredApiKey` or `RevokedApiKey`: counted, not charged,
          as the credential was valid once.
        - `RateLimited`, where the credential has a limit of its own: neither.
        - `StoreUnavailable`, `MagicUnavailable` or `KeysUnavailable`: neither.

        ``REFUSED`` in `gateway.authn.authenticator` lists what is counted. A verifier raises no
        other refusal without a line there.
        """

    def knows(self, token: str) -> bool:
        """
        Whether this process verified ``token`` recently, so that it cannot be a guess.

        A known token is verified even if the failures of its client used up their limit. A verifier
        without a cache returns False: True would lift the limit for guesses.
        """


class StoredUser(NamedTuple):
    """What the store holds of a user, as it was read."""

    known: bytes | None
    """``known:{issuer}``, which gateways read."""
    told: bytes | None
    """``user:{issuer}``, which apps read."""
    failure: StoreUnavailable | None = None
    """Why nothing was read."""


class Directory(Protocol):
    """Looks up the users of Magic."""

    def read(self, issuer: str) -> Awaitable[StoredUser]:
        """
        Read what the store holds of ``issuer``, for `user` and `proven`; never fails.

        It is asked for at once, so that what the caller asks for in the same event-loop tick
        travels along. Magic is not asked, and nothing is cached: ``issuer`` may be made up.
        """

    async def user(self, issuer: str, stored: StoredUser | None = None) -> User | None:
        """
        Look up ``issuer``; None if Magic does not know it.

        A caller that has ``stored`` calls `proven` afterwards: what is learnt here is written
        there. Raises `MagicUnavailable` or `StoreUnavailable` where that is unknown.
        """

    async def proven(self, issuer: str, ends_at_ms: int, stored: StoredUser | None = None) -> None:
        """
        Note that ``issuer``, a user, has a proof until ``ends_at_ms``: for as long, apps read it.

        Writes what is not stored yet; ignores a store that is down.
        """


class Sessions(Protocol):
    """Keeps the sessions of signed-in users."""

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        """
        Create a session for what a DID token proved; return the cookie's value and the identity.

        ``browser`` is shown to the owner in the list of sessions. Raises `TokenAlreadyUsed`,
        `StoreUnavailable`, or `OutboxFull` for the first session of a person.
        """

    async def find(self, cookie: str) -> Identity:
        """Look a session up. Raises `SessionEnded`, `RevokedSession` or `StoreUnavailable`."""

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        """List the sessions of ``issuer``, the newest first. Raises `StoreUnavailable`."""

    async def end(
        self,
        session_key: str,
        issuer: str | None = None,
        notices: Sequence[Notice] = (),
        *,
        reason: SessionEnd = "signed_out",
    ) -> None:
        """
        End the session in the store and on all gateways.

        With ``issuer``, only a session that is on that issuer's list. The ``notices`` are recorded
        with the end, unless it had ended before. Raises `StoreUnavailable`.
        """

    async def unlist(self, session_key: str, issuer: str) -> None:
        """Remove the session from the issuer's list; it stays valid. Raises `StoreUnavailable`."""

    async def end_all(self, issuer: str, listed: Sequence[SessionSummary] | None = None) -> int:
        """
        End all sessions of ``issuer``; return their number. Raises `StoreUnavailable`.

        A caller that has just listed them says so: they are not looked for a second time.
        """


class RoleStore(Protocol):
    """Looks up the roles that apps gave to issuers."""

    async def roles(self, issuer: str) -> tuple[str, ...]:
        """
        Look up the roles of ``issuer``, sorted.

        Raises `StoreUnavailable` where they are unknown.
        """

    def prepare(self, issuer: str) -> None:
        """Begin to look the roles of ``issuer`` up, for a call of `roles` in a moment."""


class Revocations(Protocol):
    """
    Keeps the revocation epoch of each issuer: all proofs older than the epoch are revoked.

    `gateway.revocation.epoch.is_revoked` compares it with ``Identity.proven_at_ms``. An epoch is
    kept for as long as a DID token may live, and that of a certificate for longer than any
    certificate lives; another credential that lives longer needs another way to be revoked.
    """

    async def epoch_ms(self, issuer: str) -> int | None:
        """
        Look up the epoch, in Unix milliseconds; None where nothing was revoked.

        Raises `StoreUnavailable` where it is unknown.
        """

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        """
        Return the epoch by the ``record`` of ``issuer`` in the store, which was read just now.

        For what is cached itself and read together with the epoch: one cache behind another would
        double the time until a revocation takes effect. Raises `StoreUnavailable` where the record
        cannot be read.
        """

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        """
        Revoke all proofs of ``issuer`` made by now, on all gateways; return the new epoch.

        The ``notices`` are recorded with it. Raises `StoreUnavailable`.
        """


class Bus(Protocol):
    """Sends cache invalidations to all gateways; see `gateway.core.invalidation`."""

    async def publish(self, kind: InvalidationKind, name: str) -> None:
        """Tell all gateways, this one first. Ignores a store that is down."""

    def on(self, kind: InvalidationKind, forget: Callable[[str], object]) -> Callable[[], None]:
        """Call ``forget`` with each name of this kind; the returned function unsubscribes."""

    def on_missed(self, forget_all: Callable[[], object]) -> Callable[[], None]:
        """
        Call ``forget_all`` whenever messages may have been missed; the result unsubscribes.

        Messages may be missed until this process has subscribed, for the first time or again.
        """


class AuditTrail(Protocol):
    """Writes decisions about identities to the audit file, before they are answered."""

    def require(self) -> None:
        """
        Check that lines can be written, before an action that gives rights.

        Raises `AuditUnavailable` where they cannot, and the config says ``on_failure: refuse``.
        """

    async def write(self, entry: AuditEntry, *, may_refuse: bool = False) -> None:
        """
        Write the line of a decision, and return when it is in the file, or after a second.

        ``may_refuse`` is for actions that give rights: raises `AuditUnavailable` where the line was
        not written, and the config says ``on_failure: refuse``. The caller takes the action back.
        """

    def note(self, entry: AuditEntry) -> None:
        """Write a line without waiting for it."""


class Clock(Protocol):
    """Unix time in seconds; ``time.time`` is one."""

    def __call__(self) -> float:
        """Return the current time."""
