"""A comparison of two runs in words, as tables and as JSON."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, Final

import pandas as pd
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ticketlab.report.compare.gate import inconclusive
from ticketlab.report.compare.pairs import RunComparison
from ticketlab.report.compare.verdict_changes import news_of
from ticketlab.report.comparison import DRIFT_WARNING
from ticketlab.report.findings.caption import strategy_label
from ticketlab.report.json_report import jsonable
from ticketlab.report.phrases import join_names, number, setting_parts

_SAID: Final = {
    "faster": "Clearly faster",
    "slower": "Clearly slower",
    "unclear": "Not clearly faster or slower",
    "unknown": "Without a ratio, since the first run sold nothing",
}
MOST_UNCLEAR: Final = 6
"""Names that are listed of what is not clear; the table has them all."""


def word(row: pd.Series) -> str:
    """What became of it: "faster" or "slower" where that is clear, "unclear", or "unknown" where there is no ratio."""
    if isnan(row["purchases_per_s_ratio"]):
        return "unknown"
    if not row["purchases_per_s_clear"]:
        return "unclear"
    return "faster" if row["purchases_per_s_ratio"] > 1 else "slower"


def sentences(rows: pd.DataFrame) -> list[str]:
    """Who is clearly faster and slower, and by how much; of whom that is not clear."""
    clear = ("faster", "slower")
    told: dict[str, list[str]] = {each: [] for each in _SAID}
    for _, row in rows.iterrows():
        name = strategy_label(row, rows)
        times = f" (× {number(row['purchases_per_s_ratio'])})" if word(row) in clear else ""
        told[word(row)].append(f"{name}{times}")
    most = {what: len(names) if what in clear else MOST_UNCLEAR for what, names in told.items()}
    return [f"{_SAID[what]}: {join_names(names, most=most[what])}." for what, names in told.items() if names]


VERSION: Final = 1
"""Counted up where a field goes or changes its meaning; new ones may come at any time."""


def as_json(both: RunComparison) -> dict[str, Any]:
    """What the terminal shows, by name; what there is none of is null."""
    rows = both.rows.assign(speed=[word(row) for _, row in both.rows.iterrows()])
    told = {
        "ticketlab_compare": VERSION,
        "first": both.first.run,
        "second": both.second.run,
        "verdicts_changed": [
            {"strategy": each.strategy, "safe": each.safe, "alarming": each.is_regression, "sentence": each.sentence}
            for each in news_of(both)
        ],
        "strategies": rows.to_dict("records"),
        "only_first": both.only_first,
        "only_second": both.only_second,
        "differences": both.differences,
        "warning": DRIFT_WARNING,
    }
    plain: dict[str, Any] = jsonable(told)
    return plain


_STYLES: Final = {"VALID": "green", "INVALID": "bold red", "UNKNOWN": "yellow", "faster": "green", "slower": "bold red"}
_LEGEND: Final = (
    "purchases/s: geometric means of the repeats; 2nd/1st: their ratio, and that of the p95 latencies, below it the 95 "
    "% interval (Welch's t on logarithms), which takes two repeats a side; retries, verdict: where "
    "they differ, the 2nd run's is below"
)
_BESIDE: Final = ("began", "revision", "name", "server.why")
"""What nearly always differs, and tells nothing of the numbers."""
_TEN: Final = 10
_HUNDRED: Final = 100
_HUNDREDTH: Final = 0.01


def printed(both: RunComparison) -> Iterator[RenderableType]:
    """The runs, what became of their verdicts, the numbers, what they come to, and what else differs."""
    yield Text(f"1st: {both.first.run}\n2nd: {both.second.run}\n")
    yield from _news(both)
    if both.rows.empty:
        yield Text("The runs have no strategy in the same setting in common.\n", style="yellow")
    else:
        yield _table(both.rows)
        yield Text(f"{_LEGEND}\n", style="dim")
        yield from map(Text, sentences(both.rows))
    yield from _only(both)
    yield from _differences(both)
    yield Text(f"\n{DRIFT_WARNING}", style="dim")


def gate(both: RunComparison, reasons: Sequence[str], *, below: float) -> Iterator[Text]:
    """What the gate says: that the second run passes it, or each reason why not; and what it could not tell."""
    if reasons:
        yield Text("\nFailed:", style="bold red")
        yield from (Text(f"- {each}", style="bold red") for each in reasons)
    else:
        yield Text(f"\nPassed: no speed is surely below {below:g} times the first, and no strategy newly wrong.")
    if names := inconclusive(both, below=below):
        told = join_names(names, most=MOST_UNCLEAR)
        yield Text(f"Below {below:g}, but not surely: {told}. More repeats would tell.", style="yellow")


def _news(both: RunComparison) -> Iterator[Text]:
    for each in news_of(both):
        yield Text(each.sentence, style="bold red" if each.is_regression else "yellow")
    yield Text(f"Verdicts: {'as above' if news_of(both) else 'the same in both runs'}.\n")


def _table(rows: pd.DataFrame) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("strategy", overflow="fold")
    for heading in ("1st\n/s", "2nd\n/s", "purchases/s\n2nd/1st", "p95\n2nd/1st", "retries\n/sale"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("speed", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for _, row in rows.iterrows():
        table.add_row(_name(row, rows), *_numbers(row), _styled(word(row)), _verdict(row))
    return table


def _name(row: pd.Series, among: pd.DataFrame) -> Text:
    notes = [*setting_parts(row, among), *([] if row["safe"] else ["control"])]
    return Text("\n").join([Text(row["strategy"]), *(Text(note, style="dim") for note in notes)])


def _numbers(row: pd.Series) -> list[Text | str]:
    return [
        _rate(row["purchases_per_s_typical_first"]),
        _rate(row["purchases_per_s_typical"]),
        _ratio(row, "purchases_per_s"),
        _ratio(row, "p95_ms"),
        "\n".join(dict.fromkeys(_few(row[name]) for name in ("retries_per_sale_first", "retries_per_sale"))),
    ]


def _rate(value: float) -> str:
    return "–" if isnan(value) else f"{value:,.0f}"


def _few(value: float) -> str:
    return "–" if isnan(value) else f"{value:.2f}"


def _ratio(row: pd.Series, of: str) -> Text:
    low, high = row[f"{of}_low"], row[f"{of}_high"]
    limits = "no interval" if isnan(low) else f"{_times(low)}–{_times(high)}"
    value = row[f"{of}_ratio"]
    return Text("–") if isnan(value) else Text.assemble(_times(value), (f"\n{limits}", "dim"))


def _times(ratio: float) -> str:
    """A ratio in the width that a column has."""
    if 0 < ratio < _HUNDREDTH:
        return "<0.01"
    if ratio >= _HUNDRED:
        return ">100"
    return f"{ratio:.{2 if ratio < _TEN else 1}f}"


def _verdict(row: pd.Series) -> Text:
    """That of both runs, one below the other where they are not the same."""
    return Text("\n").join(map(_styled, dict.fromkeys([row["verdict_first"], row["verdict"]])))


def _styled(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _only(both: RunComparison) -> Iterator[Text]:
    for where, names in (("first", both.only_first), ("second", both.only_second)):
        if names:
            yield Text(f"Only in the {where} run: {join_names(names, most=len(names))}.")


def _differences(both: RunComparison) -> Iterator[Text]:
    """What was asked for and what it ran on, where that is not the same, in a line each."""
    rows = [row for row in both.differences if row["what"] not in _BESIDE]
    yield Text(f"\n{'Asked for or run otherwise:' if rows else 'Both were asked for and run alike.'}")
    yield from (Text(f"- {row['what']}: {' → '.join(row['values'])}") for row in rows)
