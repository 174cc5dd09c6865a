"""Matching of callers against the entries of a list, in a time that does not grow with it."""

from collections import defaultdict
from collections.abc import Iterable

from gateway.core.address import IPAddress
from gateway.core.email import canonical_email
from gateway.core.identity import User
from gateway.ratelimit.entry import ALL_OF, Entry

_DID = "did:"


class Matcher:
    """
    Entries for look-ups.

    Networks are kept by their length: one look-up in a set for each length that is there.
    """

    __slots__ = ("_has_emails", "_names", "_networks")

    def __init__(self, entries: Iterable[Entry]) -> None:
        names: set[str] = set()
        networks: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for text, prefix in entries:
            if prefix is None:
                names.add(_folded(text))
            else:
                networks[prefix.version, prefix.host_bits].add(prefix.number)
        self._names = names
        self._has_emails = any(map(_is_email, names))
        self._networks = {
            wanted: tuple(
                (bits, known) for (version, bits), known in networks.items() if version == wanted
            )
            for wanted in (4, 6)
        }

    def __bool__(self) -> bool:
        return bool(self._names) or any(self._networks.values())

    def has_address(self, address: IPAddress) -> bool:
        """Return whether ``address`` is an entry, or lies in a network that is one."""
        number = int(address)
        for bits, known in self._networks[address.version]:  # noqa: SIM110 - half the time
            if number >> bits in known:
                return True
        return False

    def has_user(self, user: User, *, doubtful: bool = False) -> bool:
        """
        Return whether the issuer, the email address or its domain is an entry.

        ``doubtful`` is the result for an email address that is ambiguous, where one is an entry:
        true for a list that refuses.
        """
        names = self._names
        if not names:
            return False
        return _folded(user.issuer) in names or self.has_email(user.email, doubtful=doubtful)

    def has_email(self, text: str | None, *, doubtful: bool = False) -> bool:
        """Return whether an email address or its domain is an entry."""
        if not text or not self._names:
            return False
        try:
            email = _folded_email(canonical_email(text))
        except ValueError:
            return doubtful and self._has_emails
        return email in self._names or ALL_OF + email.partition("@")[2] in self._names


def _folded(name: str) -> str:
    """Fold the case of the address in a DID, and the spelling of a domain; others have but one."""
    if name.startswith(_DID):
        return name.lower()
    try:
        return _folded_email(name) if _is_email(name) else name
    except ValueError:
        return name


def _folded_email(email: str) -> str:
    """Write the domain in ASCII, without the dot of the root. Raises `ValueError`."""
    local, _, domain = email.partition("@")
    if domain.isascii() and not domain.endswith("."):
        return email
    return f"{local}@{domain.removesuffix('.').encode('idna').decode('ascii').lower()}"


def _is_email(name: str) -> bool:
    """Whether a name is an email address or ``*@`` and a domain, or may be one."""
    return "@" in name and ":" not in name
