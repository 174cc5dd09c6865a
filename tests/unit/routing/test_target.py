"""Canonical targets: the matched target is sent upstream, and ambiguous ones are refused."""

import re
from contextlib import suppress
from time import perf_counter
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import BadHost, BadTarget
from gateway.routing.target import (
    MAX_ESCAPES,
    Authority,
    alternative_paths,
    canonical_target,
    parse_authority,
    split_absolute,
    with_prefix_replaced,
)

REFUSED = None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # --- what is canonical already stays as it is
        pytest.param("/", "/", id="the-root"),
        pytest.param("/users", "/users", id="a-plain-path"),
        pytest.param("/users/", "/users/", id="a-slash-at-the-end-is-kept"),
        pytest.param("/users/7/orders", "/users/7/orders", id="several-segments"),
        pytest.param("/a.b/c.tar.gz", "/a.b/c.tar.gz", id="dots-inside-a-name"),
        pytest.param("/.well-known/x", "/.well-known/x", id="a-name-that-begins-with-a-dot"),
        pytest.param("/..a/b..", "/..a/b..", id="names-that-begin-or-end-with-two-dots"),
        pytest.param("/...", "/...", id="three-dots-are-a-name"),
        pytest.param("/admin.", "/admin.", id="a-dot-at-the-end-is-part-of-the-name"),
        pytest.param("/a;x=1/b", "/a;x=1/b", id="parameters-are-part-of-the-segment"),
        pytest.param("/;x", "/;x", id="a-segment-of-parameters-alone"),
        pytest.param("/-._~", "/-._~", id="unreserved-marks"),
        pytest.param("/!$&'()*+,;=:@", "/!$&'()*+,;=:@", id="sub-delims-colon-and-at"),
        pytest.param("/a@b:80/x", "/a@b:80/x", id="userinfo-look-alike-in-a-path"),
        # --- equivalent spellings become one
        pytest.param("/%41dmin", "/Admin", id="an-escaped-letter-is-decoded"),
        pytest.param("/%61%64min", "/admin", id="escaped-letters-are-decoded"),
        pytest.param("/%7Euser", "/~user", id="an-escaped-tilde-is-decoded"),
        pytest.param("/%7euser", "/~user", id="lower-case-hex-is-decoded-too"),
        pytest.param("/a%2Eb", "/a.b", id="an-escaped-dot-inside-a-name"),
        pytest.param("/%2e%2e%2e", "/...", id="three-escaped-dots-are-a-name"),
        pytest.param("/%2d%5f", "/-_", id="escaped-hyphen-and-underscore"),
        pytest.param("/a%20b", "/a%20b", id="an-escaped-space-stays-escaped"),
        pytest.param("/a%3ab", "/a%3Ab", id="escapes-are-written-in-upper-case"),
        pytest.param("/caf%c3%a9", "/caf%C3%A9", id="utf-8-in-lower-case-escapes"),
        pytest.param("/%E2%82%AC", "/%E2%82%AC", id="utf-8-of-three-octets"),
        pytest.param("/%F0%9F%98%80", "/%F0%9F%98%80", id="utf-8-of-four-octets"),
        pytest.param("/%EF%BC%8F", "/%EF%BC%8F", id="a-full-width-slash-is-a-letter"),
        pytest.param("/%EF%BC%8E%EF%BC%8E/x", "/%EF%BC%8E%EF%BC%8E/x", id="full-width-dots"),
        pytest.param("/a%2fb", "/a%2Fb", id="an-escaped-slash-in-lower-case"),
        pytest.param("/a%2Fb", "/a%2Fb", id="an-escaped-slash-in-upper-case"),
        pytest.param("/a%5cb", "/a%5Cb", id="an-escaped-backslash"),
        pytest.param("/..%2fadmin", "/..%2Fadmin", id="dots-before-an-escaped-slash"),
        pytest.param("/a%23b", "/a%23b", id="an-escaped-fragment-mark-stays-escaped"),
        pytest.param("/a%3Fb", "/a%3Fb", id="an-escaped-question-mark-stays-escaped"),
        pytest.param("/a%3Bb", "/a%3Bb", id="an-escaped-semicolon-stays-escaped"),
        pytest.param("/100%25", "/100%25", id="an-escaped-percent-sign"),
        pytest.param("/a%2520b", "/a%2520b", id="an-escaped-percent-sign-before-harmless-digits"),
        # --- what browsers leave raw in a path is escaped
        pytest.param("/a[b]", "/a%5Bb%5D", id="brackets"),
        pytest.param("/a[]=b", "/a%5B%5D=b", id="brackets-of-a-list"),
        pytest.param("/a|b", "/a%7Cb", id="a-bar"),
        pytest.param("/a^b", "/a%5Eb", id="a-caret"),
        pytest.param("/[|%5b%7c%41]^", "/%5B%7C%5B%7CA%5D%5E", id="raw-beside-escaped"),
        pytest.param("/a%5", REFUSED, id="half-an-escape-at-the-end"),
        pytest.param("/a%[b", REFUSED, id="an-escape-that-a-bracket-breaks-off"),
        pytest.param("/a%5|b", REFUSED, id="an-escape-that-a-bar-breaks-off"),
        pytest.param("/a[/../b", REFUSED, id="dots-behind-a-bracket"),
        pytest.param("/a|//b", REFUSED, id="two-slashes-behind-a-bar"),
        pytest.param("/..|/b", "/..%7C/b", id="dots-before-a-bar-are-a-name"),
        # --- the query is passed on as it came, and no part of it is path
        pytest.param("/?", "/", id="an-empty-query"),
        pytest.param("/x?a=1&b=%zz", "/x", id="whatever-stands-in-the-query"),
        pytest.param("/x?/../admin", "/x", id="dot-segments-in-the-query"),
        pytest.param("/x?a?b", "/x", id="a-question-mark-in-the-query"),
        pytest.param('/x?a={}[]|\\^`"<>', "/x", id="what-browsers-leave-unescaped-in-a-query"),
        pytest.param("/%41?x=%41", "/A", id="escapes-in-the-query-are-not-touched"),
        # --- dot segments
        pytest.param("/.", REFUSED, id="a-dot"),
        pytest.param("/..", REFUSED, id="two-dots"),
        pytest.param("/./", REFUSED, id="a-dot-and-a-slash"),
        pytest.param("/public/../admin", REFUSED, id="up-and-down-again"),
        pytest.param("/public/./admin", REFUSED, id="a-dot-in-the-middle"),
        pytest.param("/public/..", REFUSED, id="up-at-the-end"),
        pytest.param("/public/..?x", REFUSED, id="up-before-a-query"),
        pytest.param("/%2e", REFUSED, id="an-escaped-dot"),
        pytest.param("/public/%2e%2e/admin", REFUSED, id="escaped-dots"),
        pytest.param("/public/%2E%2E/admin", REFUSED, id="escaped-dots-in-upper-case"),
        pytest.param("/public/.%2e/admin", REFUSED, id="one-of-two-dots-escaped"),
        pytest.param("/public/..;/admin", REFUSED, id="dots-with-empty-parameters"),
        pytest.param("/public/..;x=1/admin", REFUSED, id="dots-with-parameters"),
        pytest.param("/public/.;/admin", REFUSED, id="a-dot-with-parameters"),
        pytest.param("/public/%2e%2e;/admin", REFUSED, id="escaped-dots-with-parameters"),
        pytest.param("/public/..%3b/admin", REFUSED, id="dots-with-an-escaped-semicolon"),
        pytest.param("/public/..%3Bx/admin", REFUSED, id="dots-with-escaped-parameters"),
        # --- empty segments
        pytest.param("//", REFUSED, id="two-slashes"),
        pytest.param("//admin", REFUSED, id="two-slashes-in-front"),
        pytest.param("//evil.example/x", REFUSED, id="a-path-that-looks-like-an-authority"),
        pytest.param("/a//b", REFUSED, id="two-slashes-in-the-middle"),
        pytest.param("/a//", REFUSED, id="two-slashes-at-the-end"),
        # --- escaped twice
        pytest.param("/%252e%252e/admin", REFUSED, id="dots-escaped-twice"),
        pytest.param("/%252E%252E/admin", REFUSED, id="dots-escaped-twice-in-upper-case"),
        pytest.param("/a%252fb", REFUSED, id="a-slash-escaped-twice"),
        pytest.param("/a%255cb", REFUSED, id="a-backslash-escaped-twice"),
        pytest.param("/a%2500", REFUSED, id="a-nul-escaped-twice"),
        pytest.param("/%25252e", REFUSED, id="a-dot-escaped-three-times"),
        pytest.param("/%25%32%65%25%32%65/admin", REFUSED, id="twice-with-the-digits-escaped"),
        pytest.param("/a%25%32fb", REFUSED, id="twice-with-one-digit-escaped"),
        # --- characters that have no place in a path
        pytest.param("", REFUSED, id="nothing"),
        pytest.param("*", REFUSED, id="asterisk-form"),
        pytest.param("admin", REFUSED, id="no-slash-in-front"),
        pytest.param("?x", REFUSED, id="a-query-alone"),
        pytest.param("http://app.example.com/", REFUSED, id="absolute-form"),
        pytest.param("app.example.com:443", REFUSED, id="authority-form"),
        pytest.param("/a\\b", REFUSED, id="a-backslash"),
        pytest.param("\\admin", REFUSED, id="a-backslash-in-front"),
        pytest.param("/public/..\\admin", REFUSED, id="dots-and-a-backslash"),
        pytest.param("/a#b", REFUSED, id="a-fragment"),
        pytest.param("/x?a#b", REFUSED, id="a-fragment-after-a-query"),
        pytest.param("/#", REFUSED, id="an-empty-fragment"),
        pytest.param("/a b", REFUSED, id="a-space"),
        pytest.param("/a\tb", REFUSED, id="a-tab"),
        pytest.param("/a\nb", REFUSED, id="a-line-feed"),
        pytest.param("/a\n", REFUSED, id="a-line-feed-at-the-end"),
        pytest.param("/x?a\n", REFUSED, id="a-line-feed-after-the-query"),
        pytest.param("/x?a\r\nX: y", REFUSED, id="a-field-in-the-query"),
        pytest.param("/a\rb", REFUSED, id="a-carriage-return"),
        pytest.param("/a\0b", REFUSED, id="a-nul"),
        pytest.param("/a\x7fb", REFUSED, id="a-delete"),
        pytest.param("/x?a b", REFUSED, id="a-space-in-the-query"),
        pytest.param("/x?a\0", REFUSED, id="a-nul-in-the-query"),
        pytest.param("/café", REFUSED, id="a-letter-that-is-not-ascii"),
        pytest.param("/x?é", REFUSED, id="a-letter-that-is-not-ascii-in-the-query"),
        pytest.param("/\u2024\u2024/admin", REFUSED, id="unicode-dots"),
        pytest.param("/a\uff0fb", REFUSED, id="a-unicode-slash"),
        pytest.param("/\udcff", REFUSED, id="an-octet-that-was-not-utf-8"),
        pytest.param('/a"b', REFUSED, id="a-quotation-mark"),
        pytest.param("/a`b", REFUSED, id="a-grave-accent"),
        pytest.param("/{a}", REFUSED, id="braces"),
        pytest.param("/<a>", REFUSED, id="angle-brackets"),
        # --- escapes that stand for nothing good
        pytest.param("/a%00b", REFUSED, id="an-escaped-nul"),
        pytest.param("/a%0ab", REFUSED, id="an-escaped-line-feed"),
        pytest.param("/a%0D%0Ab", REFUSED, id="an-escaped-line-break"),
        pytest.param("/a%09b", REFUSED, id="an-escaped-tab"),
        pytest.param("/a%1fb", REFUSED, id="the-last-escaped-control"),
        pytest.param("/a%7Fb", REFUSED, id="an-escaped-delete"),
        pytest.param("/%", REFUSED, id="a-percent-sign-alone"),
        pytest.param("/a%2", REFUSED, id="half-an-escape"),
        pytest.param("/a%zz", REFUSED, id="an-escape-without-hex"),
        pytest.param("/%u002e%u002e/x", REFUSED, id="escapes-as-of-javascript"),
        pytest.param("/%%32e", REFUSED, id="a-percent-sign-before-an-escape"),
        pytest.param("/%c0%ae%c0%ae/admin", REFUSED, id="overlong-dots"),
        pytest.param("/%c0%afadmin", REFUSED, id="an-overlong-slash"),
        pytest.param("/%e0%80%ae", REFUSED, id="an-overlong-dot-of-three-octets"),
        pytest.param("/%f0%80%80%ae", REFUSED, id="an-overlong-dot-of-four-octets"),
        pytest.param("/%ed%a0%80", REFUSED, id="half-a-surrogate-pair"),
        pytest.param("/%ff", REFUSED, id="an-octet-that-is-never-utf-8"),
        pytest.param("/%c3", REFUSED, id="half-a-character"),
        pytest.param("/%E9t%E9", REFUSED, id="latin-1"),
        pytest.param("/%f4%90%80%80", REFUSED, id="beyond-unicode"),
    ],
)
def test_a_target_has_one_canonical_path_or_is_refused(raw: str, expected: str | None) -> None:
    """Equivalent spellings become one; ambiguous ones are refused."""
    if expected is REFUSED:
        with pytest.raises(BadTarget):
            canonical_target(raw)
    else:
        assert expected == canonical_target(raw).path


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/x", "/x", id="no-query"),
        pytest.param("/x?", "/x?", id="an-empty-query-keeps-its-mark"),
        pytest.param("/x?a=1", "/x?a=1", id="a-query"),
        pytest.param("/%41?%41?%2f&a=%zz", "/A?%41?%2f&a=%zz", id="the-query-keeps-every-octet"),
    ],
)
def test_the_canonical_path_is_sent_upstream(raw: str, expected: str) -> None:
    """The matched object is serialised: its own path, then the query as it came."""
    assert expected == canonical_target(raw).wire


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/a/b", False, id="plain"),
        pytest.param("/a%20b", False, id="another-escape"),
        pytest.param("/a%2fb", True, id="a-slash-in-lower-case"),
        pytest.param("/a%2Fb", True, id="a-slash-in-upper-case"),
        pytest.param("/a%5cb", True, id="a-backslash"),
        pytest.param("/a?b=%2F", False, id="in-the-query"),
        pytest.param("/%41?b=%2F", False, id="in-the-query-behind-an-escape"),
    ],
)
def test_an_encoded_slash_is_noticed(raw: str, expected: bool) -> None:
    """A target tells whether its path holds an escaped slash or backslash, in either case."""
    assert expected is canonical_target(raw).has_encoded_slash


