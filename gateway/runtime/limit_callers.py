"""The counter that an operator means by the name of a caller."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.authn.failure_limit import DEFAULT_LIMIT
from gateway.config import compile as compiled
from gateway.config.compile import LOGIN
from gateway.config.schema import Settings
from gateway.core.address import IPAddress
from gateway.core.email import canonical_email
from gateway.core.errors import BadRequest
from gateway.core.identity import User
from gateway.core.issuer import canonical, read_name
from gateway.core.limit import Limit
from gateway.login_attempts.contact import Contact, ContactHasher, read_contact
from gateway.ratelimit.caller import caller_named
from gateway.routing.client_address import client_at, parse_address
from gateway.runtime.services.identity import server_keys

_BY_ADDRESS = ("ip",)


class Counted(NamedTuple):
    """A caller, and the limit that counts it."""

    limit: Limit
    caller: str
    """As in the keys of its counters."""
    address: IPAddress | None = None
    user: User | None = None
    """What lists may name of it, where the text says that."""


def find_counted(settings: Settings, name: str, text: str) -> Counted:
    """Find the counter of the limit ``name`` that ``text`` means. Raises `ValueError`."""
    if name == LOGIN:
        return _at_login(settings, text)
    entry = settings.limits.get(name)
    if entry is None:
        return _counted(DEFAULT_LIMIT, _BY_ADDRESS, text)
    return _counted(compiled.limit(name, entry), entry.per, text)


def _counted(limit: Limit, per: Sequence[str], text: str) -> Counted:
    parts = text.split(" ") if len(per) > 1 else [text]
    if len(parts) != len(per):
        raise ValueError(
            f"the limit counts by {' and '.join(per)}: write them with a space between"
        )
    found = [_part(limit, kind, part) for kind, part in zip(per, parts, strict=True)]
    caller = caller_named(per, [each.caller for each in found])
    address = next((each.address for each in found if each.address), None)
    return Counted(limit, caller, address, next((each.user for each in found if each.user), None))


def _part(limit: Limit, kind: str, text: str) -> Counted:
    if text.startswith("ip="):  # an anonymous caller
        return Counted(limit, text, _address(text.removeprefix("ip=")))
    if text.startswith("issuer="):
        return Counted(limit, text, user=User(text.removeprefix("issuer=")))
    match kind:
        case _ if text.startswith("#"):
            pass  # a hash, as `show` prints it
        case "ip":
            address = _address(text)
            return Counted(limit, client_at(address).limit_key, address)
        case "issuer":
            issuer = canonical(text)
            return Counted(limit, issuer, user=User(issuer))
        case "email":
            email = canonical_email(text)
            return Counted(limit, email, user=User("", email))
    return Counted(limit, text)


def _address(text: str) -> IPAddress:
    """Read an address; of IPv6 also a network, as counters are named by it."""
    try:
        return parse_address(text.removesuffix("/64"))
    except ValueError:
        raise ValueError("expected an IP address: the limit counts by it") from None


def _at_login(settings: Settings, text: str) -> Counted:
    """Find the counter of an address, or of a contact that signs in."""
    limits = compiled.login_limits(settings)
    try:
        address = parse_address(text.removesuffix("/64"))
    except ValueError:
        return _of_contact(settings, limits.contact, text)
    if limits.ip is None:
        raise ValueError("the limit counts by email address: name one")
    return Counted(limits.ip, client_at(address).limit_key, address)


def _of_contact(settings: Settings, limit: Limit | None, text: str) -> Counted:
    keys = server_keys(settings)
    if limit is None:
        raise ValueError("the limit counts by address: name an IP address")
    if not keys:
        raise ValueError("contacts are hashed by session.keys, and the config has none")
    contact = _contact(text)
    user = User("", contact.value) if contact.kind == "email" else None
    return Counted(limit, ContactHasher(keys).limit_key(contact), user=user)


def _contact(text: str) -> Contact:
    if text.startswith("did:"):
        return Contact("issuer", read_name(text).text.lower())
    try:
        return read_contact({"phone" if text.startswith("+") else "email": text})
    except BadRequest as error:
        raise ValueError(f"expected an IP address, or a contact: {error.reason}") from None
