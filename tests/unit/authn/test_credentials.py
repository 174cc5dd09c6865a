"""The credentials that a request carries."""

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.authn.credentials import (
    AmbientSource,
    Credential,
    CredentialReader,
    _without_only_pair,
    _without_pairs,
    auth_scheme,
    cookie_values,
    is_bearer,
    without_cookie,
)
from gateway.core.errors import AmbiguousCredentials, InvalidToken, Refusal
from gateway.core.identity import AuthMethod
from gateway.core.request import ValueWithMemo
from tests.fakes.credentials import API_KEY_HEADER, BEARERS
from tests.fakes.heads import multidict, request_head

NAME = "__Host-session"
S1, S2 = "a" * 43, "b" * 43


READER = CredentialReader(NAME)
JWT_COOKIE = AmbientSource(AuthMethod.JWT, "__session", is_cookie=True)
JWT_FIELD = AmbientSource(AuthMethod.JWT, "x-jwt", is_cookie=False)
ALL_KINDS = CredentialReader(NAME, BEARERS, [API_KEY_HEADER], [JWT_COOKIE, JWT_FIELD])


def carried(*fields: tuple[str, str], reader: CredentialReader = READER) -> str:
    """What ``reader`` finds, in its order."""
    found = reader.read(CIMultiDictProxy(CIMultiDict(fields)))
    return " & ".join(f"{method} {text}" for method, text, _ in found) or "none"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], "none", id="nothing"),
        pytest.param([("Authorization", "Bearer abc=")], "did-token abc=", id="bearer"),
        pytest.param([("authorization", "bEARER abc")], "did-token abc", id="any-case"),
        pytest.param([("Authorization", "Bearer   abc")], "did-token abc", id="more-spaces"),
        pytest.param(
            [("Authorization", "Bearer a-._~+/9==")], "did-token a-._~+/9==", id="token68"
        ),
        pytest.param([("Authorization", "Basic abc=")], "none", id="basic"),
        pytest.param([("Authorization", "")], "none", id="empty-authorization"),
        pytest.param([("Authorization", "Bearerish abc")], "none", id="longer-scheme"),
        pytest.param([("Authorization", "Bearer-x abc")], "none", id="scheme-with-hyphen"),
        pytest.param([("Authorization", ",Bearer abc")], "none", id="no-scheme"),
        pytest.param([("Cookie", f"{NAME}={S1}")], f"session {S1}", id="cookie"),
        pytest.param([("Cookie", f"a=1; {NAME}={S1}; b=2")], f"session {S1}", id="among-others"),
        pytest.param([("Cookie", f"a=1;{NAME}={S1};b=2")], f"session {S1}", id="without-spaces"),
        pytest.param([("Cookie", f"a=1; \t{NAME} = {S1} ")], f"session {S1}", id="more-space"),
        pytest.param([("Cookie", "a=1"), ("Cookie", f"{NAME}={S1}")], f"session {S1}", id="fields"),
        pytest.param([("Cookie", f"{NAME}={S1}; {NAME}={S1}")], f"session {S1}", id="same-twice"),
        pytest.param([("Cookie", "a=1; b=2")], "none", id="other-cookies"),
        pytest.param([("Cookie", f"{NAME.lower()}={S1}")], "none", id="names-have-case"),
        pytest.param([("Cookie", f"x{NAME}={S1}; {NAME}x={S1}")], "none", id="longer-names"),
        pytest.param([("Cookie", f"a={NAME}={S1}")], "none", id="name-in-a-value"),
        pytest.param([("Cookie", NAME)], "none", id="no-pair"),
        pytest.param(
            [("Authorization", "Bearer abc"), ("Cookie", f"{NAME}={S1}")],
            f"did-token abc & session {S1}",
            id="bearer-before-cookie",
        ),
        pytest.param(
            [("Authorization", "Basic abc"), ("Cookie", f"{NAME}={S1}")],
            f"session {S1}",
            id="cookie-beside-basic",
        ),
    ],
)
def test_credentials_are_found_in_their_fields(
    fields: list[tuple[str, str]], expected: str
) -> None:
    """A bearer token comes first, then our cookie; other fields are ignored."""
    assert expected == carried(*fields)


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(f"{NAME}=", id="empty-cookie"),
        pytest.param(f'{NAME}="{S1}"', id="quoted-cookie"),
        pytest.param(f"{NAME}={'a' * 129}", id="long-cookie"),
        pytest.param(f"{NAME}={'a' * 5000}", id="huge-cookie"),
        pytest.param(f"{NAME}=a.b", id="other-alphabet"),
        pytest.param(f"{NAME}=a\n", id="newline"),
        pytest.param(f"{NAME}=１", id="fullwidth-cookie"),
        pytest.param(f"{NAME}=\udcff", id="undecodable-cookie"),
    ],
)
def test_a_malformed_cookie_counts_as_a_session_that_ended(cookie: str) -> None:
    """It is there, and names no session."""
    assert "session " == carried(("Cookie", cookie))


