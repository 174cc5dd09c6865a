"""The lists of a limit that a caller is on."""

import click

from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.ratelimit.entry import Entry, read_entry
from gateway.ratelimit.list_file import read_file
from gateway.ratelimit.list_store import ListKey, StoredEntry, StoredLists
from gateway.ratelimit.lists import ListKind
from gateway.ratelimit.matcher import Matcher
from gateway.runtime.limit_callers import Counted
from gateway.runtime.services.limits import configured_lists, list_files
from gateway.runtime.services.store import SharedStore


async def lists_of(settings: Settings, shared: SharedStore, counted: Counted) -> list[ListKind]:
    """Return the lists that the caller is on, of the config, its files, or the store."""
    name, stored = counted.limit.name, StoredLists(shared.store)
    lists = configured_lists(settings)
    for limit, kind, _, path in list_files(settings):
        if limit == name:
            lists.put(limit, kind, path, Matcher(_in_file(path)))
    for kind in ListKind:
        entries = await stored.read(ListKey(name, kind))
        lists.put(name, kind, "store", Matcher(filter(None, map(_entry, entries))))
    return lists.places(name, counted.address, counted.user)


def _in_file(path: str) -> list[Entry]:
    """Read the entries in a file; running gateways may go on with those of an earlier one."""
    try:
        return read_file(path)
    except StartError as error:
        click.echo(f"gateway: a list is left out: {error}", err=True)
        return []


def _entry(stored: StoredEntry) -> Entry | None:
    try:
        return read_entry(stored.text)
    except ValueError:
        return None
