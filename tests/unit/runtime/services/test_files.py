"""Files that a config names, opened as a start would open them."""

from pathlib import Path

import pytest

from gateway.config.load import parse
from gateway.config.pages import PagesSettings
from gateway.config.problems import dotted
from gateway.config.schema import Settings
from gateway.runtime.services.files import (
    FAULTY,
    faulty_templates,
    unreadable_key_sets,
    unusable_files,
)
from tests.fakes.certificates import Authority
from tests.fakes.places import CITIES, write

CONFIG = """
server: {{public_url: "https://localhost", listen: ["127.0.0.1:0"], tls: {tls}}}
redis: {redis}
magic: {{secret_key: sk_test_1}}
session: {{keys: [0123456789abcdef0123456789abcdef]}}
upstreams: {{app: {{servers: ["https://127.0.0.1:1"], tls: {app}}}}}
login: {{logo: "{logo}"}}
pages: {{places: "{places}"}}
admin: {admin}
limits: {{a: {{rate: 1/day, deny: [10.0.0.0/8, {{file: "{denied}"}}]}}}}
credentials:
  jwt:
    - {{issuer: i, audience: a, jwks_file: "{key_set}"}}
    - {{issuer: j, audience: a, jwks_url: "https://127.0.0.1:1/"}}
"""