_PIECES = st.sampled_from([
    "/", "//", ".", "..", ";", "?", "#", "%", "\\", "*", ":", "a", "admin", "é", " ", "\n", "\0",
    "%2e", "%2E", "%2f", "%2F", "%5c", "%3b", "%00", "%25", "%252e", "%32", "%65", "%41", "%7e",
    "%c3%a9", "%C0%AE", "[", "]", "^", "|", "%5b", "%7C", "%7", "%",
])  # fmt: skip
TEXT = st.text() | st.lists(_PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces))
"""Any text, and text made of the parts of attacks."""


SHAPES = [
    pytest.param("%40", id="reserved"),
    pytest.param("%40;", id="reserved-with-parameters"),
    pytest.param("%3b", id="lower-case"),
    pytest.param("x%3b/", id="parameters-by-escape"),
    pytest.param("%41", id="unreserved"),
    pytest.param("a;/", id="parameters"),
    pytest.param("%c3%a9", id="utf-8"),
    pytest.param("a%2Fb", id="slashes"),
    pytest.param("|", id="raw"),
    pytest.param("|%25", id="raw-and-percent"),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_path_holds_so_many_escapes_and_parameters(shape: str) -> None:
    """One more is refused, before any work is done for the others."""
    marks = shape.count("%") + shape.count(";") + shape.count("|")
    path = "/" + shape * (MAX_ESCAPES // marks) + "%20" * (MAX_ESCAPES % marks)
    assert alternative_paths(canonical_target(path).path) is not None
    with pytest.raises(BadTarget):
        alternative_paths(canonical_target(path + shape).path)


def judging_s(path: str) -> float:
    """How long a path takes, at best, until it is accepted or refused."""
    times = []
    for _ in range(9):
        begun_s = perf_counter()
        with suppress(BadTarget):
            alternative_paths(canonical_target(path).path)
        times.append(perf_counter() - begun_s)
    return min(times)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_path_is_much_work(shape: str) -> None:
    """Neither the longest, nor the one with the most escapes (it was 200 times a plain one)."""
    plain_s = judging_s("/" + "a" * 16_000)
    assert judging_s("/x" + shape * (16_000 // len(shape))) < 40 * plain_s
    assert judging_s("/x" + shape * (MAX_ESCAPES // 2)) < 40 * plain_s


@given(TEXT)
@example("/%25%32%65")
def test_canonical_targets_stay_as_they_are(raw: str) -> None:
    """A second gateway or app that canonicalises them reads the same."""
    try:
        target = canonical_target(raw)
    except BadTarget:
        return
    assert target == canonical_target(target.wire)


@given(TEXT)
def test_a_canonical_path_holds_nothing_ambiguous(raw: str) -> None:
    """No empty or dot segments, no lower-case escapes, no escapes of unreserved characters."""
    try:
        path, wire, _ = canonical_target(raw)
    except BadTarget:
        return
    assert wire.startswith(path)
    assert "//" not in path
    assert not {".", ".."} & {segment.partition(";")[0] for segment in path.split("/")}
    for escape in re.findall(r"%..", path):
        assert escape == escape.upper()
        assert not re.fullmatch(rb"[A-Za-z0-9._~-]", unquote_to_bytes(escape))


@given(TEXT)
def test_the_canonical_path_is_equivalent(raw: str) -> None:
    """The standard library decodes it and the original to the same path."""
    try:
        target = canonical_target(raw)
    except BadTarget:
        return
    came_path, _, came_query = raw.partition("?")
    assert unquote_to_bytes(came_path) == unquote_to_bytes(target.path)
    assert came_query == target.wire.partition("?")[2]


@given(TEXT)
def test_any_text_is_read_or_refused(raw: str) -> None:
    """No text of a client raises anything but the refusal."""
    try:
        _, origin_form = split_absolute(raw)
        alternative_paths(canonical_target(origin_form).path)
    except BadTarget:
        return


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/a/b", (), id="a-plain-path-has-one-reading"),
        pytest.param("/a%20b", (), id="other-escapes-have-one-reading"),
        pytest.param("/admin;x/users", ("/admin/users",), id="parameters-cut-off"),
        pytest.param("/a;x/b;y;z=1", ("/a/b",), id="parameters-cut-off-everywhere"),
        pytest.param("/;x", ("/",), id="parameters-of-the-root"),
        pytest.param("/a%2Fb", ("/a/b",), id="an-escaped-slash-decoded"),
        pytest.param("/a%5Cb", ("/a/b",), id="an-escaped-backslash-taken-as-slash"),
        pytest.param("/a%2F", ("/a/",), id="an-escaped-slash-at-the-end"),
        pytest.param("/a;x%2Fb", ("/a", "/a/b"), id="parameters-that-hold-an-escaped-slash"),
        pytest.param("/..%2Fadmin", REFUSED, id="dots-that-a-decoder-makes-a-segment"),
        pytest.param("/a%2F..%2Fb", REFUSED, id="dots-between-escaped-slashes"),
        pytest.param("/a%5C..%5Cb", REFUSED, id="dots-between-escaped-backslashes"),
        pytest.param("/a%2F..;x", REFUSED, id="dots-with-parameters-behind-an-escaped-slash"),
        pytest.param("/a%2F%2Fb", REFUSED, id="two-escaped-slashes"),
        pytest.param("/a%2F/b", REFUSED, id="an-escaped-slash-beside-a-slash"),
        pytest.param("/%2Fadmin", REFUSED, id="an-escaped-slash-in-front"),
        pytest.param("/;x/admin", REFUSED, id="parameters-that-leave-an-empty-segment"),
    ],
)
def test_alternative_paths(path: str, expected: tuple[str, ...] | None) -> None:
    """They are those of servlet containers and decoding frameworks; none leads upwards."""
    if expected is REFUSED:
        with pytest.raises(BadTarget):
            alternative_paths(path)
    else:
        assert expected == alternative_paths(path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/a?b", (None, "/a?b"), id="origin-form"),
        pytest.param("http://h/a?b", ((("h", None), 80), "/a?b"), id="absolute-form"),
        pytest.param("https://h:8443/a", ((("h", 8443), 443), "/a"), id="absolute-form-with-port"),
        pytest.param("HTTP://H/a", ((("h", None), 80), "/a"), id="scheme-and-host-in-any-case"),
        pytest.param("http://h", ((("h", None), 80), "/"), id="no-path-is-the-root"),
        pytest.param("http://h?x=1", ((("h", None), 80), "/?x=1"), id="no-path-but-a-query"),
        pytest.param("http://h#x", ((("h", None), 80), "/#x"), id="a-fragment-stays-to-be-refused"),
        pytest.param("http://[::1]:80/a", ((("[::1]", 80), 80), "/a"), id="ipv6"),
        pytest.param("//h/a", (None, "//h/a"), id="no-scheme-is-origin-form"),
        pytest.param("*", REFUSED, id="asterisk-form"),
        pytest.param("", REFUSED, id="nothing"),
        pytest.param("h:443", REFUSED, id="authority-form"),
        pytest.param("ftp://h/a", REFUSED, id="another-scheme"),
        pytest.param("javascript://h/a", REFUSED, id="javascript"),
        pytest.param("http:/h/a", REFUSED, id="one-slash"),
        pytest.param("http:///a", REFUSED, id="no-authority"),
        pytest.param("http://u@h/a", REFUSED, id="userinfo"),
        pytest.param("http://u:p@h/a", REFUSED, id="userinfo-with-password"),
        pytest.param("http://h\\@evil/a", REFUSED, id="a-backslash-in-the-authority"),
        pytest.param("http://h:99999/a", REFUSED, id="a-port-that-is-none"),
        pytest.param(" http://h/a", REFUSED, id="a-space-in-front"),
    ],
)
def test_absolute_form_is_split(
    raw: str, expected: tuple[tuple[tuple[str, int | None], int] | None, str] | None
) -> None:
    """It becomes an authority and an origin-form; other forms are refused."""
    if expected is REFUSED:
        with pytest.raises(BadTarget):
            split_absolute(raw)
    else:
        assert expected == split_absolute(raw)


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("http://h/", "h", True),
        ("http://h:80/", "h", True),
        ("http://h/", "h:80", True),
        ("http://h:/", "H.:", True),
        ("https://h:443/", "h", True),
        ("https://h/", "h:443", True),
        ("http://h:8080/", "h:8080", True),
        ("http://h:443/", "h", False),
        ("https://h:80/", "h", False),
        ("https://h/", "h:80", False),
        ("http://h:8080/", "h", False),
        ("http://h/", "h:8080", False),
        ("http://h/", "g", False),
    ],
)
def test_the_default_port_of_the_scheme_may_be_left_out(
    target: str, host: str, expected: bool
) -> None:
    """Of the target, of Host, or of both (RFC 9110 section 4.2.3)."""
    absolute, _ = split_absolute(target)
    assert absolute is not None
    assert expected == absolute.agrees_with(parse_authority(host))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("app.example.com", ("app.example.com", None), id="a-name"),
        pytest.param("APP.Example.COM", ("app.example.com", None), id="upper-case"),
        pytest.param("app.example.com.", ("app.example.com", None), id="a-dot-at-the-end"),
        pytest.param("app.example.com:8080", ("app.example.com", 8080), id="a-port"),
        pytest.param("App.Example.com.:443", ("app.example.com", 443), id="all-three"),
        pytest.param("localhost", ("localhost", None), id="one-label"),
        pytest.param("my_app", ("my_app", None), id="an-underscore"),
        pytest.param("127.0.0.1:1", ("127.0.0.1", 1), id="ipv4-and-the-lowest-port"),
        pytest.param("a:65535", ("a", 65535), id="the-highest-port"),
        pytest.param("a:00080", ("a", 80), id="zeros-before-a-port"),
        pytest.param("a:", ("a", None), id="an-empty-port"),
        pytest.param("[::1]:", ("[::1]", None), id="an-empty-port-behind-ipv6"),
        pytest.param("[::1]", ("[::1]", None), id="ipv6"),
        pytest.param("[2001:DB8::1]:443", ("[2001:db8::1]", 443), id="ipv6-with-port"),
        pytest.param("[0:0:0:0:0:0:0:1]", ("[::1]", None), id="ipv6-spelled-out"),
        pytest.param("[2001:db8:0::01]", ("[2001:db8::1]", None), id="ipv6-with-zeros"),
        pytest.param("", REFUSED, id="nothing"),
        pytest.param(".", REFUSED, id="a-dot"),
        pytest.param(".a", REFUSED, id="a-dot-in-front"),
        pytest.param("a..b", REFUSED, id="an-empty-label"),
        pytest.param("a..", REFUSED, id="two-dots-at-the-end"),
        pytest.param("-a", REFUSED, id="a-hyphen-in-front"),
        pytest.param("a::", REFUSED, id="two-colons"),
        pytest.param(":", REFUSED, id="a-colon-alone"),
        pytest.param("a:0", REFUSED, id="port-0"),
        pytest.param("a:65536", REFUSED, id="a-port-too-high"),
        pytest.param("a:99999", REFUSED, id="port-99999"),
        pytest.param("a:100000", REFUSED, id="six-digits"),
        pytest.param("a:-1", REFUSED, id="a-negative-port"),
        pytest.param("a:http", REFUSED, id="a-port-by-name"),
        pytest.param("a:８０", REFUSED, id="digits-that-are-not-ascii"),
        pytest.param("a:80:80", REFUSED, id="two-ports"),
        pytest.param("u@a", REFUSED, id="userinfo"),
        pytest.param("a/b", REFUSED, id="a-path"),
        pytest.param("a?b", REFUSED, id="a-query"),
        pytest.param("a,b", REFUSED, id="two-hosts-in-one-field"),
        pytest.param("a b", REFUSED, id="a-space"),
        pytest.param("a\n", REFUSED, id="a-line-feed-at-the-end"),
        pytest.param("a\tb", REFUSED, id="a-tab"),
        pytest.param("a%2eb", REFUSED, id="an-escape"),
        pytest.param("*.example.com", REFUSED, id="a-wildcard"),
        pytest.param("exämple.com", REFUSED, id="a-letter-that-is-not-ascii"),
        pytest.param("a\udcff", REFUSED, id="an-octet-that-was-not-utf-8"),
        pytest.param("::1", REFUSED, id="ipv6-without-brackets"),
        pytest.param("[::1", REFUSED, id="an-open-bracket"),
        pytest.param("[::1]x", REFUSED, id="text-behind-the-bracket"),
        pytest.param("[::1].", REFUSED, id="a-dot-behind-the-bracket"),
        pytest.param("[fe80::1%25eth0]", REFUSED, id="a-zone"),
        pytest.param("[:::]", REFUSED, id="colons-that-are-no-address"),
        pytest.param("[..]", REFUSED, id="dots-in-brackets"),
        pytest.param("a" * 255, REFUSED, id="longer-than-a-name-can-be"),
    ],
)
def test_a_host_has_one_spelling_or_is_refused(
    text: str, expected: tuple[str, int | None] | None
) -> None:
    """Case, the final dot and the spellings of IPv6 make one host; malformed ones are refused."""
    if expected is REFUSED:
        with pytest.raises(BadHost):
            parse_authority(text)
    else:
        assert Authority(*expected) == parse_authority(text)


