"""Runs a measurement of the checks: every detection run, then the safe strategies, each trial on empty tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ticketlab import mutants
from ticketlab.errors import TicketlabError
from ticketlab.mutants import Trigger
from ticketlab.power import _detection, tables
from ticketlab.power._detection import judged, open_servers, random_trials, run_until_detected
from ticketlab.power.plan import POOL_SIZE, MutationPlan, ScheduledRun
from ticketlab.power.results import DetectionRun, MutationResults, SafeTrial, describe
from ticketlab.runs import trial_runner
from ticketlab.runs.experiment import Progress
from ticketlab.tickets import strategies

if TYPE_CHECKING:
    from ticketlab.servers import Server

OnProgress: TypeAlias = Callable[[Progress], None]


class Done(NamedTuple):
    """A measurement that is over."""

    results: MutationResults
    folder: Path
    """Where they are saved."""


def run(
    plan: MutationPlan,
    *,
    out: Path = Path("runs"),
    url: str | None = None,
    on_progress: OnProgress = lambda _progress: None,
) -> Done:
    """Measure the checks on a server of its own, with PostgreSQL's default durability, and save the results.

    Ctrl-C ends it cleanly: the results are the detection runs and trials completed so far.

    Args:
        plan: what to measure.
        out: the folder in which the results' own folder is created.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and several times a second during a trial.

    Raises:
        InvalidInputError: the kind of server and the URL do not go together, and nothing was started; or the results
            cannot be saved.
        ServerError: no server could be started.
        TicketlabError: a trial failed; the text names it, and the folder with the results before it.
        KeyboardInterrupt: Ctrl-C, before the first result.
    """
    began = datetime.now().astimezone()
    on_progress(Progress(trial=0, trials=0, doing=f"starting a server ({plan.server})"))
    with open_servers(plan.server, url=url, crashes=plan.crashes) as (usual, crashing):
        environment = trial_runner.environment_info(usual, seed=plan.seed, began=began)
        measurement = _Measurement(plan=plan, usual=usual, crashing=crashing, on_progress=on_progress)
        try:
            measurement.run()
        except KeyboardInterrupt:
            if not measurement.finished:
                raise
        except Exception as error:
            if measurement.finished:
                folder = tables.write(measurement.results(environment), out)
                error.add_note(f"The results before it are kept in {folder}.")
            raise
    results = measurement.results(environment)
    return Done(results, tables.write(results, out))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurement:
    """A measurement in progress, with what is finished so far."""

    plan: MutationPlan
    usual: Server
    crashing: Server | None
    on_progress: OnProgress
    runs: list[DetectionRun] = field(default_factory=list)
    safe: list[SafeTrial] = field(default_factory=list)

    @property
    def finished(self) -> int:
        """The detection runs and trials that are over."""
        return len(self.runs) + len(self.safe)

    def results(self, environment: Mapping[str, Any]) -> MutationResults:
        """What is finished, as results."""
        return MutationResults(
            plan=self.plan,
            environment=environment,
            mutants=tuple(describe(mutants.registry()[name]) for name in self.plan.mutants),
            runs=tuple(self.runs),
            safe=tuple(self.safe),
        )

    def run(self) -> None:
        """All detection runs, then all trials of safe strategies."""
        for scheduled in self.plan.schedule():
            with self._step(f"{scheduled.mutant}, repeat {scheduled.repeat}") as step:
                self.runs.append(self._detection_run(scheduled, step))
        plan, family = self.plan, strategies.registry()
        for spec in random_trials(family, trials=plan.trials, seed=plan.seed, may_crash=self.usual.can_crash):
            with self._step(f"{spec.strategy.name}, safe, trial {spec.number}") as step:
                on_tick = trial_runner.progress_callback(step, self.on_progress)
                outcome = _detection.observe(
                    self.usual, spec.strategy, spec.trial, pool_size=spec.pool_size, on_tick=on_tick
                )
                self.safe.append(judged(spec, outcome))

    def _detection_run(self, scheduled: ScheduledRun, step: Progress) -> DetectionRun:
        mutant = mutants.registry()[scheduled.mutant]
        server = self.crashing if mutant.trigger is Trigger.CRASH else self.usual
        assert server is not None
        on_tick = trial_runner.progress_callback(step, self.on_progress)
        return run_until_detected(
            scheduled,
            mutant,
            most=self.plan.purchases,
            seed=self.plan.seed,
            observe=lambda trial: _detection.observe(
                server, mutant.strategy, trial, pool_size=POOL_SIZE, on_tick=on_tick
            ),
        )

    @contextmanager
    def _step(self, doing: str) -> Iterator[Progress]:
        """Around one detection run or trial: reports its begin, and adds to an error where it came from."""
        trials = len(self.plan.mutants) * self.plan.repeats + self.plan.trials
        step = Progress(trial=self.finished + 1, trials=trials, doing=doing, finished=self.finished)
        self.on_progress(step)
        try:
            yield step
        except Exception as error:
            error.add_note(f"It happened in the measurement of {doing}.")
            if isinstance(error, TicketlabError):
                trial_runner.attach_server_log(error, self.usual)
            raise