DID, KEY, JWT = "WyIweCIsInt9Il0=", "gwk_a_b_c", "e30.e30.c2ln"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([("Authorization", f"Bearer {DID}")], f"did-token {DID}", id="did-token"),
        pytest.param([("Authorization", f"Bearer {KEY}")], f"api-key {KEY}", id="api-key"),
        pytest.param([("Authorization", f"Bearer {JWT}")], f"jwt {JWT}", id="jwt"),
        pytest.param([("Authorization", "Bearer a.b")], "did-token a.b", id="one-dot"),
        pytest.param([("Authorization", "Bearer a.b.c.d")], "did-token a.b.c.d", id="three-dots"),
        pytest.param([("X-API-Key", f" {KEY}\t")], f"api-key {KEY}", id="header"),
        pytest.param([("X-API-Key", "")], "api-key ", id="empty-header"),
        pytest.param([("X-API-Key", "other")], "api-key other", id="header-of-another-kind"),
        pytest.param(
            [("X-API-Key", KEY), ("Authorization", f"Bearer {KEY}")],
            f"api-key {KEY}",
            id="the-same-key-twice",
        ),
        pytest.param(
            [("X-API-Key", KEY), ("Authorization", f"Bearer {JWT}"), ("Cookie", f"{NAME}={S1}")],
            f"jwt {JWT} & api-key {KEY} & session {S1}",
            id="three-kinds",
        ),
    ],
)
def test_kinds_are_told_apart_by_their_shape(fields: list[tuple[str, str]], expected: str) -> None:
    """An API key has a field of its own, too."""
    assert expected == carried(*fields, reader=ALL_KINDS)


@pytest.mark.parametrize("token", [KEY, JWT])
def test_kinds_that_are_not_enabled_are_malformed_did_tokens(token: str) -> None:
    """The field for API keys belongs to the app then."""
    fields = ("Authorization", f"Bearer {token}"), ("X-API-Key", KEY)
    assert f"did-token {token}" == carried(*fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("X-API-Key", KEY), ("X-API-Key", KEY + "d")], id="two-fields"),
        pytest.param([("X-API-Key", KEY), ("Authorization", f"Bearer {KEY}d")], id="two-places"),
    ],
)
def test_two_api_keys_are_ambiguous(fields: list[tuple[str, str]]) -> None:
    """Picking one could pick the attacker's."""
    with pytest.raises(AmbiguousCredentials, match="several_api_keys"):
        carried(*fields, reader=ALL_KINDS)


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
    ],
)
def test_ambiguous_and_malformed_credentials_are_refused(
    fields: list[tuple[str, str]], refusal: type[Refusal]
) -> None:
    """Each has its own refusal."""
    with pytest.raises(Refusal) as refused:
        carried(*fields)
    assert refusal is refused.type


def test_secrets_are_not_in_the_repr() -> None:
    """Tracebacks and log lines hold no credential."""
    assert S1 not in repr(Credential(AuthMethod.SESSION, S1))


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
def test_our_cookie_is_removed(field: bytes, expected: bytes | None) -> None:
    """Other cookies stay as they are."""
    assert expected == without_cookie(field, NAME.encode())
    if field.isascii():
        assert expected == without_cookie(field.decode(), NAME)


def test_removal_takes_decoded_fields() -> None:
    """Text that aiohttp decoded gives the bytes that were received."""
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
def test_removal_leaves_all_others_byte_for_byte(pairs: list[tuple[bool, bytes, bytes]]) -> None:
    """In their order."""
    field = b";".join(own if is_own else other for is_own, own, other in pairs)
    others = b";".join(other for is_own, _, other in pairs if not is_own)
    rest = without_cookie(field, b"s")
    if any(is_own for is_own, _, _ in pairs):
        assert others.lstrip(b" \t") == (rest or b"") or not others.strip(b" \t;")
    else:
        assert field == rest
    assert b"s" not in names(rest or b"")


