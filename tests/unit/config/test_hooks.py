"""Section ``hooks``: endpoints, their secrets, and where they may be."""

from collections.abc import Callable

import pytest

from gateway.config.hook_checks import HOOK_LINTS
from gateway.config.hooks import host_of
from gateway.config.lint import lint
from gateway.config.problems import dotted
from gateway.config.schema import Settings
from gateway.core.event import EventType

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

SECRET, OLD = "whsec_" + "c2Vj" * 8, "whsec_" + "b2xk" * 8
FIRST = f"hooks: {{first_login: {{url: 'https://crm.example.com/new', secret: {SECRET}}}}}"


def listed(keys: str, more: str = "") -> str:
    """Return a config with an endpoint of these ``keys``, and ``more`` of the section."""
    return f"hooks: {{{more}endpoints: [{{name: a, events: [user.login], {keys}}}]}}"


def at(url: str, more: str = "") -> str:
    return listed(f"url: '{url}', secret: {SECRET}", more)


def test_none_by_default(read: Read) -> None:
    """A config without the section has no endpoint."""
    hooks = read("").hooks
    assert () == hooks.all_endpoints
    assert (10.0, ()) == (hooks.timeout_s, hooks.allow_private)


def test_the_short_form_is_an_endpoint(read: Read) -> None:
    """It hears of first logins alone, and comes before the others."""
    [short] = read(FIRST).hooks.all_endpoints
    assert ("first-login", (EventType.FIRST_LOGIN,)) == (short.name, short.events)
    assert ("https://crm.example.com/new", False) == (short.url, short.wait)
    assert (SECRET,) == short.all_secrets


def test_all_keys(read: Read) -> None:
    """Secrets are hidden when the settings are shown."""
    keys = f"url: 'http://[::1]:81/x?k=1', secrets: [{SECRET}, {OLD}], wait: true"
    hooks = read(listed(keys, "allow_private: ['::1/128'], timeout: 3s, ")).hooks
    [endpoint] = hooks.all_endpoints
    assert ((SECRET, OLD), True, 3.0) == (endpoint.all_secrets, endpoint.wait, hooks.timeout_s)
    assert SECRET not in repr(hooks)
    assert "::1" == host_of(endpoint.url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            listed("url: 'https://a.example', secret: hush"),
            "secret: expected whsec_ and base64 of 24 to 64 random bytes",
        ),
        (listed("url: 'https://a.example'"), "secret: expected either secret or secrets"),
        (
            listed(f"url: 'https://a.example', secret: {SECRET}, secrets: [{OLD}]"),
            "secret: expected either secret or secrets",
        ),
        (listed("url: 'https://a.example', secrets: []"), "secrets: expected at least one entry"),
    ],
)
def test_secrets_that_sign_nothing(complaints: Complain, text: str, expected: str) -> None:
    """What is refused is not shown."""
    assert [f"gateway.yaml:1: hooks.endpoints[0].{expected}"] == complaints(text)


def test_names_are_unique(complaints: Complain) -> None:
    """That of the short form is taken, too."""
    endpoint = (
        f"{{name: first-login, url: 'https://a.example', secret: {SECRET}, events: [user.login]}}"
    )
    assert [] == complaints(f"hooks: {{endpoints: [{endpoint}]}}")
    text = FIRST[:-1] + f", endpoints: [{endpoint}]}}"
    assert ["gateway.yaml:1: hooks.endpoints[0].name: same name as hooks.first_login"] == (
        complaints(text)
    )
    text = f"hooks: {{endpoints: [{endpoint}, {endpoint}]}}"
    assert ["gateway.yaml:1: hooks.endpoints[1].name: same name as hooks.endpoints[0].name"] == (
        complaints(text)
    )


def test_events_that_are_unknown(complaints: Complain) -> None:
    """They are named."""
    text = listed(f"url: 'https://a.example', secret: {SECRET}").replace("user.login", "user.born")
    [problem] = complaints(text)
    assert problem.startswith("gateway.yaml:1: hooks.endpoints[0].events[0]: expected ")
    assert "user.first_login" in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com",
        "https://crm.example.com/a?b=c",
        "http://crm:8080/new",
        "http://crm.internal/new",
        "http://10.0.0.1/new",
        "http://[fd00::1]/new",
        "HTTPS://crm.example.com/",
    ],
)
def test_urls(complaints: Complain, url: str) -> None:
    """Over http, private ones alone."""
    assert [] == complaints(at(url))


