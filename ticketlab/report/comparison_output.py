"""A comparison of two runs for the terminal and as JSON."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, Final

import pandas as pd
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ticketlab.report._caption import strategy_label
from ticketlab.report.comparison import RunComparison, inconclusive, news_of
from ticketlab.report.json_report import jsonable
from ticketlab.report.model import DRIFT_WARNING
from ticketlab.report.phrases import join_names, number, setting_parts

_SAID: Final = {
    "faster": "Clearly faster",
    "slower": "Clearly slower",
    "unclear": "Not clearly faster or slower",
    "unknown": "No ratio, because the first run sold nothing",
}
MOST_UNCLEAR: Final = 6
"""The most names of unclear strategies that a sentence lists; the table has all of them."""


def word(row: pd.Series) -> str:
    """The change in a word: "faster" or "slower" if it is clear, else "unclear"; "unknown" without a ratio."""
    if isnan(row["purchases_per_s_ratio"]):
        return "unknown"
    if not row["purchases_per_s_clear"]:
        return "unclear"
    return "faster" if row["purchases_per_s_ratio"] > 1 else "slower"


def sentences(rows: pd.DataFrame) -> list[str]:
    """Which strategies are clearly faster or slower with their ratios, and which are not."""
    clear = ("faster", "slower")
    names_by_word: dict[str, list[str]] = {each: [] for each in _SAID}
    for _, row in rows.iterrows():
        name = strategy_label(row, rows)
        times = f" (× {number(row['purchases_per_s_ratio'])})" if word(row) in clear else ""
        names_by_word[word(row)].append(f"{name}{times}")
    most = {what: len(names) if what in clear else MOST_UNCLEAR for what, names in names_by_word.items()}
    return [f"{_SAID[what]}: {join_names(names, most=most[what])}." for what, names in names_by_word.items() if names]


VERSION: Final = 1
"""Increased if a field is removed or changes its meaning; new fields may be added at any time."""


def as_json(both: RunComparison) -> dict[str, Any]:
    """What the terminal shows, by name; null for a missing number."""
    rows = both.rows.assign(speed=[word(row) for _, row in both.rows.iterrows()])
    fields = {
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
    plain: dict[str, Any] = jsonable(fields)
    return plain


_STYLES: Final = {"VALID": "green", "INVALID": "bold red", "UNKNOWN": "yellow", "faster": "green", "slower": "bold red"}
_LEGEND: Final = (
    "sales/s: geometric means of the repeats; 2nd/1st: ratio of these, and of the p95 latencies, with the 95 % "
    "interval (Welch's t-test on logarithms; needs two repeats per run) below; retries and verdict: the 2nd "
    "run's is below if they differ"
)
_UNREMARKABLE: Final = ("began", "revision", "name", "server.why")
"""Settings that nearly always differ and do not affect the numbers."""
_TEN: Final = 10
_HUNDRED: Final = 100
_HUNDREDTH: Final = 0.01


def printed(both: RunComparison) -> Iterator[RenderableType]:
    """The runs, their changed verdicts, the table of numbers with its conclusions, and the settings that differ."""
    yield Text(f"1st: {both.first.run}\n2nd: {both.second.run}\n")
    yield from _news(both)
    if both.rows.empty:
        yield Text("The runs share no strategy in the same setting.\n", style="yellow")
    else:
        yield _table(both.rows)
        yield Text(f"{_LEGEND}\n", style="dim")
        yield from map(Text, sentences(both.rows))
    yield from _only(both)
    yield from _differences(both)
    yield Text(f"\n{DRIFT_WARNING}", style="dim")


def gate(both: RunComparison, reasons: Sequence[str], *, below: float) -> Iterator[Text]:
    """Whether the second run passes the gate, or each reason why not; and what the gate could not decide."""
    if reasons:
        yield Text("\nFailed:", style="bold red")
        yield from (Text(f"- {each}", style="bold red") for each in reasons)
    else:
        yield Text(
            f"\nPassed: no speed is surely below {below:g} times the first, and no strategy has a new violation."
        )
    if names := inconclusive(both, below=below):
        unsure = join_names(names, most=MOST_UNCLEAR)
        yield Text(f"Below {below:g}, but not surely: {unsure}. Run more repeats to decide.", style="yellow")


def _news(both: RunComparison) -> Iterator[Text]:
    for each in news_of(both):
        yield Text(each.sentence, style="bold red" if each.is_regression else "yellow")
    yield Text(f"Verdicts: {'as above' if news_of(both) else 'the same in both runs'}.\n")


def _table(rows: pd.DataFrame) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("strategy", overflow="fold")
    for heading in ("1st\n/s", "2nd\n/s", "sales/s\n2nd/1st", "p95\n2nd/1st", "retries\n/sale"):
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
    """A ratio in the width of its column."""
    if 0 < ratio < _HUNDREDTH:
        return "<0.01"
    if ratio >= _HUNDRED:
        return ">100"
    return f"{ratio:.{2 if ratio < _TEN else 1}f}"


def _verdict(row: pd.Series) -> Text:
    """The verdicts of both runs, one below the other if they differ."""
    return Text("\n").join(map(_styled, dict.fromkeys([row["verdict_first"], row["verdict"]])))


def _styled(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _only(both: RunComparison) -> Iterator[Text]:
    for where, names in (("first", both.only_first), ("second", both.only_second)):
        if names:
            yield Text(f"Only in the {where} run: {join_names(names, most=len(names))}.")


def _differences(both: RunComparison) -> Iterator[Text]:
    """The settings that differ, one line each."""
    rows = [row for row in both.differences if row["what"] not in _UNREMARKABLE]
    yield Text(f"\n{'Settings that differ:' if rows else 'Both runs had the same settings.'}")
    yield from (Text(f"- {row['what']}: {' → '.join(row['values'])}") for row in rows)
