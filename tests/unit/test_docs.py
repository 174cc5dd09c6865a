"""The documentation agrees with the code; ``make tables`` writes its tables anew."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import jsonschema
import pytest
from yaml import safe_load

from gateway.admin.api import Api
from gateway.admin.app import AdminPages
from gateway.admin.operations import OperationsApi
from gateway.cli.main import main
from gateway.config.changes import NEEDS_RESTART
from gateway.config.load import parse
from gateway.config.page_texts import TEXTS
from gateway.config.reference import schema
from gateway.core.errors import PROBLEM_TYPES
from gateway.core.event import EventType
from gateway.core.reasons import Reason
from gateway.headers import request as headers
from gateway.headers.foreign import (
    FOREIGN_ADDRESSES,
    FOREIGN_IDENTITY,
    FOREIGN_IDENTITY_PREFIXES,
)
from gateway.headers.hop_by_hop import HOP_BY_HOP
from gateway.hooks.attempts import next_attempt_s
from gateway.hooks.cloud_event import decode, encode
from gateway.pages import registry
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS
from gateway.telemetry import metrics
from gateway.telemetry.access_line import ACCESS_FIELDS, text_lines
from tests.fakes.admin import Works
from tests.fakes.keys import PEM

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
EXAMPLES = sorted(
    path
    for pattern in (
        *("*/app.*", "*/requirements.txt", "*/package.json", "nextjs/**/*.*"),
        *("fastapi/hooks.py", "consumers/python/consume.py"),
    )
    for path in (ROOT / "examples").glob(pattern)
    if path.is_file()
    and path.suffix in {".js", ".ts", ".tsx", ".py", ".txt", ".json"}
    and path.name not in {"package-lock.json", "next-env.d.ts"}
    and not {"node_modules", ".next"} & {*path.parts}
)

CONFIGS = sorted([*ROOT.glob("config/*.yaml"), *ROOT.glob("gateway/demo/*.yaml")])

FRONTS = sorted(path for path in (ROOT / "examples/forward-auth").glob("*/*"))

ENV = {
    "APP_URL": "http://127.0.0.1:3000",
    "AUDIT_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "MAGIC_PUBLISHABLE_KEY": "pk_live_1234567890",
    "MAGIC_SECRET_KEY": "sk_live_1234567890",
    "PUBLIC_URL": "https://app.example.com",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SESSION_KEY": "0123456789abcdef0123456789abcdef",
}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def errors_table() -> str:
    """The table of all problem codes, from the one table in `gateway.core.errors`."""
    lines = ["| code | status | title | meaning | standard |", "|---|---|---|---|---|"]
    for kind, answer in PROBLEM_TYPES.items():
        meaning = " ".join((kind.__doc__ or "").split()).replace("``", "`")
        cells = (f"`{answer.code}`", answer.status.value, answer.title, meaning, answer.source)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def reasons_table() -> str:
    """The table of all reasons, list by list."""
    lines = ["| reason | with the code | what it means |", "|---|---|---|"]
    for kind in reasons():
        lines += [f"| `{reason}` | {kind.__doc__} | {reason.meaning} |" for reason in kind]
    return "\n".join(lines) + "\n"


def reasons() -> list[type[Reason]]:
    """All lists of reasons; the table of the kinds of credentials has imported those of each."""
    assert CREDENTIAL_KINDS
    return sorted(Reason.__subclasses__(), key=lambda kind: (kind.__module__, kind.__doc__ or ""))


def metrics_table() -> str:
    """The table of all metrics."""
    rows = (
        f"| `{metric.exported}` | {metric.kind} | {metric.label} | {metric.help} |"
        for metric in metrics.METRICS
    )
    head = ("| metric | kind | label | what it counts |", "|---|---|---|---|")
    return "\n".join((*head, *rows)) + "\n"


def hook_schedule_table() -> str:
    """The table of the attempts of a delivery, without jitter."""
    lines = [
        "| attempt | after the one before | after the first |",
        "|---|---|---|",
        "| 1 | – | – |",
    ]
    attempts, before_s = 1, 0.0
    while (at_s := next_attempt_s(attempts, 0, before_s, 0, 0.5)) is not None:
        attempts += 1
        lines.append(f"| {attempts} | {_in_words(at_s - before_s)} | {_in_words(at_s)} |")
        before_s = at_s
    return "\n".join(lines) + "\n"


def _in_words(wait_s: float) -> str:
    """A time of few digits."""
    minutes = round(wait_s / 60)
    if wait_s < 120:
        return f"{wait_s:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{wait_s / 3600:.1f} h"


def pages_table() -> str:
    """The table of the gateway's own pages."""
    lines = ["| request | credential | answers with | there |", "|---|---|---|---|"]
    for page in registry.OWN_PAGES:
        path = page.path.replace("{name:.+}", "{name}")
        scope = f", with the scope `{page.scope}`" if page.scope else ""
        cells = (page.auth.value + scope, page.answer, page.condition or "always")
        lines.append(f"| `{page.method} /_gateway{path}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def texts_table() -> str:
    """The table of the texts of the gateway's own pages."""
    lines = ["| key | text |", "|---|---|"]
    lines += [f"| `{key}` | {text} |" for key, text in TEXTS.items()]
    return "\n".join(lines) + "\n"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of ``page`` in ``language``."""
    return [text for named, text in _FENCED.findall(page.read_text()) if named == language]


def config_blocks() -> Iterator[tuple[str, str]]:
    """Every config in the documentation, with where it stands."""
    for page in PAGES:
        for number, text in enumerate(blocks(page, "yaml"), 1):
            yield f"{page.name}-{number}", text


def commands(group: click.Group, prefix: str = "gateway") -> Iterator[str]:
    """All commands, as they are typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def in_a_file(path: str) -> str:
    """Stands for every ``${file:…}``."""
    if path.endswith(".pem"):
        return PEM
    return f"a made-up secret in {path}, long enough to be a key"


def test_the_page_of_errors_is_the_table() -> None:
    """Each code, status and meaning is documented as the code has it, in its order."""
    page = (DOCS / "errors.md").read_text()
    assert errors_table() in page
    assert len(PROBLEM_TYPES) == len(re.findall(r"^\| `", page, re.MULTILINE))


def test_the_page_of_reasons_is_the_table() -> None:
    """Each word that a log, a metric or an answer may hold is explained, and no other."""
    page = (DOCS / "reasons.md").read_text()
    assert reasons_table() in page
    words = [str(reason) for kind in reasons() for reason in kind]
    assert len(set(words)) == len(words) == len(re.findall(r"^\| `", page, re.MULTILINE))
    assert all(re.fullmatch(r"[a-z0-9_]+", word) for word in words)


def test_lists_of_reasons_name_codes_that_there_are() -> None:
    """A reader finds the answer that a reason goes with."""
    codes = {answer.code for answer in PROBLEM_TYPES.values()}
    for kind in reasons():
        assert set(re.findall(r"`([a-z_]+)`", (kind.__doc__ or "").partition(",")[0])) & codes


def test_the_page_of_operating_has_the_table_of_metrics() -> None:
    """Every metric of the page can be looked up."""
    assert metrics_table() in (DOCS / "operating.md").read_text()


def test_fields_of_the_access_log_are_described_in_order() -> None:
    """With an example of each format, which is a line of the same request."""
    page = (DOCS / "logs.md").read_text()
    table = page.partition("| field | value |\n|---|---|\n")[2].partition("\n\n")[0]
    names = tuple(re.findall(r"(?m)^\| `(\w+)` \|", table))
    assert ACCESS_FIELDS == names
    example = json.loads(page.partition("```json\n")[2].partition("\n```")[0])
    assert tuple(example) == ACCESS_FIELDS[: len(example)]
    values = tuple(map(example.get, ACCESS_FIELDS))
    assert f"```\n{text_lines()(values).decode()}```" in page


def test_the_page_of_the_login_api_lists_the_pages() -> None:
    """Every page of the gateway's own is documented, and no other."""
    page = (DOCS / "login-api.md").read_text()
    assert pages_table() in page


def test_the_page_of_the_login_lists_the_texts() -> None:
    """The key of each text can be looked up."""
    assert texts_table() in (DOCS / "login.md").read_text()


def test_the_page_of_operating_names_what_needs_a_restart() -> None:
    """All of it."""
    page = (DOCS / "operating.md").read_text()
    assert " · ".join(f"`{part}`" for part in NEEDS_RESTART) in page


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in config_blocks()])
def test_configs_in_the_documentation_load(text: str) -> None:
    """What is pasted from a page is a config."""
    assert parse(text, "page.md", ENV, in_a_file).routes


