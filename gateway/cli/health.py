"""``gateway health``: ask a running gateway how it is, for probes of containers."""

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

import click

from gateway.cli.private_place import PrivateAddress, address_of, private_address
from gateway.cli.terminal import (
    EXIT_CONFIG,
    EXIT_NO,
    EXIT_NOT_REACHED,
    config_option,
    fail,
    json_option,
    shown,
)

_PATHS: Final = {"ready": "/readyz?verbose", "startup": "/startupz", "live": "/healthz"}
_MAX_BYTES = 1024 * 1024


class _ProbeAnswer(NamedTuple):
    """What a gateway has answered."""

    status: int
    document: Mapping[str, Any]


@click.command()
@config_option
@click.option(
    "--probe",
    type=click.Choice(tuple(_PATHS)),
    default="ready",
    show_default=True,
    help="The question: may it get requests, has it started, does its process run.",
)
@click.option(
    "--url", help="Address of the private listener, or unix:/path, in place of `admin.listen`."
)
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.05, 60), default=2.0, show_default=True,
    help="Seconds to wait for the answer.",
)  # fmt: skip
@json_option
def health(path: Path, *, probe: str, url: str | None, timeout_s: float, as_json: bool) -> None:
    """
    Ask the gateway that runs with this config how it is.

    Exit status: 0 yes, 1 no, 3 it was not reached.
    """
    address = _checked(url.rstrip("/")) if url else _private_address(path)
    answer = _answer(address, _PATHS[probe], timeout_s)
    if as_json:
        click.echo(json.dumps(answer.document, indent=2, ensure_ascii=False))
    else:
        _print(probe, answer.document)
    sys.exit(0 if answer.status == HTTPStatus.OK else EXIT_NO)


def _checked(url: str) -> PrivateAddress:
    """Return the address in ``url``; the command ends where it is none."""
    try:
        return private_address(url)
    except ValueError as error:
        fail(f"--url {url}: {error}", EXIT_CONFIG)


def _private_address(path: Path) -> PrivateAddress:
    from gateway.cli.common import settings_in  # noqa: PLC0415 (half a second, without --url alone)

    admin = settings_in(path).admin
    if admin is None:
        fail("the config has no private listener: set `admin.listen`, or give --url", EXIT_CONFIG)
    tls = admin.tls
    return address_of(admin.listen, "" if tls is None else tls.certificate)


def _answer(address: PrivateAddress, path: str, timeout_s: float) -> _ProbeAnswer:
    """
    Ask, in a thread: its own time-outs are those of one read each. Ends the command without answer.

    The thread is a daemon, which the end of the command does not wait for.
    """
    outcomes: SimpleQueue[_ProbeAnswer | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            outcomes.put(_ask(address, path, timeout_s))
        except Exception as error:  # noqa: BLE001 (it is told below, whatever it is)
            outcomes.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        outcome = outcomes.get(timeout=timeout_s)
    except Empty:
        outcome = TimeoutError()
    if not isinstance(outcome, _ProbeAnswer):
        fail(_problem(f"{address.text}{path}", outcome, timeout_s), EXIT_NOT_REACHED)
    return outcome


def _problem(url: str, error: Exception, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"{url} has not answered within {timeout_s:g} s"
        case OSError() | HTTPException():
            return f"{url} was not reached: {error}"
        case _:
            return f"{url} does not answer as a gateway does"


def _ask(address: PrivateAddress, path: str, timeout_s: float) -> _ProbeAnswer:
    """Raise `OSError`, `HTTPException`, or another error for what no gateway answers."""
    connection = address.connection(timeout_s)
    try:
        connection.request("GET", address.path + path)
        with connection.getresponse() as answer:
            status, text = answer.status, answer.read(_MAX_BYTES + 1)
    finally:
        connection.close()
    document = json.loads(text) if len(text) <= _MAX_BYTES else None
    if not isinstance(document, dict):
        raise TypeError
    return _ProbeAnswer(status, document)


def _print(probe: str, document: Mapping[str, Any]) -> None:
    store = f", store {document['store']}" if "store" in document else ""
    click.echo(shown(f"{probe}: {document.get('detail') or document.get('status')}{store}"))
    for check in document.get("checks", ()):
        verdict = "ok  " if check["ok"] else "FAIL"
        click.echo(shown(f"  {verdict} {check['name']}: {check['detail']}"))
