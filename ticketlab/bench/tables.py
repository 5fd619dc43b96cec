"""The results as a person reads them in a terminal of 80 columns. Prints; decides nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ticketlab.bench import bulk_insert, subjects
from ticketlab.bench.results import Results
from ticketlab.bench.statistics import Cells, Spread
from ticketlab.bench.subject import Kind

_COLUMNS: Final = 6
"""Numbers of buyers side by side: what 80 columns hold."""
_NAME_WIDTH: Final = 13
_THOUSAND: Final = 1_000
_HEADINGS: Final = {
    subjects.FOR_UPDATE: "times pgbench FOR UPDATE",
    subjects.ONE_STATEMENT: "times pgbench one statement",
    subjects.LIMIT: "% of the limit",
    "bare": "times the same SQL in a bare psycopg loop",
}

_Cell: TypeAlias = Callable[[Spread], tuple[str, str]]
"""A spread as two lines: the median, and the range below it."""


def speeds(results: Results) -> RenderableType:
    """One row a contender, one column a number of buyers: purchases per second."""
    names = [each.name for each in results.contenders]
    return _tables(results, "purchases/s", names, results.speeds, _per_s)


def ratios(results: Results) -> RenderableType:
    """A table each of what contenders reach of pgbench, of the limit, and of their own SQL without the repository."""
    names = [each.name for each in results.contenders if each.kind in {Kind.STRATEGY, Kind.BARE}]
    shown: list[RenderableType] = []
    for base, cells in results.ratios.items():
        rows = [name for name in names if any(name == contender for contender, _ in cells)]
        if rows:
            shown += ["", _tables(results, _HEADINGS[base], rows, cells, _percent if base == "limit" else _times)]
    return Group(*shown)


def legend(results: Results) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    return Text(
        f"{results.interval}; ratios are made repeat by repeat, of the same number of buyers\n"
        f"limit: one INSERT of {bulk_insert.TICKETS:,} tickets in one commit, in tickets/s, for any number of buyers\n"
        f"{results.conditions}",
        style="dim",
    )


def remarks(results: Results) -> list[Text]:
    """What was not proven, and what a reader must know besides."""
    return [
        *(Text(f"Not proven: {each}", style="bold red") for each in results.errors),
        *(Text(each, style="yellow") for each in results.notes),
    ]


def _tables(results: Results, heading: str, names: Sequence[str], cells: Cells, cell: _Cell) -> RenderableType:
    return Group(*_each_table(results, heading, names, cells, cell))


def _each_table(
    results: Results, heading: str, names: Sequence[str], cells: Cells, cell: _Cell
) -> Iterator[RenderableType]:
    """As many tables as the numbers of buyers need."""
    buyers, kinds = results.bench.buyers, {each.name: each.kind for each in results.contenders}
    unproven = {(each.contender, each.buyers) for each in results.trials if each.fault}
    for start in range(0, len(buyers), _COLUMNS):
        shown = buyers[start : start + _COLUMNS]
        table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
        table.add_column("buyers", width=_NAME_WIDTH, overflow="fold")
        for each in shown:
            table.add_column(f"{each:,}", justify="right", no_wrap=True)
        for name in names:
            label = name if kinds[name] is Kind.STRATEGY else name.replace("_", " ")
            table.add_row(label, *(_text(cells, (name, each), cell, unproven) for each in shown))
        yield Text(heading, style="bold")
        yield table


def _text(cells: Cells, place: tuple[str, int], cell: _Cell, unproven: set[tuple[str, int]]) -> Text:
    if place in unproven:
        return Text("unproven", style="bold red")
    if place not in cells:
        return Text("–")
    spread = cells[place]
    median, extent = cell(spread)
    return Text.assemble(median, (f"\n{extent}", "dim")) if len(spread.values) > 1 else Text(median)


def _per_s(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:,.0f}", f"{_short(spread.low / _THOUSAND)}–{_short(spread.high / _THOUSAND)}k"


def _times(spread: Spread) -> tuple[str, str]:
    return _short(spread.median), f"{_short(spread.low)}–{_short(spread.high)}"


def _percent(spread: Spread) -> tuple[str, str]:
    return f"{_short(spread.median * 100)}%", f"{_short(spread.low * 100)}–{_short(spread.high * 100)}"


def _short(value: float) -> str:
    """With three digits, so that two of them fit in a column."""
    digits = next((digits for digits, limit in ((2, 9.995), (1, 99.95)) if value < limit), 0)
    return f"{value:.{digits}f}"
