"""Progress, tables and sentences of a run for terminals and notebooks. Takes a `Run` or verdicts; judges nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.report import phrases
from ticketlab.report.explain import printed, story_of
from ticketlab.report.headline import IN_WORDS, Concern, doubts, is_amber
from ticketlab.report.limits import bound, untried
from ticketlab.report.model import first_of_a_kind
from ticketlab.report.phrases import has_multiple, setting_parts

if TYPE_CHECKING:
    from ticketlab.report.explain import TrialVerdict
    from ticketlab.runs import experiment
    from ticketlab.runs.run import Run

_TEN: Final = 10
_THOUSAND: Final = 1_000
_TEN_THOUSAND: Final = 10_000
_SOLD_WIDTH: Final = 8
_LATENCY_WIDTH: Final = 11
_SHORT: Final = {"pool_size": "pool", "repeat": "re-\npeat"}
"""Narrow headings, so that the names of strategies fit."""
_AMBER: Final = "yellow"
_STYLES: Final = {Status.VALID: "green", Status.INVALID: "bold red", Status.UNKNOWN: "yellow"}
_EVIDENCE_ROWS: Final = 5
"""Rows of evidence shown for each check; --json has more."""
_HIDDEN_FIELDS: Final = {"in_file", "attempts", "scheduled_ns"}
"""Fields of evidence that are shown elsewhere or do not explain the verdict."""


@contextmanager
def progress(console: Console | None = None) -> Iterator[Callable[[experiment.Progress], None]]:
    """Show progress over the trials: a bar in a terminal, a line in a notebook. Yields the callback for `lab.run`."""
    console = console or Console()
    with _notebook_line() if console.is_jupyter else _terminal_bar(console) as show:
        yield show


@contextmanager
def _terminal_bar(console: Console) -> Iterator[Callable[[experiment.Progress], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[purchases]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None, purchases="")
        yield lambda step: bar.update(
            task, description=step.doing, total=step.trials, completed=step.finished, purchases=_purchases(step)
        )


@contextmanager
def _notebook_line() -> Iterator[Callable[[experiment.Progress], None]]:
    """One output line, updated in place without widgets; at the end it shows the duration of the run."""
    from IPython.display import Pretty, display

    began = time.monotonic()
    line = display(Pretty("starting"), display_id=True)
    trials = 0

    def show(step: experiment.Progress) -> None:
        nonlocal trials
        trials = step.trials
        line.update(Pretty(f"{step.finished} of {step.trials} trials done; {step.doing}; {_purchases(step)}"))

    yield show
    line.update(Pretty(f"{trials} trials in {time.monotonic() - began:.0f} s"))


def _purchases(step: experiment.Progress) -> str:
    count = step.so_far.purchases
    return f"{count:,} purchases" if count else ""


def results(run: Run) -> Table:
    """One row per strategy and setting, 80 columns wide: tickets sold, sales/s, latency, retries and the verdict."""
    seats = run.experiment.stock * run.experiment.events
    columns = (f"sold\nof {seats:,}", "sold\nout", "con-\nflicts", "sales\n/s", "p50/p95/p99\nms", "retries\n/sale")
    table = _table("strategy", *columns, "verdict", left=("strategy", "verdict"))
    for _, row in run.summary.iterrows():
        table.add_row(_name(row, among=run.summary), *_numbers(row), _shown_verdict(row, run.concerns))
    return table


def _shown_verdict(row: pd.Series, concerns: Sequence[Concern]) -> Text:
    """The verdict of a row; if it is VALID with a concern, yellow with the concern below."""
    lines = [str(row["verdict"]), *(word for doubt in doubts(row, concerns) for word in doubt.split())]
    return Text("\n".join(lines), style=_AMBER if is_amber(row, concerns) else _STYLES[Status(row["verdict"])])


def legend(run: Run) -> Text:
    """What the numbers of the table mean, and the conditions under which they were measured."""
    lines = []
    if run.experiment.repeats > 1:
        lines.append("sold, sales/s (range below) and latency: medians of the repeats; others: sums")
    if not run.summary["safe"].all():
        lines.append("control: known to be unsafe; its violations show that the checks work")
    if (run.summary["oversold"] > 0).any():
        lines.append("over: tickets sold in excess of the seats")
    return Text("\n".join([*lines, run.conditions]), style="dim")


def verdicts(run: Run) -> Table:
    """One row per trial: its strategy and the settings that differ, its verdict, and the checks that are not VALID."""
    settings = [trial.setting for trial, _ in run.verdicts]
    differing = [name for name in ("buyers", "pool_size", "repeat") if len({each[name] for each in settings}) > 1]
    about = ("trial", "strategy", *differing)
    last = f"failed or undecided\n(of {len(run.verdicts[0][1])} checks)"
    headings = (_SHORT.get(name, name) for name in about)
    table = _table(*headings, "verdict", last, left=("strategy", "verdict", last))
    for (_, found), setting, progress_status in zip(run.verdicts, settings, run.measures["progress"], strict=True):
        failed = [verdict.check for verdict in found if verdict.status is not Status.VALID]
        row = pd.Series({"strategy": setting["strategy"], "verdict": overall(found), "progress": progress_status})
        values = (escape(str(setting[name])) for name in about)
        table.add_row(*values, _shown_verdict(row, ()), Text("\n".join(failed) or "–"))
    return table


def violations(run: Run) -> list[RenderableType]:
    """One line per verdict that is not VALID; the first violation of each kind is also explained step by step.

    An anomaly is defined where it first occurs.
    """
    found = [each for each in run.results.verdicts if each.verdict.status is not Status.VALID]
    first = first_of_a_kind([each for each in found if each.verdict.status is Status.INVALID])
    parts: list[RenderableType] = []
    explained: set[str] = set()
    for each in found:
        parts.append(_violation_line(each))
        if each in first:
            parts += [*printed(each.story, explained), ""]
    return parts


def _violation_line(found: TrialVerdict) -> Text:
    verdict = found.verdict
    name = f"{phrases.capital(verdict.anomaly)} · " if verdict.anomaly else ""
    text = f"{name}trial {found.trial}, {found.strategy}, {verdict.check}: {verdict.summary}"
    return Text(text, style=_STYLES[verdict.status])


def verdict_table(found: Sequence[Verdict], *, unit: str = "row") -> list[RenderableType]:
    """The verdicts on one history: one row per check, then the evidence and an explanation of each violation.

    Args:
        found: the verdict of each check.
        unit: what the evidence's `in_file` counts in the imported file, such as "line".
    """
    table = _table("check", "verdict", "what was found", left=("verdict", "what was found"))
    table.columns[0].justify = "left"  # not in `left`: names of checks are never folded
    for each in found:
        table.add_row(each.check, Text(str(each.status), style=_STYLES[each.status]), escape(each.summary))
    parts: list[RenderableType] = [table]
    explained: set[str] = set()
    for each in found:
        if each.evidence:
            rows = [Text(f"{each.check}, {_evidence_line(row, unit)}") for row in each.evidence[:_EVIDENCE_ROWS]]
            parts += ["", *rows, *printed(story_of(each), explained)]
    return parts


def verdict_line(found: Sequence[Verdict]) -> Text:
    """The overall verdict on one history, in the words of a run's verdict."""
    status = overall(found)
    return Text(IN_WORDS[status], style=_STYLES[status])


