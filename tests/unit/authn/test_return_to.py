"""Open-redirect protection of ``return_to``."""

import json
import shutil
import subprocess
from itertools import product
from typing import Final
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from gateway.authn.return_to import HOME, LONGEST, ReturnTo
from tests.hostile.redirects import GOOD, LISTED, OURS, PAYLOADS

PLACES: Final = ReturnTo(OURS, "/_gateway", [LISTED])
ALLOWED: Final = {OURS, f"https://{LISTED}"}
LOGIN_PAGE: Final = f"{OURS}/_gateway/login?return_to=x"


def named(payload: str) -> str:
    """Short, and without what a terminal would act on."""
    return ascii(payload)[1:41]


def origin_by_python(value: str) -> str:
    """Which origin Python's own parsers make of it."""
    parts = urlsplit(urljoin(LOGIN_PAGE, value))
    return f"{parts.scheme}://{parts.netloc}"


def origins_by_browsers(values: list[str]) -> list[str]:
    """Which origins a WHATWG parser, the kind that browsers have, makes of them; "" for none."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = """
      const base = process.argv[1];
      const values = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const origin = (value) => URL.canParse(value, base) ? new URL(value, base).origin : "";
      console.log(JSON.stringify(values.map(origin)));
    """
    run = subprocess.run(
        [node, "-e", program, LOGIN_PAGE],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    origins: list[str] = json.loads(run.stdout)
    return origins


def test_the_table_of_tricks_is_long_and_without_repeats() -> None:
    """The table is as long as it is meant to be, and says nothing twice."""
    assert 120 <= len(PAYLOADS) == len(set(PAYLOADS))


@pytest.mark.parametrize("payload", PAYLOADS, ids=named)
def test_tricks_are_replaced_by_the_first_page(payload: str) -> None:
    """Whatever a value tries, the result is ``/``."""
    assert HOME == PLACES.checked(payload)


@pytest.mark.parametrize(("value", "expected"), GOOD, ids=named)
def test_own_paths_keep_query_and_fragment(value: str, expected: str) -> None:
    """They are returned in their canonical spelling."""
    assert expected == PLACES.checked(value)
    assert expected == PLACES.checked(expected)


@pytest.mark.parametrize("value", [None, 7, True, b"/x", ["/x"], {"a": "/x"}], ids=repr)
def test_values_that_are_no_text_are_replaced(value: object) -> None:
    """JSON may hold anything."""
    assert HOME == PLACES.checked(value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], "/", id="none"),
        pytest.param(["/x"], "/x", id="one"),
        pytest.param(["/x", "/x"], "/", id="the-same-twice"),
        pytest.param(["/x", "//evil.example"], "/", id="a-good-one-first"),
    ],
)
def test_two_values_are_replaced(values: list[str], expected: str) -> None:
    """Two readers could take different ones."""
    assert expected == PLACES.only(values)


def test_a_value_that_is_too_long_is_replaced() -> None:
    """It is not cut."""
    longest = "/" + "a" * (LONGEST - 1)
    assert longest == PLACES.checked(longest)


def test_the_port_is_part_of_the_origin() -> None:
    """As in development, over http."""
    places = ReturnTo("http://localhost:8080", "/_gateway", ["localhost:3000"])
    assert "/x" == places.checked("http://localhost:8080/x")
    assert "http://localhost:3000/x" == places.checked("http://localhost:3000/x")
    for other in ("http://localhost/x", "http://localhost:80801/x", "https://localhost:8080/x"):
        assert HOME == places.checked(other)


def test_the_tricks_work_on_a_browser() -> None:
    """A browser leaves our site on many values of the table."""
    able = [payload for payload in PAYLOADS if payload.startswith(("/", "\\", "http"))]
    origins = [origin_by_python(payload) for payload in able if "[app." not in payload]
    assert 40 < sum(origin not in ALLOWED for origin in origins)


PIECES: Final = st.sampled_from(
    [
        *("/", "//", "\\", ".", "..", ";", "?", "#", "@", ":", "%", "&", "=", " ", "a", "x"),
        *("%2f", "%5C", "%2e", "%252f", "%09", "%0a", "%00", "%C0%AF", "%3B", "%40", "%23"),
        *("\t", "\r\n", "\0", "\x7f", "\u2028", "\uff0f", "\u3002", "\u043e", "\u00e9"),
        *("https:", "http:", "HTTPS:", "javascript:", "data:", "//evil.example", "evil.example"),
        *(OURS, f"https://{LISTED}", "app.example.com", LISTED, "_gateway", "login", "account"),
    ]
)
VALUES: Final = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=8).map("".join),
    st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)),
)


@given(VALUES)
@example("/%2F%2Fevil.example")
@example("https://app.example.com/\\evil.example")
def test_no_parser_leaves_our_origins(value: str) -> None:
    """Every parser at hand resolves every result to one of our origins."""
    checked = PLACES.checked(value)
    assert checked.isascii()
    assert checked.isprintable()
    assert origin_by_python(checked) in ALLOWED
    assert str(URL(LOGIN_PAGE).join(URL(checked, encoded=True)).origin()) in ALLOWED
    path = urlsplit(checked).path
    assert not path.startswith(("//", "/\\"))
    assert not path.startswith("/_gateway/l")
    assert checked == PLACES.checked(checked)


def test_no_browser_leaves_our_origins() -> None:
    """A WHATWG parser resolves every accepted value to one of our origins."""
    starts = ["/", "//", "/\\", OURS, OURS + "/", f"https://{LISTED}/", "https:", "\\", "/a"]
    middles = ["", "/", "\\", "\t", "@", ".", "..", ";", "%2f", "%5c", "%09", "?", "#", ":", "&"]
    ends = ["", "evil.example", "/evil.example", "\\evil.example", "@evil.example", "//x"]
    values = ["".join(parts) for parts in product(starts, middles, middles, ends)]
    checked = sorted({PLACES.checked(value) for value in values + PAYLOADS})
    assert 50 < len(checked)
    assert ALLOWED == set(origins_by_browsers(checked))


def test_the_tricks_work_on_a_whatwg_parser() -> None:
    """Many of the tricks work on a WHATWG parser, so the table holds the real thing."""
    able = [value for value in PAYLOADS if value.startswith(("/", "\\")) and value.isascii()]
    assert 25 < sum(origin not in {*ALLOWED, ""} for origin in origins_by_browsers(able))
