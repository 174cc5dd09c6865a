"""The rival: nginx with Lua beside the gateway."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.build import NotHere
from benchmarks.callers import Callers
from benchmarks.rival import Fields, Nginx, RivalPlaces, rival_command, rival_config, unpacked
from benchmarks.servers import Cores, Rig, Server

PLACES = RivalPlaces(
    Path("/run"), Path("/log"), 8080, 8443, 3000, Path("/store"), Path("/certificate"), Path("/key")
)
NGINX = Nginx(Path("/nginx"), Path("/modules"), (Path("/a"), Path("/b")), Path("/lua"), Path("/so"))


def test_config() -> None:
    """Each word in braces is replaced."""
    text = rival_config(PLACES, NGINX)
    assert "{{" not in text
    for line in (
        "listen 127.0.0.1:8080 ",
        "listen 127.0.0.1:8443 ssl ",
        "server 127.0.0.1:3000;",
        'gateway.store = "unix:/store"',
        "load_module /modules/ndk_http_module.so;",
        "worker_processes 1;",
    ):
        assert line in text


def test_command() -> None:
    """The program finds the libraries that were unpacked beside it."""
    command = rival_command(NGINX, Path("/run/nginx.conf"))
    assert command[:3] == ("env", "LD_LIBRARY_PATH=/a:/b", Path("/nginx"))
    assert command[-2:] == ("-c", Path("/run/nginx.conf"))


def test_it_is_left_out_where_it_is_not(tmp_path: Path) -> None:
    """Its rows are left out, with the command that brings them."""
    with pytest.raises(NotHere, match="make bench-peers"):
        unpacked(tmp_path)


def test_it_is_found_where_it_was_unpacked(tmp_path: Path) -> None:
    """Program, modules and libraries are found for any architecture."""
    program = tmp_path / "usr" / "sbin" / "nginx"
    luajit = tmp_path / "usr" / "lib" / "some-linux-gnu" / "libluajit-5.1.so.2"
    for path in (program, luajit):
        path.parent.mkdir(parents=True)
        path.touch()
    found = unpacked(tmp_path)
    assert found.program == program
    assert found.libraries == (luajit.parent, tmp_path / "lib" / "some-linux-gnu")


# --- the real one ------------------------------------------------------------------------------


@pytest.fixture(params=[(Fields.NGINX, 0.0), (Fields.LUA, 1.0)], ids=["nginx", "lua-kept"])
def rival(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """The port of a running nginx, and the cookie of a person who is signed in."""
    try:
        unpacked()
    except NotHere as why:
        pytest.skip(str(why))
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    with ExitStack() as stack:
        rig = Rig(stack, tmp_path, Cores(None, None))
        rig.rival_fields, rig.rival_fresh_s = request.param
        asked = Callers(rig).rival_session()
        yield asked.server, asked.fields[0].removeprefix("Cookie: ")


def ask(server: Server, method: str = "GET", **fields: str) -> tuple[int, bytes]:
    """Send a request; return status and body of the answer."""
    client = HTTPConnection("127.0.0.1", server.port, timeout=10)
    with closing(client):
        client.request(method, "/", headers=fields)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_it_decides_as_the_gateway_does(rival: tuple[Server, str]) -> None:
    """A session passes; none, an unknown one and a post from another page do not."""
    server, cookie = rival
    assert ask(server, Cookie=cookie)[0] == 200
    assert ask(server, Cookie=f"a=b; {cookie}; c=d")[0] == 200
    assert ask(server)[0] == 401
    assert ask(server, Cookie=f"session={'x' * 43}")[0] == 401
    assert ask(server, "POST", Cookie=cookie)[0] == 403
    assert ask(server, "POST", Cookie=cookie, Origin="http://evil.example")[0] == 403
    assert ask(server, "POST", Cookie=cookie, Origin=server.origin)[0] == 200


def test_it_says_why(rival: tuple[Server, str]) -> None:
    """A refusal is a problem document with the id of its line in the log."""
    problem = json.loads(ask(rival[0])[1])
    assert problem["code"] == "unauthenticated"
    assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"])


def test_nothing_of_it_is_installed(rival: tuple[Server, str]) -> None:
    """It runs from the directory in which it was unpacked, with modules from there."""
    maps = Path(f"/proc/{rival[0].pid}/maps").read_text()
    modules = {line.split()[-1] for line in maps.splitlines() if "ngx_http_lua" in line}
    assert modules == {str(unpacked().modules / "ngx_http_lua_module.so")}
