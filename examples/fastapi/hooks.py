"""Receives webhooks of the gateway: verifies each, drops repeats, and answers."""

import asyncio
import os
import sqlite3

from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError

app = FastAPI()
webhook = Webhook(os.environ["HOOK_SECRET"])
DATABASE = os.environ.get("HOOK_DATABASE", "people.db")

with sqlite3.connect(DATABASE) as database:
    database.execute("CREATE TABLE IF NOT EXISTS handled (id TEXT PRIMARY KEY)")
    database.execute("CREATE TABLE IF NOT EXISTS people (issuer TEXT PRIMARY KEY, since TEXT)")


@app.post("/hooks")
async def receive(request: Request):
    body = await request.body()
    try:
        event = webhook.verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError):  # ValueError: fields that cannot be read
        return Response(status_code=401)
    # The answer has to come within hooks.timeout: leave what takes longer to a queue of your own.
    await asyncio.to_thread(handle, request.headers["webhook-id"], event)
    return Response(status_code=204)


def handle(webhook_id: str, event: dict) -> None:
    # One transaction for the id and the work: both are there, or neither. A repeat does nothing.
    with sqlite3.connect(DATABASE, timeout=5) as database:
        new = database.execute("INSERT OR IGNORE INTO handled VALUES (?)", [webhook_id])
        if new.rowcount == 1 and event["type"] == "user.first_login" and not is_test(event):
            values = [event["subject"], event["time"]]
            database.execute("INSERT OR IGNORE INTO people VALUES (?, ?)", values)


def is_test(event: dict) -> bool:
    return event["data"].get("test") is True  # of `gateway hooks test`: about no person


@app.get("/people")
def people():
    with sqlite3.connect(DATABASE) as database:
        return [issuer for (issuer,) in database.execute("SELECT issuer FROM people ORDER BY 1")]