@given(st.binary(), st.sampled_from([b"s", b"session", b"__Host-session"]))
def test_no_cookie_parser_finds_ours_after_removal(field: bytes, name: bytes) -> None:
    """Whatever the field holds."""
    rest = without_cookie(field, name)
    assert name not in names(rest or b"")
    if name not in names(field):
        assert field == rest


COOKIES = st.text(st.sampled_from('s=;ab \t"é\udcff\n'), max_size=30)


@given(COOKIES)
def test_reading_and_removal_agree(field: str) -> None:
    """Both find the same pairs."""
    rest = without_cookie(field, "s")
    left = (rest or b"").decode("utf-8", "surrogateescape")
    assert () == CredentialReader("s").read(CIMultiDictProxy(CIMultiDict({"Cookie": left})))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([("Cookie", "a=1; __session=x.y.z")], [("x.y.z", JWT_COOKIE)], id="cookie"),
        pytest.param([("X-JWT", " x.y.z\t")], [("x.y.z", JWT_FIELD)], id="field"),
        pytest.param(
            [("X-JWT", "f"), ("Cookie", f"__session=c; {NAME}={S1}")],
            [(S1, None), ("c", JWT_COOKIE), ("f", JWT_FIELD)],
            id="all-of-them",
        ),
        pytest.param(
            [("Cookie", "__session=c"), ("Cookie", "a=1; __session=c")],
            [("c", JWT_COOKIE)],
            id="repeated",
        ),
        pytest.param([("Cookie", "__session=; a=1"), ("X-JWT", " ")], [], id="empty"),
        pytest.param([("Cookie", "__SESSION=c; __session2=c; x__session=c")], [], id="others"),
        pytest.param([("X_JWT", "f")], [], id="another-spelling"),
    ],
)
def test_ambient_sources(
    fields: list[tuple[str, str]], expected: list[tuple[str, AmbientSource | None]]
) -> None:
    """Each gives one credential, of any text, after those that the client has added on purpose."""
    found = ALL_KINDS.read(CIMultiDictProxy(CIMultiDict(fields)))
    assert expected == [(text, source) for _, text, source in found]


@pytest.mark.parametrize(
    "fields",
    [
        [("Cookie", "__session=c; __session=d")],
        [("Cookie", "__session=c"), ("Cookie", "__session=")],
        [("X-JWT", "f"), ("x-jwt", "g")],
    ],
)
def test_two_values_in_an_ambient_source_are_ambiguous(fields: list[tuple[str, str]]) -> None:
    """No cookie is cleared then: it is not the gateway's."""
    with pytest.raises(AmbiguousCredentials, match="several_in_source") as raised:
        ALL_KINDS.read(CIMultiDictProxy(CIMultiDict(fields)))
    assert not raised.value.is_cookie


@given(
    st.lists(
        st.tuples(st.sampled_from(["Authorization", "Cookie", "X-API-Key", "X-Jwt"]), st.text())
    )
)
def test_any_field_gives_credentials_or_a_refusal(fields: list[tuple[str, str]]) -> None:
    """Nothing else is raised."""
    try:
        found = ALL_KINDS.read(CIMultiDictProxy(CIMultiDict(fields)))
    except (AmbiguousCredentials, InvalidToken):
        return
    assert len(found) == len({(method, source) for method, _, source in found})


def test_repeated_fields_are_read_once() -> None:
    """The memo is of the fields alone, and of one config."""
    head = request_head(("Cookie", f"{NAME}={S1}; other={S2}"))
    again = head._replace(memo={})
    session = (Credential(AuthMethod.SESSION, S1),)
    assert session == READER.read_cached(head)
    first = READER.read_cached(again)
    assert first == session
    assert first is READER.read_cached(again)
    other = CredentialReader("other")
    assert (Credential(AuthMethod.SESSION, S2),) == other.read_cached(again)


def test_refused_fields_are_refused_again() -> None:
    """A refusal is not cached as "no credential"."""
    head = request_head(("Cookie", f"{NAME}={S1}; {NAME}={S2}"))._replace(memo={})
    for _ in range(2):
        with pytest.raises(AmbiguousCredentials):
            READER.read_cached(head)


