"""The scenarios: their requests, and the rates of those in an open loop."""

from contextlib import ExitStack
from functools import cache
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.build import NotHere
from benchmarks.callers import BROWSER, MARK, Callers, addresses
from benchmarks.configs import Variant
from benchmarks.people import Person
from benchmarks.scenarios import SCENARIOS, Load, Scenario, rate_of
from benchmarks.servers import Cores, Rig, Server

from .test_report import window


class Programs(Rig):
    """Starts nothing."""

    def __init__(self, directory: Path) -> None:
        super().__init__(ExitStack(), directory, Cores(None, None))
        for number, name in enumerate(("upstream", "relay", "naive", "rival"), 1):
            self.__dict__[name] = Server(number, number, directory, 0.0)

    @cache  # noqa: B019 - it lives as long as a test
    def gateway(self, variant: Variant = Variant()) -> Server:  # noqa: B008 - as that of `Rig`
        return Server(9, 100 + variant.is_behind_proxy, self.directory, 0.0)


@pytest.fixture
def callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callers:
    """The requests of a run in which no program runs, and no session is stored."""
    made = Callers(Programs(tmp_path))
    persons = [Person(f"{number:043}", "issuer", "email") for number in range(50_000)]
    monkeypatch.setattr(made, "sign_in_first", lambda count, _: persons[:count])
    return made


def files(options: tuple[str, ...]) -> list[list[str]]:
    """The lines of the files that the load generator gets."""
    named = [after for option, after in pairwise(options) if option == "-f"]
    return [Path(name).read_text().splitlines() for name in named]


def scenario(name: str) -> Scenario:
    (found,) = (each for each in SCENARIOS if each.name == name)
    return found


HONEST = ("browser", "answers", "callers", "look-ups", "post-10k-browser", "lean", "open-60")


@pytest.mark.parametrize("name", HONEST)
def test_the_rival_gets_the_same_requests(callers: Callers, name: str) -> None:
    """Both get the same heads and bodies; only look-ups are of more people at the faster one."""
    ours = scenario(name).request(callers)
    rivals = scenario(f"rival-{name}").request(callers)
    assert (ours.path, len(ours.fields)) == (rivals.path, len(rivals.fields))
    if name != "look-ups":
        assert files(ours.options) == files(rivals.options)
    assert ours.server.port >= 100 > rivals.server.port


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("lean", [200]),
        ("browser", [200]),
        ("callers", [200, 10_000]),
        ("look-ups", [20_000]),
        ("rival-look-ups", [40_000]),
    ],
)
def test_people_and_callers_come_in_turn(callers: Callers, name: str, lengths: list[int]) -> None:
    """Each request takes the next cookie, and the next caller where there are many."""
    options = scenario(name).request(callers).options
    assert [len(set(lines)) for lines in files(options)] == lengths


def test_a_browser_never_asks_twice_the_same(callers: Callers) -> None:
    """Path, query, Referer and id are different in each request; a page sends no field twice."""
    request = callers.browser()
    assert request.path.count(MARK) == 2
    assert sum(MARK in line for line in request.fields) == 2
    names = [line.partition(":")[0].lower() for line in BROWSER]
    assert len(names) == len(set(names)) == 13


def test_a_post_names_its_page(callers: Callers) -> None:
    """Without the origin, a post with a session cookie is refused."""
    request = callers.browser_post()
    assert f"Origin: {request.server.origin}" in request.fields
    assert request.options[-2:] == ("-b", "10240")


def test_addresses_of_callers() -> None:
    """A million callers have a million addresses."""
    texts = [line.removeprefix("X-Forwarded-For: ") for line in addresses(1_000_000)]
    assert len(set(texts)) == 1_000_000
    assert all(ip_address(text) for text in texts[::9_999])


OPEN = Scenario("open", lambda _: SimpleNamespace(), load=Load(0.5, "browser"))  # type: ignore[arg-type,return-value] # asks nothing


def test_rate_of_an_open_loop() -> None:
    """The rate is the share of the highest rate so far of the row that it names."""
    windows = [window("browser", requests=count) for count in (10, 30, 20)]
    assert rate_of(OPEN, [*windows, window("session")]) == 0.5 * 30 / 2.0
    assert rate_of(scenario("session"), windows) is None


@pytest.mark.parametrize("windows", [[], [window("browser", requests=0)], [window("session")]])
def test_no_rate_without_its_row(windows: list[object]) -> None:
    """Without the row that it depends on, an open loop is left out."""
    with pytest.raises(NotHere, match="50% of that of browser"):
        rate_of(OPEN, windows)  # type: ignore[arg-type] # only windows
