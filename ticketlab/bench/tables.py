"""The results of the benches as tables for a terminal of 80 columns. Prints; decides nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ticketlab import environment
from ticketlab.bench import _subjects
from ticketlab.bench._subjects import SubjectKind
from ticketlab.bench.checking import ALL_CHECKS, CheckResults, Measured
from ticketlab.bench.results import BenchResults, Cells, Spread

_BUYERS: Final = 6
"""Numbers of buyers that fit side by side."""
_SIZES: Final = 5
"""Sizes of histories that fit side by side."""
_THOUSAND: Final = 1_000
_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_HEADINGS: Final = {
    _subjects.FOR_UPDATE: "times pgbench FOR UPDATE",
    _subjects.ONE_STATEMENT: "times pgbench one statement",
    _subjects.LIMIT: "% of the limit",
    "bare": "times the same SQL in a bare psycopg loop",
}

_SpreadCell: TypeAlias = Callable[[Spread], tuple[str, str]]
"""A spread as two lines: the median, and the range below it."""
_CheckCell: TypeAlias = Callable[[Measured], Text]


def speeds(results: BenchResults) -> RenderableType:
    """One row per subject, one column per number of buyers: sales per second."""
    names = [subject.name for subject in results.subjects]
    return Group(*_spread_tables(results, "sales/s", names, results.speeds, _per_s))


def ratios(results: BenchResults) -> RenderableType:
    """A table for each base: the subjects' speed over pgbench's, the limit's, and that of their own bare SQL."""
    kinds = {SubjectKind.STRATEGY, SubjectKind.BARE}
    names = [subject.name for subject in results.subjects if subject.kind in kinds]
    shown: list[RenderableType] = []
    for base, cells in results.ratios.items():
        rows = [name for name in names if any(name == subject for subject, _ in cells)]
        if rows:
            cell = _percent if base == _subjects.LIMIT else _times
            shown += ["", *_spread_tables(results, _HEADINGS[base], rows, cells, cell)]
    return Group(*shown)


def legend(results: BenchResults) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    return Text(
        f"{results.interval}; ratios are of the same repeat and number of buyers\n"
        f"limit: one INSERT of {_subjects.LIMIT_TICKETS:,} tickets in one commit, in tickets/s, for any number of "
        f"buyers\n{results.conditions}",
        style="dim",
    )


def remarks(results: BenchResults) -> list[Text]:
    """The unproven claims, and the notes."""
    return _remarks("Not proven", results)


def check_speeds(results: CheckResults) -> RenderableType:
    """Operations per second of every subject at every size, with the slope, of valid and of violated histories."""
    return Group(
        *_check_tables(results, "operations/s, and seconds: a valid history", valid=True, cell=_speed),
        "",
        *_check_tables(results, "operations/s, and seconds: violated at the very end", valid=False, cell=_speed),
    )


def check_peaks(results: CheckResults) -> RenderableType:
    """The peak memory of the process, and how much of it is history and ledger."""
    return Group(
        *_check_tables(results, "peak memory of the process: a valid history", valid=True, cell=_peak, slopes=False),
        "",
        *_check_tables(
            results, "peak memory of the process: violated at the end", valid=False, cell=_peak, slopes=False
        ),
    )


def check_legend(results: CheckResults) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    plan, cpus = results.plan, environment.cpus()
    repeats = ", ".join(f"{plan.repeats_of(size):,}" for size in plan.sizes)
    shape = [
        f"{plan.shape(plan.sizes[0]).events:,} event(s)",
        *(["baskets"] if plan.baskets else []),
        *(["refunds"] if plan.refunds else []),
        f"seed {plan.seed}",
    ]
    return Text(
        f"medians of {repeats} repeats; {ALL_CHECKS}: all checks in one call\n"
        "slope: the power of the size with which the seconds grow, by least squares; 1 is linear\n"
        "not measured here: Elle's own figure is 100,000 to 160,000 transactions/s\n"
        f"{' · '.join(shape)} · one process at a time, {cpus} CPU{'s' if cpus != 1 else ''}",
        style="dim",
    )


def check_remarks(results: CheckResults) -> list[Text]:
    """Wrong verdicts and failed processes, and the notes."""
    return _remarks("Wrong", results)


