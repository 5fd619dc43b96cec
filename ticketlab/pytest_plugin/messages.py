"""What the plugin prints: why a test failed, and the summary of all runs."""

import io
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from ticketlab import console, publish
from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError
from ticketlab.pytest_plugin import options
from ticketlab.report.concerns import doubts
from ticketlab.report.formats import Format
from ticketlab.report.phrases import join_names, pluralize
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import wrapping_write_errors
from ticketlab.servers.server import address_of

_WIDTH: Final = 80
_ANSWERS: Final = ("sales", "sold_out", "conflicts", "failed", "unavailable", "unknown")


def rows(run: Run, *, test: str, workers: int) -> list[dict[str, Any]]:
    """A row for each strategy and number of buyers of a run, as plain data that a worker can send.

    Args:
        run: what was judged.
        test: the test that made it.
        workers: among how many its buyers were divided; 1 where they were not.
    """
    server, durability, *_ = run.conditions.split(" · ")
    return [
        {
            "test": test,
            "strategy": str(row["strategy"]),
            "safe": bool(row["safe"]),
            "buyers": int(row["buyers"]),
            "purchases": sum(int(row[name]) for name in _ANSWERS),
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
    """Why a run fails its test: the verdict, its stories, where all of it is, and how it is repeated.

    `strict` has the reasons for which it fails only because the test is strict.
    """
    ran = run.experiment
    load = f"{join_names(list(map(str, ran.buyers)))} buyers, {pluralize(ran.repeats, 'repeat')}, seed {ran.seed}"
    return "\n".join(
        [
            *(f"{each}: {_faults(run, each)}. It claims to be safe ({load})." for each in run.failed_strategies),
            *(f"strict: {each}" for each in strict),
            "",
            *_told(run),
            "",
            *([f"Report: {report}"] if report else []),
            f"Run:    {kept}",
            f"Again:  {command}",
        ]
    )


def command(item: pytest.Item, ran: Experiment, *, divided: bool) -> str:
    """What repeats a run: its test alone, with its seed, and what else the command line said of it."""
    words = ["pytest", _from_here(item)]
    if is_worker(item.config):
        words += ["-n", "0"]
    given = options.commanded(item.config) | {"seed": ran.seed}
    if "url" in given:
        given["url"] = address_of(given["url"])  # a log is no place for a password
    if divided or "buyers" in given:
        given["buyers"] = ",".join(map(str, ran.buyers))
    words += [_option(name, value) for name, value in given.items()]
    return shlex.join(words)


def _option(name: str, value: object) -> str:
    """An option as the command line has it; a switch has no value."""
    if value is True:
        return f"--ticketlab-{name}"
    return f"--ticketlab-{name}={value:g}" if name == "seconds" else f"--ticketlab-{name}={value}"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of xdist."""
    return hasattr(config, "workerinput")


def write_report(run: Run, place: Path, *, here: Path) -> str:
    """Write the run's report as markdown, without figures; says where it is as seen from `here`, or why it is not."""
    try:
        with wrapping_write_errors(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(publish.render([run], form=Format.MD), encoding="utf-8")
    except InvalidInputError as error:
        return str(error)
    return shown(place, here)


def shown(path: Path, here: Path) -> str:
    """A path as seen from `here`, where it lies below."""
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _from_here(item: pytest.Item) -> str:
    """The test's name as pytest takes it where it was started: by itself it is seen from the root directory."""
    path, found, rest = item.nodeid.partition("::")
    return os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir) + found + rest


def _faults(run: Run, strategy: str) -> str:
    """The names of what went wrong; where nothing did, that it was not decided."""
    rows = [each for each in run.verdict_rows() if each["strategy"] == strategy and each["status"] == Status.INVALID]
    names = list(dict.fromkeys(each["anomaly"] or each["check"] for each in rows))
    return join_names(names) if names else "not decided"


def _told(run: Run) -> list[str]:
    """What did not hold, as the command line tells it: without colours, and 80 columns wide."""
    text = io.StringIO()
    Console(file=text, width=_WIDTH, color_system=None).print(
        *console.violations(run), *run.unanswered, sep="\n", highlight=False, markup=False
    )
    return [line.rstrip() for line in text.getvalue().rstrip().splitlines()]


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