@given(st.text() | st.from_regex(r"\A[\[\]A-Fa-f0-9:.@%-]{0,20}(:[0-9]{0,6})?\Z"))
def test_any_host_is_read_or_refused(text: str) -> None:
    """Any text becomes a host that is read the same again, or is refused."""
    try:
        host, _ = parse_authority(text)
    except BadHost:
        return
    assert host == parse_authority(host).host


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/%40admin/x", "/@admin/x", id="at-sign"),
        pytest.param("/%24metadata", "/$metadata", id="dollar"),
        pytest.param("/api%3Av1/x", "/api:v1/x", id="colon"),
        pytest.param("/admin%3Bx/y", "/admin/y", id="escaped-parameters"),
    ],
)
def test_escaped_reserved_characters_are_read_decoded(path: str, expected: str) -> None:
    """Apps decode them, so they cannot bypass a route for the plain spelling."""
    assert expected in alternative_paths(path)


# --- another prefix upstream -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "prefix", "new_prefix", "expected"),
    [
        pytest.param("/api/users", "/api", "", "/users", id="cut-off"),
        pytest.param("/api", "/api", "", "/", id="nothing-is-left"),
        pytest.param("/api/", "/api", "", "/", id="a-slash-is-left"),
        pytest.param("/api?x=/api", "/api", "", "/?x=/api", id="the-query-stays"),
        pytest.param("/api/api/x", "/api", "", "/api/x", id="cut-off-once"),
        pytest.param("/api/users", "/api", "/v2", "/v2/users", id="replaced"),
        pytest.param("/api", "/api", "/v2", "/v2", id="replaced-as-a-whole"),
        pytest.param("/users?a", "", "/v2", "/v2/users?a", id="put-in-front"),
        pytest.param("/", "", "/v2", "/v2/", id="put-in-front-of-the-root"),
        pytest.param("/api/a%2Fb", "/api", "", "/a%2Fb", id="an-encoded-slash-stays-one"),
        pytest.param("/apis/users", "/api", "", REFUSED, id="not-at-a-slash"),
        pytest.param("/other", "/api", "", REFUSED, id="not-there"),
        pytest.param("/", "", "/a/..", REFUSED, id="dots-in-the-new-one"),
        pytest.param("/", "", "/%61", REFUSED, id="a-new-one-that-is-not-canonical"),
    ],
)
def test_a_prefix_is_replaced(raw: str, prefix: str, new_prefix: str, expected: str | None) -> None:
    """It is replaced once, at a slash; the result is canonical or refused."""
    target = canonical_target(raw)
    if expected is REFUSED:
        with pytest.raises(BadTarget):
            with_prefix_replaced(target, prefix, new_prefix)
    else:
        assert canonical_target(expected) == with_prefix_replaced(target, prefix, new_prefix)
        assert expected == with_prefix_replaced(target, prefix, new_prefix).wire


@given(TEXT, st.integers(0, 4), st.sampled_from(["", "/v2", "/v2/x;y", "/%2F"]))
@example("/api/..%2Fadmin", 1, "")
@example("/api/%2Fevil.example", 1, "")
@example("/api/;/admin", 1, "")
def test_replacing_a_prefix_opens_nothing(raw: str, segments: int, new_prefix: str) -> None:
    """
    The result is canonical, or is refused; no reading of it begins with ``//``.

    A prefix that is cut before the path is normalised makes ``/admin`` of ``/api/..;/admin``
    (CVE-2026-48020).
    """
    try:
        target = canonical_target(raw)
        alternative_paths(target.path)
    except BadTarget:
        return
    prefix = "/".join(target.path.split("/")[: segments + 1]).removesuffix("/")
    try:
        new = with_prefix_replaced(target, prefix, new_prefix)
    except BadTarget:
        return
    assert new == canonical_target(new.wire)
    assert new.path == (new_prefix + target.path[len(prefix) :] or "/")
    assert new.wire[len(new.path) :] == target.wire[len(target.path) :]
    for reading in (new.path, *alternative_paths(new.path)):
        assert not reading.startswith("//")
        assert not {".", ".."} & set(reading.split("/"))
