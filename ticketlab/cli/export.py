"""`ticketlab export`: a trial's history for the checkers of others. Parses, calls `evidence.exports`, and writes."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
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