def test_a_cookie_field_that_comes_again_is_read_once() -> None:
    """What was found is of one value and one config; a refusal is none."""
    value = ValueWithMemo.begin(f"{NAME}={S1}; other={S2}")
    first, again = (READER.read(multidict(("Cookie", value), ("X-A", a))) for a in "12")
    assert (Credential(AuthMethod.SESSION, S1),) == first
    assert first is again
    other = CredentialReader("other")
    assert (Credential(AuthMethod.SESSION, S2),) == other.read(multidict(("Cookie", value)))
    assert first == READER.read(multidict(("Cookie", value)))
    with pytest.raises(AmbiguousCredentials):
        READER.read(multidict(("Cookie", value), ("Cookie", f"{NAME}={S2}")))

    twice = ValueWithMemo.begin(f"{NAME}={S1}; {NAME}={S2}")
    for _ in range(2):
        with pytest.raises(AmbiguousCredentials):
            READER.read(multidict(("Cookie", twice)))


def test_a_cookie_field_that_outlives_configs_keeps_none_of_them() -> None:
    """The table keeps a line for as long as it is in use."""
    value = ValueWithMemo.begin(f"{NAME}={S1}")
    readers = []
    for _ in range(10):
        reader = CredentialReader(NAME)
        readers.append(weakref.ref(reader))
        assert (Credential(AuthMethod.SESSION, S1),) == reader.read(multidict(("Cookie", value)))
        del reader
    assert [None] * 10 == [reader() for reader in readers]


def test_a_bearer_token_of_no_enabled_kind_is_malformed() -> None:
    """A config without DID tokens has no kind that takes every shape."""
    only_jwts = CredentialReader(NAME, [kind for kind in BEARERS if kind.method == AuthMethod.JWT])
    assert f"jwt {JWT}" == carried(("Authorization", f"Bearer {JWT}"), reader=only_jwts)
    with pytest.raises(InvalidToken):
        carried(("Authorization", f"Bearer {KEY}"), reader=only_jwts)


@pytest.mark.parametrize(
    ("field", "scheme"),
    [
        ("Bearer abc", "bearer"),
        ("bEARER", "bearer"),
        ("Bearer,abc", "bearer"),
        ("Bearer\tabc", "bearer"),
        ('Bearer"abc"', "bearer"),
        ("Bearer:abc", "bearer"),
        ("Bearer\xa0abc", "bearer"),
        ("Bearerish abc", "bearerish"),
        ("Bearer-x abc", "bearer-x"),
        ("Basic YTpi", "basic"),
        (" Bearer abc", ""),
        ("", ""),
    ],
)
def test_a_scheme_ends_where_its_token_ends(field: str, scheme: str) -> None:
    """One definition for all that asks: who verifies, who strips, who redirects to a page."""
    assert (scheme, scheme == "bearer") == (auth_scheme(field), is_bearer(field))
    headers = multidict(("Authorization", field))
    if not is_bearer(field):
        assert () == ALL_KINDS.read(headers)
    elif field != "Bearer abc":
        with pytest.raises(InvalidToken):
            ALL_KINDS.read(headers)


_COOKIE_PARTS = st.sampled_from(["s", "ss", "x", "=", ";", " ", "\t", "a", ",", "-s", "s=", "; s="])


@given(st.lists(_COOKIE_PARTS, max_size=8).map("".join))
def test_a_single_cookie_is_found_as_the_pattern_finds_it(field: str) -> None:
    """Whatever stands around it: the usual case takes a shorter way to the same result."""
    headers = multidict(("Cookie", field))
    values = cookie_values(headers, "s")
    reader = CredentialReader("s")

    if len(values) > 1:
        with pytest.raises(AmbiguousCredentials):
            reader.read(headers)
        return
    found = [sent.text for sent in reader.read(headers)]
    assert [value if value.replace("-", "").isalnum() else "" for value in values] == found


_AROUND = st.lists(st.sampled_from([b";", b"; ", b" ", b"\t", b"=", b"a", b"b=1"])).map(b"".join)


@given(_AROUND, _AROUND)
def test_the_only_pair_of_a_name_is_removed_as_any_pair_is(before: bytes, after: bytes) -> None:
    """The short way, for a name that occurs once, gives byte for byte what the long way does."""
    field = before + b"s" + after
    assert _without_pairs(field, b"s") == _without_only_pair(field, b"s")
