"""Which credential a request carries."""

from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.errors import AmbiguousCredentials, InvalidToken, Refusal, SessionEnded
from gateway.identity.credentials import (
    Credential,
    DidToken,
    SessionCookie,
    credential,
    remembered_credential,
    without_cookie,
)
from tests.fakes.heads import request_head

NAME = "__Host-session"
S1, S2 = "a" * 43, "b" * 43


def carried(*fields: tuple[str, str]) -> Credential | None:
    return credential(CIMultiDictProxy(CIMultiDict(fields)), NAME)


def described(found: Credential | None) -> str:
    match found:
        case SessionCookie(value):
            return f"cookie {value}"
        case DidToken(text):
            return f"token {text}"
        case None:
            return "none"
        case _:
            assert_never(found)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], "none", id="nothing"),
        pytest.param([("Authorization", "Bearer abc=")], "token abc=", id="bearer"),
        pytest.param([("authorization", "bEARER abc")], "token abc", id="any-case"),
        pytest.param([("Authorization", "Bearer   abc")], "token abc", id="more-spaces"),
        pytest.param([("Authorization", "Bearer a-._~+/9==")], "token a-._~+/9==", id="token68"),
        pytest.param([("Authorization", "Basic abc=")], "none", id="basic"),
        pytest.param([("Authorization", "")], "none", id="empty-authorization"),
        pytest.param([("Authorization", "Bearerish abc")], "none", id="longer-scheme"),
        pytest.param([("Authorization", "Bearer-x abc")], "none", id="scheme-with-hyphen"),
        pytest.param([("Cookie", f"{NAME}={S1}")], f"cookie {S1}", id="cookie"),
        pytest.param([("Cookie", f"a=1; {NAME}={S1}; b=2")], f"cookie {S1}", id="among-others"),
        pytest.param([("Cookie", f"a=1;{NAME}={S1};b=2")], f"cookie {S1}", id="without-spaces"),
        pytest.param([("Cookie", f"a=1; \t{NAME} = {S1} ")], f"cookie {S1}", id="more-space"),
        pytest.param([("Cookie", "a=1"), ("Cookie", f"{NAME}={S1}")], f"cookie {S1}", id="fields"),
        pytest.param([("Cookie", f"{NAME}={S1}; {NAME}={S1}")], f"cookie {S1}", id="same-twice"),
        pytest.param([("Cookie", "a=1; b=2")], "none", id="other-cookies"),
        pytest.param([("Cookie", f"{NAME.lower()}={S1}")], "none", id="names-have-case"),
        pytest.param([("Cookie", f"x{NAME}={S1}; {NAME}x={S1}")], "none", id="longer-names"),
        pytest.param([("Cookie", f"a={NAME}={S1}")], "none", id="name-in-a-value"),
        pytest.param([("Cookie", NAME)], "none", id="no-pair"),
        pytest.param(
            [("Authorization", "Bearer abc"), ("Cookie", f"{NAME}={S1}")],
            "token abc",
            id="bearer-before-cookie",
        ),
        pytest.param(
            [("Authorization", "Basic abc"), ("Cookie", f"{NAME}={S1}")],
            f"cookie {S1}",
            id="cookie-beside-basic",
        ),
        pytest.param(
            [("Authorization", "Bearer abc"), ("Cookie", f"{NAME}=b; {NAME}=a")],
            "token abc",
            id="cookies-do-not-matter-beside-bearer",
        ),
    ],
)
def test_credential(fields: list[tuple[str, str]], expected: str) -> None:
    """A bearer token goes first, then our cookie; what is not ours is left alone."""
    assert expected == described(carried(*fields))


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        pytest.param(
            [("Authorization", "Bearer a"), ("AUTHORIZATION", "Bearer a")],
            AmbiguousCredentials,
            id="two-authorizations",
        ),
        pytest.param(
            [("Authorization", "Basic a"), ("Authorization", "Bearer a")],
            AmbiguousCredentials,
            id="two-schemes",
        ),
        pytest.param(
            [("Cookie", f"{NAME}={S1}; {NAME}={S2}")], AmbiguousCredentials, id="two-cookies"
        ),
        pytest.param(
            [("Cookie", f"{NAME}={S1}"), ("Cookie", f"x=1; {NAME}={S2}")],
            AmbiguousCredentials,
            id="two-cookie-fields",
        ),
        pytest.param(
            [("Cookie", f"{NAME}=; {NAME}={S2}")], AmbiguousCredentials, id="one-of-two-malformed"
        ),
        pytest.param([("Authorization", "Bearer")], InvalidToken, id="bearer-alone"),
        pytest.param([("Authorization", "Bearer ")], InvalidToken, id="bearer-space"),
        pytest.param([("Authorization", "Bearer ==")], InvalidToken, id="bearer-padding"),
        pytest.param([("Authorization", "Bearer\tabc")], InvalidToken, id="bearer-tab"),
        pytest.param([("Authorization", "Bearer a b")], InvalidToken, id="two-tokens"),
        pytest.param([("Authorization", "Bearer a, Bearer b")], InvalidToken, id="list"),
        pytest.param([("Authorization", "Bearer a=b")], InvalidToken, id="padding-inside"),
        pytest.param([("Authorization", 'Bearer "a"')], InvalidToken, id="quoted"),
        pytest.param([("Authorization", "Bearer ä")], InvalidToken, id="non-ascii"),
        pytest.param([("Authorization", "Bearer \udce4")], InvalidToken, id="undecodable"),
        pytest.param([("Authorization", "Bearer ａ")], InvalidToken, id="fullwidth"),
        pytest.param([("Cookie", f"{NAME}=")], SessionEnded, id="empty-cookie"),
        pytest.param([("Cookie", f'{NAME}="{S1}"')], SessionEnded, id="quoted-cookie"),
        pytest.param([("Cookie", f"{NAME}={'a' * 129}")], SessionEnded, id="long-cookie"),
        pytest.param([("Cookie", f"{NAME}={'a' * 5000}")], SessionEnded, id="huge-cookie"),
        pytest.param([("Cookie", f"{NAME}=a.b")], SessionEnded, id="other-alphabet"),
        pytest.param([("Cookie", f"{NAME}=a\n")], SessionEnded, id="newline"),
        pytest.param([("Cookie", f"{NAME}=１")], SessionEnded, id="fullwidth-cookie"),
        pytest.param([("Cookie", f"{NAME}=\udcff")], SessionEnded, id="undecodable-cookie"),
    ],
)
def test_refused(fields: list[tuple[str, str]], refusal: type[Refusal]) -> None:
    """What is ours but ambiguous or malformed is refused, each as what it is."""
    with pytest.raises(Refusal) as refused:
        carried(*fields)
    assert refusal is refused.type


