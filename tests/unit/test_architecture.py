"""
The architecture of the package: rooms, storeys and layers, as ``tools/layers.toml`` has them.

A room is a folder of the package. A storey is a set of rooms that use only rooms below. A layer
says what a module may do: decide, wait, use the network, put things together.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain

import pytest

from tools.layers import PACKAGE, deciding, files, layers, storeys

ADAPTER_LIBRARIES = {"aiohttp", "redis", "magic_admin", "time"}
"""Networks and clocks: only adapters and the composition import them."""

ROOT_FILES = {"__init__.py", "__main__.py"}


@cache
def modules() -> dict[str, ast.Module]:
    """All modules by their name inside the package; those that only make a folder are left out."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_bytes())
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }


def layers_of(module: str) -> list[int]:
    """The layers in which ``module`` is placed, counted from the top."""
    return [number for number, layer in enumerate(layers()) if layer.holds(module)]


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


def in_layers(*names: str) -> list[str]:
    """The modules of the layers ``names``."""
    chosen = [layer for layer in layers() if layer.name in names]
    return [module for module in modules() if any(layer.holds(module) for layer in chosen)]


def room_of(module: str) -> str:
    """The folder of the package in which ``module`` stands; empty for the root."""
    return module.partition(".")[0] if "." in module else ""


def room_edges() -> dict[tuple[str, str], list[str]]:
    """Which room uses which other one, and by which imports."""
    edges: dict[tuple[str, str], list[str]] = {}
    for module, tree in modules().items():
        for used in sorted(uses(tree)):
            pair = room_of(module), room_of(used)
            if pair[0] != pair[1]:
                edges.setdefault(pair, []).append(f"{module} uses {used}")
    return edges


def test_only_two_modules_stand_at_the_root() -> None:
    """Every other module has a room."""
    assert {path.name for path in PACKAGE.glob("*.py")} == ROOT_FILES


def test_every_room_has_one_storey() -> None:
    """No room is missing from the list of storeys, and no storey names a room that is gone."""
    rooms = sorted({room_of(module) for module in modules()} - {""})
    assert rooms == sorted(chain.from_iterable(storeys()))


def test_no_two_rooms_import_each_other() -> None:
    """A room can be read with the rooms below it, and without those above it."""
    edges = room_edges()
    mutual = {pair: edges[pair] for pair in edges if pair[::-1] in edges and "" not in pair}
    assert {} == mutual


def test_no_room_uses_one_of_its_own_storey_or_above() -> None:
    """The storeys of the house hold."""
    storey = {room: number for number, rooms in enumerate(storeys()) for room in rooms}
    upward = {
        pair: imports_
        for pair, imports_ in room_edges().items()
        if "" not in pair and storey[pair[0]] >= storey[pair[1]]
    }
    assert {} == upward


def test_every_class_name_means_one_thing() -> None:
    """No two classes or type aliases of the package share a name, private ones included."""
    places: dict[str, list[str]] = {}
    for module, tree in modules().items():
        for name in defined_types(tree):
            places.setdefault(name.lstrip("_"), []).append(module)
    assert {} == {name: found for name, found in places.items() if len(found) > 1}


def defined_types(tree: ast.Module) -> Iterator[str]:
    """Classes anywhere in a module, and the type aliases that it defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) if name[0].isupper() and not (
                name.isupper()
            ):
                yield name


def test_every_module_has_one_layer() -> None:
    """A new module is placed in ``tools/layers.toml`` before it is merged."""
    assert [] == [(name, layers_of(name)) for name in modules() if len(layers_of(name)) != 1]


def test_every_pattern_places_a_module() -> None:
    """A module that was moved or removed does not stay in the list."""
    patterns = chain.from_iterable(layer.modules for layer in layers())
    unused = [
        pattern
        for pattern in patterns
        if not any(fnmatchcase(module, pattern) for module in modules())
    ]
    assert [] == unused


def test_the_coverage_gate_reads_the_same_layers() -> None:
    """All vocabulary, decisions, ports and the journey have to be tested in full."""
    wanted = in_layers("vocabulary", "decisions", "ports", "journey")
    assert sorted(wanted) == deciding()
    assert [] == [path for path in files(deciding()) if not (PACKAGE.parent / path).is_file()]


def test_init_files_import_nothing() -> None:
    """An ``__init__`` that imports would hide which module uses which."""
    trees = {path: ast.parse(path.read_bytes()) for path in PACKAGE.rglob("__init__.py")}
    assert [] == [path.parent.name for path, tree in trees.items() if list(imports(tree))]


def test_no_import_points_down() -> None:
    """Decisions know no adapter, and no adapter knows the composition."""
    down = [
        f"{module} uses {used}"
        for module, tree in modules().items()
        for used in sorted(uses(tree))
        if layers_of(used) > layers_of(module)
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
    ("names", "banned"),
    [
        pytest.param(
            ("vocabulary", "decisions", "ports"),
            ADAPTER_LIBRARIES | {"asyncio"},
            id="down-to-the-ports",
        ),
        pytest.param(("journey",), ADAPTER_LIBRARIES, id="the-journey-too"),
    ],
)
def test_deciding_layers_know_no_network_and_no_clock(
    names: tuple[str, ...], banned: set[str]
) -> None:
    """Decisions are functions of what they are handed, time included."""
    found = {module: foreign(modules()[module]) & banned for module in in_layers(*names)}
    assert found
    assert {} == {module: used for module, used in found.items() if used}


def test_decisions_wait_for_nothing() -> None:
    """The first two layers can be read, tested and trusted without an event loop."""
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    waiting = [
        module
        for module in in_layers("vocabulary", "decisions")
        if any(isinstance(node, waits) for node in ast.walk(modules()[module]))
    ]
    assert [] == waiting
