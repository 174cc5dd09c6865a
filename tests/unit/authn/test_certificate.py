"""Client certificates: their names, and the identities that they stand for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.certificate import CertificateNames, pattern, read
from gateway.core.identity import AuthMethod
from gateway.core.request import Certificate
from tests.fakes.certificates import Authority, der_in

NOW_S = 1_800_000_000.0
BEGINS_MS, ENDS_MS = int((NOW_S - 60) * 1000), int((NOW_S + 60) * 1000)


def shown(*names: tuple[str, str]) -> Certificate:
    return Certificate(names, "1f", BEGINS_MS, ENDS_MS)


def named(certificate: Certificate, *patterns: str, common_name: bool = False) -> str | None:
    """The identity of a certificate, by these patterns."""
    known = CertificateNames([pattern(text) for text in patterns], common_name=common_name)
    identity = known.identity(certificate, NOW_S)
    return None if identity is None else identity.user.issuer


@pytest.mark.parametrize(
    ("text", "kind", "name", "expected"),
    [
        ("a.example", "dns", "a.example", True),
        ("A.Example", "dns", "a.example", True),
        ("a.example", "dns", "b.example", False),
        ("a.example", "uri", "a.example", False),
        ("*.svc.example", "dns", "a.svc.example", True),
        ("*.svc.example", "dns", "svc.example", False),
        ("*.svc.example", "dns", ".svc.example", False),
        ("*.svc.example", "dns", "a.b.svc.example", False),
        ("*.svc.example", "dns", "evilsvc.example", False),
        ("*.svc.example", "dns", "*.svc.example", False),
        ("ops@a.example", "email", "ops@a.example", True),
        ("*@a.example", "email", "ops@a.example", True),
        ("*@a.example", "email", "ops@b@a.example", False),
        ("*@a.example", "email", "ops@a.example.evil", False),
        ("*@a.example", "dns", "ops@a.example", False),
        ("spiffe://a.example/x", "uri", "spiffe://a.example/x", True),
        ("spiffe://a.example/x", "uri", "spiffe://a.example/x/y", False),
        ("spiffe://a.example/x/*", "uri", "spiffe://a.example/x/y/z", True),
        ("spiffe://a.example/x/*", "uri", "spiffe://a.example/xy", False),
        ("spiffe://a.example/x/*", "uri", "spiffe://a.example/x/../y", False),
        ("spiffe://a.example/x/*", "uri", "spiffe://a.example/x/..", False),
        ("spiffe://a.example/x/*", "uri", "spiffe://a.example/x/%2E%2e/y", False),
        ("a.example", "cn", "a.example", False),
        # Apps split names at commas and the like: labels are letters, digits and hyphens.
        ("*.svc.example", "dns", "evil,job.svc.example", False),
        ("*.svc.example", "dns", "a_b.svc.example", False),
        ("*.svc.example", "dns", "-a.svc.example", False),
        ("*.svc.example", "dns", "a-.svc.example", False),
        ("*.svc.example", "dns", "a/b.svc.example", False),
        ("*.svc.example", "dns", "a" * 64 + ".svc.example", False),
        ("*.svc.example", "dns", "a" * 63 + ".svc.example", True),
        ("*.svc.example", "dns", "xn--a-0.svc.example", True),
        ("*@a.example", "email", "evil,ops@a.example", False),
        ("*@a.example", "email", '"ops"@a.example', False),
        ("*@a.example", "email", "o..ps@a.example", False),
        ("*@a.example", "email", "o.ps+x@a.example", True),
        # SPIFFE-ID section 2.2: no empty or dot segments, no escapes, no query, no fragment.
        ("spiffe://a.example/*", "uri", "spiffe://a.example/..%2fx", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/./a", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/a/.", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example//a", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/a//b", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/a/", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/?b#c", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/b?c", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/b#c", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/a,b", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/a:b", False),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/...", True),
        ("spiffe://a.example/*", "uri", "spiffe://a.example/.a/b..c/D_1-2", True),
        ("https://a.example/x/*", "uri", "https://a.example/x/a%2fb", False),
        ("https://a.example/x?y=z", "uri", "https://a.example/x?y=z", True),
    ],
)
def test_a_pattern_matches_names_of_its_kind(
    text: str, kind: str, name: str, expected: bool
) -> None:
    """A star is one label, one mailbox, or all paths below."""
    assert (f"cert:{name}" if expected else None) == named(shown((kind, name)), text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "a.*", "a*.example", "*a.example", "*.*.example", "a@*", "*x@a.example"),
        *("x://*y/*", "spiffe://a.example/*/x", "spiffe://a.example/x*"),
        *("a b", "é.example", "x" * 257, "a\n"),
        *("a,b.example", "a_b.example", "-a.example", "a..example", "*.", "*@a,b", "a@b..c"),
        *("spiffe://a.example/../x", "spiffe://a.example//x/*", "spiffe://a.example/%2e/*"),
        *("spiffe://A.example/x", "spiffe://a.example/", "spiffe:///x", "spiffe://a.example?x/*"),
    ],
)
def test_malformed_patterns_are_refused(text: str) -> None:
    """A star anywhere else would be ambiguous."""
    with pytest.raises(ValueError, match="expected a name"):
        pattern(text)


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_is_refused(text: str) -> None:
    """Nothing else is raised."""
    try:
        found = pattern(text)
    except ValueError:
        return
    if "*" not in text:
        assert found.matches(found.kind, found.text)


def test_the_order_of_the_config_decides_between_names() -> None:
    """The order inside the certificate does not."""
    both = shown(("dns", "a.example"), ("uri", "spiffe://a.example/x"))
    assert "cert:spiffe://a.example/x" == named(both, "spiffe://a.example/*", "a.example")
    assert "cert:a.example" == named(both, "a.example", "spiffe://a.example/*")


def test_a_common_name_counts_where_the_config_says_so() -> None:
    """It is compared as a host name."""
    assert named(shown(("cn", "a.example")), "a.example") is None
    assert "cert:a.example" == named(shown(("cn", "a.example")), "a.example", common_name=True)
    assert named(shown(("cn", "ops@a.example")), "*@a.example", common_name=True) is None


@pytest.mark.parametrize(
    ("now_s", "is_good"),
    [
        pytest.param(BEGINS_MS / 1000, True, id="from-its-first-moment"),
        pytest.param(BEGINS_MS / 1000 - 1, False, id="not-before"),
        pytest.param(ENDS_MS / 1000, False, id="not-beyond"),
    ],
)
def test_an_expired_certificate_names_no_identity(now_s: float, is_good: bool) -> None:
    """Validity is checked with each request, as connections may last longer."""
    known = CertificateNames([pattern("a.example")])
    assert is_good == (known.identity(shown(("dns", "a.example")), now_s) is not None)


def test_a_certificate_has_one_identity_object() -> None:
    """It is cached while it is shown."""
    known = CertificateNames([pattern("a.example")])
    identity = known.identity(shown(("dns", "a.example")), NOW_S)
    assert identity is not None
    assert (AuthMethod.CLIENT_CERTIFICATE, "1f", ENDS_MS) == (
        *(identity.method, identity.token_id),
        identity.expires_at_ms,
    )
    assert identity is known.identity(shown(("dns", "a.example")), NOW_S)


# --- real ones ---------------------------------------------------------------------------------


def test_subject_alternative_names_are_read(tmp_path: Path) -> None:
    """IP addresses are not among them."""
    names = ("A.example", "spiffe://a.example/x", "ops@a.example", "192.0.2.1")
    certificate = read(der_in(Authority(tmp_path).issue(*names, file="a").certificate))
    assert certificate is not None
    assert (
        ("dns", "a.example"),
        ("uri", "spiffe://a.example/x"),
        ("email", "ops@a.example"),
    ) == certificate.names
    assert certificate.begins_ms < certificate.ends_ms


def test_the_common_name_is_read_without_other_names_alone(tmp_path: Path) -> None:
    """A requester may choose the subject of its certificate."""
    authority = Authority(tmp_path)
    alone = read(der_in(authority.issue(file="alice").certificate))
    assert alone is not None
    assert (("cn", "alice"),) == alone.names
    beside = read(der_in(authority.issue("192.0.2.1", file="bob").certificate))
    assert beside is not None
    assert () == beside.names


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x03\x02\x01\x00"])
def test_an_unreadable_certificate_names_no_identity(der: bytes) -> None:
    """It counts as absent."""
    assert read(der) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"\x82\x09a.example", b"\xa3\x09a.example", id="name-of-x400"),
        pytest.param(b"\x82\x09a.example", b"\xa5\x09a.example", id="name-of-edi"),
        pytest.param(b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x23", id="extension-said-twice"),
        pytest.param(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", id="unheard-of-version"),
    ],
)
def test_a_certificate_that_only_openssl_accepts_names_no_identity(
    before: bytes, after: bytes, tmp_path: Path
) -> None:
    """The connection goes on."""
    der = der_in(Authority(tmp_path).issue("a.example", file="a").certificate)
    assert before in der
    assert read(der.replace(before, after)) is None