def test_secrets_are_not_shown() -> None:
    """A credential in a traceback or a log line does not give itself away."""
    assert S1 not in repr(SessionCookie(S1)) + repr(DidToken(S1))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(b"__Host-session=a", None, id="alone"),
        pytest.param(b"__Host-session=a; ", None, id="alone-with-separator"),
        pytest.param(b" ;__Host-session=a;; ", None, id="among-nothing"),
        pytest.param(b"__Host-session=a; b=2", b"b=2", id="first"),
        pytest.param(b"b=2; __Host-session=a", b"b=2", id="last"),
        pytest.param(b"b=2; __Host-session=a; c=3", b"b=2; c=3", id="between"),
        pytest.param(b"b=2;__Host-session=a;c=3", b"b=2;c=3", id="without-spaces"),
        pytest.param(b"__Host-session=a; b=2; __Host-session=z", b"b=2", id="twice"),
        pytest.param(b"b=2; __Host-session = a", b"b=2", id="spaced"),
        pytest.param(b"b=\xff\xfe; __Host-session=a", b"b=\xff\xfe", id="bytes"),
        pytest.param(b"x=__Host-session=a", b"x=__Host-session=a", id="name-in-a-value"),
        pytest.param(b"x__Host-session=a", b"x__Host-session=a", id="longer-name"),
        pytest.param(b"__Host-session", b"__Host-session", id="no-pair"),
        pytest.param(b"b=2;  c=3 ;", b"b=2;  c=3 ;", id="untouched"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_without_cookie(field: bytes, expected: bytes | None) -> None:
    """Our pairs go; the others stay as they are."""
    assert expected == without_cookie(field, NAME.encode())
    if field.isascii():
        assert expected == without_cookie(field.decode(), NAME)


def test_without_cookie_takes_decoded_bytes() -> None:
    """Text as aiohttp decoded it gives the bytes that were received."""
    received = b"b=\xff; __Host-session=a"
    decoded = received.decode("utf-8", "surrogateescape")
    assert received.partition(b";")[0] == without_cookie(decoded, NAME)


OWN_PAIRS = st.sampled_from([b"s=1", b" s=2", b"\ts =3 ", b"s=", b" s==;s=x"])
OTHER_PAIRS = st.sampled_from(
    [b"a=1", b" ss=2", b" S=3", b"a=s=4", b"s", b" x s=5", b"", b" ", b" \xff=\xfe", b' q="s=1"']
)


def names(field: bytes) -> list[bytes]:
    """An independent reading: the names of all pairs."""
    return [pair.split(b"=", 1)[0].strip(b" \t") for pair in field.split(b";") if b"=" in pair]


@given(st.lists(st.tuples(st.booleans(), OWN_PAIRS, OTHER_PAIRS)))
def test_without_cookie_cuts_exactly(pairs: list[tuple[bool, bytes, bytes]]) -> None:
    """None of ours is left, and all others are there, in order, byte for byte."""
    field = b";".join(own if is_own else other for is_own, own, other in pairs)
    others = b";".join(other for is_own, _, other in pairs if not is_own)
    rest = without_cookie(field, b"s")
    if any(is_own for is_own, _, _ in pairs):
        assert others.lstrip(b" \t") == (rest or b"") or not others.strip(b" \t;")
    else:
        assert field == rest
    assert b"s" not in names(rest or b"")


@given(st.binary(), st.sampled_from([b"s", b"session", b"__Host-session"]))
def test_without_cookie_of_anything(field: bytes, name: bytes) -> None:
    """Whatever the field holds, nobody can read our cookie out of what is left."""
    rest = without_cookie(field, name)
    assert name not in names(rest or b"")
    if name not in names(field):
        assert field == rest


COOKIES = st.text(st.sampled_from('s=;ab \t"é\udcff\n'), max_size=30)


@given(COOKIES)
def test_what_was_cut_cannot_be_read(field: str) -> None:
    """Reading and cutting agree on which pairs are ours."""
    rest = without_cookie(field, "s")
    left = (rest or b"").decode("utf-8", "surrogateescape")
    assert credential(CIMultiDictProxy(CIMultiDict({"Cookie": left})), "s") is None


@given(st.lists(st.tuples(st.sampled_from(["Authorization", "Cookie"]), st.text())))
def test_anything(fields: list[tuple[str, str]]) -> None:
    """No field makes anything happen but a credential, none, or one of three refusals."""
    try:
        found = credential(CIMultiDictProxy(CIMultiDict(fields)), "s")
    except (AmbiguousCredentials, InvalidToken, SessionEnded):
        return
    assert found is None or isinstance(found, SessionCookie | DidToken)


def test_repeated_fields_are_read_once() -> None:
    """What a memo holds is read from the fields alone, for each name that a cookie may have."""
    head = request_head(("Cookie", f"{NAME}={S1}; other={S2}"))
    again = head._replace(memo={})
    assert SessionCookie(S1) == remembered_credential(head, NAME)
    first = remembered_credential(again, NAME)
    assert first == SessionCookie(S1)
    assert first is remembered_credential(again, NAME)
    assert SessionCookie(S2) == remembered_credential(again, "other")


def test_refused_fields_are_refused_again() -> None:
    """A refusal is not remembered as nobody."""
    head = request_head(("Cookie", f"{NAME}={S1}; {NAME}={S2}"))._replace(memo={})
    for _ in range(2):
        with pytest.raises(AmbiguousCredentials):
            remembered_credential(head, NAME)
