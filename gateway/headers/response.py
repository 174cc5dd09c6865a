"""Rewrites the field lines of responses."""

import re
from functools import partial

from multidict import CIMultiDictProxy

from gateway.core.errors import BadUpstreamAnswer
from gateway.core.request import RawFields
from gateway.headers.answer_limits import COST
from gateway.headers.answer_lines import AnswerHeads
from gateway.headers.fields import CRLF, FieldAction, FieldActions
from gateway.headers.hop_by_hop import HOP_BY_HOP, nominated_fields
from gateway.headers.internal import INTERNAL_REFUSAL

_UNUSED_S = 30.0
"""A line of an app is forgotten when it did not come for so long; at most for twice this."""

_DROPPED = frozenset(
    {"content-length", "x-request-id", COST.decode("ascii"), INTERNAL_REFUSAL.lower()}
)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2


class ResponseFields:
    """Rewrites the field lines of responses; one object for each config."""

    def __init__(self, cookie_name: str) -> None:
        self._cookie_name = cookie_name.encode("ascii")
        self._actions = FieldActions(_action_for)
        self.of_apps = AnswerHeads(self._actions, partial(_sets, self._cookie_name))
        """Heads of apps that need no parser. Of the gateway's own pages all are parsed."""
        self._fresh_until_s = 0.0

    def check_deadline(self, now_s: float) -> None:
        """Forget what apps have not sent for a while: some lines hold credentials."""
        if now_s >= self._fresh_until_s:
            self._fresh_until_s = now_s + _UNUSED_S
            self.of_apps.forget_unused()

    def rewrite(
        self, raw: RawFields, headers: CIMultiDictProxy[str], *, may_set_session: bool
    ) -> bytes:
        """
        Return the field lines for the client, each with its CRLF, without framing fields.

        Only the gateway's own pages may set the session cookie. Raises `BadUpstreamAnswer` where a
        name is no token or a value holds a control character that would end the line (response
        splitting): the parser is lenient on responses.
        """
        nominated = nominated_fields(headers)
        if not nominated and "Set-Cookie" not in headers:
            lines = self._actions.prefixes.lines(raw)
        else:
            lines = [
                name + b": " + value
                for name, value in raw
                if not (nominated and name.lower() in nominated)
                and self._may_pass(self._actions[name], value, may_set_session=may_set_session)
            ]
        return _block(lines)

    def _may_pass(self, action: FieldAction, value: bytes, *, may_set_session: bool) -> bool:
        if action is FieldAction.SET_COOKIE:
            return may_set_session or not _sets(self._cookie_name, value)
        return action is FieldAction.KEEP


def _sets(cookie_name: bytes, set_cookie: bytes) -> bool:
    """Whether it sets the session cookie, as does ``=session=x``, a cookie without a name."""
    return set_cookie.lstrip(b"= \t").partition(b"=")[0].strip() == cookie_name


def upgrade_fields(raw: RawFields) -> bytes:
    """
    Return the lines of a 426 that name the protocol it requires (RFC 9110 section 15.5.22).

    ``Upgrade`` belongs to one hop, but the client cannot do what it is told without it.
    """
    lines = [b"Upgrade: " + value for name, value in raw if name.lower() == b"upgrade"]
    return _block([b"Connection: Upgrade", *lines]) if lines else b""


def _block(lines: list[bytes]) -> bytes:
    """Join ``lines``, each with its CRLF. Raises `BadUpstreamAnswer` for a line within a line."""
    lines.append(b"")
    block = CRLF.join(lines)
    ends = len(lines) - 1
    if block.count(b"\n") != ends or block.count(b"\r") != ends or b"\0" in block:
        raise BadUpstreamAnswer("control character in a field")
    return block


def _action_for(name: bytes) -> FieldAction:
    if not _TOKEN.fullmatch(name):  # the parser accepts ``Content-Length : 5``
        raise BadUpstreamAnswer("field name is no token")
    lower = name.decode("latin-1").lower()
    if lower in HOP_BY_HOP or lower in _DROPPED:
        return FieldAction.DROP
    return FieldAction.SET_COOKIE if lower == "set-cookie" else FieldAction.KEEP
