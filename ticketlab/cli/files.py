"""`ticketlab check FILE` and `ticketlab export`: reads histories of other programs, writes them for other checkers."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ticketlab.cli.options import EXIT_WRONG
from ticketlab.cli.output import print_error, print_json, show
from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketlab.checks.verdict import Verdict
    from ticketlab.formats.imports import ImportedHistory, Table
    from ticketlab.runs.trial_data import Trial


class ExportFormat(StrEnum):
    """For whom a history is written."""

    ELLE_APPEND = "elle-append"
    ELLE_REGISTER = "elle-register"
    PORCUPINE = "porcupine"


_LINES_AT_ONCE: Final = 10_000


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="elle-append, elle-register: JSON for elle-cli's models list-append and rw-register. porcupine: one "
            "Operation a line.",
        ),
    ],
    number: Annotated[
        int | None, typer.Option("--trial", help="Which of its trials.", show_default="the only one")
    ] = None,
    out: Annotated[str, typer.Option(metavar="FILE", help="Where to write it; - is standard output.")] = "-",
) -> None:
    """Write the history of a saved trial for a checker that others made; needs no PostgreSQL.

    What each format says of a history stands in the modules of ticketlab.formats.

    Example: ticketlab export runs/20261122-141500-hot-event --trial 1 --format elle-append --out history.json
    """
    from ticketlab.formats import FORMATS
    from ticketlab.runs.run import Run
    from ticketlab.runs.trial_data import wrapping_read_errors

    trial = _trial_of(Run(folder).trials, number, folder)
    with wrapping_read_errors(trial.folder):
        observed, ledger = trial.history(), trial.ledger()
    lines = FORMATS[form](observed, ledger)
    if out == "-":
        for part in _parts(lines):
            sys.stdout.write(part)
        sys.stdout.flush()  # here, and not when Python ends: a reader may have left
        return
    try:
        with Path(out).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_parts(lines))
    except OSError as error:
        raise InvalidInputError(f"{out} can not be written: {error.strerror}.") from error
    typer.echo(f"Written: {out}", err=True)


def _trial_of(trials: "list[Trial]", number: int | None, folder: Path) -> "Trial":
    if number is None and len(trials) == 1:
        return trials[0]
    for each in trials:
        if each.number == number:
            return each
    there = ", ".join(f"{each.number} ({each.strategy})" for each in trials)
    asked = "Which trial is meant? Name it by --trial" if number is None else f"There is no trial {number}"
    raise InvalidInputError(f"{asked}: {folder} has {there}.")


def _parts(lines: Iterator[str]) -> Iterator[str]:
    while part := "\n".join(islice(lines, _LINES_AT_ONCE)):
        yield f"{part}\n"


RunOrFile = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|FILE",
        help="The folder of a run; or a history as .csv or .parquet, - being CSV on standard input.",
        show_default=False,
    ),
]
Stock = Annotated[int | None, typer.Option(help="Of a file: the seats of every event.", show_default=False)]
EventsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of a file: its events, each with its total, and the available and version that it ended with, if known.",
        show_default=False,
    ),
]
TicketsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of a file: the tickets in the end, event and purchase_id; a row each, or with their number in tickets.",
        show_default=False,
    ),
]

_STANDARD_INPUT: Final = Path("-")
_SUFFIXES: Final = {".csv", ".parquet", ".pq"}


def is_file(source: Path) -> bool:
    """Whether a history is meant, and not the folder of a run."""
    return source == _STANDARD_INPUT or source.suffix.lower() in _SUFFIXES or source.is_file()


def check(
    source: Path, *, stock: int | None, events: Path | None, tickets: Path | None, as_json: bool, strict: bool
) -> None:
    """Judge a history that others made, and print the verdicts; with `strict` one that decides nothing fails."""
    from ticketlab.checks.verdict import Status, overall
    from ticketlab.formats import imports
    from ticketlab.formats.imports import Table

    read = imports.read(
        _table(source),
        stock=stock,
        events=Table.read(events) if events else None,
        tickets=Table.read(tickets) if tickets else None,
    )
    found = imports.judge(read)
    if as_json:
        print_json(_as_json(source, read, found))
    else:
        _show(read, found)
    if strict and not imports.is_decided(found):
        print_error(
            "--strict fails this file: no check could decide anything. Give --tickets, what was sold in the end."
        )
        raise typer.Exit(EXIT_WRONG)
    raise typer.Exit(EXIT_WRONG if overall(found) is Status.INVALID else 0)


def _table(source: Path) -> "Table":
    from ticketlab.formats.imports import Table

    if source == _STANDARD_INPUT:
        return Table.of_csv(sys.stdin.buffer.read(), name="standard input")
    return Table.read(source)


def _show(read: "ImportedHistory", found: "Sequence[Verdict]") -> None:
    from ticketlab import console

    show(*console.verdict_table(found, unit=read.unit), "", console.verdict_line(found), *read.notes)


def _as_json(source: Path, read: "ImportedHistory", found: "Sequence[Verdict]") -> dict[str, Any]:
    from ticketlab.checks.verdict import overall
    from ticketlab.report.explain import story_of

    return {
        "file": str(source),
        "operations": len(read.history),
        "verdict": str(overall(found)),
        "events": read.events.known.to_pylist(),
        "notes": list(read.notes),
        "checks": {
            each.check: {
                "status": str(each.status),
                "anomaly": str(each.anomaly or ""),
                "summary": each.summary,
                "story": story_of({"anomaly": each.anomaly, "evidence": each.evidence}).sentences,
                "evidence": list(each.evidence),
            }
            for each in found
        },
    }
