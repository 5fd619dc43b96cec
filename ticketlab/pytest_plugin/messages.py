"""The plugin's output: why a test failed, and the summary of all runs."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.console import Console

from ticketlab import console
from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError
from ticketlab.pytest_plugin import options
from ticketlab.report import Format
from ticketlab.report.headline import doubts
from ticketlab.report.phrases import join_names, pluralize
from ticketlab.runs.folders import wrapping_write_errors
from ticketlab.servers.server import address_of

if TYPE_CHECKING:
    from ticketlab.runs.experiment import Experiment
    from ticketlab.runs.run import Run

_WIDTH: Final = 80
_OUTCOMES: Final = ("sales", "sold_out", "conflicts", "failed", "unavailable", "unknown")


def rows(run: Run, *, test: str, workers: int) -> list[dict[str, Any]]:
    """One row per strategy and number of buyers, as plain data that a worker can send.

    Args:
        run: the checked run.
        test: the node id of its test.
        workers: the number of xdist workers that share the buyers; 1 if they are not shared.
    """
    server, durability, *_ = run.conditions.split(" · ")
    return [
        {
            "test": test,
            "strategy": str(row["strategy"]),
            "safe": bool(row["safe"]),
            "buyers": int(row["buyers"]),
            "purchases": sum(int(row[name]) for name in _OUTCOMES),
            "per_s": float(row["per_s"]),
            "verdict": str(row["verdict"]),
            "wrong": str(row["strategy"]) in run.failed_strategies,
            "doubts": doubts(row, run.concerns),
            "concerns": [{"kind": str(each.kind), "text": each.text} for each in run.concerns],
            "server": f"{server}, {durability}",
            "workers": workers,
            "failure": "",
        }
        for _, row in run.summary.iterrows()
    ]


def failure(run: Run, strict: Sequence[str] = (), *, kept: str, report: str, command: str) -> str:
    """Why a run fails its test: the violations and their explanations, where the run is saved, how to repeat it.

    `strict` contains the reasons that count only in a strict test; `report` is empty if no report was written.
    """
    ran = run.experiment
    load = f"{join_names(list(map(str, ran.buyers)))} buyers, {pluralize(ran.repeats, 'repeat')}, seed {ran.seed}"
    headlines = [f"{name}: {_anomalies(run, name)}. It claims to be safe ({load})." for name in run.failed_strategies]
    places = [*([f"Report: {report}"] if report else []), f"Run:    {kept}", f"Again:  {command}"]
    return "\n".join([*headlines, *(f"strict: {reason}" for reason in strict), "", *_explained(run), "", *places])


def command(item: pytest.Item, ran: Experiment, *, divided: bool) -> str:
    """The command that repeats a run: its test alone, with its seed and the options of this session."""
    path, separator, rest = item.nodeid.partition("::")  # relative to the root directory; pytest takes its own
    test = os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir) + separator + rest
    words = ["pytest", test]
    if is_worker(item.config):
        words += ["-n", "0"]
    given = options.commanded(item.config) | {"seed": ran.seed}
    if "url" in given:
        given["url"] = address_of(given["url"])  # without the password: this is printed in logs
    if divided or "buyers" in given:
        given["buyers"] = ",".join(map(str, ran.buyers))
    for name, value in given.items():
        text = f"{value:g}" if name == "seconds" else str(value)
        words.append(f"--ticketlab-{name}" if value is True else f"--ticketlab-{name}={text}")
    return shlex.join(words)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of xdist."""
    return hasattr(config, "workerinput")


