"""
``gateway explain``: what it prints, and how it ends.

    python -m tests.unit.cli.test_explain

writes the outputs in docs/explain.md anew.
"""

import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.fakes import servers

PAGE = Path(__file__).parents[3] / "docs" / "explain.md"
LOG = (
    '{"time":1,"id":"5c1f-7","client":"203.0.113.9","method":"GET","host":"localhost",'
    '"path":"/admin/users","route":"admin","status":403,"bytes":161,"ms":1.2,'
    '"issuer":"did:ethr:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359","auth":"session",'
    '"refusal":"forbidden","reason":"role_missing"}\n'
)
FILES = {"access.log", "listed.yaml"}
"""Of the folder of the tests."""
PAST = ("--request-id", "5c1f-7", "--log", "access.log")
UNREADABLE = "/proc/self/mem"
"""Can be opened, and not be read (proc(5))."""
STATUSES = (1, 1, 0, 1, 1)
"""How the commands of the page end, in its order."""

_CONFIG = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHOWN = re.compile(r"^```console\n\$ gateway (.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_REQUEST_ID = re.compile(r"(X-Request-Id: )[0-9a-f]{16}")


@pytest.fixture(scope="module")
def store_url() -> Iterator[str]:
    with servers.valkey() as server:
        yield server.url


@pytest.fixture(scope="module")
def folder(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config of the page, and a log."""
    return prepared(tmp_path_factory.mktemp("explain"), store_url)


def prepared(folder: Path, store_url: str) -> Path:
    """Write the config of the page, and a log, to ``folder``."""
    found = _CONFIG.search(PAGE.read_text())
    assert found
    text = found[1].replace("redis://127.0.0.1:6379/0", store_url)
    (folder / "gateway.yaml").write_text(text)
    (folder / "access.log").write_text(LOG)
    return folder


def ran(folder: Path, *words: str) -> Result:
    """Run ``gateway explain`` with the config in ``folder``."""
    words = tuple(str(folder / word) if word in FILES else word for word in words)
    return CliRunner().invoke(main, ["explain", "--config", str(folder / "gateway.yaml"), *words])


def stable(output: str) -> str:
    """Return an output with the id that each request gets anew left out."""
    return _REQUEST_ID.sub(r"\1…", output)


@pytest.mark.parametrize("number", range(len(STATUSES)))
def test_the_page_shows_what_the_command_prints(folder: Path, number: int) -> None:
    """Each output, and how the command ends."""
    command, shown = _SHOWN.findall(PAGE.read_text())[number]
    result = ran(folder, *shlex.split(command)[1:])
    assert (stable(result.stdout), STATUSES[number]) == (shown, result.exit_code)


def test_the_page_has_no_other_command() -> None:
    """All that it shows are compared."""
    assert len(STATUSES) == len(_SHOWN.findall(PAGE.read_text()))


def test_json_has_the_answer_and_the_stages(folder: Path) -> None:
    """One entry for each stage that ran."""
    result = ran(folder, "GET", "/admin/x", "--json")
    found = json.loads(result.stdout)
    assert ("admin", "refused", 401) == (found["route"], found["verdict"], found["status"])
    assert ["request", "client", "target", "route", "limits", "credentials"] == [
        stage["stage"] for stage in found["stages"]
    ]
    assert ["passed"] * 5 + ["refused"] == [stage["verdict"] for stage in found["stages"]]


def test_json_of_a_past_request_has_what_was_logged(folder: Path) -> None:
    """The line, and the explanation of the same request now."""
    result = ran(folder, "--request-id", "5c1f-7", "--log", "access.log", "--json")
    found = json.loads(result.stdout)
    assert ("admin", "refused", 403) == (found["route"], found["verdict"], found["status"])
    assert "5c1f-7" == found["logged"]["id"]
    assert ("admin", 403) == (found["again"]["route"], found["again"]["status"])


def test_cookies_are_read_from_a_file(folder: Path) -> None:
    """They reach the stages, and are shown as fingerprints."""
    jar = folder / "jar"
    jar.write_text("session=c2VjcmV0LXNlY3JldC1zZWNyZXQ; theme=dark\n")
    result = ran(folder, "GET", "/x", "--cookie-file", str(jar))
    assert "session sha256:" in result.stdout
    assert "c2VjcmV0LX" not in result.stdout
    jar.write_text("# Netscape HTTP Cookie File\nother.example\tFALSE\t/\tFALSE\t0\tsession\tx\n")
    result = ran(folder, "GET", "/x", "--cookie-file", str(jar))
    assert "none was sent" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param((), "expected METHOD and URL", id="nothing"),
        pytest.param(("GET",), "expected METHOD and URL", id="no-url"),
        pytest.param(("GET", "/", "--request-id", "x"), "expected METHOD and URL", id="both"),
        pytest.param(("GET", "x"), "the URL begins with", id="no-such-url"),
        pytest.param(("GET", "/", "-H", "x"), "expected NAME: VALUE", id="no-field"),
        pytest.param(("GET", "/", "-H", "a: b\r\nc: d"), "a line break or NUL", id="two-lines"),
        pytest.param(
            ("GET", "/", "--peer", "x"), "the peer: expected an IP address, or unix:", id="no-peer"
        ),
        pytest.param(("GET", "/", "--as", "x"), "neither an issuer nor", id="no-issuer"),
        pytest.param(("GET", "/", "--as", "a@example.com"), "no user has", id="no-user"),
        pytest.param(("GET", "/", "--as", "service:x"), "takes no credential", id="no-keys"),
        pytest.param(("--request-id", "0", "--log", "access.log"), "no request 0", id="no-line"),
        pytest.param((*PAST, "--as", "x"), "--request-id takes --log alone", id="past-as"),
        pytest.param((*PAST, "-H", "a: b"), "--request-id takes --log alone", id="past-field"),
        pytest.param(("--request-id", "0", "--log", UNREADABLE), f"{UNREADABLE}: ", id="no-log"),
        pytest.param(("GET", "/", "--cookie-file", UNREADABLE), f"{UNREADABLE}: ", id="no-cookies"),
    ],
)
def test_wrong_usage(folder: Path, words: tuple[str, ...], message: str) -> None:
    """Status 2, and what was expected."""
    result = ran(folder, *words)
    assert (2, True) == (result.exit_code, message in result.stderr), result.stderr


def test_a_list_that_cannot_be_read(folder: Path) -> None:
    """No request was refused: status 2, as for a config that cannot be used."""
    text = (folder / "gateway.yaml").read_text()
    listed = text.replace("{rate: 300/minute}", "{rate: 300/minute, deny: [{file: none.txt}]}")
    (folder / "listed.yaml").write_text(listed)
    result = ran(folder, "GET", "/x", "--config", "listed.yaml")
    assert (2, True) == (result.exit_code, "none.txt: no such file" in result.stderr)
    log = ("--request-id", "5c1f-7", "--log", "access.log", "--config", "listed.yaml")
    assert 2 == ran(folder, *log).exit_code


def test_a_store_in_the_memory_of_a_gateway_is_not_reached(tmp_path: Path) -> None:
    """Where it is needed the status is 3; where it is not, the answer is complete."""
    folder = prepared(tmp_path, "embedded://")
    assert 3 == ran(folder, "GET", "/admin/x").exit_code
    assert 1 == ran(folder, "GET", "/%2e%2e/x").exit_code


def test_development_mode_has_its_users_in_another_process(tmp_path: Path) -> None:
    """So a refused credential may be valid there."""
    folder = prepared(tmp_path, "embedded://")
    assert (
        "note: development mode: "
        in ran(folder, "GET", "/x", "-H", "Authorization: Bearer x").stdout
    )
    assert "note: development mode: " not in ran(folder, "GET", "/public/x").stdout


def test_a_past_request_that_the_config_cannot_explain_is_shown(tmp_path: Path) -> None:
    """What was logged is there all the same."""
    folder = prepared(tmp_path, "embedded://")
    log = folder / "access.log"
    log.write_text('{"id":"a-1","path":"/x","issuer":"service:x","status":200}\n{"id":"a-2"}\n')
    for number, told in (("a-1", "it cannot be explained again: "), ("a-2", "has no path of it")):
        result = ran(folder, "--request-id", number, "--log", "access.log")
        assert (0, True) == (result.exit_code, told in result.stdout)


def _rewrite() -> None:
    with servers.valkey() as server, tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name), server.url)

        def output(found: re.Match[str]) -> str:
            words = shlex.split(found[1])[1:]
            return f"```console\n$ gateway {found[1]}\n{stable(ran(folder, *words).stdout)}```"

        PAGE.write_text(_SHOWN.sub(output, PAGE.read_text()))


if __name__ == "__main__":
    _rewrite()