def test_the_readme_shows_a_config() -> None:
    """So that the test above tests something."""
    assert blocks(ROOT / "README.md", "yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_configs_that_are_shipped_load(path: Path) -> None:
    """Each of them can be used once its variables are set."""
    assert parse(path.read_text(), path.name, ENV, in_a_file).routes


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=place) for place, text in config_blocks()),
        *(pytest.param(path.read_text(), id=str(path.relative_to(ROOT))) for path in CONFIGS),
    ],
)
def test_the_schema_accepts_every_config(text: str) -> None:
    """An editor that has the output of `gateway schema` marks nothing in what is shipped."""
    validator = jsonschema.Draft202012Validator(schema())
    faults = [
        f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(safe_load(text))
    ]
    assert [] == faults


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_page_of_apps_shows_the_examples(path: Path) -> None:
    """The apps there and receivers of webhooks are the files that are tested, word for word."""
    pages = "\n".join((DOCS / name).read_text() for name in ("apps.md", "hooks.md"))
    shown = [text for _, text in _FENCED.findall(pages)]
    assert path.read_text() in shown


def test_the_page_of_hooks_has_the_schedule_of_attempts() -> None:
    """As deliveries are tried."""
    assert hook_schedule_table() in (DOCS / "hooks.md").read_text()


