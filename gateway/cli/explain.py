"""``gateway explain``: say why a request is admitted or refused."""

import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, NoReturn, TextIO

import click

from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    ParsedParam,
    config_option,
    json_option,
    print_json,
    reading,
    run,
    settings_in,
    shown,
)
from gateway.config.schema import Settings
from gateway.explain.cookie_file import cookies_for
from gateway.explain.logged import LogEntry, asked_again, find_entry, logged_explanation
from gateway.explain.question import DEFAULT_PEER, Question, read_field
from gateway.explain.text import answer_of, lines_of
from gateway.explain.trace import Explanation, StageVerdict
from gateway.runtime.command_services import command_services
from gateway.runtime.explanation import explanation
from gateway.runtime.services.magic import is_development

_DEVELOPMENT: Final = (
    "development mode: sessions and users are in the memory of the running gateway; ask its"
    " private listener"
)


@click.command()
@click.argument("method", required=False)
@click.argument("url", required=False)
@click.option(
    "-H",
    "--header",
    "fields",
    multiple=True,
    type=ParsedParam(read_field),
    metavar="NAME: VALUE",
    help="A header field, as curl takes it; may be repeated.",
)
@click.option("--peer", default=DEFAULT_PEER, show_default=True, help="The other end's address.")
@click.option(
    "--cookie-file",
    type=click.File(errors="replace"),
    help="Cookies as curl's --cookie-jar writes them, or the value of a Cookie field; - for stdin.",
)
@click.option(
    "--as", "name", default="", metavar="ISSUER|EMAIL", help="Take the request for one of theirs."
)
@click.option("--request-id", metavar="ID", help="Explain a request of the past, with --log.")
@click.option(
    "--log", "log_file", type=click.File(errors="replace"), help="The access log; - for stdin."
)
@config_option
@json_option
def explain(
    method: str | None,
    url: str | None,
    request_id: str | None,
    log_file: TextIO | None,
    fields: Sequence[tuple[str, str]],
    peer: str,
    cookie_file: TextIO | None,
    name: str,
    path: Path,
    *,
    as_json: bool,
) -> None:
    """
    Say why METHOD URL is admitted or refused, by the stages that decide it.

    URL is absolute, or a path on the public host. Nothing is sent to the app and nothing is written
    or charged. Credentials are shown as fingerprints; those in options end up in the history of the
    shell, those in --cookie-file do not.

    With --request-id ID --log FILE: show what the access log has of a past request, and explain the
    same request again, as far as it is logged.

    Exit status 0: admitted. 1: refused. 2: wrong usage. 3: the store, or Magic, is needed and was
    not reached.
    """
    settings = settings_in(path)
    if request_id is not None and log_file is not None and method is None:
        if fields or cookie_file is not None or name or peer != DEFAULT_PEER:
            raise click.UsageError("the log says who has sent what: --request-id takes --log alone")
        _explain_past(settings, request_id, log_file, as_json=as_json)
        return
    if method is None or url is None or request_id is not None or log_file is not None:
        raise click.UsageError("expected METHOD and URL, or --request-id and --log")
    question = Question(method, url, tuple(fields), peer, name)
    try:
        if cookie_file is not None:
            question = _with_cookies(question, settings, cookie_file)
        found = run(_explained(settings, question), EXIT_CONFIG)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _show(found, as_json=as_json)


def _with_cookies(question: Question, settings: Settings, file: TextIO) -> Question:
    with reading(file):
        text = file.read()
    cookies = cookies_for(text, question.place(settings.server.public_url))
    if not cookies:
        return question
    return question._replace(fields=(*question.fields, ("Cookie", cookies)))


async def _explained(settings: Settings, question: Question) -> Explanation:
    async with command_services(settings) as services:
        found = await explanation(settings, services.process, services.upstreams, question)
    if is_development(settings) and found.status == HTTPStatus.UNAUTHORIZED:
        return found._replace(notes=(*found.notes, _DEVELOPMENT))
    return found


def _explain_past(
    settings: Settings, request_id: str, log_file: TextIO, *, as_json: bool
) -> NoReturn:
    """Show what the log has of a request, explain it again, and end as it ended then."""
    with reading(log_file):
        entry = find_entry(log_file, request_id)
    if entry is None:
        raise click.UsageError(f"{log_file.name} has no request {request_id}")
    logged, (question, notes) = logged_explanation(entry), asked_again(entry)
    found = None
    if question is not None:
        try:
            found = run(_explained(settings, question), EXIT_CONFIG)
        except ValueError as error:
            notes = (f"it cannot be explained again: {error}",)
    if as_json:
        again = None if found is None else found.as_json()
        print_json({**logged.as_json(), "logged": entry, "notes": notes, "again": again})
    else:
        _print_past(logged, entry, found, notes)
    sys.exit(EXIT_NO if logged.verdict is StageVerdict.REFUSED else 0)


def _print_past(
    logged: Explanation, entry: LogEntry, found: Explanation | None, notes: Sequence[str]
) -> None:
    click.echo(shown(f"logged: {answer_of(logged)}"))
    for name, value in entry.items():
        if value not in ("", None):
            click.echo(shown(f"  {name:<17}{value}"))
    if found is not None:
        click.echo("\nThe same request now, as far as the log has it:\n")
        for line in lines_of(found):
            click.echo(shown(line))
    for note in notes:
        click.echo(shown(f"note: {note}"))


def _show(found: Explanation, *, as_json: bool) -> None:
    """Print an explanation, and end the command with its exit status."""
    if as_json:
        print_json(found.as_json())
    else:
        for line in lines_of(found):
            click.echo(shown(line))
    if found.unreached:
        click.echo(f"gateway: not reached: {shown(found.unreached)}", err=True)
        sys.exit(EXIT_NOT_REACHED)
    if found.verdict is StageVerdict.REFUSED:
        sys.exit(EXIT_NO)
