"""What a person sees in a terminal or a notebook while a run goes on, and when it is over. Prints; decides nothing."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ticketlab import lab
from ticketlab.runs import Run

_STYLES = {"VALID": "green", "INVALID": "bold red", "UNKNOWN": "yellow"}


@contextmanager
def progress(console: Console) -> Iterator[Callable[[lab.Progress], None]]:
    """A progress bar over the trials of a run, to be given to `lab.run`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[purchases]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None, purchases="")

        def show(step: lab.Progress) -> None:
            bar.update(
                task,
                description=escape(step.doing),
                total=step.trials,
                completed=max(0, step.trial - 1) if step.doing != "judging" else step.trials,
                purchases=f"{step.purchases:,} purchases" if step.purchases else "",
            )

        yield show


def results(run: Run) -> Table:
    """One row a strategy and number of buyers: what was sold, how fast, and the verdict."""
    table = Table(caption=escape(run.conditions), caption_justify="left")
    many_buyers = len(run.experiment.buyers) > 1
    table.add_column("strategy", no_wrap=True)
    if many_buyers:
        table.add_column("buyers", justify="right")
    for heading in ("sold", "sold out", "conflicts", "purchases/s", "p50", "p95", "p99 ms", "retries/sale"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in run.summary.to_dict("records"):
        cells = [_name(row), *([str(row["buyers"])] if many_buyers else []), *_numbers(row), _verdict(row["verdict"])]
        table.add_row(*cells)
    return table


def findings(run: Run) -> list[Text]:
    """What the table comes to, in sentences."""
    lines = []
    for row in run.summary[run.summary["oversold"] > 0].to_dict("records"):
        text = f"{row['strategy']} oversold: {row['seats'] + row['oversold']:,} tickets for {row['seats']:,} seats"
        lines.append(Text(f"{text}, {row['oversold']:,} too many, at {row['buyers']} buyers.", style="bold red"))
    lines += [
        Text(f"{name} claims to be safe and was not found VALID: {_first_fault(run, name)}", style="bold red")
        for name in run.wrong
    ]
    held = run.summary[run.summary["safe"] & ~run.summary["strategy"].isin(run.wrong)]
    if not held.empty:
        names = ", ".join(dict.fromkeys(held["strategy"]))
        trials = run.measures[run.measures["strategy"].isin(held["strategy"])]
        sales = int(trials["sales"].sum())
        lines.append(Text(f"No violation found in {sales:,} sales by {names}.", style="green"))
    lines += [Text(note, style="yellow") for note in run.notes]
    return lines


def verdicts(run: Run) -> Table:
    """One row a check that did not hold, or a row a trial where all did."""
    table = Table()
    for heading in ("trial", "strategy", "buyers", "repeat", "check", "verdict", "summary"):
        table.add_column(heading, overflow="fold")
    for trial, found in run.verdicts:
        for each in found:
            setting = (str(trial.number), trial.strategy, str(trial.buyers), str(trial.repeat))
            table.add_row(*map(escape, setting), each.check, _verdict(each.status), escape(each.summary))
    return table


def _first_fault(run: Run, strategy: str) -> str:
    rows = [row for row in run.verdict_rows() if row["strategy"] == strategy and row["status"] != "VALID"]
    return f"{rows[0]['summary']} (trial {rows[0]['trial']}, {rows[0]['check']})."


def _name(row: Mapping[Any, Any]) -> Text:
    name = Text(str(row["strategy"]))
    return name if row["safe"] else name.append(" (control)", style="dim")


def _numbers(row: Mapping[Any, Any]) -> list[Text | str]:
    sold = Text(f"{row['sold']:,.0f} of {row['seats']:,}")
    if row["oversold"]:
        sold = Text(f"{row['sold']:,.0f} of {row['seats']:,} (+{row['oversold']:,})", style="bold red")
    speed = f"{row['per_s']:,.0f} ({row['per_s_min']:,.0f}–{row['per_s_max']:,.0f})"
    latencies = [_number(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")]
    return [
        sold,
        f"{row['sold_out']:,.0f}",
        f"{row['conflicts']:,.0f}",
        speed,
        *latencies,
        _number(row["retries_per_sale"], 2),
    ]


def _number(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _verdict(status: str) -> Text:
    return Text(str(status), style=_STYLES[str(status)])
