"""
What the gateway's own pages are told of a request, beyond whose it is: no app sees these lines.

The pages can believe them: all fields named ``X-Gateway-…`` are stripped from what clients send,
and nothing but the gateway reaches the pages.
"""

from gateway.messages import Caller

INTERNAL_CLIENT = "X-Gateway-Client"


def internal_fields(client: Caller) -> bytes:
    """The lines for a route that leads to the pages, each with its CRLF."""
    return f"{INTERNAL_CLIENT}: {client.text}\r\n".encode("ascii")
