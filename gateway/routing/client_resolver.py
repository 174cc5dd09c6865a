"""Finds the client of a request: its address, and the scheme that it used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from multidict import istr

from gateway.core.address import IPNetwork
from gateway.core.request import Client, RequestHead
from gateway.routing.client_address import (
    ClientIp,
    ForwardedClient,
    client_address,
    client_at,
    forwarded_client,
    forwarded_scheme,
    is_trusted,
    plain_client,
)
from gateway.util.generations import Generations
from gateway.util.lru import LruCache

_FIELDS = {ClientIp.X_FORWARDED_FOR: "X-Forwarded-For", ClientIp.FORWARDED: "Forwarded"}

_REQUEST_ID_FIELD = istr("X-Request-Id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+/@~-]{0,127}")
"""Ids that are kept: one word, which is written to logs and documents as it is."""

MAX_CLIENTS = 12_288
"""Fields that a generation keeps with what they say: some 0.4 kB each, 10 MB in both."""
MAX_FIELD_CHARACTERS = 128
"""Longest field that is kept: some four hops. What a client wrote to its left makes it longer."""
MAX_PEERS = 1024

Reported = tuple[Client, str]
"""A client as proxies report it, and its scheme; see `ForwardedClient`."""


@dataclass(frozen=True, slots=True)
class ClientResolver:
    """
    Reads requests as one config says: which field to believe, and from which proxies.

    What trusted proxies wrote is read once and kept, by its text: it names the same client again.
    """

    client_ip: ClientIp
    trusted_proxies: tuple[IPNetwork, ...]
    public_origin: str
    _public_scheme: str = field(init=False)
    _field_name: str | None = field(init=False)
    _reported: Generations[str, Reported] = field(init=False, compare=False)
    _trusted_peers: LruCache[str, bool] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_public_scheme", self.public_origin.partition(":")[0])
        object.__setattr__(self, "_field_name", _FIELDS.get(self.client_ip))
        object.__setattr__(self, "_reported", Generations(MAX_CLIENTS))
        object.__setattr__(self, "_trusted_peers", LruCache(MAX_PEERS))

    def client_of(self, head: RequestHead) -> Client:
        """
        The peer of the socket, or the client that a trusted proxy names in the configured field.

        A client that a proxy names has shown us no certificate, even where its name is unreadable.
        """
        if self._field_name is None:  # a PROXY header was read before any request
            return head.peer
        lines = head.headers.getall(self._field_name, None)
        if lines is None or not self.is_trusted(head.peer):
            return head.peer
        return self._reported_by(head.peer, lines)[0]

    def scheme_of(self, head: RequestHead) -> str:
        """The scheme reported by a trusted proxy, else that of the socket, else the public one."""
        reported = self._reported_scheme(head) if self.trusted_proxies else ""
        return reported or head.peer.scheme or self._public_scheme

    @property
    def takes_ids(self) -> bool:
        """Whether there are proxies whose ids of requests are kept; see `with_sent_id`."""
        return bool(self.trusted_proxies) and self.client_ip is not ClientIp.PROXY_PROTOCOL

    def with_sent_id(self, head: RequestHead) -> RequestHead:
        """Return ``head`` with the id that a trusted proxy sent, if it is one that can be kept."""
        sent = head.headers.getall(_REQUEST_ID_FIELD, ())
        if len(sent) != 1 or not self.takes_ids or not self.is_trusted(head.peer):
            return head
        if not _REQUEST_ID.fullmatch(sent[0]):
            return head
        method, target, version, headers, lines, peer, _, memo, upgrade = head
        again = method, target, version, headers, lines, peer, str(sent[0]), memo, upgrade
        return tuple.__new__(RequestHead, again)  # half the time of a call of the class

    def is_trusted(self, peer: Client) -> bool:
        """Whether ``peer`` is one of the proxies that the config trusts."""
        known = self._trusted_peers.peek(peer.text)
        if known is None:
            known = is_trusted(peer.address, self.trusted_proxies)
            self._trusted_peers.put(peer.text, known)
        return known

    def _reported_scheme(self, head: RequestHead) -> str:
        """
        The scheme reported by a trusted proxy; empty where none is.

        Read from the header that ``client_ip`` names; others may be forged.
        """
        if self.client_ip is ClientIp.PROXY_PROTOCOL or not self.is_trusted(head.peer):
            return ""
        if self.client_ip is ClientIp.FORWARDED:
            return self._reported_by(head.peer, head.headers.getall("Forwarded", ()))[1]
        return forwarded_scheme(head.headers.getall("X-Forwarded-Proto", ()))

    def _reported_by(self, peer: Client, lines: Sequence[str]) -> Reported:
        """Read the lines of the field that ``client_ip`` names, which the trusted ``peer`` sent."""
        text = lines[0] if len(lines) == 1 else "\n".join(lines)  # no field holds a line break
        known = self._reported.get(text)
        if known is None and (known := self._reported.renew(text)) is None:
            if self.client_ip is ClientIp.X_FORWARDED_FOR and (client := plain_client(text)):
                known = client, ""  # a hop alone, which the peer wrote
                self._reported.keep(text, known)
            else:
                known = self._read(peer, lines, text)
        return known

    def _read(self, peer: Client, lines: Sequence[str], text: str) -> Reported:
        """Walk the hops; ``text`` are all of them."""
        found = self._walk(peer, lines)
        known = client_at(found.address), found.scheme
        # Where no hop is readable the client is the peer: the text alone does not tell it.
        if found.address is not peer.address and len(text) <= MAX_FIELD_CHARACTERS:
            self._reported.keep(text, known)
        return known

    def _walk(self, peer: Client, lines: Sequence[str]) -> ForwardedClient:
        if self.client_ip is ClientIp.FORWARDED:
            return forwarded_client(peer.address, lines, self.trusted_proxies)
        address = client_address(peer.address, lines, self.trusted_proxies)
        return ForwardedClient(address, "")
