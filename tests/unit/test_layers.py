"""Who may import whom: the layers of the house, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ticketlab"

# From the ground up. A module may import from its own room and from rooms of lower floors, never from a neighbour.
FLOORS = [
    {"errors", "outcomes", "settings", "environment"},
    {"history", "tickets", "servers"},
    {"checks"},
    {"formats"},
    {"faults"},
    {"load", "mutants", "report"},
    {"runs"},
    {"bench", "power", "jupyter"},
    {"report_writer"},
    {"console"},
    {"notebook"},
    {"cli", "pytest_plugin"},
    {"__main__"},
]
MAY_NOT_SEE = {"report": {"tickets", "servers", "faults"}}
"""Beyond the floors: a report is made from saved data alone."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The rooms that a file imports, wherever in the file it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{each.name}" for each in node.names}
    parts = (name.split(".") for name in names if name.startswith("ticketlab."))
    return {each[1] for each in parts} & {room for floor in FLOORS for room in floor}


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_room_has_a_floor():
    """A new room must be given its place before anybody moves in."""
    assert {room_of(path) for path in SOURCES} <= {room for floor in FLOORS for room in floor}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    """No file imports from a room above, or from another room of its own floor but the ground floor."""
    room = room_of(path)
    floor = next(place for place, rooms in enumerate(FLOORS) if room in rooms)
    below = {each for rooms in FLOORS[:floor] for each in rooms}
    beside = FLOORS[0] if floor == 0 else {room}
    allowed = (below | beside) - MAY_NOT_SEE.get(room, set())
    assert imports_of(path) <= allowed


def test_the_ground_floor_has_no_circle():
    """Where neighbours may see one another, nobody sees back."""
    seen = {room: imports_of(PACKAGE / f"{room}.py") - {room} for room in FLOORS[0]}
    for room, sees in seen.items():
        assert not [other for other in sees if room in seen.get(other, ())]
