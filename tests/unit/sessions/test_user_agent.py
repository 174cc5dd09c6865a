"""Names of devices from User-Agent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.user_agent import UNKNOWN, device_name

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
X11 = "Mozilla/5.0 (X11; "
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (MAC + "605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", "Safari on macOS"),
        (MAC + "537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "Chrome on macOS"),
        (WINDOWS + "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", "Edge on Windows"),
        (WINDOWS + "Chrome/131.0.0.0 Safari/537.36 OPR/115.0.0.0", "Opera on Windows"),
        (IPHONE + "Version/18.1 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (IPHONE + "CriOS/131.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (IPHONE + "FxiOS/133.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
        (ANDROID + "Chrome/131.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        (ANDROID + "SamsungBrowser/27.0 Chrome/125.0 Safari/537.36", "Samsung Internet on Android"),
        (X11 + "Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox on Linux"),
        (X11 + "CrOS x86_64 14541.0.0) Chrome/131.0 Safari/537.36", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (Windows NT 10.0)", "Windows"),
        ("Mozilla/5.0 Firefox/1", "Firefox"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32", "python-requests"),
        ("MyApp", "MyApp"),
        ("Mozilla/5.0", UNKNOWN),
        ("", UNKNOWN),
        ("<script>alert(1)</script>", UNKNOWN),
        ("a" * 33 + "/1", UNKNOWN),
        ("a b", UNKNOWN),
        ("x" * 512 + "Firefox/1", UNKNOWN),
    ],
)  # fmt: skip
def test_browsers_and_systems_are_recognised(user_agent: str, name: str) -> None:
    """Though each browser claims to be several others."""
    assert name == device_name(user_agent)


@given(st.text(max_size=2000))
def test_names_of_devices_are_short_and_printable(user_agent: str) -> None:
    """Whatever is sent, the name holds no markup."""
    name = device_name(user_agent)

    assert 0 < len(name) <= 40
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set("<>&\"'")
