"""The table of credential kinds: a toy kind shows what adding one takes."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict

import gateway
from gateway.authn.authenticator import Authenticator
from gateway.authn.did_token.token import TokenRules
from gateway.authn.inspect import InspectionContext, Inspector, Report, examine
from gateway.config.credentials import (
    AUTH_METHODS,
    Enables,
    sections,
)
from gateway.config.schema import Settings
from gateway.core.errors import (
    AmbiguousCredentials,
    CredentialNotAccepted,
    InvalidToken,
    Refusal,
    RevokedToken,
)
from gateway.core.identity import AuthMethod, Identity, RevokedBy, User
from gateway.core.ports import Revocations
from gateway.core.route import Route
from gateway.revocation.epoch import is_revoked, key_of, subject_of
from gateway.runtime.services.authn import authenticator, credential_headers
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS
from gateway.runtime.services.identity import identity_services
from gateway.util.rfc3339 import LAST_MS
from tests.fakes.heads import request_head
from tests.fakes.ports import RecordingLimiter
from tests.fakes.services import fake_process, settings_of
from tests.fakes.store import FakeStore

# --- the files of the toy: its verifier, and its line -------------------------------------------

TOY = AuthMethod(
    "toy-of-the-tests",  # no real kind has this name, nor the section below
    is_sent_automatically=False,
    revoked_by=RevokedBy.ISSUER,
    has_scopes=True,
)
PROVEN_AT_MS = 1_700_000_000_000
"""When all toys were made; a real kind reads the time from its token."""


class ToyVerifier:
    """Takes ``toy_NAME`` for a proof of being NAME."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    async def verify(self, token: str) -> Identity:
        name = token.removeprefix("toy_")
        if name == "forged":
            raise InvalidToken("forged")
        toy = Identity(User(f"toy:{name}"), TOY, "tid", LAST_MS, proven_at_ms=PROVEN_AT_MS)
        epoch_ms = await self._revocations.epoch_ms(toy.user.issuer)
        if is_revoked(toy.proven_at_ms, epoch_ms):
            raise RevokedToken
        return toy

    def knows(self, token: str) -> bool:
        return token == "toy_known"


def has_toy_shape(token: str) -> bool:
    return token.startswith("toy_")


def toy_verifier(context: AuthnContext) -> ToyVerifier | None:
    enabled = toy_settings(context.settings) is not None
    return ToyVerifier(context.identity.revocations) if enabled else None


def toy_header(settings: Settings) -> str:
    toy = toy_settings(settings)
    return toy.header if toy else ""


def inspect_toy(text: str, _context: InspectionContext) -> Report:
    return Report("toy", {"name": text.removeprefix("toy_")})


TOYS = CredentialKind(
    TOY, has_shape=has_toy_shape, header=toy_header, verifier=toy_verifier, inspect=inspect_toy
)

# --- its section of the config ------------------------------------------------------------------


class ToySettings(BaseModel):  # no `Section`: those of tests would stand in the config's schema
    header: str = ""


class WithToys(BaseModel):
    """`CredentialSettings`, whose fields it takes as they are, with one more line."""

    model_config = ConfigDict(extra="allow")

    toy_of_the_tests: Annotated[ToySettings | None, Enables(TOY)] = None


def toy_settings(settings: Settings) -> ToySettings | None:
    credentials: object = settings.credentials
    return credentials.toy_of_the_tests if isinstance(credentials, WithToys) else None


# --- what it gets for that ----------------------------------------------------------------------

KINDS = (TOYS, *CREDENTIAL_KINDS)
ROUTE = Route("toys", "/*", "app", accept=frozenset({TOY, AuthMethod.DID_TOKEN}))


def enabled(header: str = "") -> Settings:
    """A config with the toy's section."""
    settings = settings_of()
    credentials = WithToys(
        **dict(settings.credentials), toy_of_the_tests=ToySettings(header=header)
    )
    return settings.model_copy(update={"credentials": credentials})


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def stage(
    settings: Settings, stack: AsyncExitStack, store: FakeStore | None = None
) -> Authenticator:
    """The stage of a gateway that has the toy in its table."""
    process = await stack.enter_async_context(fake_process(settings, store))
    identity = identity_services(settings, process, stack)
    return authenticator(settings, process, identity, RecordingLimiter([]), stack, KINDS)


async def outcome(stage: Authenticator, *fields: tuple[str, str], route: Route = ROUTE) -> str:
    """The issuer that was proven, or the refusal's name."""
    head = request_head(*fields)
    try:
        identity = await stage.identify(head, route, head.peer)
    except Refusal as refusal:
        return type(refusal).__name__
    return identity.user.issuer if identity else "anonymous"


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


async def test_a_toy_lets_a_request_in(stack: AsyncExitStack) -> None:
    """By a bearer token; a bad one is refused, and so is a good one where the route takes none."""
    built = await stage(enabled(), stack)
    assert "toy:ada" == await outcome(built, bearer("toy_ada"))
    assert InvalidToken.__name__ == await outcome(built, bearer("toy_forged"))
    only_people = replace(ROUTE, accept=frozenset({AuthMethod.SESSION}))
    refused = await outcome(built, bearer("toy_ada"), route=only_people)
    assert CredentialNotAccepted.__name__ == refused


