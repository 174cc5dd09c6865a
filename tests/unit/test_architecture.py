"""The picture of the house, kept true: who may use whom, and what each line stays away from."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent

LINES = {
    "0 vocabulary": "messages errors invalidation reasons",
    "1 decisions": """
        target client_ip routing destination access permission problems return_to login
        cors forward_auth
        revocation
        ratelimit.policy
        attempts.contact
        sessions.session sessions.cookie sessions.seal sessions.cache
        sessions.device sessions.listing
        identity.credentials identity.did_token identity.metadata identity.api_key identity.jwt
        identity.certificate
        identity.roles identity.assertion
        identity.bounded identity.circuit identity.foreign identity.skew
        admin.guard
        backoff cores stamps times
        proxy.headers proxy.hop proxy.internal proxy.framing proxy.answers
        proxy.chunks proxy.cutter
        proxy.proxy_protocol proxy.occupancy proxy.upgrade proxy.websocket
        proxy.balance proxy.restraint
        proxy.pace proxy.repeats
        config.*
    """,
    "2 ports": "ports",
    "3 journey": "pipeline authentication authorisation assertions failures",
    "4 adapters": """
        ratelimit.local ratelimit.redis
        sessions.redis sessions.index sessions.use sessions.parting sessions.revocations
        sessions.revoking attempts.redis
        identity.single_flight identity.minting identity.attachment identity.development
        identity.magic identity.directory identity.verifier identity.api_keys
        identity.jwks identity.jwts
        identity.issuers identity.farewells identity.warming
        identity.recovery identity.examination
        identity.role_store
        store.*
        proxy.http1 proxy.outbox proxy.listen proxy.activation proxy.entrance
        proxy.arrivals proxy.doors proxy.tls
        proxy.deadlines proxy.tasks proxy.upstream proxy.pool proxy.plane proxy.exchange
        proxy.upstreams proxy.attempts proxy.tunnel proxy.tunnels
        proxy.connect proxy.health
        proxy.strictness proxy.inbox proxy.parting
        proxy.client_writer proxy.client_reader proxy.downstream
        pages.* telemetry.* admin.app admin.api admin.listener channel background
    """,
    "5 composition": """
        app process stores descriptors generation people ways own_pages wiring signing
        reload serve worker supervisor
        demo sample_app cli commands.* __main__
    """,
}
"""Top to bottom: a line may use itself and the lines above it, never one below."""

LIBRARIES_OF_THE_WORLD = {"aiohttp", "redis", "magic_admin", "time"}
"""Networks and clocks: an adapter's business."""


@cache
def modules() -> dict[str, ast.Module]:
    """All modules by their name inside the package; those that only make a folder are left out."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_bytes())
        for path in sorted(ROOT.rglob("*.py"))
        if path.name != "__init__.py"
    }


def lines_of(module: str) -> list[int]:
    """The lines in which ``module`` is placed."""
    return [
        number
        for number, patterns in enumerate(LINES.values())
        if any(fnmatchcase(module, pattern) for pattern in patterns.split())
    ]


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all that is imported, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(tree: ast.AST) -> set[str]:
    """The modules of ours that are imported."""
    dotted = (name.removeprefix("gateway.") for name in imports(tree) if name.startswith("gateway"))
    return {
        module
        for name in dotted
        for module in (name, name.rpartition(".")[0])
        if module in modules()
    }


def foreign(tree: ast.AST) -> set[str]:
    """The libraries that are imported."""
    return {name.partition(".")[0] for name in imports(tree)}


def in_lines(first: int, last: int) -> list[str]:
    """The modules of these lines."""
    return [name for name in modules() if lines_of(name) and first <= lines_of(name)[0] <= last]


def test_every_module_has_one_place() -> None:
    """A new module is placed in the picture before it is merged."""
    assert [] == [(name, lines_of(name)) for name in modules() if len(lines_of(name)) != 1]


def test_every_place_has_a_module() -> None:
    """What was moved or removed does not linger in the picture."""
    patterns = chain.from_iterable(line.split() for line in LINES.values())
    unused = [
        pattern
        for pattern in patterns
        if not any(fnmatchcase(module, pattern) for module in modules())
    ]
    assert [] == unused


def test_folders_hold_nothing() -> None:
    """An ``__init__`` that imports would hide who uses whom."""
    trees = {path: ast.parse(path.read_bytes()) for path in ROOT.rglob("__init__.py")}
    assert [] == [path.parent.name for path, tree in trees.items() if list(imports(tree))]


def test_no_import_points_down() -> None:
    """Decisions know no adapter, and no adapter knows how the house was put together."""
    down = [
        f"{module} uses {used}"
        for module, tree in modules().items()
        for used in sorted(uses(tree))
        if lines_of(used) > lines_of(module)
    ]
    assert [] == down


def test_no_modules_use_each_other_in_a_circle() -> None:
    """There is an order in which the modules can be read."""
    try:
        order = list(TopologicalSorter({n: uses(t) for n, t in modules().items()}).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")
    assert set(order) == set(modules())


def test_no_import_is_relative() -> None:
    """Every import says in full what it means, so that the tests above see it."""
    relative = [
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert [] == relative


@pytest.mark.parametrize(
    ("last_line", "banned"),
    [
        pytest.param(2, LIBRARIES_OF_THE_WORLD | {"asyncio"}, id="down-to-the-ports"),
        pytest.param(3, LIBRARIES_OF_THE_WORLD, id="the-journey-too"),
    ],
)
def test_what_decides_knows_no_network_and_no_clock(last_line: int, banned: set[str]) -> None:
    """Decisions are functions of what they are handed, time included."""
    found = {module: foreign(modules()[module]) & banned for module in in_lines(0, last_line)}
    assert {} == {module: names for module, names in found.items() if names}


def test_what_decides_waits_for_nothing() -> None:
    """The first two lines can be read, tested and trusted without an event loop."""
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    waiting = [
        module
        for module in in_lines(0, 1)
        if any(isinstance(node, waits) for node in ast.walk(modules()[module]))
    ]
    assert [] == waiting
