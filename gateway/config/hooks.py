"""Section ``hooks``: webhooks, which tell other systems of logins."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from gateway.config.addresses import Network, host, origin
from gateway.config.names import Name
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import HIDDEN
from gateway.config.units import CountText, Duration, Flag, of_text
from gateway.core.address import IPNetwork
from gateway.core.event import EventType
from gateway.hooks.signature import key_of
from gateway.routing.client_address import UNIX_PEERS

FIRST_LOGIN: Final = "first-login"
"""The name of the endpoint of ``hooks.first_login``."""


def hook_url(text: str) -> str:
    """Check the URL of a webhook, without user name and fragment. Raises `ValueError`."""
    try:
        parts = urlsplit(text)
        origin(f"{parts.scheme}://{parts.netloc}")
        is_url = parts.path.startswith("/") or not (parts.path or parts.query)
    except ValueError:
        is_url = False
    if not is_url or "#" in text or " " in text or not (text.isascii() and text.isprintable()):
        raise ValueError("expected https://host/path; http only within private networks")
    return text


def host_of(url: str) -> str:
    """Return the host in a result of `hook_url`; an IPv6 address without brackets."""
    authority = urlsplit(url).netloc
    return host(authority if authority.endswith("]") else authority.rpartition(":")[0] or authority)


def hook_secret(text: str) -> SecretStr:
    """Check and hide a secret of Standard Webhooks. Raises `ValueError`, which does not show it."""
    key_of(text)
    return SecretStr(text)


def _not_sockets(network: IPNetwork) -> IPNetwork:
    if network == UNIX_PEERS:
        raise ValueError("expected a network such as 10.0.0.0/8 or fd00::/8")
    return network


HookUrl = Annotated[
    str,
    of_text(hook_url),
    WithJsonSchema({"type": "string", "examples": ["https://crm.example.com/hooks"]}),
]
"""The URL of a webhook."""

HookSecret = Annotated[
    SecretStr, of_text(hook_secret), HIDDEN, WithJsonSchema({"type": "string", "minLength": 8})
]
"""A secret that signs deliveries, hidden when the settings are shown."""


class _HookTarget(Section):
    """Where events are posted to, and what signs them."""

    url: HookUrl
    """
    URL that events are posted to. https; http only to private addresses, which `allow_private` has
    to list.
    """
    secret: Annotated[HookSecret | None, GIVEN] = None
    """Secret that signs deliveries by Standard Webhooks: whsec_ and base64 of 24 to 64 bytes."""
    secrets: Annotated[Annotated[tuple[HookSecret, ...], SOME] | None, GIVEN] = None
    """Several secrets, instead of `secret`: each delivery is signed by all, so that one can go."""
    wait: Flag = False
    """
    Whether a first sign-in waits until this endpoint has taken its event, for up to 10 seconds. It
    stands in any case.
    """

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """The secrets, in the order of the file."""
        given = self.secrets or ((self.secret,) if self.secret is not None else ())
        return tuple(secret.get_secret_value() for secret in given)


class FirstLoginSettings(_HookTarget):
    """A webhook that hears of first logins."""


class HookEndpointSettings(_HookTarget):
    """A webhook, and which events it hears of."""

    name: Name
    """Unique name of the endpoint, for commands, logs and metrics. Deliveries wait under it."""
    events: Annotated[tuple[EventType, ...], SOME]
    """
    Kinds of events: user.first_login, user.login, user.logout, session.revoked, user.denied,
    limit.exceeded. Of the last two, one a second of each worker is told.
    """


class HookFunctionSettings(Section):
    """A function in Python that runs in the gateway, and which events it hears of."""

    name: Name
    """Name of the entry point, of the group gateway.hooks, that an installed package offers."""
    events: Annotated[tuple[EventType, ...], SOME]
    """Kinds of events, as those of `endpoints`."""
    wait: Flag = False
    """Whether a first sign-in waits until the function has taken its event, up to 10 seconds."""


class ConfirmSettings(Section):
    """Confirmation by replicas of the store (WAIT) that they have a sign-in and its events."""

    replicas: CountText = 1
    """How many replicas have to have it."""
    timeout_s: Duration = Field(0.1, alias="timeout")
    """How long a sign-in waits for them at most."""
    required: Flag = False
    """
    Whether a sign-in that is not confirmed in time is answered 503, before a cookie is given. Else
    it stands, and is counted.
    """


class HooksSettings(Section):
    """Webhooks, which tell other systems of logins. None by default."""

    allow_private: tuple[Annotated[Network, AfterValidator(_not_sockets)], ...] = ()
    """
    Private networks that webhooks may be in. No delivery goes to another private, link-local or
    loopback address, whatever its name is.
    """
    timeout_s: Duration = Field(10.0, alias="timeout")
    """Time-out for one attempt of a delivery. It is repeated for a day."""
    confirm: Annotated[ConfirmSettings | None, GIVEN] = None
    """Confirmation of sign-ins by replicas. Without it, a failover may lose the last ones."""
    first_login: Annotated[FirstLoginSettings | None, GIVEN] = None
    """Short for one endpoint, named first-login, that hears of user.first_login alone."""
    endpoints: tuple[HookEndpointSettings, ...] = ()
    """Webhooks. Each gets the events of a user in order."""
    functions: tuple[HookFunctionSettings, ...] = ()
    """Functions in Python that run in the gateway, with the same order and repeats as webhooks."""

    @property
    def all_endpoints(self) -> tuple[HookEndpointSettings, ...]:
        """The endpoints; that of ``first_login`` is the first."""
        if self.first_login is None:
            return self.endpoints
        values = {key: getattr(self.first_login, key) for key in _HookTarget.model_fields}
        short = HookEndpointSettings.model_construct(
            **values, name=FIRST_LOGIN, events=(EventType.FIRST_LOGIN,)
        )
        return (short, *self.endpoints)
