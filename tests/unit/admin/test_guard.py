"""The guard of the API of the private listener."""

import pytest

from gateway.admin.guard import host_of, is_json, refusal

KNOWN = frozenset({"localhost", "gateway-admin"})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9090",
        "127.0.0.1",
        "[::1]:9090",
        "10.1.2.3:9090",
        "localhost:9090",
        "LOCALHOST",
        "Gateway-Admin:9090",
    ],
)
def test_programs_that_name_the_listener_may(host: str) -> None:
    """By an address, or by a name that the config knows."""
    assert refusal({"Host": host}, KNOWN) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9090",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "[localhost]x",
        "127.1",
        "0x7f000001",
        "127.0.0.1@evil.example",
        "",
    ],
)
def test_other_names_may_not(host: str) -> None:
    """A page may have pointed its own name here."""
    assert refusal({"Host": host}, KNOWN) == "Host is neither an address nor in admin.hosts"


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Referer"])
def test_no_page_may(name: str) -> None:
    """Whatever a browser says where a request comes from: it was a page that asked."""
    said = refusal({"Host": "localhost", name: "same-origin"}, KNOWN)
    assert said == f"a request with {name} comes from a browser"


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("A.b:1", "a.b"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("::1", ""),
        ("[", ""),
        ("a:b:1", ""),
        ("a:", ""),
    ],
)
def test_the_host_of_a_field(field: str, host: str) -> None:
    """In lower case, without port and brackets; IPv6 without brackets is no host."""
    assert host == host_of(field)


@pytest.mark.parametrize(
    ("content_type", "is_so"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/json-patch+json", False),
        ("text/plain; application/json", False),
        ("", False),
    ],
)
def test_json_alone(content_type: str, is_so: bool) -> None:
    """A form of another site can be sent as text, and never as this."""
    assert is_so == is_json(content_type)
