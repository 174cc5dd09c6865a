"""Greets the user that the gateway has authenticated."""

from urllib.parse import unquote

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def greet():
    # Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
    issuer = unquote(request.headers["X-User-Issuer"])
    email = unquote(request.headers.get("X-User-Email", ""))
    return {"greeting": f"Hello, {email or issuer}", "issuer": issuer, "email": email}
