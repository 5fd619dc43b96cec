"""`ticketlab completion`, and what a shell is offered for the options of other commands. Imports none of the lab.

A person waits for each completion, so names are read off the files of the package: to import a strategy takes a second.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

_PACKAGE: Final = Path(__file__).parents[1]
_VARIABLE: Final = "_TICKETLAB_COMPLETE"
"""By it a shell asks `ticketlab` what may come next."""
get_completion_inspect_parameters()  # as a side effect Typer learns to answer its shells; the options are not wanted


class Shell(StrEnum):
    """For which shell a script is."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell that reads the script.", show_default=False)],
) -> None:
    """Print the script by which a shell completes commands, options and the names of strategies.

    bash and zsh read it when they start: eval "$(ticketlab completion bash)" in .bashrc, or in .zshrc after compinit.
    fish reads it from ~/.config/fish/completions/ticketlab.fish.

    Example: ticketlab completion bash
    """
    application = context.find_root().command
    raise typer.Exit(shell_complete(application, {}, "ticketlab", _VARIABLE, f"source_{shell}"))


def strategy_names() -> list[str]:
    """Every strategy: its file bears its name."""
    files = (_PACKAGE / "tickets" / "strategies").glob("*.py")
    return sorted(each.stem for each in files if each.stem != "__init__")


def mutant_names() -> list[str]:
    """Every mutant whose power was measured."""
    return [each["name"] for each in _measured()]


def check_names() -> list[str]:
    """Every check that a mutant breaks."""
    return sorted({each["check"] for each in _measured()})


def _measured() -> list[dict[str, Any]]:
    mutants: list[dict[str, Any]] = json.loads((_PACKAGE / "checks" / "mutation_baseline.json").read_bytes())["mutants"]
    return mutants
