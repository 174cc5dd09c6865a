"""Look-up of the issuers of an email address: those that signed in with it, and Magic's."""

from typing import Protocol

from gateway.core.errors import MagicUnavailable
from gateway.core.issuer import FoundIssuers
from gateway.sessions.email_index import EmailIndex


class EmailSource(Protocol):
    """Authority on the emails of users: Magic's admin API, or development mode."""

    async def issuers(self, email: str) -> tuple[str, ...]:
        """Look up the issuers of a canonical address; raises `MagicUnavailable` alone."""


class IssuersByEmail:
    """
    Looks up the issuers of an email address.

    The index names those that have signed in here, also with an address that they have changed at
    Magic since. Magic names those that use tokens alone. An operator means all of them.
    """

    def __init__(self, index: EmailIndex, source: EmailSource | None) -> None:
        """Without a ``source``, such as beside a gateway in development mode, the index is all."""
        self._index = index
        self._source = source

    async def find(self, email: str) -> FoundIssuers:
        """
        Look up the issuers of a canonical address.

        Raises `StoreUnavailable`, and `MagicUnavailable` where the index knows none either.
        """
        signed_in = await self._index.issuers(email)
        try:
            known = () if self._source is None else await self._source.issuers(email)
        except MagicUnavailable:
            if not signed_in:
                raise
            return FoundIssuers(tuple(sorted(signed_in)), is_complete=False)
        return FoundIssuers(tuple(sorted({*signed_in, *known})))
