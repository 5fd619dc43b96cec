"""The public names as a user's program has them. Never run: `make check` holds their types against these claims."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type
from uuid import UUID, uuid4

import pandas as pd

from ticketlab import (
    Cause,
    Database,
    Event,
    EventRepository,
    Experiment,
    Outcome,
    PurchaseRequest,
    PurchaseResult,
    RetryPolicy,
    Run,
    Schema,
    Settings,
    Strategy,
    adopt,
)
from ticketlab import run as run_experiment
from ticketlab.tickets import SoldTicket
from ticketlab.tickets.purchase import sold_out
from ticketlab.tickets.strategy import Connection, strategy, transaction


@strategy(safe=True, summary="my own: it never sells")
def mine(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A strategy of the user's."""
    with transaction(connection):
        row = connection.execute("SELECT version FROM events WHERE id = %(event_id)s", request.parameters).fetchone()
        assert_type(row, tuple[Any, ...] | None)
        return sold_out(request, version=1, left=0)


assert_type(mine, Strategy)
assert_type(mine.safe, bool)


def buy(connection: Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """A purchase function of the user's."""
    return connection.closed or quantity > len({event_id, purchase_id})


TABLES = Schema(lay_out=lambda _connection, _seats: None, events=lambda _connection: [], tickets=lambda _connection: [])
assert_type(adopt(buy, name="theirs", retry=RetryPolicy(max_attempts=3), schema=TABLES), Strategy)
assert_type(adopt("shop:buy"), Strategy)


def sell() -> PurchaseResult:
    """As the README does, and further."""
    with Database(Settings.load(pool_size=5)) as database:
        assert_type(database, Database)
        repository = EventRepository(database, strategy=mine)
        event = repository.create(name="Concert", date=datetime(2026, 12, 1, tzinfo=UTC), total_tickets=10)
        assert_type(event, Event)
        assert_type(event.id, UUID)
        assert_type(event.available_tickets, int)
        assert_type(repository.list(limit=5), Sequence[Event])
        assert_type(repository.purchase_basket({event.id: 2}, uuid4()), PurchaseResult)
        assert_type(repository.cancel_purchase(uuid4()), PurchaseResult)
        assert_type(repository.delete(event.id), None)
        return EventRepository(database, "atomic").purchase_tickets(str(event.id), 2, uuid4())


def look(result: PurchaseResult) -> None:
    """What a purchase tells."""
    assert_type(result.success, bool)
    assert_type(result.outcome, Outcome)
    assert_type(result.cause, Cause)
    assert_type(result.message, str)
    for ticket in result.tickets:
        assert_type(ticket, SoldTicket)
        assert_type(ticket.purchased_at, datetime)


def experiment() -> pd.DataFrame:
    """An experiment, and what it found."""
    log: list[str] = []
    asked = Experiment(strategies=("pessimistic", "mine"), buyers=(4, 16), repeats=1, server="embedded")
    made = run_experiment(asked, own=[mine, buy], out=Path("runs"), on_progress=lambda step: log.append(step.doing))
    assert_type(made, Run)
    assert_type(made.failed_strategies, list[str])
    assert_type(made.folder, Path)
    for trial, verdicts in Run(made.folder).verdicts:
        assert_type(trial.strategy, str)
        assert_type([each.summary for each in verdicts], list[str])
    return made.measures
