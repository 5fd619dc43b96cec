"""`ticketlab compare`, `check FILE` and `export`: compares saved runs, and exchanges histories with other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ticketlab.cli.output import EXIT_WRONG, AsJson, print_error, print_json, show, working
from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketlab.checks.verdict import Verdict
    from ticketlab.formats.imports import ImportedHistory, Table
    from ticketlab.runs.trial_data import Trial


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="FIRST_RUN", help="Folder of the run to compare with.", show_default=False)
    ],
    second: Annotated[
        Path, typer.Argument(metavar="SECOND_RUN", help="Folder of the run that may be worse.", show_default=False)
    ],
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            help="A strategy to compare; repeatable.",
            show_default="all that both runs have",
        ),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Exit with code 1 if a strategy's sales/s are below X times those of the first run, or if a new "
            "violation was found.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two saved runs: verdicts, sales/s and latency, with confidence intervals. Needs no PostgreSQL.

    Changed verdicts come first. Ratios are second run / first run, with 95 % intervals over the repeats. Use at least
    three repeats per run, on the same machine, shortly after one another.

    --fail-below makes it a gate for continuous integration. A strategy fails if its whole interval is below X; without
    an interval (too few repeats) if the ratio is.

    Example: ticketlab compare runs/20261122-141500-hot-event runs/20261122-142000-hot-event

    Example: ticketlab compare runs/20261122-141500-main runs/20261122-142000-change -s atomic --fail-below 0.9
    """
    from ticketlab import report_writer
    from ticketlab.report import comparison_output
    from ticketlab.report.comparison import check_limit, inconclusive, regressions, versus
    from ticketlab.runs.run import Run

    if fail_below is not None:
        check_limit(fail_below)
    if first.resolve() == second.resolve():
        raise InvalidInputError(f"Both runs are {first}. Name the folders of two different runs.")
    runs = [Run(first), Run(second)]
    with working("Checking both runs", quiet=as_json):
        both = versus(report_writer.report_of(runs), strategies=strategy or ())
        failed = [] if fail_below is None else regressions(both, below=fail_below)
    if as_json:
        unsure = [] if fail_below is None else inconclusive(both, below=fail_below)
        print_json(comparison_output.as_json(both) | {"fail_below": fail_below, "failed": failed, "not_surely": unsure})
    else:
        gate = () if fail_below is None else comparison_output.gate(both, failed, below=fail_below)
        show(*comparison_output.printed(both), *gate)
    raise typer.Exit(EXIT_WRONG if failed else 0)


class ExportFormat(StrEnum):
    """The formats of exported histories."""

    ELLE_APPEND = "elle-append"
    ELLE_REGISTER = "elle-register"
    PORCUPINE = "porcupine"


_LINES_AT_ONCE: Final = 10_000


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a saved run.", show_default=False)],
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="elle-append or elle-register: JSON for elle-cli, models list-append and rw-register. porcupine: one "
            "JSON operation per line.",
        ),
    ],
    number: Annotated[
        int | None, typer.Option("--trial", help="Number of the trial.", show_default="the only one")
    ] = None,
    out: Annotated[str, typer.Option(metavar="FILE", help="File to write; - is standard output.")] = "-",
) -> None:
    """Export the history of a saved trial to the checkers Elle or Porcupine. Needs no PostgreSQL.

    The documentation of ticketlab.formats says how purchases are mapped to each format.

    Example: ticketlab export runs/20261122-141500-hot-event --trial 1 --format elle-append --out history.json
    """
    from ticketlab.formats import FORMATS
    from ticketlab.runs.folders import wrapping_read_errors
    from ticketlab.runs.run import Run

    trial = _trial_of(Run(folder).trials, number, folder)
    with wrapping_read_errors(trial.folder):
        history, ledger = trial.history(), trial.ledger()
    lines = FORMATS[form](history, ledger)
    if out == "-":
        for part in _parts(lines):
            sys.stdout.write(part)
        sys.stdout.flush()  # now, not when Python exits: the reader may have closed the pipe
        return
    try:
        with Path(out).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_parts(lines))
    except OSError as error:
        raise InvalidInputError(f"{out} cannot be written: {error.strerror}.") from error
    typer.echo(f"The history is saved in {out}", err=True)


def _trial_of(trials: list[Trial], number: int | None, folder: Path) -> Trial:
    if number is None and len(trials) == 1:
        return trials[0]
    for trial in trials:
        if trial.number == number:
            return trial
    found = ", ".join(f"{trial.number} ({trial.strategy})" for trial in trials)
    problem = "Choose a trial with --trial" if number is None else f"There is no trial {number}"
    raise InvalidInputError(f"{problem}: {folder} has {found}.")


def _parts(lines: Iterator[str]) -> Iterator[str]:
    while part := "\n".join(islice(lines, _LINES_AT_ONCE)):
        yield f"{part}\n"


RunOrFile = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|FILE",
        help="Folder of a saved run, or a history as a .csv or .parquet file; - is CSV on standard input.",
        show_default=False,
    ),
]
Stock = Annotated[int | None, typer.Option(help="For a FILE: the seats of each event.", show_default=False)]
EventsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="For a FILE: its events, with the columns event and total; optionally available and version at the end.",
        show_default=False,
    ),
]
TicketsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="For a FILE: the tickets at the end, with the columns event and purchase_id: one row per ticket, or a "
        "column tickets with their number.",
        show_default=False,
    ),
]

_STANDARD_INPUT: Final = Path("-")
_SUFFIXES: Final = {".csv", ".parquet", ".pq"}


def is_file(source: Path) -> bool:
    """Whether the argument names a history and not the folder of a run."""
    return source == _STANDARD_INPUT or source.suffix.lower() in _SUFFIXES or source.is_file()


def check(
    source: Path, *, stock: int | None, events: Path | None, tickets: Path | None, as_json: bool, strict: bool
) -> None:
    """Check a history of another program and print the verdicts; with `strict` an undecided history fails."""
    from ticketlab.checks.verdict import Status, overall
    from ticketlab.formats import imports
    from ticketlab.formats.imports import Table

    imported = imports.read(
        _table(source),
        stock=stock,
        events=Table.read(events) if events else None,
        tickets=Table.read(tickets) if tickets else None,
    )
    verdicts = imports.judge(imported)
    if as_json:
        print_json(_as_json(source, imported, verdicts))
    else:
        from ticketlab import console

        table = console.verdict_table(verdicts, unit=imported.unit)
        show(*table, "", console.verdict_line(verdicts), *imported.notes)
    if strict and not imports.is_decided(verdicts):
        print_error("--strict fails this file: every check was undecided. Name the tickets sold with --tickets.")
        raise typer.Exit(EXIT_WRONG)
    raise typer.Exit(EXIT_WRONG if overall(verdicts) is Status.INVALID else 0)


def _table(source: Path) -> Table:
    from ticketlab.formats.imports import Table

    if source == _STANDARD_INPUT:
        return Table.of_csv(sys.stdin.buffer.read(), name="standard input")
    return Table.read(source)


def _as_json(source: Path, imported: ImportedHistory, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    from ticketlab.checks.verdict import overall
    from ticketlab.report.explain import story_of

    return {
        "file": str(source),
        "operations": len(imported.history),
        "verdict": str(overall(verdicts)),
        "events": imported.events.known.to_pylist(),
        "notes": list(imported.notes),
        "checks": {
            each.check: {
                "status": str(each.status),
                "anomaly": str(each.anomaly or ""),
                "summary": each.summary,
                "story": story_of(each).sentences,
                "evidence": list(each.evidence),
            }
            for each in verdicts
        },
    }
