"""The fields of a head that was refused before it was parsed: who waits for the answer."""

from multidict import CIMultiDict, CIMultiDictProxy

_NAMES = frozenset(
    {b"accept", b"accept-language", b"authorization", b"sec-fetch-mode", b"upgrade"}
    | {b"x-requested-with"}
)
"""Those by which a page is chosen in place of a problem document, and its language."""
_MOST_LINES = 64
"""Browsers send fewer; a head of any length must cost little."""


def fields_of(octets: bytes) -> CIMultiDictProxy[str]:
    """
    Read some fields of ``octets``, which are a head or its beginning, and may be malformed.

    For the looks of a refusal alone: nothing may be decided by them.
    """
    found = CIMultiDict[str]()
    for line in octets.split(b"\r\n", _MOST_LINES)[1:_MOST_LINES]:
        name, _, value = line.partition(b":")
        if name.lower() in _NAMES:
            found.add(name.decode("ascii"), value.strip(b" \t").decode("latin-1"))
    return CIMultiDictProxy(found)