async def test_a_toy_has_a_header_of_its_own(stack: AsyncExitStack) -> None:
    """It is read, two of them are refused, and it is among the fields that apps do not see."""
    settings = enabled("X-Toy")
    built = await stage(settings, stack)
    assert "toy:ada" == await outcome(built, ("X-Toy", "toy_ada"))
    two = await outcome(built, ("X-Toy", "toy_ada"), bearer("toy_eve"))
    assert AmbiguousCredentials.__name__ == two
    assert ("X-Toy",) == credential_headers(settings, KINDS)


async def test_a_toy_that_the_config_does_not_enable_is_not_looked_for(
    stack: AsyncExitStack,
) -> None:
    """Its token is a malformed DID token then."""
    built = await stage(settings_of(), stack)
    assert InvalidToken.__name__ == await outcome(built, bearer("toy_ada"))


def test_a_toy_is_inspected() -> None:
    """By the command that looks at credentials."""
    inspectors = [
        Inspector(kind.has_shape, kind.inspect) for kind in KINDS if kind.has_shape and kind.inspect
    ]
    context = InspectionContext(None, TokenRules("", 60), 0.0)
    assert Report("toy", {"name": "ada"}) == examine("toy_ada", inspectors, context)
    assert "did_token" == examine("ada", inspectors, context).kind


def test_routes_may_accept_a_toy_where_its_section_is() -> None:
    """The config derives the names from its sections."""
    assert "toy_of_the_tests" == sections(WithToys)[TOY]


def test_a_toy_is_revoked_with_its_issuer() -> None:
    """Unless its `AuthMethod` says otherwise."""
    assert "toy:ada" == subject_of(Identity(User("toy:ada"), TOY, "tid", 0))


@pytest.mark.parametrize(
    ("epoch_ms", "expected"),
    [
        pytest.param(PROVEN_AT_MS, "RevokedToken", id="at-the-proof"),
        pytest.param(PROVEN_AT_MS - 1, "toy:ada", id="before-the-proof"),
    ],
)
async def test_a_toy_from_before_the_epoch_is_refused(
    epoch_ms: int, expected: str, stack: AsyncExitStack
) -> None:
    """Its verifier asks `Revocations`: no stage after it does."""
    store = FakeStore(time.time)
    await store.set(key_of("toy:ada"), str(epoch_ms).encode(), expires_at_ms=LAST_MS)
    built = await stage(enabled(), stack, store)
    assert expected == await outcome(built, bearer("toy_ada"))


# --- the table ----------------------------------------------------------------------------------


def test_every_kind_of_the_config_has_a_line() -> None:
    """And every line can be accepted by a route."""
    assert sorted(AUTH_METHODS) == sorted(kind.method for kind in CREDENTIAL_KINDS)


def test_the_kind_that_takes_any_token_comes_last() -> None:
    """No other kind of token would be recognised after it."""
    shaped = [kind for kind in CREDENTIAL_KINDS if kind.has_shape]
    assert [AuthMethod.DID_TOKEN] == [k.method for k in shaped if k.has_shape and k.has_shape("?")]
    assert AuthMethod.DID_TOKEN == shaped[-1].method


def test_every_kind_of_token_is_inspected() -> None:
    """Otherwise `gateway token inspect` would call a valid token a DID token that failed."""
    shaped = [kind for kind in CREDENTIAL_KINDS if kind.has_shape]
    assert [] == [kind.method for kind in shaped if kind.inspect is None]


ATTACKS = (
    "selftest/callers.py",
    "selftest/attacks/identities.py",
    "selftest/attacks/tokens.py",
)
"""Make callers of each kind, and forge their credentials."""


@pytest.mark.parametrize(
    ("names", "own", "others"),
    [
        pytest.param(
            r"gateway\.authn\.jwt|AuthMethod\.JWT|JWTS",
            ("authn/jwt/", "runtime/services/credentials/jwt.py"),
            {
                "runtime/process.py",  # the key sets, which outlive a config
                "runtime/supervisor.py",  # an explanation may wait for the keys of an issuer
                "config/diff_effect.py",  # whose JWTs a route takes is a part of what it does
                *ATTACKS,
            },
            id="jwt",
        ),
        pytest.param(
            r"gateway\.authn\.certificate|AuthMethod\.CLIENT_CERTIFICATE|CERTIFICATES",
            ("authn/certificate.py", "runtime/services/credentials/certificate.py"),
            {
                "selftest/callers.py",  # makes a caller of each kind
                "config/diff_effect.py",
                "authn/authenticator.py",  # it comes with the connection, not in a field
                "authz/csrf.py",  # programs that show one need not name a page
                "core/request.py",
                "proxy/downstream/accepted.py",
                "admin/access.py",  # of operators, on a listener of their own
                "admin/access_control.py",
            },
            id="client-certificate",
        ),
    ],
)
def test_how_many_files_name_a_kind(names: str, own: tuple[str, ...], others: set[str]) -> None:
    """Beside its own files: its name, its section of the config, and its line in the table."""
    recipe = {
        "core/identity.py",  # a kind may as well name itself in its own file, as the toy does
        "config/credentials.py",
        "runtime/services/credentials/registry.py",
    }
    package = Path(gateway.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(names, path.read_text())
    }
    assert recipe | others == {path for path in found if not path.startswith(own)}
