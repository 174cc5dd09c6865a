"""``GET /jwks.json``."""

from gateway.assertion.token import signing_key
from tests.fakes.keys import PEM, PEM_P256
from tests.fakes.pages import page_services, serving


async def test_public_keys() -> None:
    """All keys, without private parts, for a minute in a cache."""
    keys = (signing_key(PEM), signing_key(PEM_P256))
    async with serving(page_services([], signing_keys=keys)) as pages:
        answer = await pages.ask("GET", "/jwks.json")
    assert [key.key_id for key in keys] == [key["kid"] for key in answer.json()["keys"]]
    assert not any("d" in key for key in answer.json()["keys"])
    assert "application/jwk-set+json" == answer.value("Content-Type")
    assert "public, max-age=60" == answer.value("Cache-Control")
