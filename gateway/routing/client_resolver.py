"""Finds the client of a request: its address, and the scheme that it used."""

from dataclasses import dataclass, field

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
)

_FIELDS = {ClientIp.X_FORWARDED_FOR: "X-Forwarded-For", ClientIp.FORWARDED: "Forwarded"}


@dataclass(frozen=True, slots=True)
class ClientResolver:
    """Reads requests as one config says: which field to believe, and from which proxies."""

    client_ip: ClientIp
    trusted_proxies: tuple[IPNetwork, ...]
    public_origin: str
    _public_scheme: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_public_scheme", self.public_origin.partition(":")[0])

    def client_of(self, head: RequestHead) -> Client:
        """
        The peer of the socket, or the client that a trusted proxy names in the configured field.

        A client that a proxy names has shown us no certificate, even where its name is unreadable.
        """
        field_name = _FIELDS.get(self.client_ip)  # a PROXY header was read before any request
        if field_name is None or field_name not in head.headers:
            return head.peer
        if not self.is_trusted(head.peer):
            return head.peer
        if self.client_ip is ClientIp.FORWARDED:
            return client_at(self._forwarded(head).address)
        lines = head.headers.getall(field_name)
        return client_at(client_address(head.peer.address, lines, self.trusted_proxies))

    def scheme_of(self, head: RequestHead) -> str:
        """The scheme reported by a trusted proxy, else that of the socket, else the public one."""
        reported = self._reported_scheme(head) if self.trusted_proxies else ""
        return reported or head.peer.scheme or self._public_scheme

    def is_trusted(self, peer: Client) -> bool:
        """Whether ``peer`` is one of the proxies that the config trusts."""
        return is_trusted(peer.address, self.trusted_proxies)

    def _reported_scheme(self, head: RequestHead) -> str:
        """
        The scheme reported by a trusted proxy; empty where none is.

        Read from the header that ``client_ip`` names; others may be forged.
        """
        if self.client_ip is ClientIp.FORWARDED:
            return self._forwarded(head).scheme
        if self.client_ip is ClientIp.PROXY_PROTOCOL:
            return ""
        if self.is_trusted(head.peer):
            return forwarded_scheme(head.headers.getall("X-Forwarded-Proto", ()))
        return ""

    def _forwarded(self, head: RequestHead) -> ForwardedClient:
        lines = head.headers.getall("Forwarded", ())
        return forwarded_client(head.peer.address, lines, self.trusted_proxies)
