"""The command line: each command parses its options, calls one function of the lab, and prints the result.

Heavy libraries are imported inside the command that needs them, so that `--help` answers at once.
"""

import os
import sys
from typing import Annotated

import typer

from ticketlab.cli import machine, runs
from ticketlab.cli.bench import bench, power
from ticketlab.cli.files import compare, export
from ticketlab.cli.machine import completion, migrate
from ticketlab.cli.output import EXIT_BAD_INPUT, EXIT_CODES, EXIT_DEFECT, Commands, print_error
from ticketlab.errors import TicketlabError

app = typer.Typer(
    cls=Commands,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,  # `ticketlab completion` prints the script and installs nothing
    rich_markup_mode=None,  # plain help, the same in a pipe: importing Rich would double the time to show it
    pretty_exceptions_enable=False,
)
of_runs = (runs.run, runs.check, runs.report, compare, export)
for command in (*of_runs, power, machine.strategies, machine.lab, machine.doctor):
    app.command()(command)
app.command()(completion)
app.add_typer(migrate, name="migrate")
app.add_typer(bench, name="bench")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"ticketlab {version('ticketlab')}")
        raise typer.Exit


@app.callback()
def ticketlab(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Test strategies for selling tickets on a real PostgreSQL: run concurrent purchases, record each, check them all.

    A check finds violations such as oversells and lost updates in the recorded
    history. A control is a strategy known to be unsafe: its violations show that
    the checks work. A mutant is a deliberately broken strategy that measures them.

    Example: ticketlab run --server embedded
    """


def main() -> None:
    """Run the application; every error becomes a message and an exit code."""
    try:
        app()
    except TicketlabError as error:
        print_error("\n".join([str(error), *getattr(error, "__notes__", [])]))
        sys.exit(EXIT_BAD_INPUT)
    except Exception as error:
        if os.environ.get("TICKETLAB_DEBUG"):
            raise
        lines = [
            f"This is a defect of ticketlab: {type(error).__name__}: {error}",
            *getattr(error, "__notes__", []),
            "Please report it, with the traceback that TICKETLAB_DEBUG=1 prints.",
        ]
        print_error("\n".join(lines))
        sys.exit(EXIT_DEFECT)
