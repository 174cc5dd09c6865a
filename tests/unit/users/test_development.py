"""Development mode."""

from gateway.authn.did_token.token import TokenRules, inspect
from gateway.core.identity import User
from gateway.users.development import DEVELOPMENT_AUDIENCE, DevelopmentMagic

NOW_S = 1_800_000_000.0


def issuer_of(token: str) -> str:
    return inspect(token, TokenRules(DEVELOPMENT_AUDIENCE, 900), NOW_S).issuer


async def test_an_email_with_a_minted_token_is_a_user() -> None:
    """Its metadata holds that email."""
    magic = DevelopmentMagic(b"seed")
    issuer = issuer_of(magic.mint("alice@example.com", 900, NOW_S))
    address = issuer.removeprefix("did:ethr:")
    assert User(issuer, "alice@example.com", address) == await magic.user(issuer)


async def test_other_issuers_are_unknown() -> None:
    """Even if their email is known."""
    magic = DevelopmentMagic(b"seed")
    magic.mint("alice@example.com", 900, NOW_S)
    bob = DevelopmentMagic(b"seed").mint("bob@example.com", 900, NOW_S)
    assert await magic.user(issuer_of(bob)) is None


async def test_the_issuers_of_an_email_are_those_minted_for_it() -> None:
    """In whatever spelling; an email without a minted token has none."""
    magic = DevelopmentMagic(b"seed")
    issuer = issuer_of(magic.mint("Alice@example.com", 900, NOW_S))
    magic.mint("two words", 900, NOW_S)
    assert (issuer,) == await magic.issuers("alice@example.com")
    assert () == await magic.issuers("bob@example.com")


def test_issuers_are_stable() -> None:
    """One seed and email make one issuer, in every process."""
    minted = [
        DevelopmentMagic(seed).mint(email, 900, NOW_S)
        for seed in (b"seed", b"other")
        for email in ("alice@example.com", "bob@example.com", "alice@example.com")
    ]
    alice, bob, again, *others = [issuer_of(token) for token in minted]
    assert alice == again
    assert len({alice, bob, *others}) == 4
