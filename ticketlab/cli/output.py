"""How a command speaks: tables and JSON to standard output, progress and complaints beside it. Decides nothing."""

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


class _Output(io.FileIO):
    """Standard output that ends the program when nobody reads it any more, as others are ended by SIGPIPE.

    The signal itself would also come for a connection that broke, and the lab outlives those.
    """

    _is_lost = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or end the program; what is left in buffers then goes nowhere."""
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._is_lost = True
            if isinstance(error, BrokenPipeError):
                raise SystemExit(EXIT_NO_READER) from None
            raise InvalidInputError(f"Standard output can not be written: {error.strerror}.") from error


def exit_on_broken_pipe() -> None:
    """From now on `ticketlab … | head -1` ends quietly when it was read enough of, with an exit code of its own."""
    if sys.stdout is None or sys.stdout.isatty():
        return
    output = io.BufferedWriter(_Output(sys.stdout.fileno(), "w", closefd=False))
    sys.stdout = io.TextIOWrapper(output, encoding=sys.stdout.encoding, errors=sys.stdout.errors)


def terminal(*, stderr: bool = False) -> "Console":
    """Standard output, or where progress and complaints go; without any style where NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, color_system=None if os.environ.get("NO_COLOR") else "auto")


def show(*parts: "RenderableType") -> None:
    """Print tables and lines, one below the other."""
    terminal().print(*parts, sep="\n", highlight=False)


def print_json(value: "dict[str, Any] | Iterable[Any]") -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2))


def print_error(text: str) -> None:
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
