"""The identity that an operator names in place of a credential, for explanations."""

import time
from contextlib import suppress
from typing import NamedTuple

from gateway.config.credentials import SECTIONS
from gateway.config.schema import Settings
from gateway.core.errors import Unavailable
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.issuer import is_user, read_name
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS
from gateway.runtime.services.identity import IdentityServices, issuers_by_email
from gateway.runtime.services.magic import is_development
from gateway.util.rfc3339 import LAST_MS


class Assumed(NamedTuple):
    """An identity, and what is to be said of it."""

    identity: Identity
    notes: tuple[str, ...]


async def find_assumed(
    settings: Settings, process: ProcessServices, identity: IdentityServices, name: str
) -> Assumed:
    """
    Return the identity of an issuer, or of an email address.

    Raises `ValueError` where there is none, and `Unavailable` where that cannot be looked up.
    """
    caller = read_name(name)
    issuer, notes = caller.text, list[str]()
    if caller.is_email:
        source = None if is_development(settings) else process.magic.source
        found = await issuers_by_email(process.store, source).find(issuer)
        if not found.issuers:
            raise ValueError(f"no user has the email address {issuer}")
        if len(found.issuers) > 1:
            notes.append(f"{len(found.issuers)} issuers have the address {issuer}: this is one")
        issuer = found.issuers[0]
    method = _method_of(settings, issuer)
    user = User(issuer)
    if is_user(issuer):
        with suppress(Unavailable):
            user = await identity.directory.user(issuer) or user
        if user.email is None:
            notes.append("no email address of the user is known: rules about it cannot hold")
    notes.append(f"no credential was checked: the request is taken for one of {issuer}")
    proven_at_ms = int(time.time() * 1000)
    return Assumed(Identity(user, method, "", LAST_MS, proven_at_ms=proven_at_ms), tuple(notes))


def _method_of(settings: Settings, issuer: str) -> AuthMethod:
    """Return the kind of credential by which ``issuer`` authenticates. Raises `ValueError`."""
    for kind in CREDENTIAL_KINDS:
        if kind.belongs_to is not None and kind.belongs_to(issuer):
            section = SECTIONS.get(kind.method)
            if section is not None and not getattr(settings.credentials, section):
                raise ValueError(f"the config takes no credential of {issuer}")
            return kind.method
    raise ValueError(f"no credential of {issuer} can be assumed")
