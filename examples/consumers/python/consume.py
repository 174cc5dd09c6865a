"""Reads the events of the gateway from its stream, as one of a group of consumers."""

import json
import os
import socket

from redis import Redis
from redis.exceptions import ResponseError

STREAM = os.environ.get("REDIS_PREFIX", "") + "hooks"
GROUP = os.environ.get("GROUP", "reports")
CONSUMER = os.environ.get("CONSUMER", socket.gethostname())
ABANDONED_MS = int(os.environ.get("ABANDONED_MS", "60000"))  # longer than the work takes


def handle(event: dict) -> None:
    # An event may come again: let the work be such that this does no harm, or note its id.
    print(event["type"], event["subject"], event["id"], flush=True)


def main() -> None:
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    try:
        redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)  # "$": new events alone
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):  # the group is there
            raise
    while True:
        # First what another of the group took and never finished; then what is new.
        _, entries, _ = redis.xautoclaim(STREAM, GROUP, CONSUMER, ABANDONED_MS, count=100)
        if not entries:
            read = redis.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=100, block=1000)
            entries = read[0][1] if read else []
        for place, fields in entries:
            if fields and "event" in fields:
                handle(json.loads(fields["event"]))
            redis.xack(STREAM, GROUP, place)


if __name__ == "__main__":
    main()
