"""The canonical spelling of email addresses, in which operators' input and the store compare."""

import re
from typing import Final

LONGEST_EMAIL: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_EMAIL = re.compile(
    r"[^\s\"(),:;<>@\[\\\]]{1,64}@[^\s\"(),:;<>@\[\\\]*]+"
)  # RFC 5322 section 3.2.3


def canonical_email(text: str) -> str:
    """
    Return an email address as Magic compares it: trimmed, in lower case. Raises ValueError.

    ASCII letters alone are lowered: the Kelvin sign is no ``k``, and its owner another user.
    """
    email = text.strip().translate(_LOWER)
    if len(email) > LONGEST_EMAIL or not email.isprintable() or _EMAIL.fullmatch(email) is None:
        raise ValueError("expected an email address")
    return email
