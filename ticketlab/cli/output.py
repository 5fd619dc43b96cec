"""Prints: tables and JSON to standard output, progress and errors to standard error. Decides nothing."""

import io
import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ticketlab.cli.options import EXIT_NO_READER
from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import ReadableBuffer
    from rich.console import Console, RenderableType

    from ticketlab.runs.lab import Progress


class _Output(io.FileIO):
    """Standard output that ends the program when its reader closes it.

    SIGPIPE is not used: it would also end the program when a database connection breaks.
    """

    _is_lost = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or end the program; what is still buffered is then discarded."""
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._is_lost = True
            if isinstance(error, BrokenPipeError):
                raise SystemExit(EXIT_NO_READER) from None
            raise InvalidInputError(f"Standard output cannot be written: {error.strerror}.") from error


def exit_on_broken_pipe() -> None:
    """Let `ticketlab … | head -1` end without a traceback, with exit code EXIT_NO_READER."""
    if sys.stdout is None or sys.stdout.isatty():
        return
    output = io.BufferedWriter(_Output(sys.stdout.fileno(), "w", closefd=False))
    sys.stdout = io.TextIOWrapper(output, encoding=sys.stdout.encoding, errors=sys.stdout.errors)


def terminal(*, stderr: bool = False) -> "Console":
    """Standard output or standard error; without styles if NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, color_system=None if os.environ.get("NO_COLOR") else "auto")


def show(*parts: "RenderableType") -> None:
    """Print tables and lines, one below the other."""
    terminal().print(*parts, sep="\n", highlight=False)


def print_json(value: "dict[str, Any] | Iterable[Any]") -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2))


def print_error(text: str) -> None:
    """Print an error to standard error."""
    typer.echo(f"Error: {text}", err=True)


@contextmanager
def progress(*, quiet: bool) -> "Iterator[Callable[[Progress], None]]":
    """Show a progress bar on standard error; yields the callback to report progress to."""
    if quiet:
        yield lambda _progress: None
        return
    from ticketlab import console

    with console.progress(terminal(stderr=True)) as on_progress:
        yield on_progress


@contextmanager
def working(activity: str, *, quiet: bool) -> "Iterator[Callable[[str], None]]":
    """Show a status line while something is done; yields the callback to report its steps to."""
    if quiet:
        yield lambda _step: None
        return
    with terminal(stderr=True).status(activity) as status:
        yield lambda step: status.update(f"{activity}: {step}")