class Folder:
    """A folder with files that fit."""

    def __init__(self, path: Path) -> None:
        authority = Authority(path)
        self.one, self.other = authority.issue("localhost"), authority.issue("b.example")
        self.ca = str(authority.file)
        self.rubbish = str(path / "rubbish")
        Path(self.rubbish).write_text("rubbish")
        self.logo = str(path / "logo.svg")
        Path(self.logo).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        self.missing = str(path / "missing")
        self.denied = str(path / "denied")
        Path(self.denied).write_text("192.0.2.1")

    def tls(self, certificate: str, key: str, more: str = "") -> str:
        """A section ``tls``."""
        return f'{{certificate: "{certificate}", key: "{key}"{more}}}'

    def settings(self, **changes: str) -> Settings:
        """A config with files that fit, but for ``changes``."""
        fitting = {
            "tls": self.tls(*self.one, f', client_ca: "{self.ca}"'),
            "app": f'{{ca: "{self.ca}"}}',
            "logo": self.logo,
            "key_set": self.rubbish,
            "redis": '{url: "embedded://"}',
            "denied": self.denied,
            "places": "",
            "admin": "null",
        }
        return parse(CONFIG.format(**{**fitting, **changes}), "f", {}, str)

    def found(self, **changes: str) -> list[tuple[str, str]]:
        """Keys and messages of unusable files."""
        return [
            (dotted(each.path), each.message) for each in unusable_files(self.settings(**changes))
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_files_that_fit(folder: Folder) -> None:
    """They can all be used, also without TLS at all."""
    assert [] == folder.found()
    plain = folder.settings(logo="").model_copy(update={"upstreams": {}})
    server = plain.server.model_copy(update={"tls": None})
    assert [] == [*unusable_files(plain.model_copy(update={"server": server}))]


def test_missing_files(folder: Folder) -> None:
    """Each is named, with its key."""
    missing, (certificate, key) = folder.missing, folder.one
    message = f"{missing}: no such file or directory"
    assert [("server.tls.certificate", message)] == folder.found(tls=folder.tls(missing, key))
    assert [("server.tls.key", message)] == folder.found(tls=folder.tls(certificate, missing))
    more = f', certificates: [{{certificate: "{missing}", key: "{key}"}}]'
    assert [("server.tls.certificates[0].certificate", message)] == folder.found(
        tls=folder.tls(certificate, key, more)
    )
    assert [("server.tls.client_ca", message)] == folder.found(
        tls=folder.tls(certificate, key, f', client_ca: "{missing}"')
    )
    assert [("upstreams.app.tls.ca", message)] == folder.found(app=f'{{ca: "{missing}"}}')
    assert [("login.logo", f"{missing}: No such file or directory")] == folder.found(logo=missing)


def test_files_of_the_private_listener(folder: Folder) -> None:
    """As of the others: the gateway would not start."""
    rubbish, (certificate, key) = folder.rubbish, folder.one

    def found(certificate: str, key: str, ca: str) -> list[str]:
        more = f', client_ca: "{ca}", names: ["*.example.com"]'
        return [
            at for at, _ in folder.found(admin=f"{{tls: {folder.tls(certificate, key, more)}}}")
        ]

    assert [] == found(certificate, key, folder.ca)
    assert ["admin.tls.certificate"] == found(folder.missing, key, folder.ca)
    assert ["admin.tls.key"] == found(certificate, folder.missing, folder.ca)
    assert ["admin.tls.certificate"] == found(certificate, folder.other.key, folder.ca)
    assert ["admin.tls.client_ca"] == found(certificate, key, rubbish)


def test_a_directory_is_no_file(folder: Folder, tmp_path: Path) -> None:
    """A file that cannot be read is found, also by the superuser."""
    found = folder.found(tls=folder.tls(str(tmp_path), folder.one.key))
    assert [("server.tls.certificate", f"{tmp_path}: is a directory")] == found


def test_a_key_that_does_not_fit(folder: Folder) -> None:
    """The certificate of one pair and the key of another are no pair."""
    ((key, message),) = folder.found(tls=folder.tls(folder.one.certificate, folder.other.key))
    assert "server.tls.certificate" == key
    assert "no certificate and key that fit: key values mismatch" in message


def test_files_of_another_kind(folder: Folder) -> None:
    """A file without a certificate, or an image of no known format, is found."""
    rubbish, (certificate, key) = folder.rubbish, folder.one
    assert ["server.tls.certificate"] == [
        at for at, _ in folder.found(tls=folder.tls(rubbish, key))
    ]
    assert ["server.tls.client_ca"] == [
        at for at, _ in folder.found(tls=folder.tls(certificate, key, f', client_ca: "{rubbish}"'))
    ]
    assert ["upstreams.app.tls"] == [at for at, _ in folder.found(app=f'{{ca: "{rubbish}"}}')]
    assert ["login.logo"] == [at for at, _ in folder.found(logo=rubbish)]


def test_databases_of_places(folder: Folder) -> None:
    """One that is missing, or in another format, is found; one that fits is not."""
    places = write(Path(folder.missing).with_name("cities.mmdb"), CITIES)
    assert [] == folder.found(places=str(places))
    [missing] = folder.found(places=folder.missing)
    assert ("pages.places", f"{folder.missing}: No such file or directory") == missing
    [rubbish] = folder.found(places=folder.rubbish)
    assert ("pages.places", f"{folder.rubbish}: expected a MaxMind database (.mmdb)") == rubbish


def test_lists_of_limits(folder: Folder) -> None:
    """A list that is missing, or has a line that is no entry, is found with that line."""
    [(key, message)] = folder.found(denied=folder.rubbish)
    assert "limits.a.deny[1]" == key
    assert message.startswith(f"{folder.rubbish}:1: expected an address")
    message = f"{folder.missing}: no such file or directory"
    assert [("limits.a.deny[1]", message)] == folder.found(denied=folder.missing)


PAGES = {
    "404.html": "{{ request_id }}\n{% if %}",
    "error.html": "{{ request_id }}\n\n{{ nothing }}",
    "503.html": "a page without it",
    "account.html": "{{ user.email }}\n{{ user.name.first }}",
    "logout.html": "{{ signed_in_as }} {{ return_to }} {{ ''.__class__.__mro__ }}",
    "welcome.html": "",
}
FAULTS = {
    "welcome.html": "expected one of 400.html",
    "404.html:2": "Expected an expression",
    "account.html:2": "UndefinedError: ",
    "logout.html:1": "SecurityError: ",
    "error.html:3": "UndefinedError: 'nothing' is undefined",
    "503.html": "a page of a refusal shows {{ request_id }} once",
}


def test_templates_of_pages(folder: Folder, tmp_path: Path) -> None:
    """All of them at once, each with its file and line; those that can be used are no problem."""
    brand = tmp_path / "brand"
    brand.mkdir()
    pages = folder.settings().model_copy(update={"pages": PagesSettings(templates=str(brand))})
    (brand / "login.html").write_text('{% extends "base.html" %}{% block title %}{% endblock %}')
    assert [] == [*faulty_templates(folder.settings())] == [*faulty_templates(pages)]
    told: dict[str, str] = {}
    for name, text in PAGES.items():
        (brand / name).write_text(text)
        for problem in faulty_templates(pages):
            assert (("pages", "templates"), FAULTY) == (problem.path, problem.code)
            place, _, said = problem.message.removeprefix(f"{brand}/").partition(": ")
            told.setdefault(place, said)
        if name in ("404.html", "welcome.html"):  # nothing is rendered beside these
            (brand / name).unlink()
    assert told.keys() == FAULTS.keys()
    assert all(told[place].startswith(said) for place, said in FAULTS.items())


def test_key_sets(folder: Folder) -> None:
    """A missing key set is found; one that is there may be completed later."""
    assert [] == [*unreadable_key_sets(folder.settings())]
    (problem,) = unreadable_key_sets(folder.settings(key_set=folder.missing))
    assert "credentials.jwt[0].jwks_file" == dotted(problem.path)


def test_files_of_the_store(folder: Folder, tmp_path: Path) -> None:
    """Certificates, and credentials that may not be empty."""
    empty = tmp_path / "empty"
    empty.touch()
    pair = f'certificate: "{folder.one.certificate}", key: "{folder.one.key}"'

    def found(more: str) -> list[tuple[str, str]]:
        return folder.found(redis=f"{{url: 'rediss+sentinel://h/main', {more}}}")

    assert [] == found(f'password_file: "{folder.rubbish}", tls: {{ca: "{folder.ca}", {pair}}}')
    assert ["redis.sentinel.password_file"] == [
        at for at, _ in found(f'sentinel: {{password_file: "{folder.missing}"}}')
    ]
    assert ["redis.tls.ca"] == [at for at, _ in found(f'tls: {{ca: "{folder.missing}"}}')]
    assert ["redis"] == [at for at, _ in found(f'tls: {{ca: "{folder.rubbish}"}}')]
    assert [("redis", f"credentials of the store: {empty}: empty")] == found(
        f'password_file: "{empty}"'
    )
