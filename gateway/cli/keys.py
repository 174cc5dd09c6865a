"""``gateway keys``: generate keys for the config."""

import os
import secrets
from base64 import b64encode
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.assertion.token import signing_key
from gateway.audit.chain import KEY_BYTES
from gateway.cli.common import EXIT_NO, fail
from gateway.hooks.signature import PREFIX

_SESSION_KEY_BYTES = 32
_WEBHOOK_KEY_BYTES = 32
_MODE = 0o600


@click.group()
def keys() -> None:
    """Generate keys for the config."""


@keys.command()
@click.option(
    "--alg",
    type=click.Choice(["EdDSA", "ES256"]),
    default="EdDSA",
    show_default=True,
    help="Algorithm of the signatures.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, readable by its owner alone; without it, the key is printed.",
)
@click.option("--session", is_flag=True, help="Generate a key for session.keys instead.")
@click.option("--webhook", is_flag=True, help="Generate a secret of a webhook instead.")
@click.option("--audit", is_flag=True, help="Generate a key for audit.key instead.")
def generate(alg: str, out: Path | None, *, session: bool, webhook: bool, audit: bool) -> None:
    """Generate a key for identity.assertion.keys, as PEM."""
    if session + webhook + audit > 1:
        raise click.UsageError("one of --session, --webhook and --audit")
    if webhook:
        text = webhook_secret() + "\n"
    elif audit:
        text = b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n"
    else:
        text = secrets.token_urlsafe(_SESSION_KEY_BYTES) + "\n" if session else _private_key(alg)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        # O_EXCL never overwrites a key in use; the mode keeps other users out from the start.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    except OSError as error:
        fail(f"{out}: {error.strerror}", EXIT_NO)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    about = "" if session or webhook or audit else f" (kid {signing_key(text).key_id})"
    click.echo(f"{out}{about}", err=True)


def webhook_secret() -> str:
    """Make a secret of a webhook."""
    return PREFIX + b64encode(secrets.token_bytes(_WEBHOOK_KEY_BYTES)).decode()


def _private_key(algorithm: str) -> str:
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
