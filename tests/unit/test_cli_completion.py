"""What a shell is offered when Tab is pressed, and that it need not wait for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

from ticketlab import mutants
from ticketlab.checks import CHECKS
from ticketlab.cli import machine
from ticketlab.tickets.strategies import registry

TICKETLAB = str(Path(sys.executable).with_name("ticketlab"))
KINDS = {"auto", "embedded", "container", "external"}


def question(shell, line):
    """The environment in which a shell asks how a line goes on, of which the last word is being typed."""
    words = line.split(" ")
    return {
        "_TICKETLAB_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


def asked(shell, line):
    """What comes back, in this process."""
    return call(cwd=Path.cwd(), **question(shell, line))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ticketlab str", {"strategies"}),
        ("ticketlab bench ", {"hot-event", "checks"}),
        ("ticketlab run --se", {"--seconds", "--seed", "--server", "--set"}),
        ("ticketlab run --strategy orm", {"orm_optimistic", "orm_pessimistic"}),
        ("ticketlab bench hot-event -s orm", {"orm_optimistic", "orm_pessimistic"}),
        ("ticketlab run --server ", KINDS),
        ("ticketlab bench hot-event --server ", KINDS),
        ("ticketlab power --server ", KINDS),
        ("ticketlab power --mutant advisory", {"advisory_other_key", "advisory_released"}),
        ("ticketlab power --check no_d", {"no_deadlock"}),
        ("ticketlab bench checks --check no_d", {"no_deadlock"}),
        ("ticketlab report --format ", {"html", "md", "json", "ipynb"}),
        ("ticketlab completion ", {"bash", "zsh", "fish"}),
        ("ticketlab check ru", set()),
    ],
)
def test_bash_is_offered(line, offered):
    """Commands, options, strategies, kinds of servers and whatever else is one of a few; of files the shell knows."""
    assert set(asked("bash", line).stdout.split()) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell):
    """In the words of each."""
    assert "orm_pessimistic" in asked(shell, "ticketlab run --strategy orm").stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [("ticketlab run --strategy pess", ["pessimistic"]), ("ticketlab run --server con", ["container"])],
)
def test_bash_completes_by_the_script(words, offered):
    """The script is sourced, and its function called as bash calls it."""
    script = (
        f'eval "$(ticketlab completion bash)"; complete -p ticketlab >&2; COMP_WORDS=({words}); '
        f"COMP_CWORD={len(words.split()) - 1}; _ticketlab_completion ticketlab; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    environment = os.environ | {"PATH": f"{Path(TICKETLAB).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == offered
    assert "-F _ticketlab_completion ticketlab" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell):
    """Which asks the command in the way that it answers."""
    done = call("completion", shell, cwd=Path.cwd())
    assert f"_TICKETLAB_COMPLETE=complete_{shell}" in done.stdout


def test_another_shell_is_bad_input():
    """Exit code 2, and those that there are."""
    done = call("completion", "tcsh", cwd=Path.cwd())
    assert done.returncode == 2
    assert "bash" in done.stderr


class TestNames:
    def test_of_strategies_are_those_of_the_registry(self):
        """A strategy's file bears its name."""
        assert machine.strategy_names() == sorted(registry())

    def test_of_mutants_are_known(self):
        """None is offered that would be refused."""
        assert set(machine.mutant_names()) <= set(mutants.registry())

    def test_of_checks_are_known(self):
        """As those of mutants."""
        assert set(machine.check_names()) <= {each.name for each in CHECKS}


@pytest.mark.parametrize(
    "line", ["ticketlab run --strategy o", "ticketlab power --mutant a", "ticketlab power --check a"]
)
def test_nobody_waits_for_a_library(line):
    """To complete a name neither pandas nor SQLAlchemy is imported."""
    start, environment = (sys.executable, "-X", "importtime", TICKETLAB), os.environ | question("bash", line)
    done = subprocess.run(start, capture_output=True, text=True, env=environment, check=True)
    imported = {each.rpartition("|")[2].strip() for each in done.stderr.splitlines()}
    assert done.stdout
    assert "ticketlab.cli.machine" in imported
    assert not {"pandas", "sqlalchemy", "psycopg", "rich"} & imported
