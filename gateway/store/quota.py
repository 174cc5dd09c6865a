"""
Errors by which Upstash says that a database has used up its quota.

They stand in place of a reply, and mean that the store does what it is asked for no caller. Their
text goes on with numbers and a link, which are left out.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

_OVER_QUOTA: Final = re.compile(
    r"(?:ERR )?(max (?:daily request limit|requests limit|concurrent connections) exceeded)"
)


class QuotaExceeded(RedisConnectionError):
    """The database takes no commands for now."""


def quota_error(text: str) -> QuotaExceeded | None:
    """Return what the text of an error means, if it is one of a quota."""
    over = _OVER_QUOTA.match(text)
    return QuotaExceeded(over[1]) if over else None


def refuse_over_quota(replies: Iterable[Any]) -> None:
    """Raise `QuotaExceeded` if one of ``replies`` says so."""
    for reply in replies:
        if isinstance(reply, ResponseError) and (error := quota_error(str(reply))) is not None:
            raise error
