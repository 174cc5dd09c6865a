"""``gateway hooks``: webhooks, what waits for them, dead letters, and tests."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click
import orjson

from gateway.cli.audit_trail import audit_option, record
from gateway.cli.common import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    audit,
    config_option,
    fail,
    json_option,
    print_json,
    run,
    settings_in,
    shown,
)
from gateway.cli.hook_letters import Chosen, Replayed, Told, drop_letters, replay_letters
from gateway.cli.hook_receiver import SecretParam, listen_on
from gateway.cli.hook_status import EndpointStatus, EventStatus, all_statuses, status_of
from gateway.cli.hook_trial import Trial, try_endpoint
from gateway.cli.issuers import read_issuers
from gateway.cli.terminal import port_option
from gateway.config.schema import Settings
from gateway.core.audit import AuditEvent
from gateway.core.errors import StartError
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.known_people import mark as mark_people
from gateway.runtime import serve
from gateway.runtime.services.hooks import endpoints
from gateway.runtime.services.store import shared_store
from gateway.telemetry import logs
from gateway.util.rfc3339 import rfc3339, rfc3339_if_known


@click.group()
def hooks() -> None:
    """Look after webhooks: what waits, what was given up, and whether they work."""


@hooks.command("list")
@config_option
@json_option
def list_(path: Path, *, as_json: bool) -> None:
    """
    List the endpoints, and what waits for each; also those that have dead letters alone.

    Exit status 1: there are none.
    """
    found = run(all_statuses(settings_in(path)))
    if as_json:
        print_json([_describe(status) for status in found])
    else:
        for status in found:
            _show(status)
    if not found:
        fail("the config has no webhooks", EXIT_NO)


def _describe(status: EndpointStatus) -> dict[str, Any]:
    endpoint, state = status.endpoint, status.state
    return {
        "endpoint": status.name,
        "url": None if endpoint is None else endpoint.place,
        "events": None if endpoint is None else sorted(endpoint.events),
        "waiting": state.waiting,
        "due": state.due,
        "oldest_at": rfc3339_if_known(state.oldest_ms),
        "dead": status.dead,
        "dead_trimmed": status.trimmed,
    }


def _show(status: EndpointStatus) -> None:
    told = _describe(status)
    click.echo(f"{shown(told['endpoint'])}  {told['url'] or 'not in the config'}")
    if told["events"] is not None:
        click.echo(f"    hears of {', '.join(told['events'])}")
    oldest = f", the oldest of {told['oldest_at']}" if told["oldest_at"] else ""
    click.echo(f"    {told['waiting']} waiting, {told['due']} due{oldest}")
    if told["dead"] or told["dead_trimmed"]:
        click.echo(f"    {told['dead']} dead, {told['dead_trimmed']} more had to go")


@hooks.command()
@click.argument("event_id")
@config_option
@json_option
def show(event_id: str, path: Path, *, as_json: bool) -> None:
    """
    Show an event, and where its deliveries are.

    An event that was delivered is found as long as the outbox keeps it. Exit status 1: there is no
    such event.
    """
    found = run(status_of(settings_in(path), event_id))
    if found is None:
        fail("there is no such event", EXIT_NO)
    if as_json:
        print_json({"event": found.event, "deliveries": _deliveries(found)})
        return
    event = found.event or {}
    for member in ("id", "type", "subject", "time"):
        click.echo(f"{member}: {shown(str(event.get(member, '-')))}")
    click.echo(f"data: {shown(orjson.dumps(event.get('data', {})).decode())}")
    for told in _deliveries(found):
        line = "{endpoint}: {state}, {attempts} attempts".format_map(told)
        last = f", the last: {told['last']}" if told["last"] else ""
        click.echo(shown(f"{line}{last}; {told['at_means']} {told['at']}"))


def _deliveries(found: EventStatus) -> list[dict[str, Any]]:
    waiting = [
        {
            "endpoint": endpoint,
            "state": "waiting",
            "attempts": each.attempts.made,
            "last": each.attempts.last or None,
            "at": rfc3339(each.due_ms),
            "at_means": "due",
        }
        for endpoint, each in found.waiting
    ]
    return waiting + [
        {
            "endpoint": letter.endpoint,
            "state": "dead",
            "attempts": letter.attempts,
            "last": letter.last or None,
            "at": rfc3339(letter.at_ms),
            "at_means": "given up",
        }
        for letter in found.dead
    ]


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose dead letters."""
    for option in (
        click.option("--endpoint", metavar="NAME", help="Those of this endpoint alone."),
        click.option("--all", "is_all", is_flag=True, help="All letters of --endpoint."),
        click.argument("event_id", required=False),
    ):
        command = option(command)
    return command


def _choice(event_id: str | None, endpoint: str | None, *, is_all: bool) -> Chosen:
    if is_all == (event_id is not None):
        raise click.UsageError("name an EVENT_ID, or --all")
    if is_all and endpoint is None:
        raise click.UsageError("--all needs --endpoint NAME")
    return Chosen(endpoint, event_id)


@hooks.command()
@_chosen
@audit_option
@config_option
@json_option
def replay(
    event_id: str | None, endpoint: str | None, path: Path, *, is_all: bool, as_json: bool
) -> None:
    """
    Deliver dead letters again, by the id of their event or all those of an endpoint.

    The event keeps its id, and is tried for a day again, behind what waits for its person. Lines on
    standard error name the events, for your records. Exit status 1: there is no such letter, or
    some had to stay: their endpoint is full, or not in the config.
    """
    chosen = _choice(event_id, endpoint, is_all=is_all)
    settings = settings_in(path)
    with _audited(settings, "hooks.replay", AuditEvent.HOOKS_REPLAYED) as told:
        done = run(replay_letters(settings, chosen, told))
    _tell(done, "replayed", as_json=as_json)
    if done.kept:
        fail(f"{done.kept} had to stay: their endpoint is full, or not in the config", EXIT_NO)


