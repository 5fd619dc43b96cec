"""What a person sees in a terminal or a notebook while a run goes on, and when it is over. Prints; decides nothing."""

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

from ticketlab.checks.mutation_baseline import load_baseline
from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.report import phrases
from ticketlab.report.concerns import Concern, doubts, is_amber
from ticketlab.report.confidence import bound, untried
from ticketlab.report.explain import story_of
from ticketlab.report.explain.story import printed
from ticketlab.report.headline import IN_WORDS
from ticketlab.report.headline import headline as verdict_on
from ticketlab.report.phrases import has_multiple, setting_parts
from ticketlab.report.tables import first_of_a_kind
from ticketlab.runs.run import Run

if TYPE_CHECKING:
    from ticketlab.runs import lab

_TEN: Final = 10
_THOUSAND: Final = 1_000
_TEN_THOUSAND: Final = 10_000
_LATENCY_WIDTH: Final = 11
_SHORT: Final = {"pool_size": "pool", "repeat": "re-\npeat"}
"""Headings that leave the names of strategies their room."""
_AMBER: Final = "yellow"
_STYLES: Final = {Status.VALID: "green", Status.INVALID: "bold red", Status.UNKNOWN: "yellow"}
_PROOFS: Final = 5
"""Rows of evidence that are shown of each check; --json has more of them."""
_BESIDE: Final = {"in_file", "attempts", "scheduled_ns"}
"""What is told elsewhere, or says nothing of who is right."""


@contextmanager
def progress(console: Console | None = None) -> Iterator[Callable[["lab.Progress"], None]]:
    """Progress over the trials of a run, to be given to `lab.run`: a bar in a terminal, a line in a notebook."""
    console = console or Console()
    with _notebook_line() if console.is_jupyter else _terminal_bar(console) as show:
        yield show


@contextmanager
def _terminal_bar(console: Console) -> Iterator[Callable[["lab.Progress"], None]]:
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
def _notebook_line() -> Iterator[Callable[["lab.Progress"], None]]:
    """One output that is written anew, needs no widgets, and says in the end how long the run took."""
    from IPython.display import Pretty, display

    began = time.monotonic()
    line = display(Pretty("starting"), display_id=True)
    trials = 0

    def show(step: "lab.Progress") -> None:
        nonlocal trials
        trials = step.trials
        line.update(Pretty(f"{step.finished} of {step.trials} trials done; {step.doing}; {_purchases(step)}"))

    yield show
    line.update(Pretty(f"{trials} trials in {time.monotonic() - began:.0f} s"))


def _purchases(step: "lab.Progress") -> str:
    count = step.so_far.purchases
    return f"{count:,} purchases" if count else ""


def results(run: Run) -> Table:
    """One row a strategy and setting, 80 columns wide: what was sold, how fast, and the verdict."""
    seats = run.experiment.stock * run.experiment.events
    columns = (f"sold\nof {seats:,}", "sold\nout", "con-\nflicts", "purchases\n/s", "p50/p95/p99\nms", "retries\n/sale")
    table = _table("strategy", *columns, "verdict", left=("strategy", "verdict"))
    for _, row in run.summary.iterrows():
        table.add_row(_name(row, among=run.summary), *_numbers(row), _shown_verdict(row, run.concerns))
    return table


def _shown_verdict(row: pd.Series, found: Sequence[Concern]) -> Text:
    """The verdict of a row, yellow where it is VALID and yet not green, and below it the reason."""
    lines = [str(row["verdict"]), *(word for each in doubts(row, found) for word in each.split())]
    return Text("\n".join(lines), style=_AMBER if is_amber(row, found) else _STYLES[Status(row["verdict"])])


def legend(run: Run) -> Text:
    """What the numbers of the table are, and under which conditions they were measured."""
    kinds = "sold, purchases/s and latency: medians of the repeats, below them their range; other counts: sums\n"
    return Text((kinds if run.experiment.repeats > 1 else "") + run.conditions, style="dim")


def verdicts(run: Run) -> Table:
    """One row a trial: what tells it from the others, its verdict, and the checks that did not hold."""
    settings = [trial.setting for trial, _ in run.verdicts]
    differing = [name for name in ("buyers", "pool_size", "repeat") if len({each[name] for each in settings}) > 1]
    about = ("trial", "strategy", *differing)
    last = f"which of {len(run.verdicts[0][1])} checks\ndid not hold"
    headings = (_SHORT.get(name, name) for name in about)
    table = _table(*headings, "verdict", last, left=("strategy", "verdict", last))
    for (_, found), setting, made in zip(run.verdicts, settings, run.measures["progress"], strict=True):
        broken = [each.check for each in found if each.status is not Status.VALID]
        named = Text("\n".join(broken) or "–")
        row = pd.Series({"strategy": setting["strategy"], "verdict": overall(found), "progress": made})
        table.add_row(*(escape(str(setting[name])) for name in about), _shown_verdict(row, ()), named)
    return table


def violations(run: Run) -> list[RenderableType]:
    """What every check that did not hold has to say; the first violation of a kind is told as a story too.

    What an anomaly is, and what the field calls it, is told where it is met for the first time.
    """
    rows = [row for row in run.verdict_rows() if row["status"] != Status.VALID]
    told = first_of_a_kind([row for row in rows if row["status"] == Status.INVALID])
    parts: list[RenderableType] = []
    explained: set[str] = set()
    for row in rows:
        parts.append(_fault(row))
        if row in told:
            parts += [*printed(story_of(row), explained), ""]
    return parts


def _fault(row: Mapping[str, Any]) -> Text:
    name = f"{phrases.capital(row['anomaly'])} · " if row["anomaly"] else ""
    text = f"{name}trial {row['trial']}, {row['strategy']}, {row['check']}: {row['summary']}"
    return Text(text, style=_STYLES[Status(row["status"])])


