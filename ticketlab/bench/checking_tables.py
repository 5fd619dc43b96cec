"""The costs of the checks as a person reads them in a terminal of 80 columns. Prints; decides nothing."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ticketlab import environment
from ticketlab.bench.checking import ALL_CHECKS, Measured, Results

_COLUMNS: Final = 5
"""Sizes side by side: what 80 columns hold."""
_NAME_WIDTH: Final = 22
_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

_Cell: TypeAlias = Callable[[Measured], Text]


def speeds(results: Results) -> RenderableType:
    """Operations a second of every subject at every size, with the slope, of valid and of violated histories."""
    return Group(
        *_tables(results, "operations/s, and seconds: a valid history", valid=True, cell=_speed),
        "",
        *_tables(results, "operations/s, and seconds: violated at the very end", valid=False, cell=_speed),
    )


def peaks(results: Results) -> RenderableType:
    """The largest size of the process, and how much of it is history and ledger."""
    return Group(
        *_tables(results, "peak memory of the process: a valid history", valid=True, cell=_peak, sloping=False),
        "",
        *_tables(results, "peak memory of the process: violated at the end", valid=False, cell=_peak, sloping=False),
    )


def legend(results: Results) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    bench, cpus = results.bench, environment.cpus()
    repeats = ", ".join(f"{bench.repeats_of(each):,}" for each in bench.sizes)
    shape = [
        f"{bench.shape(bench.sizes[0]).events:,} event(s)",
        *(["baskets"] if bench.baskets else []),
        *(["refunds"] if bench.refunds else []),
        f"seed {bench.seed}",
    ]
    return Text(
        f"medians of {repeats} repeats; {ALL_CHECKS}: all checks in one call\n"
        "slope: by which power of the size the seconds grow, by least squares; 1 is linear\n"
        "not measured here: Elle's own figure is 100,000 to 160,000 transactions/s\n"
        f"{' · '.join(shape)} · one process at a time, {cpus} CPU{'s' if cpus != 1 else ''}",
        style="dim",
    )


def remarks(results: Results) -> list[Text]:
    """What was wrong, and what a reader must know besides."""
    return [
        *(Text(f"Wrong: {each}", style="bold red") for each in results.errors),
        *(Text(each, style="yellow") for each in results.notes),
    ]


def _tables(
    results: Results, heading: str, *, valid: bool, cell: _Cell, sloping: bool = True
) -> Iterator[RenderableType]:
    """As many tables as the sizes need; the slope, which is of all, stands in the first."""
    sizes, cells = results.bench.sizes, results.cells(valid=valid)
    for start in range(0, len(sizes), _COLUMNS):
        shown, with_slope = sizes[start : start + _COLUMNS], sloping and start == 0
        table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
        table.add_column("operations", width=_NAME_WIDTH, overflow="fold")
        for each in (*(_short(size) for size in shown), *(["slope"] if with_slope else [])):
            table.add_column(each, justify="right", no_wrap=True)
        if not sloping:
            table.add_row("history and ledger", *(_size(results, each) for each in shown), style="dim")
        for subject in results.bench.subjects:
            texts = [_text(cells.get((subject, size)), cell) for size in shown]
            slopes = [_slope(results.slope(subject, valid=valid))] if with_slope else []
            table.add_row(subject, *texts, *slopes)
        yield Text(heading, style="bold")
        yield table


def _text(measured: Measured | None, cell: _Cell) -> Text:
    if measured is None:
        return Text("–")
    if measured.status != measured.expected:
        return Text(measured.status, style="bold red")
    return cell(measured)


def _speed(measured: Measured) -> Text:
    return Text.assemble(_short(measured.per_s), (f"\n{_seconds(measured.median_s)}", "dim"))


def _peak(measured: Measured) -> Text:
    return Text(f"{_short(measured.peak_bytes)}B")


def _size(results: Results, size: int) -> str:
    return f"{_short(results.sizes[size].history_bytes)}B" if size in results.sizes else "–"


def _slope(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _short(value: float) -> str:
    """With three digits and a unit, so that several stand side by side."""
    unit, letter = next((each for each in _UNITS if value >= each[0]), (1.0, ""))
    return f"{value / unit:.3g}{letter}"
