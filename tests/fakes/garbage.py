"""
A launcher of a gateway that says what its garbage collector finds: `LAUNCHER`.

SIGUSR2 makes it collect, and write how many objects were found since the last time, and of which
types: what is frozen, and what the gateway collects by itself, is counted too.
"""

import gc
import json
import os
import signal
import sys
from collections import Counter

from gateway.cli.main import main as run

LAUNCHER = (sys.executable, "-m", "tests.fakes.garbage")
SAID = "garbage: "


def main() -> None:
    """Run the gateway's command line in this process, with a count of its garbage."""
    found = 0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal found
        if phase == "stop":
            found += info["collected"] + info["uncollectable"]

    def report(*_: object) -> None:
        nonlocal found
        gc.unfreeze()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
        total, found = found, 0
        text = f"{SAID}{total} {json.dumps(kinds.most_common(12))}"
        gc.garbage.clear()
        gc.collect()
        found = 0
        os.write(2, json.dumps({"message": text}).encode() + b"\n")

    gc.callbacks.append(note)
    signal.signal(signal.SIGUSR2, report)
    sys.argv = ["gateway", *sys.argv[sys.argv.index("gateway") + 1 :]]
    run()


if __name__ == "__main__":
    main()
