"""The deny and allow lists of limits: who is refused, and who is not counted."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from gateway.core.address import IPAddress
from gateway.core.errors import DeniedByLimit
from gateway.core.identity import User
from gateway.core.limit import Limit
from gateway.ratelimit.matcher import Matcher


class ListKind(StrEnum):
    """What a list is for."""

    DENY = "deny"
    ALLOW = "allow"


class _Lists(NamedTuple):
    """The lists of one limit, from all sources."""

    deny: tuple[Matcher, ...]
    allow: tuple[Matcher, ...]


class LimitLists:
    """
    Answers from all lists. A list has parts: one of the config, of each file, of the store.

    A caller on both lists of a limit is denied. Addresses are looked at before authentication;
    issuers and email addresses after it, when they are known.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[str, ListKind], dict[str, Matcher]] = {}
        self._by_limit: dict[str, _Lists] = {}
        """Limits with an entry alone."""
        self.in_use = False
        """Whether there is any entry: without one, requests skip all of this."""

    def put(self, limit: str, kind: ListKind, source: str, entries: Matcher) -> None:
        """Replace the part of a list that comes from ``source``."""
        self._parts.setdefault((limit, kind), {})[source] = entries
        deny, allow = (self._living(limit, kind) for kind in ListKind)
        if deny or allow:
            self._by_limit[limit] = _Lists(deny, allow)
        else:
            self._by_limit.pop(limit, None)
        self.in_use = bool(self._by_limit)

    def refuse_address(self, limits: Iterable[Limit], address: IPAddress) -> None:
        """Raise `DeniedByLimit` if ``address`` is on the deny list of one of ``limits``."""
        for limit in limits:
            lists = self._by_limit.get(limit.name)
            if lists is not None and lists.deny and _match(lists.deny, address, None):
                raise DeniedByLimit(limit.name)

    def refuse_user(self, limits: Iterable[Limit], user: User) -> None:
        """Raise `DeniedByLimit` if ``user`` is on the deny list of one of ``limits``."""
        for limit in limits:
            lists = self._by_limit.get(limit.name)
            if lists is not None and lists.deny and _denies(lists.deny, user):
                raise DeniedByLimit(limit.name)

    def counted(
        self, limits: tuple[Limit, ...], address: IPAddress, user: User | None = None
    ) -> tuple[Limit, ...]:
        """Return those of ``limits`` that count the caller: it is not on their allow lists."""
        exempt = [
            limit.name
            for limit in limits
            if (lists := self._by_limit.get(limit.name)) is not None
            and lists.allow
            and _match(lists.allow, address, user)
        ]
        return tuple(limit for limit in limits if limit.name not in exempt) if exempt else limits

    def places(self, limit: str, address: IPAddress | None, user: User | None) -> list[ListKind]:
        """Return the lists on which the caller is, for operators."""
        deny, allow = self._by_limit.get(limit, _Lists((), ()))
        is_denied = _match(deny, address, None) or (user is not None and _denies(deny, user))
        is_on = {ListKind.DENY: is_denied, ListKind.ALLOW: _match(allow, address, user)}
        return [kind for kind in ListKind if is_on[kind]]

    def _living(self, limit: str, kind: ListKind) -> tuple[Matcher, ...]:
        return tuple(filter(None, self._parts.get((limit, kind), {}).values()))


def _denies(parts: Iterable[Matcher], user: User) -> bool:
    """Return whether ``user`` is an entry of one of ``parts``, or cannot be told from one."""
    return any(part.has_user(user, doubtful=True) for part in parts)


def _match(parts: Iterable[Matcher], address: IPAddress | None, user: User | None) -> bool:
    """Return whether the address or the user is an entry of one of ``parts``."""
    for part in parts:
        if address is not None and part.has_address(address):
            return True
        if user is not None and part.has_user(user):
            return True
    return False
