"""Places of addresses, from a database of the operator's in MaxMind's format (MMDB)."""

import asyncio
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from types import TracebackType
from typing import Self

import maxminddb

from gateway.core.errors import StartError

_LONGEST = 80
"""Characters of a name that are shown; those of cities have up to 60."""
_TRIED_RECORDS = 1_000


class PlaceDatabase:
    """
    Finds the places of addresses, in the language of a page.

    The file is read piece by piece where a look-up needs it: 0.1 ms, and no memory. A memory map
    would end the process by a signal where another program shortens the file.
    """

    def __init__(self, path: str) -> None:
        """Open the file ``path``; empty for a database of no place. Raises `StartError`."""
        self._reader = _opened(path) if path else None

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def find(self, addresses: Iterable[str], language: str) -> dict[str, str]:
        """Find places such as ``Berlin, Germany`` by address, in a thread; those that are known."""
        if self._reader is None:
            return {}
        return await asyncio.to_thread(self._all, frozenset(addresses), language)

    def _all(self, addresses: Iterable[str], language: str) -> dict[str, str]:
        found = {address: self.place(address, language) for address in addresses}
        return {address: place for address, place in found.items() if place}

    def place(self, address: str, language: str) -> str:
        """Return the place of one address; empty where there is none, and for private addresses."""
        public = _public(address)
        if self._reader is None or public is None:
            return ""
        try:
            return _named(self._reader.get(public), language)
        except Exception:  # noqa: BLE001 (a part of the file is damaged: the page has no place then)
            return ""

    def has_names(self) -> bool:
        """Say whether one of the first records names a city or a country."""
        if self._reader is None:
            return False
        try:
            return any(_named(record, "en") for _, record in islice(self._reader, _TRIED_RECORDS))
        except Exception:  # noqa: BLE001 (a damaged file names nothing that could be shown)
            return False


def _opened(path: str) -> maxminddb.Reader:
    try:
        # Not `open_database`: that may choose the reader in C, which maps the file into memory.
        return maxminddb.reader.Reader(path, maxminddb.MODE_FILE)
    except OSError as error:
        raise StartError(f"pages.places: {path}: {error.strerror}") from None
    except Exception:  # noqa: BLE001 (damaged metadata raises what it happens to raise)
        raise StartError(f"pages.places: {path}: expected a MaxMind database (.mmdb)") from None


def _public(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed if parsed.is_global else None


def _named(record: object, language: str) -> str:
    """Name the city and the country of a record, once where both have one name."""
    if not isinstance(record, Mapping):
        return ""
    names = [_name(record.get(part), language) for part in ("city", "country")]
    return ", ".join(dict.fromkeys(name for name in names if name))


def _name(part: object, language: str) -> str:
    names = part.get("names") if isinstance(part, Mapping) else None
    if not isinstance(names, Mapping):
        return ""
    primary = language.partition("-")[0]
    for tag in (language, primary, "en"):
        if isinstance(name := names.get(tag), str) and name:
            return name[:_LONGEST]
    return ""
