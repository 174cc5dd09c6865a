"""Audit files of several writers, and trails that write lines down."""

from collections.abc import Sequence

from gateway.audit.chain import ChainLink, Head, seal
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.errors import AuditUnavailable

KEY = b"k" * 32
TIME_MS = 1_700_000_000_000
FILE = "/var/log/gateway/audit.jsonl"


def lines_of(order: Sequence[str], key: bytes = KEY) -> tuple[list[bytes], dict[str, Head]]:
    """The lines that the writers in ``order`` write, and the heads that they leave."""
    links: dict[str, ChainLink] = {}
    lines, heads = [], {}
    for place, writer in enumerate(order):
        entry = AuditEntry(AuditEvent.LOGIN, f"did:ethr:0x{place:040x}", origin="192.0.2.1")
        sealed = seal(key, links.get(writer, ChainLink(writer)), entry, TIME_MS + place)
        links[writer] = sealed.link
        lines.append(sealed.line)
        heads[writer] = Head(sealed.link.seq, sealed.link.mac, TIME_MS + place, FILE)
    return lines, heads


class FakeTrail:
    """The port `AuditTrail`: keeps the entries; ``is_full`` refuses what may be refused."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.is_full = False
        self.fails_late = False
        """Whether `require` does not see yet that it is full."""

    def require(self) -> None:
        if self.is_full and not self.fails_late:
            raise AuditUnavailable

    async def write(self, entry: AuditEntry, *, may_refuse: bool = False) -> None:
        if may_refuse and self.is_full:
            raise AuditUnavailable
        self.entries.append(entry)

    def note(self, entry: AuditEntry) -> None:
        self.entries.append(entry)
