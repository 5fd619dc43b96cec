"""Runs mutants until they are detected: the servers, one trial, and one detection run."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Annotated, Final

from pydantic import Field

from ticketlab import checks, servers
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.history import recording
from ticketlab.history.live_counts import LiveCounts
from ticketlab.mutants import Mutant
from ticketlab.power.plan import ScheduledRun, TrialSpec, escalated_trial
from ticketlab.runs.trial_runner import run_trial
from ticketlab.servers import Server
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations

SETTINGS: Final = {
    # PostgreSQL's default of a second would block the buyers of each deadlock that long.
    "deadlock_timeout": "10ms",
    # After a crash PostgreSQL syncs each file of its data directory: seconds for what Linux can do in one call.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}
"""Of a server that is started for this. Durability is at PostgreSQL's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """The result of one trial."""

    purchases: int
    """All purchases, whatever their outcome."""
    seconds: float
    """From the start to the last answer."""
    verdicts: tuple[Verdict, ...]


def observe(
    server: Server,
    strategy: Strategy,
    trial: TrialSpec,
    *,
    pool_size: int,
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
) -> TrialOutcome:
    """Run a trial on the server's migrated database with a pool of its own, and judge it by every check.

    Raises:
        KeyboardInterrupt: it was interrupted, and is not judged.
        TicketlabError: the database could not be reached before or after it.
    """
    with Database(Settings.from_url(server.url, pool_size=pool_size)) as database:
        executed = run_trial(strategy, trial.plan, database, server=server, faults=trial.faults, on_tick=on_tick)
        if executed.load.interrupted:
            raise KeyboardInterrupt
        ledger = executed.ledger()
    executed.raise_error()
    history = executed.load.history
    return TrialOutcome(
        purchases=len(recording.purchases_of(history)),
        seconds=float(history["completed_ns"].max()) / 1e9 if len(history) else 0.0,
        verdicts=checks.judge(history, ledger),
    )


@contextmanager
def open_servers(kind: str, *, url: str | None, crashes: bool) -> Iterator[tuple[Server, Server | None]]:
    """Start a server for all trials, and one for those that crash it; the same if possible, None if none do.

    Their databases are migrated. They are stopped at the end of the block. An external server keeps its settings, and
    is never crashed.

    Raises:
        InvalidInputError: there is no such kind, or it and the URL do not go together.
        ServerError: a server cannot be started.
    """
    settings = {} if kind == "external" else SETTINGS
    with ExitStack() as stack:
        usual = stack.enter_context(servers.open(kind, settings=settings, url=url))
        crashing = usual if usual.can_crash else None
        if crashes and crashing is None:
            crashing = stack.enter_context(servers.open("embedded", settings=SETTINGS))
        for server in {each.url: each for each in (usual, crashing) if each is not None}.values():
            with Database(Settings.from_url(server.url)) as database:
                migrations.upgrade(database)
        yield usual, crashing


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The first time that a check said INVALID of a mutant."""

    check: str
    buyers: int
    """Of the trial in which it did."""
    purchases: int
    """All until then: those of this trial, and of the trials before it in the same detection run."""
    seconds: float
    """Of buying, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRun:
    """One mutant once: trials until the expected check detected it, or until they had enough purchases."""

    mutant: str
    repeat: int
    check: str
    """The check that is expected to detect it."""
    purchases: int
    seconds: float
    detections: Annotated[tuple[Detection, ...], Field(alias="catches")]
    """By every check that detected it on the way, in that order."""

    @property
    def detection(self) -> Detection | None:
        """By the expected check; None where it did not detect the mutant."""
        return next((each for each in self.detections if each.check == self.check), None)


def run_until_detected(
    run: ScheduledRun, mutant: Mutant, *, most: int, seed: int, observe: Callable[[TrialSpec], TrialOutcome]
) -> DetectionRun:
    """Observe trials of rising contention until the expected check detects the mutant, or for `most` purchases."""
    chance = Random(f"{seed} {run.mutant} {run.repeat}")  # a text gives the same numbers in every process
    detections: dict[str, Detection] = {}
    purchases, seconds, number = 0, 0.0, 0
    while purchases < most and mutant.expected_check not in detections:
        trial = escalated_trial(mutant.trigger, number, most=most - purchases, chance=chance)
        outcome = observe(trial)
        purchases, seconds, number = purchases + outcome.purchases, seconds + outcome.seconds, number + 1
        for verdict in outcome.verdicts:
            if verdict.status is Status.INVALID:
                detection = Detection(
                    check=verdict.check, buyers=trial.plan.buyers, purchases=purchases, seconds=seconds
                )
                detections.setdefault(verdict.check, detection)
    return DetectionRun(
        mutant=run.mutant,
        repeat=run.repeat,
        check=mutant.expected_check,
        purchases=purchases,
        seconds=seconds,
        detections=tuple(detections.values()),
    )
