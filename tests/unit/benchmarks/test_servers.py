"""How the programs of a run are started."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.build import CannotRun
from benchmarks.configs import Variant
from benchmarks.servers import Cores, PortTaken, Rig, Server, free_port, running

NOWHERE = Cores(None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("gateway: Address already in use", PortTaken, id="taken"),
        pytest.param("gateway: address already in use", PortTaken, id="taken, of uvloop"),
        pytest.param("gateway: no such file", CannotRun, id="another failure"),
    ],
)
def test_a_program_that_ends(text: str, expected: type[CannotRun], tmp_path: Path) -> None:
    """A port that is taken is told from other failures: with another port, all would be well."""
    command = (sys.executable, "-c", f"print({text!r})")
    server = running(command, free_port(), tmp_path / "log")
    with pytest.raises(CannotRun, match=text) as caught, server:
        pass
    assert caught.type is expected


class Gateways(Rig):
    """Starts nothing; the first ``taken`` ports are taken."""

    def __init__(self, stack: ExitStack, directory: Path, taken: int) -> None:
        super().__init__(stack, directory, NOWHERE)
        self.taken = taken
        self.running: set[int] = set()
        self.ports = iter(range(1, 100))

    @contextmanager
    def new_gateway(self, variant: Variant) -> Iterator[Server]:
        port = next(self.ports)
        if port <= self.taken:
            raise PortTaken
        self.running.add(port)
        yield Server(1, port, self.directory / variant.name, 0.0)
        self.running.remove(port)


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_another_port_is_tried(tmp_path: Path, taken: int) -> None:
    """A program of another run that took the port does not end this run."""
    with ExitStack() as stack:
        assert Gateways(stack, tmp_path, taken).gateway().port == taken + 1


def test_not_for_ever(tmp_path: Path) -> None:
    """What fails each time is told."""
    with ExitStack() as stack, pytest.raises(PortTaken):
        Gateways(stack, tmp_path, 50).gateway()


def test_gateways_are_stopped_and_started_anew(tmp_path: Path) -> None:
    """One runs for each variant, until it is stopped or the run ends."""
    with ExitStack() as stack:
        rig = Gateways(stack, tmp_path, 0)
        assert rig.gateway() is rig.gateway()
        rig.gateway(Variant("another"))
        assert rig.running == {1, 2}
        rig.stop_gateways()
        assert rig.running == set()
        assert rig.gateway().port == 3
    assert rig.running == set()


def test_a_rig_beside_another(tmp_path: Path) -> None:
    """Two sides that are compared have one app and one store: two would be a difference."""
    with ExitStack() as stack:
        first = Rig(stack, tmp_path, NOWHERE)
        first.__dict__["upstream"] = app = Server(1, 2, tmp_path, 0.0)
        first.__dict__["store"] = tmp_path / "socket"
        second = Rig(stack, tmp_path, NOWHERE, beside=first)
        assert second.upstream is app
        assert second.store == tmp_path / "socket"