def _remarks(label: str, results: BenchResults | CheckResults) -> list[Text]:
    return [
        *(Text(f"{label}: {error}", style="bold red") for error in results.errors),
        *(Text(note, style="yellow") for note in results.notes),
    ]


def _spread_tables(
    results: BenchResults, heading: str, names: Sequence[str], cells: Cells, cell: _SpreadCell
) -> Iterator[RenderableType]:
    """As many tables as the numbers of buyers need."""
    buyers, kinds = results.plan.buyers, {subject.name: subject.kind for subject in results.subjects}
    unproven = {(trial.subject, trial.buyers) for trial in results.trials if trial.error}
    for start in range(0, len(buyers), _BUYERS):
        shown = buyers[start : start + _BUYERS]
        table = _table("buyers", 13, [f"{number:,}" for number in shown])
        for name in names:
            label = name if kinds[name] is SubjectKind.STRATEGY else name.replace("_", " ")
            table.add_row(label, *(_spread_text(cells, (name, number), cell, unproven) for number in shown))
        yield Text(heading, style="bold")
        yield table


def _check_tables(
    results: CheckResults, heading: str, *, valid: bool, cell: _CheckCell, slopes: bool = True
) -> Iterator[RenderableType]:
    """As many tables as the sizes need; the slope, which is of all sizes, is in the first."""
    sizes, cells = results.plan.sizes, results.cells(valid=valid)
    for start in range(0, len(sizes), _SIZES):
        shown, with_slope = sizes[start : start + _SIZES], slopes and start == 0
        table = _table("operations", 22, [*map(_short, shown), *(["slope"] if with_slope else [])])
        if not slopes:
            table.add_row("history and ledger", *(_history_size(results, size) for size in shown), style="dim")
        for subject in results.plan.subjects:
            texts = [_check_text(cells.get((subject, size)), cell) for size in shown]
            slope = results.slope(subject, valid=valid) if with_slope else None
            table.add_row(subject, *texts, *([_slope(slope)] if with_slope else []))
        yield Text(heading, style="bold")
        yield table


def _table(label: str, width: int, headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column(label, width=width, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _spread_text(cells: Cells, place: tuple[str, int], cell: _SpreadCell, unproven: set[tuple[str, int]]) -> Text:
    if place in unproven:
        return Text("unproven", style="bold red")
    if place not in cells:
        return Text("–")
    spread = cells[place]
    median, extent = cell(spread)
    return Text.assemble(median, (f"\n{extent}", "dim")) if len(spread.values) > 1 else Text(median)


def _per_s(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:,.0f}", f"{_digits(spread.low / _THOUSAND)}–{_digits(spread.high / _THOUSAND)}k"


def _times(spread: Spread) -> tuple[str, str]:
    return _digits(spread.median), f"{_digits(spread.low)}–{_digits(spread.high)}"


def _percent(spread: Spread) -> tuple[str, str]:
    return f"{_digits(spread.median * 100)}%", f"{_digits(spread.low * 100)}–{_digits(spread.high * 100)}"


def _digits(value: float) -> str:
    """With three digits, so that two values fit in a column."""
    decimals = next((decimals for decimals, limit in ((2, 9.995), (1, 99.95)) if value < limit), 0)
    return f"{value:.{decimals}f}"


def _check_text(measured: Measured | None, cell: _CheckCell) -> Text:
    if measured is None:
        return Text("–")
    if measured.status != measured.expected:
        return Text(measured.status, style="bold red")
    return cell(measured)


def _speed(measured: Measured) -> Text:
    seconds = measured.median_s
    duration = f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
    return Text.assemble(_short(measured.per_s), (f"\n{duration}", "dim"))


def _peak(measured: Measured) -> Text:
    return Text(f"{_short(measured.peak_bytes)}B")


def _history_size(results: CheckResults, size: int) -> str:
    return f"{_short(results.sizes[size].history_bytes)}B" if size in results.sizes else "–"


def _slope(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _short(value: float) -> str:
    """With three digits and a unit, so that several fit side by side."""
    unit, letter = next((pair for pair in _UNITS if value >= pair[0]), (1.0, ""))
    return f"{value / unit:.3g}{letter}"
