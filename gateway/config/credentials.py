"""More ways in: what a config may say of credentials other than people's own."""

from typing import Annotated

from gateway.config.names import HeaderName
from gateway.config.section import GIVEN, Section


class ApiKeySettings(Section):
    """Keys for programs, made by `gateway api-keys create`."""

    header: Annotated[HeaderName | None, GIVEN] = None
    """A header that may hold one, such as X-API-Key; `Authorization: Bearer` always may."""


class CredentialSettings(Section):
    """Ways in that are closed unless they stand here; a route names those that it takes."""

    api_keys: ApiKeySettings | None = None
    """Keys for programs; `{}` is enough."""
