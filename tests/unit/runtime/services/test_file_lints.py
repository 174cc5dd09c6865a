"""Lints of the certificates that a config names."""

import time
from pathlib import Path

import pytest

from gateway.config.load import parse
from gateway.config.problems import dotted
from gateway.config.schema import Settings
from gateway.runtime.services.file_lints import FILE_LINTS
from tests.fakes.certificates import Authority
from tests.fakes.places import CITIES, write

CONFIG = """
server: {{public_url: "https://a", {server}}}
redis: {{url: "rediss://h", {redis}}}
magic: {{secret_key: sk_test_1}}
session: {{keys: [0123456789abcdef0123456789abcdef]}}
upstreams: {{app: {{servers: ["https://127.0.0.1:1"], {app}}}}}
routes:
  - {{name: a, match: {{host: "{host}", path: /a}}, upstream: app}}
admin: {admin}
"""
DAY_S = 86_400


class Files:
    """Certificates that end in 10 and in 90 days."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.ca = str(authority.file)
        soon = authority.issue("a.example.com", "*.b.example.com", file="soon", days=10)
        later = authority.issue("c.example.com", file="later", days=90)
        self.soon, self.later = soon, later
        self.chain = str(folder / "chain.pem")
        Path(self.chain).write_bytes(b"".join(Path(p[0]).read_bytes() for p in (later, soon)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def settings(
    server: str = "",
    redis: str = "",
    app: str = "",
    host: str = "a.example.com",
    admin: str = "null",
) -> Settings:
    text = CONFIG.format(server=server, redis=redis, app=app, host=host, admin=admin)
    return parse(text, "f", {}, lambda path: path)


def found(config: Settings, code: str, now_s: float | None = None) -> list[tuple[str, str]]:
    """Return keys and messages of the lint with a code."""
    now_s = time.time() if now_s is None else now_s
    return [
        (dotted(key), message)
        for each, find in FILE_LINTS
        if each == code
        for key, message, remedy in find(config, now_s)
        if remedy
    ]


def tls(*pairs: tuple[str, str], more: str = "") -> str:
    entries = ", ".join(f"{{certificate: {pair[0]}, key: {pair[1]}}}" for pair in pairs)
    return f"tls: {{certificates: [{entries}]{more}}}"


def test_certificates_that_expire_soon(files: Files) -> None:
    """Of clients, apps and Redis; each by its key, with the days that are left."""
    config = settings(
        f"tls: {{certificate: {files.soon[0]}, key: {files.soon[1]}, certificates:"
        f" [{{certificate: {files.later[0]}, key: {files.later[1]}}}]}}",
        f"tls: {{certificate: {files.soon[0]}, key: {files.soon[1]}}}",
        f"tls: {{certificate: {files.chain}, key: {files.later[1]}}}",
    )
    told = found(config, "certificate-expires")
    assert [
        "server.tls.certificate",
        "upstreams.app.tls.certificate",
        "redis.tls.certificate",
    ] == [key for key, _ in told]
    assert all(message.startswith("expires in 9 days, on 20") for _, message in told)
    assert [] == found(config, "certificate-expires", time.time() - 21 * DAY_S)


def test_certificates_of_the_private_listener(files: Files) -> None:
    """Without a CA there is no other file."""
    pair = f"certificate: {files.soon[0]}, key: {files.soon[1]}"
    with_ca = f"{{{pair}, client_ca: {files.chain}, names: [a]}}"
    for admin, later in ((f"{{{pair}}}", 0.0), (with_ca, 0.0), (with_ca, 89.0 * DAY_S)):
        config = settings(admin=f"{{tls: {admin}}}")
        at = [key for key, _ in found(config, "certificate-expires", time.time() + later)]
        expected = ["admin.tls.certificate", *(["admin.tls.client_ca"] if later else [])]
        assert expected == at


def test_certificates_that_have_expired(files: Files) -> None:
    """The message says when."""
    config = settings(tls(files.soon))
    ((key, message),) = found(config, "certificate-expires", time.time() + 11 * DAY_S)
    assert "server.tls.certificates[0].certificate" == key
    assert message.startswith("has expired, on 20")


def test_authorities_that_expire(files: Files) -> None:
    """One that is valid among those of a file is enough."""
    config = settings(
        tls(files.later, more=f", client_ca: {files.ca}"), app=f"tls: {{ca: {files.chain}}}"
    )
    assert ["server.tls.client_ca"] == [key for key, _ in found(config, "certificate-expires")]


@pytest.mark.parametrize(
    ("host", "is_found"),
    [
        ("a.example.com", False),
        ("x.b.example.com", False),
        ("*.b.example.com", False),
        ("*.example.com", False),
        ("b.example.com", True),
        ("x.y.b.example.com", True),
        ("*.example.org", True),
        ("[2001:db8::1]", False),
    ],
)
def test_hosts_without_a_certificate(files: Files, host: str, *, is_found: bool) -> None:
    """TLS clients refuse the connection, unless a proxy in front is the client."""
    config = settings(tls(files.soon), host=host)
    assert is_found == bool(found(config, "host-never-comes"))
    behind_proxy = settings(f"{tls(files.soon)}, trusted_proxies: [10.0.0.1]", host=host)
    assert [] == found(behind_proxy, "host-never-comes")


def test_files_that_cannot_be_read_are_not_judged(files: Files) -> None:
    """They are errors already."""
    config = settings(tls(("/absent", "/absent")), app=f"tls: {{ca: {files.soon[1]}}}")
    assert [] == found(config, "certificate-expires")
    assert [] == found(config, "host-never-comes")
    assert [] == found(settings(), "host-never-comes")


def test_a_database_of_places_without_names(tmp_path: Path) -> None:
    """One of other things is found; a missing one is told as an unusable file."""
    without = write(tmp_path / "asn.mmdb", {"81.2.69.0/24": {"autonomous_system_number": 5}})
    with_names = write(tmp_path / "city.mmdb", CITIES)
    config = settings()

    def keys(path: str) -> list[str]:
        pages = config.pages.model_copy(update={"places": path})
        changed = config.model_copy(update={"pages": pages})
        return [key for key, _ in found(changed, "places-without-names")]

    assert ["pages.places"] == keys(str(without))
    for path in ("", str(with_names), str(tmp_path / "missing")):
        assert [] == keys(path)
