"""What a run of the stress tests came to, by server and strategy: for the terminal, and as Markdown.

Pure: made of the rows that the tests have told, as plain data, for they may come from other processes.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

Row: TypeAlias = Mapping[str, Any]
"""Of a trial `server`, `strategy`, `safe`, `under`, `purchases`, `sales`, the `seconds` of selling, and `verdict`; of a
mutant `server`, `mutant`, `meant`, and `by`: the purchases after which each check caught it."""

_TRIALS: Final = ("server", "strategy", "purchases", "purchases/s", "verdict")
_MUTANTS: Final = ("server", "mutant", "caught by", "after purchases")
LOAD: Final = "load"
"""What the speed is taken from, sales a second as in any report: trials in which nothing else goes wrong."""


def tables(rows: Sequence[Row]) -> list[list[tuple[str, ...]]]:
    """A table of the strategies and one of the mutants, as far as there were any; the first line of each its head."""
    trials = [_trial(key, [*group]) for key, group in _grouped(row for row in rows if "strategy" in row)]
    mutants = [_mutant(row) for row in sorted(rows, key=_place) if "mutant" in row]
    return [[head, *lines] for head, lines in ((_TRIALS, trials), (_MUTANTS, mutants)) if lines]


def markdown(title: str, rows: Sequence[Row]) -> str:
    """The tables under a title."""
    return "\n\n".join([f"## {title}", *map(_markdown_table, tables(rows))]) + "\n"


def text(rows: Sequence[Row]) -> str:
    """The tables in columns."""
    return "\n\n".join(map(_columns, tables(rows)))


def _grouped(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, str], Iterable[Row]]]:
    return groupby(sorted(rows, key=_place), key=_place)


def _place(row: Row) -> tuple[str, str]:
    return row["server"], row.get("strategy") or row["mutant"]


def _trial(key: tuple[str, str], rows: Sequence[Row]) -> tuple[str, ...]:
    server, strategy = key
    loads = [row for row in rows if row["under"] == LOAD]
    seconds = sum(row["seconds"] for row in loads)
    speed = f"{sum(row['sales'] for row in loads) / seconds:,.0f}" if seconds else "–"
    verdicts = sorted({row["verdict"] for row in rows})
    control = "" if rows[0]["safe"] else " (control)"
    return server, strategy, f"{sum(row['purchases'] for row in rows):,}", speed, ", ".join(verdicts) + control


def _mutant(row: Row) -> tuple[str, ...]:
    caught = row["by"] or {"nothing": "–"}
    return row["server"], row["mutant"], ", ".join(caught), ", ".join(map(str, caught.values()))


def _markdown_table(lines: Sequence[tuple[str, ...]]) -> str:
    head, *body = lines
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ("---",) * len(head), *body))


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
