"""Where the time of a request goes: the parts of samples."""

import pytest
from rich.console import Console

from benchmarks.where import LOOP, Sample, costs_us, part_of, samples, table

RUN = "run (gateway/runtime/serve.py:30);run (asyncio/runners.py:118)"
RAW = f"""\
{RUN} 20
{RUN};feed (gateway/proxy/http1/parser.py:12);<lambda> (yarl/_url.py:3) 30
{RUN};feed (gateway/proxy/http1/parser.py:14) 40
{RUN};exchange (gateway/proxy/exchange.py:14) 10
_bootstrap (threading.py:1002);wait (threading.py:3) 500
"""


def test_samples() -> None:
    """A stack is read from the outermost to the innermost file."""
    first, second, *_ = samples(RAW)
    assert first == Sample(("gateway/runtime/serve.py", "asyncio/runners.py"), 20)
    assert second.files[-2:] == ("gateway/proxy/http1/parser.py", "yarl/_url.py")


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("gateway/proxy/http1/parser.py", "proxy.http1"),
        ("gateway/proxy/exchange.py", "proxy"),
        ("gateway/sessions/redis.py", "sessions"),
        ("yarl/_url.py", "yarl"),
        ("typing.py", "typing"),
        ("<string>", "generated code: named tuples, data classes"),
        ("uvloop/__init__.py", LOOP),
    ],
)
def test_parts(file: str, part: str) -> None:
    """The room of the innermost function has the sample, or its library."""
    assert part_of(Sample(("gateway/runtime/serve.py", file), 1)) == part


def test_costs() -> None:
    """Parts have their share of the cost; threads that wait cost nothing."""
    costs = costs_us(samples(RAW), 50.0)
    assert costs == {LOOP: 10.0, "yarl": 15.0, "proxy.http1": 20.0, "proxy": 5.0}


def test_table() -> None:
    """The dearest part is first, the sum is last, and what is small stands together."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table("browser", {"a": 9.0, "b": 90.0, "c": 0.5, "d": 0.5}))
    lines = [line.split("|")[1:4] for line in capture.get().strip().splitlines()[2:]]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["b", "90.0", "90%"],
        ["a", "9.0", "9%"],
        ["all else", "1.0", "1%"],
        ["in all", "100.0", "100%"],
    ]
