"""Section ``credentials``: API keys, JWT issuers and client certificates, all off by default."""

import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

from gateway.authn.certificate import NamePattern, is_listed, pattern
from gateway.config.addresses import is_loopback_http, origin
from gateway.config.names import CookieName, HeaderName
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import FilePath, OptionalText
from gateway.config.units import Duration, Flag, of_text
from gateway.core.identity import AuthMethod

_NAME = re.compile(r"[!\"$-~]{1,256}", re.ASCII)
_RESERVED_PREFIXES = ("did:", "service:", "cert:")
"""Beginnings of the issuers that the gateway gives to users, API keys and certificates."""


def issuer_name(text: str) -> str:
    """
    Check the name of a JWT issuer, or the prefix that replaces it. Raises `ValueError`.

    A caller's issuer is ``name#subject``, so the name has no ``#``, and must not look like an
    issuer of another kind of credentials.
    """
    if not _NAME.fullmatch(text) or text.lower().startswith(_RESERVED_PREFIXES):
        raise ValueError(
            "expected visible ASCII without #, not beginning with did:, service:, cert:"
        )
    return text


def optional_issuer_name(text: str) -> str:
    """Check like `issuer_name`, but allow empty text. Raises `ValueError`."""
    return issuer_name(text) if text else ""


def keys_url(text: str) -> str:
    """Check the URL of a key set: https, or http on loopback (MITM). Raises `ValueError`."""
    scheme_and_host = "/".join(text.split("/")[:3])
    try:
        base = origin(scheme_and_host)
    except ValueError:
        base = ""
    parts = urlsplit(text) if base and text.isascii() and text.isprintable() else None
    is_url = parts is not None and not parts.fragment and " " not in text
    if not is_url or not (base.startswith("https:") or is_loopback_http(base)):
        raise ValueError("expected https://host/path; http only on loopback")
    return text


IssuerName = Annotated[str, of_text(issuer_name), WithJsonSchema({"type": "string"})]
OptionalIssuerName = Annotated[
    str, of_text(optional_issuer_name, null=""), WithJsonSchema({"type": ["string", "null"]})
]
KeysUrl = Annotated[
    str,
    of_text(keys_url),
    WithJsonSchema({"type": "string", "examples": ["https://id.example.com/jwks.json"]}),
]
CertificatePattern = Annotated[
    NamePattern,
    of_text(pattern),
    PlainSerializer(lambda parsed: parsed.text),
    WithJsonSchema({"type": "string", "examples": ["spiffe://example.org/*"]}),
]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]  # fmt: skip


class ApiKeySettings(Section):
    """API keys of programs, created by `gateway api-keys create`."""

    header: Annotated[HeaderName | None, GIVEN] = None
    """
    Header field for API keys, such as X-API-Key, beside `Authorization: Bearer`, which always
    works.
    """


class JwtClaims(Section):
    """Claims of a JWT that become part of the identity. An empty name takes none."""

    email: OptionalText = ""
    """Claim with the email address. It is ignored if `email_verified` is present and not true."""
    roles: OptionalText = ""
    """Claim with the roles: a list, or one role."""
    scopes: OptionalText = "scope"
    """Claim with the scopes: a list, or text with spaces between them (RFC 8693)."""


class JwtSourceSettings(Section):
    """A cookie or a header in which browsers send the JWTs of an issuer by themselves."""

    cookie: Annotated[CookieName | None, GIVEN] = None
    """Name of the cookie, such as `__session` of Clerk. Exclusive of `header`."""
    header: Annotated[HeaderName | None, GIVEN] = None
    """
    Name of the header, such as `Cf-Access-Jwt-Assertion` of Cloudflare Access. Exclusive of
    `cookie`.
    """


class JwtIssuerSettings(Section):
    """A trusted issuer of JWTs."""

    issuer: IssuerName
    """Required value of `iss`, compared exactly."""
    audience: Annotated[IssuerName | None, GIVEN] = None
    """
    Value that `aud` must be or contain. May be left out where `azp` is listed; then tokens must
    have no `aud`.
    """
    azp: Annotated[tuple[IssuerName, ...], SOME] = ()
    """Values of which `azp`, the party that the token was issued to, must be one. Default: any."""
    from_: Annotated[JwtSourceSettings | None, GIVEN] = Field(None, alias="from")
    """
    Cookie or header in which browsers send the tokens by themselves, beside `Authorization:
    Bearer`, which always works. CSRF checks apply to such tokens. Default: none.
    """
    jwks_url: Annotated[KeysUrl | None, GIVEN] = None
    """URL of the issuer's key set (JWKS): https, or http on loopback. Exclusive of `jwks_file`."""
    jwks_file: Annotated[FilePath | None, GIVEN] = None
    """File with the issuer's key set (JWKS). Exclusive of `jwks_url`."""
    algorithms: Annotated[tuple[Algorithm, ...], SOME] = ("RS256", "ES256")
    """Accepted signature algorithms. All of them use public keys: none shares a secret."""
    clock_skew_s: Duration = Field(60.0, alias="clock_skew")
    """Tolerance for `iat` and `nbf` in the future, as clocks differ."""
    subject_prefix: OptionalIssuerName = ""
    """Replacement for the issuer in the name that apps see, issuer#subject. None when empty."""
    claims: JwtClaims = JwtClaims()
    """Claims of a JWT that become part of the identity."""


class CertificateNamesSettings(Section):
    """Client certificates as credentials. `server.tls.client_ca` must have signed them."""

    names: Annotated[tuple[CertificatePattern, ...], SOME]
    """
    Names that identify a caller: patterns such as spiffe://example.org/*, *.svc.example.com and
    *@example.com, or whole names.
    """
    common_name: Flag = False
    """
    Whether the common name of the subject counts as a DNS name in a certificate without other
    names. Off by default, as such names are deprecated (RFC 9525).
    """

    def lists(self, name: str) -> bool:
        """Whether ``name`` identifies a caller."""
        return is_listed(name, self.names, common_name=self.common_name)


class Enables(NamedTuple):
    """Marks the section of a credential kind: routes may accept the kind where it is there."""

    method: AuthMethod


class CredentialSettings(Section):
    """Further kinds of credentials, off by default. A route lists those it takes in `accept`."""

    api_keys: Annotated[ApiKeySettings | None, Enables(AuthMethod.API_KEY)] = None
    """API keys of programs. `{}` switches them on."""
    jwt: Annotated[tuple[JwtIssuerSettings, ...], Enables(AuthMethod.JWT)] = ()
    """Trusted issuers of JWTs."""
    client_certificates: Annotated[
        CertificateNamesSettings | None, GIVEN, Enables(AuthMethod.CLIENT_CERTIFICATE)
    ] = None
    """Client certificates as credentials."""


def sections(settings: type[BaseModel]) -> dict[AuthMethod, str]:
    """The key of the section that enables a kind of credential, by kind."""
    return {
        mark.method: key
        for key, field in settings.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Enables)
    }


SECTIONS = sections(CredentialSettings)

AUTH_METHODS = (AuthMethod.SESSION, AuthMethod.DID_TOKEN, *SECTIONS)
"""All that a route may accept."""


def auth_method(text: str) -> AuthMethod:
    """The kind of credential of this name. Raises `ValueError`."""
    for method in AUTH_METHODS:
        if method == text:
            return method
    *most, last = (f"'{method}'" for method in AUTH_METHODS)
    raise ValueError(f"expected {', '.join(most)} or {last}")


AuthMethodName = Annotated[
    AuthMethod,
    of_text(auth_method),
    WithJsonSchema({"type": "string", "enum": list(map(str, AUTH_METHODS))}),
]
