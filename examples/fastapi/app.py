"""Greets the user that the gateway has authenticated."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/")
def greet(
    x_user_issuer: Annotated[str, Header()],
    x_user_email: Annotated[str, Header()] = "",
):
    # Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
    issuer, email = unquote(x_user_issuer), unquote(x_user_email)
    return {"greeting": f"Hello, {email or issuer}", "issuer": issuer, "email": email}
