"""Request methods (RFC 9110 section 9): which the gateway knows, and which it can forward."""

import re

KNOWN_METHODS = frozenset(
    {
        *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"),
        # WebDAV and its extensions
        *("COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "ACL"),
        *("BIND", "REBIND", "UNBIND", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "MKCALENDAR"),
        # others that are in use
        *("LINK", "UNLINK", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "SOURCE"),
    }
)
"""Those that the parser reads: a route that names no methods takes all of them."""

UNFORWARDED = frozenset({"CONNECT", "TRACE"})
"""Never forwarded: one opens a tunnel, the other echoes credentials."""

_FORWARDABLE = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]{1,64}")


def is_forwardable(method: str) -> bool:
    """
    Return whether an app may get ``method`` where the route takes any.

    Methods are case-sensitive, but not to all apps: Django reads ``trace`` as ``TRACE`` and
    ``post`` as ``POST``. So one with lower-case letters would pass rules about the other.
    """
    return method not in UNFORWARDED and _FORWARDABLE.fullmatch(method) is not None
