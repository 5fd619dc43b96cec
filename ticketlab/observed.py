"""One load on a database: seats put on sale, buyers let in, and what the tables hold when they are done.

Knows no experiment and no folder.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from ticketlab.evidence.facts import Facts
from ticketlab.evidence.ledger import Ledger
from ticketlab.evidence.tally import SoFar
from ticketlab.load import Actions, Fault, FaultKind, Plan
from ticketlab.load.executors import Driven, drive
from ticketlab.servers import Server
from ticketlab.tickets import Database, EventRepository, Strategy, books, cuts
from ticketlab.tickets.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What came of one load on a database."""

    driven: Driven
    """What its buyers saw."""
    ledger: Callable[[], Ledger]
    """Reads what the database holds: apart, as it may prove out of reach when the buyers are long done."""


def observe(
    strategy: Strategy,
    plan: Plan,
    database: Database,
    *,
    server: Server,
    faults: Sequence[Fault] = (),
    on_tick: Callable[[SoFar], None] = lambda _so_far: None,
) -> Observed:
    """Let a strategy sell once by a plan, on tables that are emptied before."""
    repository = EventRepository(database, strategy)
    events, warm_up_event = books.put_on_sale(repository, events=plan.events, stock=plan.stock)
    driven = drive(
        repository,
        plan,
        events,
        warm_up_event=warm_up_event,
        faults=faults,
        actions=_actions(server, database),
        on_tick=on_tick,
    )

    def ledger() -> Ledger:
        if driven.crashes_ns:  # a Ctrl-C may have come before it was up again, and sound connections in the pool
            server.restart()
            database.pool.check()
        repository.settle([*events, warm_up_event])  # the ledger is read past the repository
        read = books.read(database, events, strategy.schema, warm_up=warm_up_event)
        facts = Facts(
            seats=(plan.stock,) * plan.events,
            events_added=read.added,
            idempotent=strategy.idempotent,
            autocommit=strategy.autocommit,
            stock_elsewhere=strategy.settle is not None,
        )
        held = Ledger.of(events=read.events, tickets=read.tickets).knowing(facts)
        return replace(held, crashes_ns=driven.crashes_ns)

    return Observed(driven=driven, ledger=ledger)


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
        FaultKind.DISCONNECT: partial(cuts.end_backends, database),
        FaultKind.LOSE_REQUEST: partial(cuts.lose_requests, database),
        FaultKind.LOSE_REPLY: partial(cuts.lose_replies, database),
    }


def read_ledger(database: Database, events: Sequence[UUID], schema: Schema | None = None) -> Ledger:
    """What the database holds of these events, read in one snapshot."""
    read = books.read(database, events, schema)
    return Ledger.of(events=read.events, tickets=read.tickets)
