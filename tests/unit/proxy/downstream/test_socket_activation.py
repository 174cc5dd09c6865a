"""Sockets inherited from the parent process."""

import os
import socket

import pytest

from gateway.core.errors import StartError
from gateway.proxy.downstream.socket_activation import PassedSocket, adopt, take

PID = 42


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param(
            {"LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:https"},
            (PassedSocket(3, "http"), PassedSocket(4, "https")),
            id="two-with-names",
        ),
        pytest.param(
            {"LISTEN_PID": "42", "LISTEN_FDS": "1"},
            (PassedSocket(3, "unknown"),),
            id="without-names",
        ),
        pytest.param({"LISTEN_PID": "43", "LISTEN_FDS": "1"}, (), id="meant-for-another"),
        pytest.param({"LISTEN_FDS": "1"}, (), id="without-a-process"),
        pytest.param({"LISTEN_PID": "", "LISTEN_FDS": "1"}, (), id="meant-for-empty-text"),
    ],
)
def test_what_is_passed_on(environ: dict[str, str], expected: tuple[PassedSocket, ...]) -> None:
    """It is used once, by the process that it is meant for."""
    rest = {**environ, "HOME": "/"}
    assert expected == take(rest, PID)
    assert {"HOME": "/"} == rest
    assert () == take(rest, PID)


@pytest.mark.parametrize(
    ("number", "names"),
    [("", "a"), ("0", ""), ("-1", "a"), ("x", "a"), ("99999", "a"), ("2", "a"), ("1", "a:b")],
)
def test_nonsense_is_refused(number: str, names: str) -> None:
    """A socket that is taken for another is served to the wrong people."""
    with pytest.raises(StartError, match="LISTEN_FD"):
        take({"LISTEN_PID": "42", "LISTEN_FDS": number, "LISTEN_FDNAMES": names}, PID)


def test_a_listening_socket_is_adopted() -> None:
    """It is not handed on to processes that we start."""
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        number = os.dup(theirs.fileno())
        os.set_inheritable(number, True)
        with adopt(number) as ours:
            assert theirs.getsockname() == ours.getsockname()
            assert not ours.get_inheritable()
            assert not ours.getblocking()


def test_what_does_not_listen_is_left_alone() -> None:
    """It stays open: another part of the process may use it."""
    read, write = os.pipe()
    with socket.socket() as silent, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for number in (read, silent.fileno(), datagrams.fileno()):
            with pytest.raises(StartError, match=f"fd:{number} is no"):
                adopt(number)
            os.fstat(number)
    os.close(read)
    os.close(write)


def test_what_is_not_there_cannot_be_adopted() -> None:
    """A number that is not open is an error of the config."""
    with pytest.raises(StartError, match="fd:999 is no open socket"):
        adopt(999)
