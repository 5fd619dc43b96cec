"""What a notebook needs beside the lab: runs that can be watched while they go on, and the stamp at its end.

Works in any Python: where nothing can be drawn, progress is a bar and the stamp is text.
"""

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
from ticketlab.report.progress_chart import live
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run

if TYPE_CHECKING:
    from ticketlab.runs.lab import Progress
    from ticketlab.tickets import Strategy
    from ticketlab.tickets.user_code import PurchaseFunction

_LONG_S: Final = 5.0
"""A trial that is shorter is not drawn while it goes on: buyers and drawing take turns with Python's lock."""
_DRAWING_SHARE: Final = 0.01
"""Of a longer one's time at most this share goes into drawing."""
_SHARE_BETWEEN: Final = 0.1
"""Of the run's time what goes into drawing between trials: of many short ones not each is drawn."""
_HASH_LENGTH: Final = 16


def run(
    experiment: Experiment,
    *,
    own: "Sequence[Strategy | PurchaseFunction]" = (),
    saved: str | Path | None = None,
    out: Path = Path("runs"),
) -> Run:
    """Run an experiment where it can be watched; or load the run in the folder `saved` in its place.

    Raises:
        TicketlabError: as `lab.run` and `Run` do.
    """
    if saved is not None:
        return Run(Path(saved))
    from ticketlab.runs import lab  # not before: who looks at a saved run needs no client of a database

    with _watching(experiment) as on_progress:
        return lab.run(experiment, own=own, out=out, on_progress=on_progress)


def stamp(*runs: Run) -> str:
    """What the numbers of a notebook rest on, to be printed at its end: runs, servers, machine, versions, code."""
    lines = []
    for each in runs:
        lines += [
            f"run       {each.folder.name}, begun {each.environment['began']}, seed {each.experiment.seed}",
            f"          {each.conditions}",
            f"server    {each.server}",
        ]
    about = runs[-1].environment
    machine, packages = about["machine"], about["packages"]
    lines += [
        f"machine   {machine['system']}, {machine['cpus']} × {machine['processor']}",
        f"versions  Python {about['python']}, {', '.join(map(' '.join, packages.items()))}",
        f"code      {code_hash(_cells_run())}, of all cells in the order in which they were run",
    ]
    return "\n".join(lines)


def code_hash(cells: Iterable[str]) -> str:
    """The SHA-256 of code cells in their order, shortened: the stamp of a notebook fits no other, nor a changed one."""
    whole = "\0".join(cell.rstrip("\n") for cell in cells)
    return sha256(whole.encode()).hexdigest()[:_HASH_LENGTH]


def _cells_run() -> list[str]:
    """What was run in this kernel, the cell under way included; nothing outside of IPython."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return list(shell.history_manager.input_hist_raw[1:]) if shell and shell.history_manager else []


@contextmanager
def _watching(experiment: Experiment) -> Iterator[Callable[["Progress"], None]]:
    if not Console().is_jupyter:
        with console.progress() as show:
            yield show
        return
    from IPython.display import Pretty, clear_output, display

    began = time.monotonic()
    view = _View(seats=experiment.stock * experiment.events)
    yield view.show
    clear_output(wait=True)  # the charts of the finished run say it better
    display(Pretty(f"{view.trials} trials in {time.monotonic() - began:.0f} s"))


class _View:
    """A line and a figure of a run that goes on, written anew in their places: no widget is needed."""

    def __init__(self, *, seats: int) -> None:
        from IPython.display import Pretty, display

        self.trials = 0
        self._seats = seats
        self._samples: list[dict[str, Any]] = []
        self._line = display(Pretty("starting"), display_id=True)
        self._figure = display(Pretty("…"), display_id=True)
        self._drawn_s = self._took_s = 0.0

    def show(self, step: "Progress") -> None:
        """Show where the run is; draw it between two trials and within a long one, as far as it keeps its share."""
        from IPython.display import Pretty

        self.trials = step.trials
        where = f"{step.finished} of {step.trials} trials done; {step.doing}"
        self._line.update(Pretty(f"{where}; {step.so_far.purchases:,} purchases"))
        if step.plan is not None and step.so_far.seconds:
            self._samples.append(self._sample(step, step.plan.strategy))
        between_trials = not step.so_far.seconds
        due_s = self._drawn_s + self._took_s / (_SHARE_BETWEEN if between_trials else _DRAWING_SHARE)
        in_time = between_trials or step.so_far.seconds >= _LONG_S
        if self._samples and in_time and time.monotonic() >= due_s:
            self._draw(where)

    def _sample(self, step: "Progress", strategy: str) -> dict[str, Any]:
        so_far = step.so_far
        counts = {outcome: so_far.outcomes.get(outcome, 0) for outcome in OUTCOMES}  # of purchases: none is REFUNDED
        about = {"trial": step.trial, "strategy": strategy, "seconds": so_far.seconds}
        return about | {"left": self._seats - so_far.tickets} | counts

    def _draw(self, title: str) -> None:
        began_s = time.monotonic()
        self._figure.update(live(pd.DataFrame(self._samples), title))
        self._drawn_s = time.monotonic()
        self._took_s = self._drawn_s - began_s
