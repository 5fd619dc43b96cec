"""Where mutants are run, and until they are detected: servers, trials, and the counting."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

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
    # At PostgreSQL's second each deadlock would hold its buyers up for one.
    "deadlock_timeout": "10ms",
    # Restarted after a crash it syncs each file of its data directory: seconds for what Linux can do in one call.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}
"""Of a server that is started for this. Durability is at PostgreSQL's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What came of one trial."""

    purchases: int
    """Those that were made, however they ended."""
    seconds: float
    """From the start until the last of them was over."""
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSlot:
    """A server, and the database on it that is sold in: it is emptied before each trial."""

    server: Server

    def observe(
        self,
        strategy: Strategy,
        step: TrialSpec,
        *,
        pool_size: int,
        on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
    ) -> TrialOutcome:
        """Make a trial on a pool of its own, and let every check judge it.

        Raises:
            KeyboardInterrupt: it was interrupted, and is not judged.
            TicketlabError: the database could not be reached before or after it.
        """
        with Database(Settings.from_url(self.server.url, pool_size=pool_size)) as database:
            observed = run_trial(strategy, step.plan, database, server=self.server, faults=step.faults, on_tick=on_tick)
            if observed.load.interrupted:
                raise KeyboardInterrupt
            ledger = observed.ledger()
        observed.raise_error()
        observed_history = observed.load.history
        return TrialOutcome(
            purchases=len(recording.purchases_of(observed_history)),
            seconds=float(observed_history["completed_ns"].max()) / 1e9 if len(observed_history) else 0.0,
            verdicts=checks.judge(observed_history, ledger),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where everything is measured."""

    usual: ServerSlot
    crashing: ServerSlot | None
    """Where the server may be crashed; None where that is not needed."""

    @property
    def may_crash(self) -> bool:
        """Whether the usual server can be crashed."""
        return self.usual.server.can_crash


@contextmanager
def open_environment(kind: str, *, url: str | None, crashes: bool) -> Iterator[Environment]:
    """Bring up what is needed, the tables made; servers go at the end of the block.

    An external server's settings are its owner's, and it is never crashed.

    Raises:
        InvalidInputError: there is no such kind, or it and the URL do not go together.
        ServerError: a server can not be brought up.
    """
    settings = {} if kind == "external" else SETTINGS
    with ExitStack() as held:
        usual = _migrated(held.enter_context(servers.open(kind, settings=settings, url=url)))
        crashing = usual if usual.server.can_crash else None
        if crashes and crashing is None:
            crashing = _migrated(held.enter_context(servers.open("embedded", settings=SETTINGS)))
        yield Environment(usual=usual, crashing=crashing)


def _migrated(server: Server) -> ServerSlot:
    with Database(Settings.from_url(server.url)) as database:
        migrations.upgrade(database)
    return ServerSlot(server=server)


Observe: TypeAlias = Callable[[TrialSpec], TrialOutcome]
"""Makes a trial.

Raises:
    KeyboardInterrupt: it was interrupted; nothing was seen.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The first time that a check said INVALID of a mutant."""

    check: str
    buyers: int
    """Of the trial in which it did."""
    purchases: int
    """All that were made until then: those of this trial, and of the trials before it in the same chase."""
    seconds: float
    """Of buying, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRun:
    """One mutant once, until it was caught by the check that its mistake is meant for, or was not."""

    mutant: str
    repeat: int
    check: str
    """The check that is meant."""
    purchases: int
    seconds: float
    catches: tuple[Detection, ...]
    """By every check that caught it on the way, in that order."""

    @property
    def catch(self) -> Detection | None:
        """By the check that is meant; None where it was not caught."""
        return next((each for each in self.catches if each.check == self.check), None)


def run_until_detected(turn: ScheduledRun, mutant: Mutant, *, most: int, seed: int, observe: Observe) -> DetectionRun:
    """Press a mutant with more and more buyers until it is caught, or `most` purchases were made."""
    chance = Random(f"{seed} {turn.mutant} {turn.repeat}")  # of a text it is the same in every process
    catches: dict[str, Detection] = {}
    purchases, seconds, number = 0, 0.0, 0
    while purchases < most and mutant.expected_check not in catches:
        pressed = escalated_trial(mutant.trigger, number, most=most - purchases, chance=chance)
        seen = observe(pressed)
        purchases, seconds, number = purchases + seen.purchases, seconds + seen.seconds, number + 1
        for check in _found_wrong(seen.verdicts):
            first = Detection(check=check, buyers=pressed.plan.buyers, purchases=purchases, seconds=seconds)
            catches.setdefault(check, first)
    return DetectionRun(
        mutant=turn.mutant,
        repeat=turn.repeat,
        check=mutant.expected_check,
        purchases=purchases,
        seconds=seconds,
        catches=tuple(catches.values()),
    )


def _found_wrong(verdicts: Iterable[Verdict]) -> list[str]:
    return [each.check for each in verdicts if each.status is Status.INVALID]
