"""The judged runs of a session: a table at its end, and a summary for GitHub Actions. Reads reports; imports no lab."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ticketlab.pytest_plugin import options

if TYPE_CHECKING:
    import pytest

_GITHUB: Final = "GITHUB_STEP_SUMMARY"
_HEADINGS: Final = ("strategy", "buyers", "purchases", "purchases/s", "verdict")
_NO_CONTROL: Final = "no control"
_IN_A_TEST: Final = (
    "No control was run: nothing shows that this load could have brought a flaw to light. Call ticketlab_run with a "
    "control too, such as naive."
)
_RIGHT: Final = frozenset(_HEADINGS[1:4])


def show(reports: Iterable[object], terminal: "pytest.TerminalReporter") -> None:
    """Print what was judged, and append it to the summary of a job in GitHub Actions."""
    told = sorted((each for each in reports if hasattr(each, options.RUNS)), key=_began)
    rows = [row for report in told for row in getattr(report, options.RUNS)]
    if not rows:
        return
    terminal.write_sep("=", "ticketlab")
    for line in [*table(rows), *remarks(rows)]:
        terminal.write_line(line)
    if place := os.environ.get(_GITHUB):
        try:
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(markdown(rows))
        except OSError as error:
            terminal.write_line(f"{_GITHUB} names {place}, which can not be written: {error.strerror}.")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line a strategy and number of buyers, below their headings."""
    cells = [_HEADINGS, *((*_numbers(each), _verdict(each)) for each in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = ["rjust" if heading in _RIGHT else "ljust" for heading in _HEADINGS]
    return [
        "  ".join(getattr(cell, how)(width) for cell, how, width in zip(line, aligned, widths, strict=True)).rstrip()
        for line in cells
    ]


def remarks(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The concerns of the runs, and what the numbers were measured on."""
    servers = list(dict.fromkeys(each["server"] for each in rows))
    workers = max(each["workers"] for each in rows)
    divided = f"Each of {workers} workers had a server of its own and its share of the buyers, at least two."
    return [*_concerns(rows), *servers, *([divided] if workers > 1 else [])]


def _concerns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each concern once. Where a control was caught in any test, a run without one is no concern."""
    caught = any(not each["safe"] and each["verdict"] == "INVALID" for each in rows)
    texts = [
        _IN_A_TEST if each["kind"] == _NO_CONTROL else each["text"]
        for row in rows
        for each in row["concerns"]
        if not (caught and each["kind"] == _NO_CONTROL)
    ]
    return list(dict.fromkeys(texts))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each run that held, and the story of each that did not."""
    wrong = sum(each["wrong"] for each in rows)
    title = f"### ticketlab: {wrong} of {len(rows)} found wrong" if wrong else f"### ticketlab: all {len(rows)} held"
    stories = [f"\n`{each['test']}`\n\n{_fenced(each['failure'])}" for each in rows if each["failure"]]
    return "\n".join([title, "", *map(_item, rows), "", *remarks(rows), *stories, ""])


def _item(row: dict[str, Any]) -> str:
    strategy, buyers, purchases, per_s = _numbers(row)
    speed = f"{buyers} buyers, {purchases} purchases, {per_s}/s"
    return f"- **{_verdict(row)}** `{strategy}`: {speed} (`{row['test']}`)"


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    return row["strategy"], f"{row['buyers']:,}", f"{row['purchases']:,}", f"{row['per_s']:,.0f}"


def _verdict(row: dict[str, Any]) -> str:
    return ", ".join([row["verdict"], *row["doubts"], *([] if row["safe"] else ["a control"])])


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _began(report: object) -> float:
    return float(getattr(report, "start", 0.0))