@hooks.command()
@_chosen
@audit_option
@config_option
@json_option
def drop(
    event_id: str | None, endpoint: str | None, path: Path, *, is_all: bool, as_json: bool
) -> None:
    """
    Drop dead letters, by the id of their event or all those of an endpoint.

    Lines on standard error name the events. Exit status 1: there is no such letter.
    """
    chosen = _choice(event_id, endpoint, is_all=is_all)
    settings = settings_in(path)
    with _audited(settings, "hooks.drop", AuditEvent.HOOKS_DROPPED) as told:
        done = run(drop_letters(settings, chosen, told))
    _tell(done, "dropped", as_json=as_json)


@contextmanager
def _audited(settings: Settings, action: str, event: AuditEvent) -> Iterator[Told]:
    """Print and record what is done; also the part that was, where the command fails."""
    done: list[tuple[str, list[str]]] = []

    def told(endpoint: str, events: Sequence[str]) -> None:
        audit(action, endpoint=endpoint, events=list(events))
        done.append((endpoint, list(events)))

    try:
        yield told
    finally:
        for endpoint, events in done:
            record(settings, event, {endpoint: {"events": events}})


def _tell(done: Replayed, word: str, *, as_json: bool) -> None:
    if as_json:
        print_json({word: done.moved, "kept": done.kept})
    elif done.moved:
        click.echo(f"{done.moved} {word}")
    if not done.moved and not done.kept:
        fail("there is no such dead letter", EXIT_NO)


@hooks.command()
@click.argument("name", metavar="ENDPOINT")
@config_option
@json_option
def test(name: str, path: Path, *, as_json: bool) -> None:
    """
    Post a signed event to an endpoint, and print what came of it.

    Its data is {"test": true}, and its subject is no person. The store is not asked. Exit status 1:
    another status than 2xx; 3: no answer came.
    """
    settings = settings_in(path)
    endpoint = _endpoint(settings, name)
    trial = run(try_endpoint(settings, endpoint, time.time()))
    _print_trial(endpoint, trial, as_json=as_json)
    if trial.answer.status == 0:
        fail(f"{name} was not reached: {trial.answer.reason}", EXIT_NOT_REACHED)
    if not trial.is_delivered:
        fail(f"{name} did not take it", EXIT_NO)


def _print_trial(endpoint: HookEndpoint, trial: Trial, *, as_json: bool) -> None:
    answer = trial.answer
    if as_json:
        print_json(
            {
                "endpoint": endpoint.name,
                "url": endpoint.place,
                "event": trial.event_id,
                "is_delivered": trial.is_delivered,
                "status": answer.status or None,
                "reason": answer.reason,
                "took_ms": trial.took_ms,
            }
        )
    elif answer.status:
        click.echo(f"{endpoint.name}: {answer.reason} in {trial.took_ms} ms")


def _endpoint(settings: Settings, name: str) -> HookEndpoint:
    known = {endpoint.name: endpoint for endpoint in endpoints(settings)}
    if name not in known:
        fail(f"no such endpoint; known: {', '.join(known) or 'none'}", EXIT_CONFIG)
    return known[name]


@hooks.command()
@port_option(8090)
@click.option(
    "--secret",
    type=SecretParam(),
    envvar="HOOK_SECRET",
    help="Secret of the endpoint, whsec_…; also $HOOK_SECRET. Without it, one is made and printed.",
)
@json_option
def listen(port: int, secret: str | None, *, as_json: bool) -> None:
    """
    Receive webhooks on this machine: verify each, drop repeats, and print the rest.

    With --json, each event is printed as one line.
    """
    logs.set_up()
    try:
        serve.run(listen_on(port, secret, as_json=as_json))
    except StartError as error:
        fail(str(error), EXIT_NO)


@hooks.command()
@click.argument("file", type=click.File(errors="replace"), default="-")
@click.option("--dry-run", is_flag=True, help="Count, and write nothing.")
@audit_option
@config_option
@json_option
def mark(file: TextIO, path: Path, *, dry_run: bool, as_json: bool) -> None:
    """
    Mark the issuers in FILE, or stdin, one a line, as people who have signed in before.

    To none of them a first sign-in is due then. Do so before the first webhook is configured. Empty
    lines, and lines that begin with #, are ignored. If any other line is not an issuer, none is
    marked (exit status 2).
    """
    issuers = read_issuers(file)
    settings = settings_in(path)
    marked = run(_mark(settings, issuers, dry_run=dry_run))
    if marked and not dry_run:
        record(settings, AuditEvent.HOOKS_MARKED, {"issuers": {"count": marked}})
    known = len(issuers) - marked
    if as_json:
        print_json({"marked": marked, "known": known, "is_dry_run": dry_run})
    else:
        click.echo(f"{marked} {'to mark' if dry_run else 'marked'}, {known} known before")


async def _mark(settings: Settings, issuers: Sequence[str], *, dry_run: bool) -> int:
    async with shared_store(settings) as shared:
        return await mark_people(shared.store, issuers, changes_nothing=dry_run)
