"""The README says what is so."""

import re
from pathlib import Path

import pytest
import typer

from ticketlab.checks import CHECKS
from ticketlab.cli import app
from ticketlab.tickets import strategies

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def section(title):
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_strategies_table_is_the_registry():
    """Every strategy has its row, in the registry's order: claim, mechanism, cost and when to take it; no other."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \| (.+) \|$", section("The strategies"), re.MULTILINE)
    expected = [
        (each.name, "safe" if each.safe else "a control", each.summary.removeprefix("control: "), each.cost, each.when)
        for each in strategies.registry().values()
    ]
    assert rows == expected


def test_the_checks_table_is_the_list_of_checks():
    """Every check has its row, in their order, with what it claims; no other."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", section("The checks"), re.MULTILINE)
    assert rows == [(each.name, each.summary) for each in CHECKS]


def test_the_commands_table_is_the_command_line():
    """Every command has its row, and every row is a command."""
    cells = re.findall(r"^\| (`.+`) \|", section("Two commands"), re.MULTILINE)
    rows = {word.split()[0] for cell in cells for word in re.findall(r"`([a-z][^`]*)`", cell)}
    commands = typer.main.get_command(app).commands
    ours = {*commands} | {name for group in ("migrate", "bench") for name in commands[group].commands}
    assert rows <= ours
    assert {*commands} <= rows


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_what_the_readme_links_to_is_there(target):
    """No link leads nowhere."""
    assert (ROOT / target).exists()


def test_the_make_targets_are_there():
    """Both commands of the README are in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", section("Two commands"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"^  ([\w.]+?)(?:/ | [\w.]*? {3,})", section("The map"), re.MULTILINE))
def test_the_map_shows_what_is_there(name):
    """Every room and file on the map exists."""
    assert (ROOT / "ticketlab" / name).exists()
