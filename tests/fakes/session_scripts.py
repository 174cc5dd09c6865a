"""What the scripts of sessions do, on a `FakeStore`."""

from collections.abc import Sequence

from tests.fakes.store import FakeStore, Word


class SessionScripts:
    """Gives ``store`` the scripts; ``lists`` holds the issuers' lists by their key."""

    def __init__(self, store: FakeStore) -> None:
        self.lists: dict[str, dict[str, bytes]] = {}
        self.issuers: dict[str, dict[str, int]] = {}
        """The issuers of email addresses by their key, with the latest end of a session."""
        self._store = store
        scripts = (
            self.enlist, self.listed, self.unlist, self.seen, self.keep,
            self.enlist_issuer, self.listed_issuers,
        )  # fmt: skip
        store.scripts.update({script.__name__: script for script in scripts})

    def enlist(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        entries = self.lists.setdefault(keys[0], {})
        for session, entry in tuple(entries.items()):
            if _end_of(entry) <= self._now_ms():
                del entries[session]
        name, _, times, sealed = args
        assert isinstance(sealed, bytes)
        entries[str(name)] = str(times).encode() + sealed
        return len(entries)

    def listed(self, keys: Sequence[str], _: Sequence[Word]) -> list[bytes]:
        entries = self.lists.get(keys[0], {})
        return [word for name, entry in entries.items() for word in (name.encode(), entry)]

    def unlist(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        entries = self.lists.get(keys[0], {})
        return len([entries.pop(str(session)) for session in args if session in entries])

    def seen(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        entries, (name, old_name, at_ms, short_at_ms) = self.lists.get(keys[0], {}), args
        for field, seen_at in ((name, short_at_ms), (old_name, at_ms)):
            if field in entries:
                ends, _, sealed = entries[str(field)].split(b" ", 2)
                entries[str(field)] = b" ".join((ends, str(seen_at).encode(), sealed))
                return 1
        return 0

    def keep(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        idle, last, step = map(int, args)
        value, ends_ms = self._store.values.get(keys[0], (b"", 0))
        now_ms = self._now_ms()
        if ends_ms <= now_ms:
            return step
        wanted_ms = min(now_ms + idle, last)
        change_ms, least_ms = abs(wanted_ms - ends_ms), min(step, ends_ms - now_ms)
        if change_ms < least_ms:
            return least_ms - change_ms
        self._store.values[keys[0]] = value, wanted_ms
        return 0

    def enlist_issuer(self, keys: Sequence[str], args: Sequence[Word]) -> int:
        ends = self.issuers.setdefault(keys[0], {})
        issuer, ends_ms, kept = str(args[0]), int(args[1]), int(args[2])
        for name in [name for name, at_ms in ends.items() if at_ms <= self._now_ms()]:
            del ends[name]
        ends[issuer] = max(ends_ms, ends.get(issuer, 0))
        for name in sorted(ends, key=ends.__getitem__)[:-kept]:
            del ends[name]
        return 1

    def listed_issuers(self, keys: Sequence[str], _: Sequence[Word]) -> list[bytes]:
        ends = self.issuers.get(keys[0], {})
        return [name.encode() for name in sorted(ends, key=ends.__getitem__, reverse=True)]

    def _now_ms(self) -> int:
        return int(self._store.clock() * 1000)


def _end_of(entry: bytes) -> int:
    end = entry.split(b" ")[0]
    return int(end[1:], 36) if end.startswith(b"~") else int(end)