def verdict_table(found: Sequence[Verdict], *, unit: str = "row") -> list[RenderableType]:
    """The verdicts on one history: a row a check, and below what is wrong, by its first rows and as a story.

    Args:
        found: the verdict of each check.
        unit: what the evidence's `in_file` counts, of a history that was read from a file.
    """
    table = _table("check", "verdict", "what was found", left=("verdict", "what was found"))
    for each in found:
        table.add_row(each.check, _verdict(each.status), escape(each.summary))
    parts: list[RenderableType] = [table]
    explained: set[str] = set()
    for each in found:
        if each.evidence:
            proofs = [f"{each.check}, {_where(row, unit)}{_told(row)}" for row in each.evidence[:_PROOFS]]
            story = story_of({"check": each.check, "anomaly": each.anomaly, "evidence": each.evidence})
            parts += ["", *map(Text, proofs), *printed(story, explained)]
    return parts


def verdict_line(found: Sequence[Verdict]) -> Text:
    """The verdict on one history, as that on a run is said."""
    status = overall(found)
    return Text(IN_WORDS[status], style=_STYLES[status])


def _where(row: Mapping[str, Any], unit: str) -> str:
    return f"{unit} {row['in_file']}: " if "in_file" in row else ""


def _told(row: Mapping[str, Any]) -> str:
    """What a row of evidence tells, without what it tells not."""
    told = {name: value for name, value in row.items() if name not in _BESIDE and value not in (None, "none")}
    return ", ".join(f"{name} {value}" for name, value in told.items())


def findings(run: Run) -> list[Text]:
    """What the table comes to, in sentences."""
    lines = []
    for _, row in run.summary[run.summary["oversold"] > 0].iterrows():
        pool = f" and a pool of {row['pool_size']}" if has_multiple(run.summary["pool_size"]) else ""
        text = f"{row['strategy']} oversold: {row['seats'] + row['oversold']:,} tickets for {row['seats']:,} seats"
        lines.append(Text(f"{text}, {row['oversold']:,} too many, at {row['buyers']} buyers{pool}.", style="bold red"))
    lines += [
        Text(f"{name} claims to be safe and was not found VALID: {_first_fault(run, name)}", style="bold red")
        for name in run.failed_strategies
    ]
    held = run.summary[run.summary["safe"] & ~run.summary["strategy"].isin(run.failed_strategies)]
    if not held.empty:
        names = list(dict.fromkeys(held["strategy"]))
        style = _AMBER if run.concerns or run.undetected_controls else "green"
        lines.append(Text(f"No violation found of {', '.join(names)}. {bound(run.measures, names)}", style=style))
        lines += [Text(said)] if (said := untried(run.tried)) else []
    return [*lines, *(Text(each.text, style=_AMBER) for each in run.concerns), *notes(run)]


def headline(run: Run) -> list[Text]:
    """The verdict on the run, in the words of its report."""
    said = verdict_on(run.measures, load_baseline(), concerns=run.concerns, tried=run.tried)
    return [Text(said.words, style=_AMBER if said.is_amber else _STYLES[said.status]), *map(Text, said.sentences)]


def notes(run: Run) -> list[Text]:
    """Why purchases were tried again, and what a reader must know beside the numbers."""
    return [
        *map(Text, phrases.retries_by_cause(run.measures)),
        *(Text(note, style="yellow") for note in run.notes),
    ]


def _table(*headings: str, left: Collection[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in headings:
        words = heading in left  # where space is short a name is folded, a number never
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    return table


def _first_fault(run: Run, strategy: str) -> str:
    rows = [row for row in run.verdict_rows() if row["strategy"] == strategy and row["status"] != "VALID"]
    return f"{rows[0]['summary']} (trial {rows[0]['trial']}, {rows[0]['check']})."


def _name(row: pd.Series, *, among: pd.DataFrame) -> Text:
    notes = [*setting_parts(row, among), *([] if row["safe"] else ["control"])]
    return Text("\n").join([Text(row["strategy"]), *(Text(note, style="dim") for note in notes)])


def _numbers(row: pd.Series) -> list[Text | str]:
    speed = f"{row['per_s']:,.0f}"
    spread = f"\n{_range(row['per_s_min'], row['per_s_max'])}" if row["repeats"] > 1 else ""
    return [
        Text.assemble(
            f"{row['sold']:,.0f}", (f"\n+{row['oversold_median']:,.0f}" if row["oversold"] else "", "bold red")
        ),
        f"{row['sold_out']:,}",
        f"{row['conflicts']:,}",
        Text.assemble(speed, (spread, "dim")),
        _latency([_number(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")]),
        _number(row["retries_per_sale"], digits=2),
    ]


def _latency(percentiles: Sequence[str]) -> str:
    """On one line, or where that would take the room of the names, one below the other."""
    told = "/".join(percentiles)
    return told if len(told) <= _LATENCY_WIDTH else "/\n".join(percentiles)


def _range(low: float, high: float) -> str:
    """Two numbers in the width that a column has: in thousands where the larger one has five digits."""
    if high < _TEN_THOUSAND:
        return f"{low:,.0f}–{high:,.0f}"
    return f"{low / _THOUSAND:,.1f}–{high / _THOUSAND:,.1f}k"


def _number(value: float, digits: int | None = None) -> str:
    """A number with so many digits, or with one below ten and none above."""
    if math.isnan(value):
        return "–"
    return f"{value:,.{digits if digits is not None else int(value < _TEN)}f}"


def _verdict(status: str) -> Text:
    return Text(status, style=_STYLES[Status(status)])