@pytest.mark.parametrize(
    "url",
    [
        "crm.example.com",
        "ftp://crm.example.com/",
        "https://user:word@crm.example.com/",
        "https://crm.example.com/#new",
        "https://crm.example.com/a b",
        "https://crm.example.com/\u00e4",
        "https://0x7f.1/",
        "https://:443/",
        "https://a:0/",
        "https://[fe80::1%25eth0]/",
        "",
    ],
)
def test_what_is_no_url(complaints: Complain, url: str) -> None:
    """Nor one that would be read in two ways."""
    expected = "expected https://host/path; http only within private networks"
    assert [f"gateway.yaml:1: hooks.endpoints[0].url: {expected}"] == complaints(at(url))


@pytest.mark.parametrize(
    "url", ["http://crm.example.com/new", "http://8.8.8.8", "http://[2600::1]"]
)
def test_public_hosts_over_http(complaints: Complain, url: str) -> None:
    """Events are about people."""
    expected = "over http, events can be read in transit"
    assert [f"gateway.yaml:1: hooks.endpoints[0].url: {expected}"] == complaints(at(url))


@pytest.mark.parametrize("network", ["unix:", "0.0.0.0/0", "10.0.0.1/8", "private"])
def test_networks_that_are_none(complaints: Complain, network: str) -> None:
    """An operator lists what is private, and not all there is."""
    [problem] = complaints(f"hooks: {{allow_private: ['{network}']}}")
    assert problem.startswith("gateway.yaml:1: hooks.allow_private[0]: ")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (at("http://10.0.0.1/"), ["hooks.endpoints[0].url"]),
        (at("https://localhost/"), ["hooks.endpoints[0].url"]),
        (at("https://169.254.169.254/"), ["hooks.endpoints[0].url"]),
        (FIRST.replace("crm.example.com", "127.0.0.1"), ["hooks.first_login.url"]),
        (at("http://10.0.0.1/", "allow_private: [10.0.0.0/8], "), []),
        (at("https://8.8.8.8/"), []),
        (at("https://crm.example.com/"), []),
    ],
)
def test_private_addresses_are_listed(read: Read, text: str, places: list[str]) -> None:
    """Else no delivery goes there, and the operator is told."""
    codes = {code for code, _ in HOOK_LINTS}
    assert places == [dotted(found.path) for found in lint(read(text)) if found.code in codes]


def test_a_function_needs_no_url(read: Read) -> None:
    """Its name is that of the entry point."""
    [function] = read("hooks: {functions: [{name: welcome, events: [user.login]}]}").hooks.functions
    assert ("welcome", (EventType.LOGIN,), False) == (function.name, function.events, function.wait)


def test_a_function_has_no_name_of_an_endpoint(complaints: Complain) -> None:
    """Deliveries of both would wait in one queue."""
    text = listed(f"url: 'https://a.example', secret: {SECRET}")
    both = text[:-1] + ", functions: [{name: a, events: [user.login]}]}"
    assert any("hooks.functions[0].name" in each for each in complaints(both))


def test_confirmation_by_replicas(read: Read) -> None:
    """None by default; one replica within a tenth of a second, and no sign-in fails by it."""
    assert read("").hooks.confirm is None
    confirm = read("hooks: {confirm: {}}\nredis: {url: 'redis://h'}").hooks.confirm
    assert confirm is not None
    assert (1, 0.1, False) == (confirm.replicas, confirm.timeout_s, confirm.required)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://a,b/main/0", []),
        ("rediss://u:p@h.example:6380/0", []),
        ("redis+cluster://a,b", []),
        ("embedded://", ["an embedded store has no replica that could confirm"]),
        (
            "rediss://default:p@a-b.upstash.io:6379",
            ["Upstash has no WAIT: no replica can be asked to confirm"],
        ),
        (
            "upstash+https://a-b.upstash.io', token: 'hush",
            ["Upstash has no WAIT: no replica can be asked to confirm"],
        ),
    ],
)
def test_stores_that_cannot_confirm(complaints: Complain, url: str, expected: list[str]) -> None:
    """They are refused by the check of the config."""
    text = f"hooks: {{confirm: {{replicas: 1}}}}\nredis: {{url: '{url}'}}"
    assert [f"gateway.yaml:1: hooks.confirm: {each}" for each in expected] == complaints(text)
