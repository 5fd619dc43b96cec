"""The command line: each command parses, calls one function of the lab, and prints.

Exit codes: 0 all is as it should be; 1 a strategy that claims to be safe was found wrong, or a history that others
made, a claim of the bench not proven, a mutant not caught, an alarm false, or a run below its --fail-below; 2 bad
input, no server, or a file that can not be written; 3 a defect of ticketlab; 130 ended by Ctrl-C. What takes long to
import is imported inside the command that needs it, so that `--help` stays instant.
"""

import os
import signal
import sys
from pathlib import Path

import typer

from ticketlab.cli import machine, runs
from ticketlab.cli.bench import bench
from ticketlab.cli.compare import compare
from ticketlab.cli.export import export
from ticketlab.cli.migrate import migrate
from ticketlab.cli.options import EXIT_BAD_INPUT, EXIT_DEFECT
from ticketlab.cli.output import complain
from ticketlab.cli.power import power
from ticketlab.errors import TicketlabError

app = typer.Typer(
    help="Find out, on a real PostgreSQL, whether a way of selling tickets is right, and how fast it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
of_runs = (runs.run, runs.check, runs.report, compare, export)
for command in (*of_runs, power, machine.strategies, machine.lab, machine.doctor):
    app.command()(command)
app.add_typer(migrate, name="migrate")
app.add_typer(bench, name="bench")


def main() -> None:
    """The entry point: the application, and every error as a sentence and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it cleans up as for Ctrl-C
    sys.path.append(str(Path.cwd()))  # for --strategy module:name; last, so that it hides nothing that is installed
    try:
        app()
    except TicketlabError as error:
        complain("\n".join([str(error), *getattr(error, "__notes__", [])]))
        sys.exit(EXIT_BAD_INPUT)
    except Exception as error:
        if os.environ.get("TICKETLAB_DEBUG"):
            raise
        complain(
            "\n".join(
                [
                    f"This is a defect of ticketlab: {type(error).__name__}: {error}",
                    *getattr(error, "__notes__", []),
                    "Please report it, with what TICKETLAB_DEBUG=1 shows of it.",
                ]
            )
        )
        sys.exit(EXIT_DEFECT)
