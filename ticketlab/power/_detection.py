"""Trials that measure the checks: of mutants until they are detected, and of safe strategies to count false alarms.

Half of the safe trials are of correct purchase functions that return only True or False, as users write them. Without
versions and available tickets, and with refunds, cuts and crashes, the checks know least there, so a false alarm is
most likely.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, cycle
from random import Random
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ticketlab import checks, servers
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.history import recording
from ticketlab.load import CUTS, Fault, FaultKind, Plan
from ticketlab.power.plan import ScheduledRun, TrialSpec, escalated_trial
from ticketlab.power.results import Detection, DetectionRun, SafeTrial
from ticketlab.runs.trial_runner import run_trial
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations
from ticketlab.tickets.orm import Event, Ticket
from ticketlab.tickets.user_code import adopt

if TYPE_CHECKING:
    from ticketlab.history.recording import LiveCounts
    from ticketlab.mutants import Mutant
    from ticketlab.servers import Server

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


_LOCK: Final = "SELECT available_tickets FROM events WHERE id = %s FOR UPDATE"
_LEAVE: Final = "UPDATE events SET available_tickets = %s WHERE id = %s"
_TAKE: Final = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s AND available_tickets >= %s"
_ADD: Final = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"


def locks_the_row(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Correct: reads the available tickets under a row lock, and writes what is left."""
    row = connection.execute(_LOCK, [event_id]).fetchone()
    if row is None or row[0] < quantity:
        return False
    connection.execute(_LEAVE, [row[0] - quantity, event_id])
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    return True


def takes_if_enough(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Correct: updates the available tickets under a condition, and commits itself."""
    if not connection.execute(_TAKE, [quantity, event_id, quantity]).rowcount:
        return False
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    connection.commit()
    return True


def by_the_orm(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Correct: locks the event in a session, and writes by the ORM."""
    with session.begin():
        event = session.get(Event, event_id, with_for_update=True)
        if event is None or event.available_tickets < quantity:
            return False
        event.available_tickets -= quantity
        session.execute(insert(Ticket), [{"event_id": event_id, "purchase_id": purchase_id}] * quantity)
        return True


@cache
def strategies() -> tuple[Strategy, ...]:
    """The functions as strategies."""
    return adopt(locks_the_row), adopt(takes_if_enough), adopt(by_the_orm)


BUYERS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
POOL_SIZES: Final = (2, 3, 5, 10, 20)
EVENTS: Final = (1, 1, 2, 3, 5)
STOCK: Final = (0, 1, 2, 10, 40, 100, 300, 100_000)
MOST_TICKETS: Final = (1, 1, 2, 3, 8)
PURCHASES: Final = (10, 40, 100, 200, 400)
REFUNDS: Final = (0.0, 0.0, 0.1, 0.5)
DOUBLE_CALLS: Final = (0.0, 0.05, 0.3)
FUNCTION_REFUNDS: Final = (0.1, 0.3, 0.5)
"""Of the functions that return True or False: always some."""
HOT: Final = (None, None, 0.0, 0.5, 0.9, 1.0)
CUT: Final = 0.25
CRASHED: Final = 0.1
"""The shares of trials with connections cut, and with the server crashed where it can be."""
FUNCTION_CUT: Final = 0.6
"""The share with connections cut for the functions that return True or False."""
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTrialSpec:
    """One trial of a safe strategy to run."""

    number: int
    strategy: Strategy
    trial: TrialSpec
    pool_size: int


def random_trials(
    family: Mapping[str, Strategy], *, trials: int, seed: int, may_crash: bool
) -> Iterator[SafeTrialSpec]:
    """The trials: the safe strategies of a family and the functions in turn, each by a random plan of its own."""
    pairs = zip(cycle(each for each in family.values() if each.safe), cycle(strategies()), strict=False)
    for number, strategy in zip(range(1, trials + 1), chain.from_iterable(pairs), strict=False):
        yield _random_trial(
            number,
            strategy,
            Random(f"{seed} safe {number}"),
            may_crash=may_crash,
            is_function=strategy.name not in family,
        )


def _random_trial(
    number: int, strategy: Strategy, chance: Random, *, may_crash: bool, is_function: bool
) -> SafeTrialSpec:
    events = chance.choice(EVENTS)
    most_tickets = chance.choice(MOST_TICKETS)
    hot = chance.choice(HOT) if events > 1 else None
    purchases = chance.choice(PURCHASES)
    basket = (1, 1)
    # An event that no purchase asks for can be in no basket either.
    if strategy.basket is not None and events - (hot == 0) > 1 and chance.random() < 2 / 3:
        most_events = chance.randint(2, events - (hot == 0))
        basket = (chance.randint(1, most_events), most_events)
    plan = Plan(
        buyers=min(chance.choice(BUYERS), purchases),
        purchases=purchases,
        seconds=_SECONDS,
        warm_up_s=0,
        events=events,
        stock=chance.choice(STOCK),
        quantity=(chance.randint(1, most_tickets), most_tickets),
        basket=basket,
        hot=hot,
        refunds=chance.choice(FUNCTION_REFUNDS if is_function else REFUNDS),
        seed=chance.getrandbits(31),
    )
    cut = FUNCTION_CUT if is_function else CUT
    faults, pool_size = _faults(purchases, chance, cut=cut, may_crash=may_crash), chance.choice(POOL_SIZES)
    if strategy.idempotent:
        plan = replace(plan, double_calls=chance.choice(DOUBLE_CALLS))
    trial = TrialSpec(plan=plan, faults=faults)
    return SafeTrialSpec(number=number, strategy=strategy, trial=trial, pool_size=pool_size)


def _faults(purchases: int, chance: Random, *, cut: float, may_crash: bool) -> tuple[Fault, ...]:
    drawn = chance.random()
    kind = FaultKind.CRASH if drawn < CRASHED else chance.choice(CUTS) if drawn < CRASHED + cut else None
    after = chance.randint(1, purchases)
    return (Fault(kind=kind, after=after),) if kind and (may_crash or kind is not FaultKind.CRASH) else ()


def judged(spec: SafeTrialSpec, outcome: TrialOutcome) -> SafeTrial:
    """The result of a trial that was run."""
    summaries = {
        status: {verdict.check: verdict.summary for verdict in outcome.verdicts if verdict.status is status}
        for status in (Status.INVALID, Status.UNKNOWN)
    }
    return SafeTrial(
        number=spec.number,
        strategy=spec.strategy.name,
        load=_in_words(spec),
        purchases=outcome.purchases,
        seconds=outcome.seconds,
        invalid=summaries[Status.INVALID],
        unknown=summaries[Status.UNKNOWN],
    )


def _in_words(spec: SafeTrialSpec) -> str:
    """The load of a trial with all that is needed to repeat it."""
    plan = spec.trial.plan
    parts = [
        f"{plan.buyers} buyers on a pool of {spec.pool_size}",
        f"{plan.purchases:,} purchases",
        f"{plan.events} events of {plan.stock:,} seats",
        f"{_range(plan.quantity)} tickets",
        *([f"baskets of {_range(plan.basket)}"] if plan.sells_baskets else []),
        *([f"{plan.refunds:.0%} refunded"] if plan.refunds else []),
        *([f"{plan.double_calls:.0%} called twice"] if plan.double_calls else []),
        *([f"hot {plan.hot:g}"] if plan.hot is not None else []),
        *(fault.words for fault in spec.trial.faults),
        f"seed {plan.seed}",
    ]
    return ", ".join(parts)


def _range(numbers: tuple[int, int]) -> str:
    fewest, most = numbers
    return str(fewest) if fewest == most else f"{fewest}–{most}"
