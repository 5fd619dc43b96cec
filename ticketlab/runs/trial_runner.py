"""One load on a database: seats put on sale, buyers let in, and what the tables hold when they are done.

Knows no experiment and no folder.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from uuid import UUID

from ticketlab.errors import OwnCodeError, TicketlabError
from ticketlab.faults import connections
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.live_counts import LiveCounts
from ticketlab.load import Actions, Fault, FaultKind, Plan
from ticketlab.load.driver import LoadResult, run_load
from ticketlab.load.sampler import Sampler
from ticketlab.servers import Server
from ticketlab.tickets import Database, EventRepository, Strategy, leftovers, lending, trial_tables
from ticketlab.tickets.strategy import Schema
from ticketlab.tickets.trial_tables import Snapshots

_BY_A_CUT: Final = {leftovers.CLOSED, leftovers.UNFINISHED}
"""What a right function may leave where its connection was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialData:
    """What came of one load on a database."""

    driven: LoadResult
    """What its buyers saw."""
    ledger: Callable[..., Ledger]
    """Reads what the database holds, and closes it: apart, as it may prove out of reach when the buyers are done. Where
    it was interrupted, it can be called once more with `at_once=True`: then it looks at nothing else."""
    errors: list[TicketlabError] = field(default_factory=list)
    """Errors of the user's code that end the run, once the trial is saved: it did not return, or could not close."""

    def raise_error(self) -> None:
        """Raise the first of the errors."""
        for each in self.errors:
            raise each


def run_trial(
    strategy: Strategy,
    plan: Plan,
    database: Database,
    *,
    server: Server,
    faults: Sequence[Fault] = (),
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
) -> TrialData:
    """Let a strategy sell once by a plan, on tables that are emptied before."""
    repository = EventRepository(database, strategy)
    before = lending.before(database)
    events, warm_up_event = trial_tables.create_events(repository, events=plan.events, stock=plan.stock)
    snapshots = Snapshots(database, events, strategy.schema)
    sampler = Sampler(snapshots.read, (plan.stock,) * plan.events)
    with contextlib.closing(snapshots), sampler.running():
        driven = run_load(
            repository,
            plan,
            events,
            warm_up_event=warm_up_event,
            faults=faults,
            actions=_actions(server, database),
            on_tick=on_tick,
            before_cut=lambda: lending.note_sessions(database),
        )
    errors = [driven.stuck] if driven.stuck else []

    tables: list[trial_tables.TableSnapshot] = []

    def ledger(*, at_once: bool = driven.at_once) -> Ledger:
        if driven.crashes_ns:  # a Ctrl-C may have come before it was up again, and sound connections in the pool
            server.restart()
            database.pool.check()
        if not tables:
            lending.end_prepared(database)
            repository.settle([*events, warm_up_event])  # the ledger is read past the repository
            tables.append(trial_tables.read(database, events, strategy.schema, warm_up=warm_up_event))
        (read,) = tables
        deadlocks = _close(database, driven, before, plan, errors, at_once=at_once)
        facts = Facts(
            seats=(plan.stock,) * plan.events,
            events_added=read.added,
            idempotent=strategy.idempotent,
            autocommit=strategy.autocommit,
            stock_elsewhere=strategy.reconcile_stock is not None,
            samples=sampler.count,
            deadlocks=deadlocks,
            left_behind=_left_behind(database, driven),
        )
        held = Ledger.of(events=read.events, tickets=read.tickets).knowing(facts)
        kept = (each._replace(at_ns=each.at_ns - driven.start_ns) for each in sampler.kept)
        return replace(held.with_samples(kept), crashes_ns=driven.crashes_ns)

    return TrialData(driven=driven, ledger=ledger, errors=errors)


def _close(
    database: Database,
    driven: LoadResult,
    before: lending.Before,
    plan: Plan,
    errors: list[TicketlabError],
    *,
    at_once: bool,
) -> int | None:
    """Close the trial's database and look at its server; the deadlocks that no warm-up reported."""
    # Where nothing of the user's is closed here, a pool of the function's own may stay for the next trial.
    allowed = 0 if database.closes_others else max(plan.buyers, database.settings.pool_size)
    try:
        if at_once:
            database.patience_s = 1.0
            database.close()
            return None
        deadlocks = lending.close(database, before, allowed=allowed, crashed=bool(driven.crashes_ns))
    except OwnCodeError as error:
        errors.append(error)
        return None
    if deadlocks is None or driven.stuck:
        return None
    return max(0, deadlocks - driven.warm_up_deadlocks)


def _left_behind(database: Database, driven: LoadResult) -> dict[str, int]:
    """What was left behind, without what a fault may have caused."""
    was_faulty = any(driven.faults_ns.values())
    excused = _BY_A_CUT if was_faulty or driven.cut else set()
    if was_faulty:
        excused = {*excused, leftovers.PREPARED}  # it may have been lost between the two phases
    return {words: count for words, count in database.left_behind.counts().items() if words not in excused}


def _actions(server: Server, database: Database) -> Actions:
    """What makes each kind of fault in a trial on this database."""

    def crash_and_restart() -> int:
        try:
            server.crash()
            # Not before: it takes a while, and whoever was told of a sale meanwhile was told by the server that died.
            dead_ns = time.perf_counter_ns()
        finally:
            server.restart()
        database.pool.check()  # those that no buyer held are replaced, and not handed to the next one
        return dead_ns

    return {
        FaultKind.CRASH: crash_and_restart,
        FaultKind.DISCONNECT: partial(connections.end_backends, database),
        FaultKind.LOSE_REQUEST: partial(connections.lose_requests, database),
        FaultKind.LOSE_REPLY: partial(connections.lose_replies, database),
    }


def read_ledger(database: Database, events: Sequence[UUID], schema: Schema | None = None) -> Ledger:
    """What the database holds of these events, read in one snapshot."""
    read = trial_tables.read(database, events, schema)
    return Ledger.of(events=read.events, tickets=read.tickets)
