"""For notebooks: runs an experiment with a live chart of its progress, and prints the stamp at the notebook's end.

Works in any Python: outside of Jupyter the progress is a bar.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from rich.console import Console

from ticketlab import console
from ticketlab.outcomes import OUTCOMES
from ticketlab.report.curves import live
from ticketlab.runs.run import Run

if TYPE_CHECKING:
    from ticketlab.runs.experiment import Experiment, Progress
    from ticketlab.tickets import Strategy
    from ticketlab.tickets.user_code import PurchaseFunction

_LONG_S: Final = 5.0
"""Only after this time is a trial drawn while it runs: drawing and buyers compete for Python's interpreter lock."""
_DRAWING_SHARE: Final = 0.01
"""The share of the time of such a trial that drawing may take."""
_SHARE_BETWEEN: Final = 0.1
"""The share of the run's time that drawing between trials may take: not each of many short ones is drawn."""
_HASH_LENGTH: Final = 16


def run(
    experiment: Experiment,
    *,
    own: Sequence[Strategy | PurchaseFunction] = (),
    saved: str | Path | None = None,
    out: Path = Path("runs"),
) -> Run:
    """Run an experiment with its progress shown; or, if `saved` is given, load the run in that folder.

    Raises:
        TicketlabError: as for `lab.run` and `Run`.
    """
    if saved is not None:
        return Run(Path(saved))
    from ticketlab.runs import lab  # imported here, as a saved run needs no database client

    with _progress(experiment) as on_progress:
        return lab.run(experiment, own=own, out=out, on_progress=on_progress)


def provenance(*runs: Run) -> str:
    """The provenance of a notebook's numbers, to print at its end: runs, servers, machine, versions, code."""
    lines = []
    for run in runs:
        lines += [
            f"run       {run.folder.name}, begun {run.environment['began']}, seed {run.experiment.seed}",
            f"          {run.conditions}",
            f"server    {run.server}",
        ]
    environment = runs[-1].environment
    machine, packages = environment["machine"], environment["packages"]
    lines += [
        f"machine   {machine['system']}, {machine['cpus']} × {machine['processor']}",
        f"versions  Python {environment['python']}, {', '.join(map(' '.join, packages.items()))}",
        f"code      {code_hash(_executed_cells())}, of all cells in the order in which they were run",
    ]
    return "\n".join(lines)


def code_hash(cells: Iterable[str]) -> str:
    """The shortened SHA-256 of code cells in their order. It changes with any cell, so a stamp fits one notebook."""
    code = "\0".join(cell.rstrip("\n") for cell in cells)
    return sha256(code.encode()).hexdigest()[:_HASH_LENGTH]


def _executed_cells() -> list[str]:
    """The cells executed in this kernel, the current one included; none outside of IPython."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return list(shell.history_manager.input_hist_raw[1:]) if shell and shell.history_manager else []


@contextmanager
def _progress(experiment: Experiment) -> Iterator[Callable[[Progress], None]]:
    if not Console().is_jupyter:
        with console.progress() as show:
            yield show
        return
    from IPython.display import Pretty, clear_output, display

    began = time.monotonic()
    view = _LiveView(seats=experiment.stock * experiment.events)
    yield view.show
    clear_output(wait=True)  # the charts of the finished run replace it
    display(Pretty(f"{view.trials} trials in {time.monotonic() - began:.0f} s"))


class _LiveView:
    """A line and a figure of a run in progress, updated in place; needs no widget."""

    def __init__(self, *, seats: int) -> None:
        from IPython.display import Pretty, display

        self.trials = 0
        self._seats = seats
        self._samples: list[dict[str, Any]] = []
        self._line = display(Pretty("starting"), display_id=True)
        self._figure = display(Pretty("…"), display_id=True)
        self._drawn_s = self._took_s = 0.0

    def show(self, step: Progress) -> None:
        """Update the line; draw the figure between trials and within a long one, as far as its share of time allows."""
        from IPython.display import Pretty

        self.trials = step.trials
        progress = f"{step.finished} of {step.trials} trials done; {step.doing}"
        self._line.update(Pretty(f"{progress}; {step.so_far.purchases:,} purchases"))
        if step.plan is not None and step.so_far.seconds:
            self._samples.append(self._sample(step, step.plan.strategy))
        between_trials = not step.so_far.seconds
        due_s = self._drawn_s + self._took_s / (_SHARE_BETWEEN if between_trials else _DRAWING_SHARE)
        may_draw = between_trials or step.so_far.seconds >= _LONG_S
        if self._samples and may_draw and time.monotonic() >= due_s:
            began_s = time.monotonic()
            self._figure.update(live(pd.DataFrame(self._samples), progress))
            self._drawn_s = time.monotonic()
            self._took_s = self._drawn_s - began_s

    def _sample(self, step: Progress, strategy: str) -> dict[str, Any]:
        so_far = step.so_far
        counts = {outcome: so_far.outcomes.get(outcome, 0) for outcome in OUTCOMES}
        keys = {"trial": step.trial, "strategy": strategy, "seconds": so_far.seconds}
        return keys | {"left": self._seats - so_far.tickets} | counts
