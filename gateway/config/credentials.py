"""More ways in: what a config may say of credentials other than people's own."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, WithJsonSchema

from gateway.authn.certificate import NamePattern, pattern
from gateway.config.addresses import is_loopback_http, origin
from gateway.config.names import HeaderName
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import FilePath, OptionalText
from gateway.config.units import Duration, Flag, of_text

_NAME = re.compile(r"[!\"$-~]{1,256}", re.ASCII)
_TAKEN = ("did:", "service:", "cert:")


def issuer_name(text: str) -> str:
    """
    What `iss` says, or what stands for it in our names. Raises `ValueError`.

    No `#`, which ends it in our name for somebody, and none of the beginnings that others have.
    """
    if not _NAME.fullmatch(text) or text.lower().startswith(_TAKEN):
        raise ValueError(
            "expected visible ASCII without #, not beginning with did:, service:, cert:"
        )
    return text


def optional_issuer_name(text: str) -> str:
    """Like `issuer_name`, or empty. Raises `ValueError`."""
    return issuer_name(text) if text else ""


def keys_url(text: str) -> str:
    """Where a key set is: over https, or http on loopback. Raises `ValueError`."""
    scheme_and_host = "/".join(text.split("/")[:3])
    try:
        base = origin(scheme_and_host)
    except ValueError:
        base = ""
    parts = urlsplit(text) if base and text.isascii() and text.isprintable() else None
    is_good = parts is not None and not parts.fragment and " " not in text
    if not is_good or not (base.startswith("https:") or is_loopback_http(base)):
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
    PlainSerializer(lambda found: found.text),
    WithJsonSchema({"type": "string", "examples": ["spiffe://example.org/*"]}),
]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]  # fmt: skip


class ApiKeySettings(Section):
    """Keys for programs, made by `gateway api-keys create`."""

    header: Annotated[HeaderName | None, GIVEN] = None
    """A header that may hold one, such as X-API-Key; `Authorization: Bearer` always may."""


class JwtClaims(Section):
    """What is taken over from a token; nothing is where a name is empty."""

    email: OptionalText = ""
    """The claim with the e-mail address; ignored where `email_verified` is there and not true."""
    roles: OptionalText = ""
    """The claim with roles: a list, or one."""
    scopes: OptionalText = "scope"
    """The claim with scopes: a list, or words."""


class JwtIssuerSettings(Section):
    """Somebody whose JWTs are believed."""

    issuer: IssuerName
    """`iss`, exactly."""
    audience: IssuerName
    """What `aud` must be or hold."""
    jwks_url: Annotated[KeysUrl | None, GIVEN] = None
    """Where its keys are; this or `jwks_file`."""
    jwks_file: Annotated[FilePath | None, GIVEN] = None
    """A file with its keys."""
    algorithms: Annotated[tuple[Algorithm, ...], SOME] = ("RS256", "ES256")
    """What its tokens may be signed with; only with public keys."""
    clock_skew_s: Duration = Field(60.0, alias="clock_skew")
    """By how much `iat` and `nbf` may lie ahead of our clock."""
    subject_prefix: OptionalIssuerName = ""
    """What stands for it before `#` and the subject, as apps are told; its name when empty."""
    claims: JwtClaims = JwtClaims()
    """What is taken over from a token."""


class CertificateNamesSettings(Section):
    """Certificates of clients, which `server.tls.client_ca` vouches for."""

    names: Annotated[tuple[CertificatePattern, ...], SOME]
    """Names that count: spiffe://example.org/*, *.svc.example.com, *@example.com, or whole ones."""
    common_name: Flag = False
    """Whether a subject's common name counts as a DNS name, where there are no other names."""


class CredentialSettings(Section):
    """Ways in that are closed unless they stand here; a route names those that it takes."""

    api_keys: ApiKeySettings | None = None
    """Keys for programs; `{}` is enough."""
    jwt: tuple[JwtIssuerSettings, ...] = ()
    """Issuers of JWTs that are believed."""
    client_certificates: Annotated[CertificateNamesSettings | None, GIVEN] = None
    """Certificates by which programs get in."""
