"""
Hostile requests, byte by byte, and what must become of each.

Most are known ways to make two parsers read one text differently. The rest shows that the net is
not so fine that plain requests get caught in it.
"""

from typing import Final

from gateway.selftest.corpus.chunked import CHUNKS, TRAILERS
from gateway.selftest.corpus.framing import CODINGS, LENGTHS
from gateway.selftest.corpus.lines import FIELD_LINES, NOT_LISTED, REQUEST_LINES
from gateway.selftest.corpus.request_case import HostileRequest
from gateway.selftest.corpus.smuggling import SMUGGLING, UPGRADES
from gateway.selftest.corpus.targets import EXPECTATIONS, HOSTS, SIZES, TARGETS

HOSTILE_REQUESTS: Final[list[HostileRequest]] = [
    *LENGTHS,
    *CODINGS,
    *CHUNKS,
    *TRAILERS,
    *FIELD_LINES,
    *REQUEST_LINES,
    *NOT_LISTED,
    *TARGETS,
    *HOSTS,
    *SIZES,
    *EXPECTATIONS,
    *UPGRADES,
    *SMUGGLING,
]