def write_report(run: Run, place: Path, *, here: Path) -> str:
    """Write a Markdown report without figures; returns its path relative to `here`, or why it could not be written."""
    from ticketlab import report_writer

    try:
        with wrapping_write_errors(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(report_writer.render([run], form=Format.MD), encoding="utf-8")
    except InvalidInputError as error:
        return str(error)
    return shown(place, here)


def shown(path: Path, here: Path) -> str:
    """A path relative to `here` if it is below it, else absolute."""
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _anomalies(run: Run, strategy: str) -> str:
    """The names of the anomalies that were found, or "undecided"."""
    wrong = run.results.verdicts_of(strategy, Status.INVALID)
    return join_names(list(dict.fromkeys(each.name for each in wrong))) or "undecided"


def _explained(run: Run) -> list[str]:
    """The violations as the command line explains them: without colours, 80 columns wide."""
    text = io.StringIO()
    Console(file=text, width=_WIDTH, color_system=None).print(
        *console.violations(run), *run.unanswered, sep="\n", highlight=False, markup=False
    )
    return [line.rstrip() for line in text.getvalue().rstrip().splitlines()]


_GITHUB: Final = "GITHUB_STEP_SUMMARY"
_HEADINGS: Final = ("strategy", "buyers", "purchases", "sales/s", "verdict")
_NO_CONTROL: Final = "no control"
_NO_CONTROL_IN_TESTS: Final = (
    "No control (a strategy known to be unsafe) was run, so nothing shows that this load makes violations visible. "
    "Call ticketlab_run with a control too, such as naive."
)
_NUMBERS: Final = frozenset(_HEADINGS[1:4])


def show(reports: Iterable[object], terminal: pytest.TerminalReporter) -> None:
    """Print the runs of all tests, and append them to the job's summary in GitHub Actions."""
    with_runs = [report for report in reports if hasattr(report, options.RUNS)]
    with_runs.sort(key=lambda report: float(getattr(report, "start", 0.0)))
    rows = [row for report in with_runs for row in getattr(report, options.RUNS)]
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
            terminal.write_line(f"The summary cannot be written to {place} (from {_GITHUB}): {error.strerror}.")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A heading, and one line per strategy and number of buyers."""
    cells = [_HEADINGS, *((*_numbers(each), _verdict(each)) for each in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = ["rjust" if heading in _NUMBERS else "ljust" for heading in _HEADINGS]
    return [
        "  ".join(getattr(cell, how)(width) for cell, how, width in zip(line, aligned, widths, strict=True)).rstrip()
        for line in cells
    ]


def remarks(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The concerns of the runs, and the servers they ran on."""
    servers = list(dict.fromkeys(each["server"] for each in rows))
    workers = max(each["workers"] for each in rows)
    divided = f"Each of {workers} xdist workers had its own server and a share of the buyers, at least two."
    return [*_concerns(rows), *servers, *([divided] if workers > 1 else [])]


def _concerns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each concern once. If a control was found INVALID in any test, runs without a control are no concern."""
    detected = any(not each["safe"] and each["verdict"] == "INVALID" for each in rows)
    texts = [
        _NO_CONTROL_IN_TESTS if each["kind"] == _NO_CONTROL else each["text"]
        for row in rows
        for each in row["concerns"]
        if not (detected and each["kind"] == _NO_CONTROL)
    ]
    return list(dict.fromkeys(texts))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One line per run, and the explanation of each run that failed its test."""
    wrong = sum(each["wrong"] for each in rows)
    title = f"### ticketlab: {wrong} of {len(rows)} failed" if wrong else f"### ticketlab: all {len(rows)} passed"
    failures = [f"\n`{each['test']}`\n\n```text\n{each['failure']}\n```" for each in rows if each["failure"]]
    return "\n".join([title, "", *map(_item, rows), "", *remarks(rows), *failures, ""])


def _item(row: dict[str, Any]) -> str:
    strategy, buyers, purchases, per_s = _numbers(row)
    speed = f"{buyers} buyers, {purchases} purchases, {per_s} sales/s"
    return f"- **{_verdict(row)}** `{strategy}`: {speed} (`{row['test']}`)"


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    return row["strategy"], f"{row['buyers']:,}", f"{row['purchases']:,}", f"{row['per_s']:,.0f}"


def _verdict(row: dict[str, Any]) -> str:
    return ", ".join([row["verdict"], *row["doubts"], *([] if row["safe"] else ["control"])])
