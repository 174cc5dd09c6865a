"""The settings of the login pages."""

from typing import Annotated

from pydantic import WithJsonSchema

from gateway.config.addresses import origin
from gateway.config.section import Section
from gateway.config.units import Flag, of_text


def return_host(text: str) -> str:
    """A host, with its port if it is not the scheme's own, as browsers write it."""
    try:
        return origin(f"https://{text}").removeprefix("https://")
    except ValueError:
        raise ValueError("expected a host such as shop.example.com, or host:port") from None


ReturnHost = Annotated[
    str,
    of_text(return_host),
    WithJsonSchema({"type": "string", "examples": ["shop.example.com"]}),
]
"""Where people may be led after signing in."""


class LoginSettings(Section):
    """Where people sign in."""

    enabled: Flag = True
    """Whether people who navigate are sent to the login page; it needs magic.publishable_key."""
    return_to_hosts: tuple[ReturnHost, ...] = ()
    """Hosts beside that of public_url to which `return_to` may lead."""
