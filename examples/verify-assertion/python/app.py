"""Trusts only X-Gateway-Assertion. Answers every GET with the verified claims, as JSON."""

import base64
import hashlib
import json
import os
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

ISSUER = os.environ["ISSUER"]  # server.public_url of the gateway
AUDIENCE = os.environ["AUDIENCE"]  # this app's name among its upstreams
JWKS_URL = os.environ.get("JWKS_URL", ISSUER + "/_gateway/jwks.json")
ALGORITHMS = ["EdDSA", "ES256"]  # a list of your own: never trust the header of the token
LEEWAY_S = 5

KEEP_S, COOLDOWN_S = 60, 1
keys, read_at = {}, 0.0


def key_of(kid):
    """Fetch the key set again when it is old, or when the key is unknown: keys are rotated."""
    global keys, read_at
    age = time.monotonic() - read_at
    if not keys or age > KEEP_S or (kid not in keys and age > COOLDOWN_S):
        with urllib.request.urlopen(JWKS_URL, timeout=5) as answer:
            published = json.load(answer)["keys"]
        keys, read_at = {key["kid"]: jwt.PyJWK(key) for key in published}, time.monotonic()
    return keys[kid]


def verified(token):
    key = key_of(jwt.get_unverified_header(token)["kid"])
    if key.algorithm_name not in ALGORITHMS:
        raise ValueError("algorithm")
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY_S,
        options={"require": ["exp", "iat", "iss", "aud", "sub"]},
    )


def check_request(claims, method, target):
    """With `bind: request`: check that the assertion is for this request, and no other."""
    if "htm" not in claims:
        return
    path, _, query = target.partition("?")
    digest = hashlib.sha256(query.encode()).digest()
    hashed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if (method, path, hashed) != (claims["htm"], claims["path"], claims["qh"]):
        raise ValueError("another request")


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            claims = verified(self.headers["X-Gateway-Assertion"] or "")
            check_request(claims, self.command, self.path)
            status, answer = 200, claims
        except Exception as error:  # noqa: BLE001 - any error means that no identity is proven
            status, answer = 401, {"error": type(error).__name__}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), App).serve_forever()
