"""Listen addresses of all kinds."""

import pytest

from gateway.config.addresses import HostPort
from gateway.config.listen import (
    ActivatedSocket,
    InheritedDescriptor,
    ListenAddress,
    UnixPath,
    is_private,
    listen_address,
)


@pytest.mark.parametrize(
    ("text", "expected", "private"),
    [
        ("0.0.0.0:8080", HostPort("0.0.0.0", 8080), False),
        ("[::1]:8080", HostPort("::1", 8080), True),
        ("unix:/run/gateway.sock", UnixPath("/run/gateway.sock"), True),
        ("unix:/" + "x" * 106, UnixPath("/" + "x" * 106), True),
        ("fd:3", InheritedDescriptor(3), False),
        ("fd:10", InheritedDescriptor(10), False),
        ("systemd", ActivatedSocket(""), False),
        ("systemd:http", ActivatedSocket("http"), False),
    ],
)
def test_listen_address(text: str, expected: ListenAddress, private: bool) -> None:
    """Parsing and writing are inverse; only loopback and unix sockets are known to be private."""
    read = listen_address(text)
    assert (type(expected), expected) == (type(read), read)
    assert text == str(read)
    assert private is is_private(read)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("unix:", "expected unix:/path", id="no-path"),
        pytest.param("unix:run/x", "expected unix:/path", id="a-relative-path"),
        pytest.param("unix:@x", "expected unix:/path", id="an-abstract-name"),
        pytest.param("unix:/run/", "expected unix:/path", id="a-folder"),
        pytest.param("unix:/run/\0", "expected unix:/path", id="a-nul"),
        pytest.param("unix:/" + "x" * 107, "107 bytes", id="too-long"),
        pytest.param("unix:/" + "ü" * 54, "107 bytes", id="too-long-in-bytes"),
        pytest.param("fd:2", "expected fd:N", id="standard-error"),
        pytest.param("fd:03", "expected fd:N", id="a-leading-zero"),
        pytest.param("fd:x", "expected fd:N", id="no-number"),
        pytest.param("fd", "expected fd:N", id="no-number-at-all"),
        pytest.param("systemd:", "expected fd:N", id="no-name"),
        pytest.param("systemd:a:b", "expected fd:N", id="two-names"),
        pytest.param("8080", "expected host:port", id="a-port"),
        pytest.param("", "expected host:port", id="nothing"),
    ],
)
def test_no_listen_address(text: str, message: str) -> None:
    """Text that is no listen address is refused with the form that it resembles."""
    with pytest.raises(ValueError, match=message):
        listen_address(text)
