"""The lints, each run on the example of its entry in the table."""

import asyncio
import re
import time
from pathlib import Path

import pytest
import redis

from gateway.config.lint_table import LINT_TABLE, LintEntry
from gateway.config.load import load_document
from gateway.runtime.services.lints import CODES, find_all
from gateway.runtime.services.unmarked import UNMARKED, unmarked_people
from tests.fakes import servers
from tests.fakes.certificates import Authority
from tests.fakes.keys import PEM
from tests.fakes.places import CITIES, write

ENV = {
    "ASSERTION_KEY": PEM,
    "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "MAGIC_SECRET_KEY": "sk_live_1234567890",
    "OLD_SESSION_KEY": "fedcba9876543210fedcba9876543210",
    "REDIS_URL": "redis://127.0.0.1",
    "SESSION_KEY": "0123456789abcdef0123456789abcdef",
}
SECTIONS = {
    "server": "server: {public_url: 'https://app.example.com'}",
    "magic": "magic: {secret_key: '${MAGIC_SECRET_KEY}', publishable_key: pk_live_1234567890}",
    "session": "session: {keys: ['${SESSION_KEY}']}",
    "limits": "limits: {default: {rate: 300/minute}}",
    "upstreams": "upstreams: {app: {servers: ['http://127.0.0.1:3000']}}",
}
MOUNT = re.compile("/run/(?:tls|places)/")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of examples: good ones, and some with what is to be found."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    for name, days in (("app", 90), ("soon", 29)):
        pair = authority.issue("app.example.com", file=name, days=days)
        Path(pair.certificate).rename(folder / f"{name}.pem")
    (folder / "open.key").write_bytes((folder / "app.key").read_bytes())
    (folder / "open.key").chmod(0o644)
    for name, greeting in (("broken", "{{ greeting }}"), ("brand", "{{ title }}")):
        (folder / name).mkdir()
        (folder / name / "error.html").write_text(f"<h1>{greeting}</h1>\n{{{{ request_id }}}}")
    write(folder / "GeoLite2-City.mmdb", CITIES)
    write(folder / "GeoLite2-ASN.mmdb", {"81.2.69.0/24": {"autonomous_system_number": 5}})
    return folder


def with_sections(text: str) -> str:
    """Complete an example to a config; its lines keep their numbers."""
    written = {line.partition(":")[0] for line in text.splitlines()}
    return text + "\n".join(part for name, part in SECTIONS.items() if name not in written)


def found(text: str, folder: Path) -> set[str]:
    """Return the codes of what is found in a config."""
    path = folder / "gateway.yaml"
    path.write_text(with_sections(text))
    config = load_document(path, ENV)
    return {problem.code for problem, _ in find_all(config, time.time())}


ALONE = [entry for entry in LINT_TABLE.values() if entry.code != UNMARKED]
"""Those that are found without asking another server."""


@pytest.mark.parametrize("entry", ALONE, ids=lambda entry: entry.code)
def test_the_example_of_each_lint(entry: LintEntry, tls: Path) -> None:
    """It has the finding, and the repaired one has not."""
    example, repaired = (MOUNT.sub(f"{tls}/", text) for text in (entry.example, entry.repaired))
    assert entry.code in found(example, tls)
    assert entry.code not in found(repaired, tls)


def test_the_example_of_what_the_store_knows(tls: Path) -> None:
    """It has the finding over a store with a session and without markers; the repaired has not."""
    entry, path = LINT_TABLE[UNMARKED], tls / "gateway.yaml"
    with servers.valkey() as store:
        with redis.Redis.from_url(store.url) as client:
            client.hset("sessions-of:did:ethr:0x1", "session", "sealed")
        for text, many in ((entry.example, 1), (entry.repaired, 0)):
            path.write_text(with_sections(text))
            settings = load_document(path, {**ENV, "REDIS_URL": store.url}).settings
            assert many == len(asyncio.run(unmarked_people(settings)))


def test_the_table_has_all_codes_and_no_other() -> None:
    """What is found can be looked up, and what is in the table can be found."""
    assert CODES == LINT_TABLE.keys()


def test_findings_come_in_the_order_of_the_file(tls: Path) -> None:
    """With the remedy of the table, where a finding brings none of its own."""
    path = tls / "gateway.yaml"
    path.write_text(with_sections("admin: {listen: '0.0.0.0:1'}\nlogin: {logo: /absent.svg}\n"))
    config = load_document(path, ENV)
    problems = [problem for problem, _ in find_all(config, 0.0)]
    assert ["admin-for-everybody", "unusable-file"] == [problem.code for problem in problems]
    assert LINT_TABLE["unusable-file"].remedy == problems[1].default_remedy
