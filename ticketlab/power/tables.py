"""The results as tables for a terminal of 80 columns and as Markdown, and their folder. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter
from rich import box
from rich.table import Table
from rich.text import Text

from ticketlab.errors import NotFoundError
from ticketlab.history import parquet
from ticketlab.power.results import MutantResult, MutationResults, describe
from ticketlab.runs.folders import new, wrapping_read_errors

if TYPE_CHECKING:
    from ticketlab.mutants import Mutant

_CHECK_WIDTH: Final = 25
_FILE: Final = "power.json"


def write(results: MutationResults, out: Path) -> Path:
    """Save results in a new folder in `out`, and return it.

    Raises:
        InvalidInputError: no folder can be created there.
    """
    folder = new(out, f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-power")
    parquet.write(results.frame, folder / "catches.parquet")
    (folder / "power.md").write_text(page(results))
    saved = TypeAdapter(MutationResults).dump_json(results, indent=1, by_alias=True)
    (folder / _FILE).write_bytes(saved)  # last: a folder with this file has results
    return folder


def read(folder: Path) -> MutationResults:
    """The results that were saved in a folder.

    Raises:
        NotFoundError: there are none.
        InvalidInputError: the file cannot be read, or holds something else.
    """
    if not (folder / _FILE).is_file():
        raise NotFoundError(f"There are no results in {folder}: no {_FILE}. `ticketlab power` prints its folder.")
    with wrapping_read_errors(folder):
        return TypeAdapter(MutationResults).validate_json((folder / _FILE).read_bytes())


def caught(results: MutationResults) -> Table:
    """One row per mutant: its mistake, the checks that detected it, how reliably and how soon."""
    table = _table()
    table.add_column("mutant", ratio=1, overflow="fold")
    table.add_column("check", width=_CHECK_WIDTH, overflow="fold")
    for heading in ("detected", "purch-\nases", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in results.found:
        table.add_row(_mutant(each.mutant.name, each.mutant.mistake), _checks(each), *_numbers(each))
    return table


def legend(results: MutationResults) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    return Text(
        "check: the expected one, and below it others with the repeats in which they had detected the mutant\n"
        "detected: in how many repeats, and below it the power at 95 % confidence (Clopper–Pearson)\n"
        "purchases, s of buying: until the detection, by whole trials; median, and below it the most\n"
        f"{results.conditions}",
        style="dim",
    )


def remarks(results: MutationResults) -> list[Text]:
    """The summary, what is wrong, and what was not decided."""
    missed = f"Missed too often: {', '.join(results.undetected)}." if results.undetected else ""
    return [
        *(Text(sentence, style="bold") for sentence in results.sentences),
        *([Text(missed, style="bold red")] if missed else []),
        *(
            Text(
                f"False alarm in trial {trial.number}, {trial.strategy}, {check}: {summary} ({trial.load})",
                style="bold red",
            )
            for trial in results.false_alarms
            for check, summary in trial.invalid.items()
        ),
        *(
            Text(f"Not decided in trial {trial.number}, {trial.strategy}, {check}: {summary}", style="yellow")
            for trial in results.safe
            for check, summary in trial.unknown.items()
        ),
    ]


def mutants(family: Iterable[Mutant]) -> Table:
    """Every mutant, with its mistake, the expected check, and what reveals it."""
    table = _table()
    table.add_column("mutant", ratio=1, overflow="fold")
    table.add_column("check", width=_CHECK_WIDTH, overflow="fold")
    table.add_column("shows under")
    for each in map(describe, family):
        table.add_row(_mutant(each.name, each.mistake), each.check, each.setting)
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True)


def _mutant(name: str, mistake: str) -> Text:
    return Text.assemble(name, (f"\n{mistake}", "dim"))


def _checks(result: MutantResult) -> Text:
    others = [f"\n{name} {count}" for name, count in _other_checks(result)]
    return Text.assemble(result.mutant.check, ("".join(others), "dim"))


def _other_checks(result: MutantResult) -> list[tuple[str, int]]:
    return [(name, count) for name, count in result.detections_by_check.items() if name != result.mutant.check]


def _numbers(result: MutantResult) -> tuple[Text, Text, Text]:
    low, high = result.interval
    count = f"{len(result.detections)}/{len(result.runs)}"
    power = Text.assemble(
        (count, "green" if result.reliably_detected else "bold red"), (f"\n{low:.0%}–{high:.0%}", "dim")
    )
    if result.median_purchases is None or result.median_seconds is None:
        return power, Text("–"), Text("–")
    purchases = Text.assemble(f"{result.median_purchases:,.0f}", (f"\n{result.most_purchases:,}", "dim"))
    most_seconds = max(each.seconds for each in result.detections)
    return power, purchases, Text.assemble(f"{result.median_seconds:.2f}", (f"\n{most_seconds:.2f}", "dim"))


def page(results: MutationResults) -> str:
    """A Markdown page: the summary, both tables, the conditions."""
    parts = [*results.sentences, by_check(results), by_mutant(results), results.conditions]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_mutant(results: MutationResults) -> str:
    """A Markdown table with a row per mutant; "" without mutants."""
    headings = ("mutant and its mistake", "check", "detected", "purchases (most)", "seconds", "detected by others too")
    return _markdown(headings, map(_mutant_row, results.found))


def by_check(results: MutationResults) -> str:
    """A short Markdown table with a row per check: how many of its mutants it detects, and how soon; "" without any."""
    by_name: dict[str, list[MutantResult]] = {}
    for result in results.found:
        by_name.setdefault(result.mutant.check, []).append(result)
    return _markdown(
        ("check", "mutants meant for it", "detected", "repeats", "purchases until then: median", "most"),
        [_check_row(check, mutants) for check, mutants in by_name.items()],
    )


def _mutant_row(result: MutantResult) -> Sequence[str]:
    mutant, purchases = result.mutant, "–"
    mistake = mutant.mistake.replace("|", "\\|")
    if result.median_purchases is not None:
        purchases = f"{result.median_purchases:,.0f} ({result.most_purchases:,})"
    return (
        f"`{mutant.name}`: {mistake}",
        f"`{mutant.check}`",
        f"{len(result.detections)} of {len(result.runs)}",
        purchases,
        f"{result.median_seconds:.2f}" if result.median_seconds is not None else "–",
        ", ".join(f"`{check}` {count}" for check, count in _other_checks(result)) or "–",
    )


def _check_row(check: str, results: Sequence[MutantResult]) -> Sequence[str]:
    purchases = [detection.purchases for result in results for detection in result.detections]
    return (
        f"`{check}`",
        str(len(results)),
        str(sum(result.reliably_detected for result in results)),
        f"{len(purchases)} of {sum(len(result.runs) for result in results)}",
        f"{median(purchases):,.0f}" if purchases else "–",
        f"{max(purchases):,}" if purchases else "–",
    )


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""  # noqa: PLR2004 - a head
