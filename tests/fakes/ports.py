"""The ports that the journey asks, as parts that write down what they were asked."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.core.errors import InvalidToken, Refusal, SessionEnded, StoreUnavailable
from gateway.core.event import Notice
from gateway.core.identity import (
    UNKNOWN_BROWSER,
    AuthMethod,
    Browser,
    Identity,
    SessionEnd,
    SessionSummary,
    User,
)
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Leases, Limiter, Sessions, TokenVerifier

ISSUER = "did:ethr:0x" + "ab" * 20

TOKEN_IDENTITY = Identity(
    user=User(ISSUER, email="alice@example.com"),
    method=AuthMethod.DID_TOKEN,
    token_id="tid-1",
    expires_at_ms=1_800_000_900_000,
)
SESSION_IDENTITY = Identity(
    user=User(ISSUER, email="alice@example.com"),
    method=AuthMethod.SESSION,
    token_id="tid-1",
    expires_at_ms=1_800_000_900_000,
    session_key="session:1",
)

Diary = list[str]
"""What was asked, in order, across all ports that share it."""


class RecordingLimiter:
    """Allows all requests except those that count for a limit named in ``used_up``."""

    def __init__(
        self, diary: Diary, used_up: Iterable[str] = (), waits: Iterable[str] = ()
    ) -> None:
        """``waits``: names of limits that are charged after a wait."""
        self.diary = diary
        self.used_up = set(used_up)
        self.waits = set(waits)

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:
        return None if limit.name in self.waits else self._state(limit, caller)

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        return self._state(limit, caller)

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:
        return None if any(each.limit.name in self.waits for each in spends) else self._all(spends)

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        return self._all(spends)

    async def settle(self, spend: Spend) -> None:
        self.diary.append(f"settle {spend.cost} of {spend.caller}")

    def _all(self, spends: Sequence[Spend]) -> list[LimitState]:
        """Charge all, or ask those alone that refuse."""
        refused = [each for each in spends if each.limit.name in self.used_up]
        return [self._state(*spend) for spend in refused or spends]

    def _state(self, limit: Limit, caller: str, cost: int = 1) -> LimitState:
        times = f" {cost} times" if cost > 1 else ""
        self.diary.append(f"limit {limit.name} of {caller}{times}")
        if limit.name in self.used_up:
            return LimitState(limit, False, 0, reset_s=12.5, retry_after_s=3.2)
        return LimitState(limit, True, limit.rate - 1, reset_s=12.5, retry_after_s=0.0)


class RecordingLease:
    """A lease that writes down its end."""

    def __init__(self, diary: Diary, state: LimitState) -> None:
        self.diary = diary
        self.state = state

    def release(self) -> None:
        self.diary.append(f"release {self.state.limit.name}")


class RecordingLeases:
    """Grants all leases except those of a limit named in ``used_up``."""

    def __init__(self, diary: Diary, used_up: Iterable[str] = ()) -> None:
        self.diary = diary
        self.used_up = set(used_up)

    async def take(self, limit: Limit, caller: str) -> RecordingLease:
        self.diary.append(f"lease {limit.name} of {caller}")
        is_free = limit.name not in self.used_up
        return RecordingLease(self.diary, LimitState(limit, is_free, 0, 1.0, float(not is_free)))


class KnownTokens:
    """A `TokenVerifier` that knows the tokens it was given, or what to raise for them."""

    def __init__(self, diary: Diary, known: Mapping[str, Identity | Refusal]) -> None:
        self.diary = diary
        self.familiar: set[str] = set()
        """Tokens that were verified before."""
        self._known = known

    async def verify(self, token: str) -> Identity:
        self.diary.append(f"verify {token}")
        return _found(self._known.get(token, InvalidToken("unknown")))

    def knows(self, token: str) -> bool:
        return token in self.familiar


class KnownSessions:
    """`Sessions` that were made beforehand, or what to raise for them."""

    def __init__(self, diary: Diary, known: Mapping[str, Identity | Refusal]) -> None:
        self.diary = diary
        self.notices: list[Notice] = []
        """What was to be told of ends."""
        self.is_list_down = False
        self.ended: list[SessionEnd] = []
        """Why, of each that was ended."""
        self._known = known

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        self.diary.append(f"create a session of {identity.user.issuer} {browser.device}".rstrip())
        return "new", identity

    async def find(self, cookie: str) -> Identity:
        self.diary.append(f"find {cookie}")
        return _found(self._known.get(cookie, SessionEnded("unknown")))

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        self.diary.append(f"list the sessions of {issuer}")
        if self.is_list_down:
            raise StoreUnavailable("down")
        return []

    async def end(
        self,
        session_key: str,
        issuer: str | None = None,
        notices: Sequence[Notice] = (),
        *,
        reason: SessionEnd = "signed_out",
    ) -> None:
        self.notices += notices
        self.diary.append(" of ".join(filter(None, (f"end {session_key}", issuer))))
        self.ended.append(reason)
        if isinstance(refusal := self._known.get(session_key), Refusal):
            raise refusal

    async def unlist(self, session_key: str, issuer: str) -> None:
        self.diary.append(f"take {session_key} off the list of {issuer}")

    async def end_all(self, issuer: str, listed: Sequence[SessionSummary] | None = None) -> int:
        self.diary.append(f"end all sessions of {issuer}")
        return len(listed or ())


def _found(known: Identity | Refusal) -> Identity:
    if isinstance(known, Refusal):
        raise known
    return known


_: tuple[type[Limiter], type[Leases], type[TokenVerifier], type[Sessions]] = (
    RecordingLimiter,
    RecordingLeases,
    KnownTokens,
    KnownSessions,
)
