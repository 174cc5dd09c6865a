"""Hostile cookies and fields where a JWT may come that browsers send by themselves."""

import pytest

from tests.fakes.http import connected
from tests.journey.test_ambient_jwts import APP, Trusting, access, clerk, trusting

pytestmark = pytest.mark.asyncio(loop_scope="module")

__all__ = ["trusting"]

ABSENT = (200, "")
AMBIGUOUS = (400, "ambiguous_credentials")
CONFLICT = (400, "conflicting_credentials")
CROSS_SITE = (403, "cross_site")
FIELD = b"Cf-Access-Jwt-Assertion: "
PAGE = f"Origin: {APP}".encode()


def cookie(value: bytes, name: bytes = b"__session", space: bytes = b"") -> bytes:
    """A Cookie line with one pair."""
    return b"Cookie: " + name + space + b"=" + value


async def sent(trusting: Trusting, method: str, *lines: bytes) -> tuple[int, str, list[str]]:
    """Status, code, and the caller that the app hears of, on a route that needs none."""
    trusting.world.app.seen.clear()
    head = (f"{method} /open/x HTTP/1.1".encode(), b"Host: localhost", *lines, b"", b"")
    async with connected(trusting.world.port) as client:
        answer = await (await client.send(b"\r\n".join(head))).answer(method)
    if answer.status != 200:
        assert [] == trusting.world.app.seen
        return answer.status, answer.code, []
    return 200, "", trusting.seen("X-User-Issuer")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"\xff\xfe", id="bytes-that-are-not-utf8"),
        pytest.param(b"\xed\xa0\x80.a.b", id="a-surrogate"),
        pytest.param(b"a.b.\xff", id="bytes-in-a-part"),
        pytest.param(b"..", id="three-empty-parts"),
        pytest.param(b"e30.e30.", id="no-signature"),
        pytest.param(b"a" * 7000, id="that-is-long"),
        pytest.param(b"." * 2000, id="many-parts"),
    ],
)
async def test_what_is_no_jwt_counts_as_absent(trusting: Trusting, value: bytes) -> None:
    """Any bytes may stand in a cookie or field: they prove nothing, and break nothing."""
    for line in (cookie(value), FIELD + value):
        assert (*ABSENT, []) == await sent(trusting, "GET", line)
        for name in ("Cookie", "Cf-Access-Jwt-Assertion"):
            assert [] == trusting.seen(name)


async def test_a_jwt_counts_in_its_own_place_alone(trusting: Trusting) -> None:
    """Not under another name, not in quotes, not in a list, not that of another source."""
    one, other = clerk().encode(), access().encode()
    for lines in (
        (cookie(one, b"__Session"),),
        (cookie(one, b"x__session"),),
        (cookie(b'"' + one + b'"'),),
        (cookie(other),),
        (FIELD + one,),
        (FIELD + other + b", " + other,),
        (b"Cf_Access_Jwt_Assertion: " + other,),
        (b"Cookie_: __session=" + one,),
        (b"Authorization: Basic " + one,),
    ):
        assert (*ABSENT, []) == await sent(trusting, "GET", *lines)


async def test_what_names_one_caller(trusting: Trusting) -> None:
    """A JWT that is repeated, or that other readers would find too, is the one caller's."""
    one, other = clerk().encode(), access().encode()
    for lines in (
        (cookie(one),),
        (cookie(one + b"; __session=" + one),),
        (cookie(one), cookie(one)),
        (cookie(one, space=b" "),),
        (b"Connection: Cookie", cookie(one)),
        (FIELD + other,),
        (FIELD + other, FIELD + other),
        (b"Connection: Cf-Access-Jwt-Assertion", FIELD + other),
    ):
        status, _, callers = await sent(trusting, "GET", *lines)
        assert (200, 1) == (status, len(callers))
        assert [] == trusting.seen("Cookie")


async def test_two_values_are_refused(trusting: Trusting) -> None:
    """A page of a sibling host may add a cookie: none is chosen, not even beside an empty one."""
    one, two, other = clerk().encode(), clerk(sub="user_2").encode(), access().encode()
    for lines, expected in (
        ((cookie(one + b"; __session=" + two),), AMBIGUOUS),
        ((cookie(one + b"; __session="),), AMBIGUOUS),
        ((cookie(b"x"), cookie(one)), AMBIGUOUS),
        ((FIELD + other, FIELD + b"x"), AMBIGUOUS),
        ((cookie(one), FIELD + other), CONFLICT),
        ((b"Authorization: Bearer " + two, cookie(one)), CONFLICT),
    ):
        assert (*expected, []) == await sent(trusting, "GET", *lines)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "QUERY", "PROPFIND"])
async def test_a_foreign_page_changes_nothing(trusting: Trusting, method: str) -> None:
    """Whatever a browser says of the page: only ours, and nothing beside it, will do."""
    for line in (cookie(clerk().encode()), FIELD + access().encode()):
        for fields in (
            (),
            (b"Origin: null",),
            (b"Origin: " + APP.upper().encode(),),
            (b"Origin: http://localhost:80",),
            (b"Origin: http://localhost.evil.example",),
            (PAGE, b"Origin: https://evil.example"),
            (PAGE, b"Sec-Fetch-Site: same-site"),
            (b"Sec-Fetch-Site: none",),
            (b"Referer: http://localhost/",),
        ):
            assert (*CROSS_SITE, []) == await sent(trusting, method, line, *fields)
        status, _, callers = await sent(trusting, method, line, PAGE)
        assert (200, 1) == (status, len(callers))