def _evidence_line(row: Mapping[str, Any], unit: str) -> str:
    """A row of evidence in words: its place in the file, if it is from one, and the fields that have a value."""
    fields = {name: value for name, value in row.items() if name not in _HIDDEN_FIELDS and value not in (None, "none")}
    place = f"{unit} {row['in_file']}: " if "in_file" in row else ""
    return place + ", ".join(f"{name} {value}" for name, value in fields.items())


def findings(run: Run) -> list[Text]:
    """The findings below the table, in sentences: oversells, failed strategies, the bound, concerns and notes."""
    lines = []
    for _, row in run.summary[run.summary["oversold"] > 0].iterrows():
        pool = f" and a pool of {row['pool_size']}" if has_multiple(run.summary["pool_size"]) else ""
        text = f"{row['strategy']} oversold: {row['seats'] + row['oversold']:,} tickets for {row['seats']:,} seats"
        lines.append(Text(f"{text}, {row['oversold']:,} too many, at {row['buyers']} buyers{pool}.", style="bold red"))
    lines += [
        Text(f"{name} claims to be safe and was not found VALID: {_first_failure(run, name)}", style="bold red")
        for name in run.failed_strategies
    ]
    held = run.summary[run.summary["safe"] & ~run.summary["strategy"].isin(run.failed_strategies)]
    if not held.empty:
        names = list(dict.fromkeys(held["strategy"]))
        style = _AMBER if run.concerns or run.undetected_controls else "green"
        lines.append(Text(f"No violation found of {', '.join(names)}. {bound(run.measures, names)}", style=style))
        lines += [Text(missing)] if (missing := untried(run.tried)) else []
    return [*lines, *(Text(each.text, style=_AMBER) for each in run.concerns), *notes(run)]


