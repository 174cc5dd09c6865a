"""The issuers that a name on the command line means: itself, or those of an email address."""

from typing import Final, TextIO

import click

from gateway.cli.common import reading
from gateway.config.schema import Settings
from gateway.core.issuer import CallerName, FoundIssuers, canonical_did
from gateway.revocation.name import UnknownEmail
from gateway.runtime.services.identity import issuers_by_email
from gateway.runtime.services.magic import is_development, magic_api
from gateway.runtime.services.store import SharedStore

_MAX_NAMED: Final = 20
"""Most line numbers that an error names."""


async def issuers_of(settings: Settings, shared: SharedStore, name: CallerName) -> tuple[str, ...]:
    """
    Return the issuers that ``name`` means; warn where Magic was not reached for more of them.

    Raises `UnknownEmail`, `StoreUnavailable` or `MagicUnavailable`.
    """
    if not name.is_email:
        return (name.text,)
    found = await find_issuers(settings, shared, name.text)
    if not found.issuers:
        raise UnknownEmail(f"no user has the email address {name.text}")
    warn_if_incomplete(is_complete=found.is_complete)
    return found.issuers


async def find_issuers(settings: Settings, shared: SharedStore, email: str) -> FoundIssuers:
    """Look up the issuers of a canonical address; see `IssuersByEmail.find`."""
    if is_development(settings):
        return await issuers_by_email(shared.store, None).find(email)
    async with magic_api(settings) as api:
        return await issuers_by_email(shared.store, api).find(email)


def warn_if_incomplete(*, is_complete: bool) -> None:
    """Say on standard error that Magic may know more issuers of an email address."""
    if not is_complete:
        click.echo(
            "gateway: Magic was not reached: issuers without a session may be missing", err=True
        )


def read_issuers(file: TextIO) -> tuple[str, ...]:
    """
    Read the issuers in ``file``, each once; end the command if a line is not an issuer.

    The error names the line by its number alone: the wrong file may hold secrets.
    """
    issuers, wrong = dict[str, None](), []
    with reading(file):
        lines = file.readlines()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                issuers[canonical_did(text)] = None
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
    if wrong:
        more = len(wrong) - _MAX_NAMED
        named = [*wrong[:_MAX_NAMED], f"and {more} more"] if more > 0 else wrong
        raise click.UsageError("\n".join(named))
    return tuple(issuers)
