"""How a command speaks: tables and JSON to standard output, progress and complaints beside it. Decides nothing."""

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console, RenderableType


def terminal(*, stderr: bool = False) -> "Console":
    """Standard output, or where progress and complaints go."""
    from rich.console import Console

    return Console(stderr=stderr)


def show(*parts: "RenderableType") -> None:
    """Print tables and lines, one below the other."""
    terminal().print(*parts, sep="\n", highlight=False)


def print_json(value: "dict[str, Any] | Iterable[Any]") -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2))


def complain(text: str) -> None:
    """Say what is wrong, beside the output."""
    typer.echo(f"Error: {text}", err=True)


@contextmanager
def working(doing: str, *, quiet: bool) -> "Iterator[Callable[[str], None]]":
    """Say in a line of the terminal what is being done, for as long as it is."""
    if quiet:
        yield lambda _step: None
        return
    with terminal(stderr=True).status(doing) as status:
        yield lambda step: status.update(f"{doing}: {step}")
