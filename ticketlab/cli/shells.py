"""`ticketlab completion`, and the names that a shell completes. Imports nothing of the lab.

Completion must be fast and importing a strategy takes a second, so names are read from the package's files.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

_PACKAGE: Final = Path(__file__).parents[1]
_VARIABLE: Final = "_TICKETLAB_COMPLETE"
"""The environment variable by which a shell asks `ticketlab` for completions."""
get_completion_inspect_parameters()  # called for its side effect: Typer registers its shells


class Shell(StrEnum):
    """The shells that have a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell that reads the script.", show_default=False)],
) -> None:
    """Print a script with which the shell completes commands, options and strategy names.

    bash and zsh: put eval "$(ticketlab completion bash)" in .bashrc, or with zsh in .zshrc, after compinit.
    fish: save the script as ~/.config/fish/completions/ticketlab.fish.

    Example: ticketlab completion bash
    """
    application = context.find_root().command
    raise typer.Exit(shell_complete(application, {}, "ticketlab", _VARIABLE, f"source_{shell}"))


def strategy_names() -> list[str]:
    """The names of the strategies, which are those of their files."""
    files = (_PACKAGE / "tickets" / "strategies").glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")


def mutant_names() -> list[str]:
    """The names of the mutants in the calibration."""
    return [mutant["name"] for mutant in _mutants()]


def check_names() -> list[str]:
    """The names of the checks for which the calibration has a mutant."""
    return sorted({mutant["check"] for mutant in _mutants()})


def _mutants() -> list[dict[str, Any]]:
    mutants: list[dict[str, Any]] = json.loads((_PACKAGE / "checks" / "mutation_baseline.json").read_bytes())["mutants"]
    return mutants