def headline(run: Run) -> list[Text]:
    """The verdict on the run, in the words of its report."""
    found = run.results.headline
    return [Text(found.words, style=_AMBER if found.is_amber else _STYLES[found.status]), *map(Text, found.sentences)]


def notes(run: Run) -> list[Text]:
    """The causes of retries, and the notes of the run."""
    return [
        *map(Text, phrases.retries_by_cause(run.measures)),
        *(Text(note, style="yellow") for note in run.notes),
    ]


def _table(*headings: str, left: Collection[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in headings:
        is_text = heading in left  # in a narrow terminal names are folded, numbers never
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    return table


def _first_failure(run: Run, strategy: str) -> str:
    first, *_ = run.results.verdicts_of(strategy, Status.INVALID, Status.UNKNOWN)
    return f"{first.verdict.summary} (trial {first.trial}, {first.verdict.check})."


def _name(row: pd.Series, *, among: pd.DataFrame) -> Text:
    notes = [*setting_parts(row, among), *([] if row["safe"] else ["control"])]
    return Text("\n").join([Text(row["strategy"]), *(Text(note, style="dim") for note in notes)])


def _numbers(row: pd.Series) -> list[Text | str]:
    speed = f"{row['per_s']:,.0f}"
    spread = f"\n{_range(row['per_s_min'], row['per_s_max'])}" if row["repeats"] > 1 else ""
    return [
        Text.assemble(f"{row['sold']:,.0f}", (_oversold(row), "bold red")),
        f"{row['sold_out']:,}",
        f"{row['conflicts']:,}",
        Text.assemble(speed, (spread, "dim")),
        _latency([_number(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")]),
        _number(row["retries_per_sale"], digits=2),
    ]


def _oversold(row: pd.Series) -> str:
    """The tickets sold in excess of the seats, below the tickets sold; on two lines if one would widen the column."""
    if not row["oversold"]:
        return ""
    count = f"\n+{row['oversold_median']:,.0f}"
    return f"{count} over" if len(f"{count} over") <= _SOLD_WIDTH + 1 else f"{count}\nover"


def _latency(percentiles: Sequence[str]) -> str:
    """The percentiles on one line, or on several if one would widen the column."""
    line = "/".join(percentiles)
    return line if len(line) <= _LATENCY_WIDTH else "/\n".join(percentiles)


def _range(low: float, high: float) -> str:
    """A range in at most 11 characters: in thousands if the larger number has five digits."""
    if high < _TEN_THOUSAND:
        return f"{low:,.0f}–{high:,.0f}"
    return f"{low / _THOUSAND:,.1f}–{high / _THOUSAND:,.1f}k"


def _number(value: float, digits: int | None = None) -> str:
    """A number with this many decimals; by default one below ten and none above. A dash for NaN."""
    if math.isnan(value):
        return "–"
    return f"{value:,.{digits if digits is not None else int(value < _TEN)}f}"
