"""
Measure the CPU cost of an assertion per request.

    python -m benchmarks.assertions
"""

import secrets
import time
from functools import partial
from timeit import repeat

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.assertion.cache import AssertionCache
from gateway.assertion.token import SigningKey, signing_key
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.request import Target
from gateway.core.route import Route
from tests.fakes.heads import request_head

ROUNDS, CALLS = 5, 2000
ROUTE, TARGET = Route("all", "/*", "app"), Target("/orders/7", "/orders/7?page=2", False)
IDENTITY = Identity(
    User("did:ethr:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "ada@example.com"),
    AuthMethod.SESSION,
    "tid",
    2**50,
    "session:1",
    roles=("staff",),
)


def assertions(key: SigningKey, *, binds_requests: bool) -> AssertionCache:
    """Make the cache of assertions as the gateway does."""
    return AssertionCache(
        "X-Gateway-Assertion",
        key,
        "https://app.example.com",
        {},
        public_host="app.example.com",
        lifetime_s=60.0,
        binds_requests=binds_requests,
        clock=time.time,
        token_id=partial(secrets.token_urlsafe, 16),
    )


def cpu_us(made: AssertionCache) -> float:
    """Measure the CPU time of one field line, in microseconds; the best of `ROUNDS` rounds."""
    line = partial(made.line, IDENTITY, ROUTE, request_head(), TARGET)
    return min(repeat(line, repeat=ROUNDS, number=CALLS, timer=time.process_time)) / CALLS * 1e6


def main() -> None:
    """Print a line for each signature algorithm."""
    for private in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = signing_key(pem.decode())
        hot = cpu_us(assertions(key, binds_requests=False))
        each = cpu_us(assertions(key, binds_requests=True))
        print(f"{key.algorithm}: bind: identity {hot:.1f} µs, bind: request {each:.0f} µs")


if __name__ == "__main__":
    main()
