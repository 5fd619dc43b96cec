"""Options and help that several commands share, and how they print. Decides nothing.

Tables and JSON go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Collection
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import ReadableBuffer
    from rich.console import Console, RenderableType

    from ticketlab.runs.experiment import Experiment, Progress


EXIT_WRONG: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_DEFECT: Final = 3
EXIT_INTERRUPTED: Final = 130
EXIT_NO_READER: Final = 141
"""128 + 13: what a shell reports for a program that SIGPIPE ended."""

EXIT_CODES: Final = """\b
Exit codes:
  0    nothing wrong was found
  1    a violation or an undecided verdict (a control's excepted), an unproven
       claim, an undetected mutant, a false positive, or a run below
       --fail-below; also what --strict of a command refuses
  2    bad input, no server, or a file that cannot be read or written
  3    a defect of ticketlab
  130  interrupted with Ctrl-C
  141  the program that read the output closed it
"""


class Commands(TyperGroup):
    """A command group whose help shows the whole first paragraph of each command, folded and never cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - Typer keeps their types
        """Write the list of the commands."""
        paragraphs = {name: (each.help or "").split("\n\n")[0] for name, each in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in paragraphs.items()])


def all_strategies(*, baskets: bool) -> list[str]:
    """The strategies of --all: those that sell baskets, or all except those that need baskets."""
    from ticketlab.tickets.strategies import entry_point_strategies, get, registry

    found = {name: get(name) for name in (*registry(), *entry_point_strategies())}
    return [name for name, each in found.items() if (each.basket if baskets else not each.basket_only)]


def thorough(experiment: Experiment, *, given: Collection[str]) -> Experiment:
    """The experiment of --thorough: every feature of its strategies and server; the `given` options stay."""
    from ticketlab.mutants import get
    from ticketlab.runs.experiment import thorough

    chosen = [get(name) for name in experiment.strategies]
    return thorough(
        experiment,
        given={"faults" if name == "fault" else name for name in given},
        baskets=all(each.basket for each in chosen),
        refunds=not any(each.schema for each in chosen),
    )


def server_option(*, default: str | bool = True) -> Any:  # noqa: ANN401  # as typer.Option itself
    """The option --server; `default` is the default that its help shows, where the parameter has none."""
    return typer.Option(
        "--server",
        metavar="KIND[:VERSION]",
        help="Where PostgreSQL comes from: embedded (started from an installed package), container, external (see "
        "--url), or auto (a container if an engine answers, else embedded). A major version can follow: embedded:15.",
        show_default=default,
        autocompletion=lambda: ["auto", "embedded", "container", "external"],
    )


Server = Annotated[str, server_option()]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit with code 1 also if a safe strategy made no progress, a fault was not injected, or a check was "
        "undecided.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Url = Annotated[
    str | None,
    typer.Option(
        help="The external server: postgresql://user:password@host:port/name. ticketlab works there in databases that "
        "it creates and drops.",
        show_default="with --server external: the DB_* variables",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The database: postgresql://user:password@host:port/name.",
        show_default="the DB_* variables or .env",
    ),
]


def integers(option: str, text: str, *, separator: str) -> tuple[int, ...]:
    """One or more whole numbers."""
    try:
        return tuple(int(part) for part in text.split(separator))
    except ValueError:
        raise InvalidInputError(f"{option} takes whole numbers such as 4 or 4{separator}16, not {text!r}.") from None


def number_range(option: str, text: str) -> tuple[int, int]:
    """The two ends of a range; a single number is both."""
    numbers = integers(option, text, separator="-")
    if len(numbers) > 2:  # noqa: PLR2004 - a range has two ends
        raise InvalidInputError(f"{option} takes a number or a range such as 1-4, not {text!r}.")
    return numbers[0], numbers[-1]


def given_options(context: typer.Context) -> set[str]:
    """The parameters that the command line sets."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def setting_of(text: str) -> tuple[str, str]:
    """The name and the value of a server setting."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInputError(f"--set takes NAME=VALUE, such as synchronous_commit=off, not {text!r}.")
    return name, value


class _Output(io.FileIO):
    """Standard output that ends the program when its reader closes it.

    SIGPIPE is not used: it would also end the program when a database connection breaks.
    """

    _is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
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


def terminal(*, stderr: bool = False) -> Console:
    """Standard output or standard error; without styles if NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, color_system=None if os.environ.get("NO_COLOR") else "auto")


def show(*parts: RenderableType) -> None:
    """Print tables and lines, one below the other."""
    terminal().print(*parts, sep="\n", highlight=False)


def print_json(value: dict[str, Any] | Iterable[Any]) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2))


def print_error(text: str) -> None:
    """Print an error to standard error."""
    typer.echo(f"Error: {text}", err=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show a progress bar on standard error; yields the callback to report progress to."""
    if quiet:
        yield lambda _progress: None
        return
    from ticketlab import console

    with console.progress(terminal(stderr=True)) as on_progress:
        yield on_progress


@contextmanager
def working(activity: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a status line while something is done; yields the callback to report its steps to."""
    if quiet:
        yield lambda _step: None
        return
    with terminal(stderr=True).status(activity) as status:
        yield lambda step: status.update(f"{activity}: {step}")
