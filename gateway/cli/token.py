"""``gateway token``: mint DID tokens for development, and inspect credentials."""

import json
import os
import sys
import time
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import click
from click.core import ParameterSource

from gateway.authn.did_token.token import TokenRules
from gateway.authn.inspect import InspectionContext, Instant, Report, Result, examine
from gateway.cli.common import (
    EXIT_NO,
    EXIT_NOT_REACHED,
    config_option,
    fail,
    fail_config,
    json_option,
    print_json,
    reading,
    shown,
)
from gateway.config.identity import IdentitySettings
from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError
from gateway.runtime.services.credentials.registry import inspectors
from gateway.runtime.services.identity import token_rules
from gateway.runtime.services.magic import configured_audience

_MINT_TIMEOUT_S = 10
_MAX_CHARS = 1 << 20
_WIDTH = 14

_NOT_ASKED = "Not asked: whether Magic knows the issuer, and whether anything was revoked."


@click.group()
def token() -> None:
    """Mint and inspect DID tokens."""


@token.command()
@click.argument("email")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The gateway.")
@click.option(
    "--lifetime",
    "lifetime_s",
    default=900,
    show_default=True,
    help="Lifetime of the token in seconds.",
)
def mint(email: str, url: str, lifetime_s: int) -> None:
    """Get a DID token for EMAIL from a gateway in development mode."""
    if not _is_http(url):
        raise click.BadParameter(
            "expected http://HOST:PORT or https://HOST:PORT", param_hint="--url"
        )
    page = f"/_gateway/development/token?email={quote(email)}&lifetime_s={lifetime_s}"
    try:
        with urlopen(Request(url + page, method="POST"), timeout=_MINT_TIMEOUT_S) as response:  # noqa: S310 (checked above)
            click.echo(response.read().decode().strip())
    except HTTPError as error:
        error.close()
        fail(f"{url} answered {error.code}: is it in development mode?", EXIT_NO)
    except UnicodeDecodeError:
        fail(f"{url} does not answer as a gateway does", EXIT_NO)
    except (OSError, HTTPException, UnicodeError) as error:  # such as a host of no DNS name
        reason = shown(str(getattr(error, "reason", error)))
        fail(f"{url} was not reached: {reason}", EXIT_NOT_REACHED)


def _is_http(url: str) -> bool:
    try:
        place = urlsplit(url)
        return place.scheme in {"http", "https"} and bool(place.hostname) and place.port != 0
    except ValueError:
        return False


@token.command()
@click.argument("text", metavar="[TOKEN|-]", default="-")
@click.option(
    "--audience", help="The client id that the token must name; default: that of the config."
)
@config_option
@json_option
@click.pass_context
def inspect(
    context: click.Context, text: str, audience: str | None, path: Path, *, as_json: bool
) -> None:
    """
    Show the claims of a token, and which checks it passes. Nothing is sent anywhere.

    The token is read from stdin, so that it does not end up in the shell's history. API keys and
    JWTs are recognised too: of a key the id is shown, of a JWT the unverified claims.

    Without a config, the defaults apply, and the audience is checked only with --audience.

    Exit status 1: the token would be refused.
    """
    settings = _settings(context, path)
    defaults = _rules(settings, "")
    known = audience or (configured_audience(settings) if settings else None)
    if text == "-":
        with click.open_file("-", errors="replace") as file, reading(file):
            text = file.read(_MAX_CHARS)
    rules = defaults._replace(audience=known) if known else None
    report = examine(text.strip(), inspectors(), InspectionContext(rules, defaults, time.time()))
    if as_json:
        print_json(_describe(report))
    else:
        _show(report)
    if report.reason is not None:
        sys.exit(EXIT_NO)


def _settings(context: click.Context, path: Path) -> Settings | None:
    """Load the config; a config that was named explicitly must be valid."""
    is_named = context.get_parameter_source("path") is not ParameterSource.DEFAULT
    if not is_named and not path.exists():
        return None
    try:
        return load(path, os.environ)
    except ConfigError as error:
        if is_named:
            fail_config(error)
        click.echo(f"gateway: {path} is invalid and was not used", err=True)
        return None


def _rules(settings: Settings | None, audience: str) -> TokenRules:
    identity = IdentitySettings() if settings is None else settings.identity
    return token_rules(identity, audience)


def _describe(report: Report) -> dict[str, object]:
    return {
        "kind": report.kind,
        "refused": report.reason is not None,
        "reason": report.reason,
        "meaning": report.meaning,
        "claims": report.claims,
        "times": {name: instant._asdict() for name, instant in report.times.items()},
        "checks": report.checks,
    }


def _show(report: Report) -> None:
    click.echo(report.kind.replace("_", " "))
    for name, value in report.claims.items():
        instant = report.times.get(name)
        told = _escape(value) if instant is None else f"{value}  {_when(instant)}"
        click.echo(f"  {_escape(name)[1:-1]:<{_WIDTH}}{told}")
    for result in Result:
        checks = [name for name, found in report.checks.items() if found is result]
        if checks:
            click.echo(f"{result.replace('_', ' ')}: {', '.join(checks)}")
    click.echo(_NOT_ASKED)
    if report.reason is not None:
        click.echo(f"gateway: refused: {report.reason}: {report.meaning}", err=True)


def _escape(value: object) -> str:
    """Escape to printable ASCII: a token must not write control sequences to the terminal."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _when(instant: Instant) -> str:
    apart = timedelta(seconds=abs(instant.age_s)) if instant.at else None
    told = "" if apart is None else f" ({apart} ago)" if instant.age_s >= 0 else f" (in {apart})"
    return f"{instant.at or 'after the year 9999'}{told}"