def test_the_page_of_hooks_shows_an_event() -> None:
    """Of every kind it says when it comes; one is shown as it is sent."""
    page = (DOCS / "hooks.md").read_text()
    assert [] == [kind for kind in EventType if f"| `{kind}` | " not in page]
    [shown] = [text for kind, text in _FENCED.findall(page) if kind == "json"]
    event = decode(shown.encode())
    assert json.loads(encode(event, "https://app.example.com")) == json.loads(shown)


@pytest.mark.parametrize("path", FRONTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_page_of_forward_auth_shows_the_configs(path: Path) -> None:
    """What is copied from the page is what is run against the real proxies."""
    shown = [text for _, text in _FENCED.findall((DOCS / "forward-auth.md").read_text())]
    assert path.read_text() in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """No link to a file of the repository is broken."""
    targets = _LINK.findall(page.read_text())
    assert [] == [target for target in targets if not (page.parent / target).exists()]


def test_the_readme_names_every_command() -> None:
    """Every command is documented."""
    readme = (ROOT / "README.md").read_text()
    assert [] == [command for command in commands(main) if f"`{command}" not in readme]


def test_the_page_of_headers_names_every_field() -> None:
    """Every field that has a rule of its own stands on the page."""
    page = (DOCS / "headers.md").read_text().lower()
    ruled = {
        *HOP_BY_HOP,
        *headers.DEFAULT_IDENTITY_NAMES,
        *headers._OURS,
        *headers._OVERRIDES,
        *(f"{prefix}*" for prefix in headers._OUR_PREFIXES),
        *FOREIGN_IDENTITY,
        *FOREIGN_ADDRESSES,
        *(f"{prefix}*" for prefix in FOREIGN_IDENTITY_PREFIXES),
        *headers._REQUEST_SPECIAL,
    }
    assert [] == sorted(name for name in ruled if f"`{name.lower()}" not in page)


@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.md"))])
def test_the_readme_lists_each_page(page: str) -> None:
    """In the table at its end, where newcomers look for what else there is."""
    _, _, table = (ROOT / "README.md").read_text().partition("\n## More\n")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert any(f"[docs/{page}](docs/{page})" in row.split("|")[1] for row in rows)


def test_operating_lists_each_path_of_the_private_listener() -> None:
    """Probes, metrics, and what programs may ask; `{…}` stands for a part of a path."""
    page = (DOCS / "operating.md").read_text()
    source = cast("Any", None)  # routes are listed without asking any
    apis = (AdminPages(source, frozenset()), Api(source), OperationsApi(Works()))
    paths = {route.path for api in apis for route in api.routes()}
    assert set() == {path for path in paths if path.partition("{")[0] not in page}
