"""Group commit: purchases that wait for the same event are committed in one transaction, each with its own answer.

Buyers of a hot event do not queue for its row lock, but in the application for the next batch (see `batch_queue`). One
lock, one round trip and one flush to disk then serve the whole batch. The row is still locked, so the strategy is also
correct with several processes, each with its own queue, and beside other strategies.
"""

from collections.abc import Container, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from ticketlab.outcomes import CONFLICTS, Cause, Outcome, cause_of
from ticketlab.tickets.batch_queue import Answer, BatchQueue, Request
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import (
    Basket,
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    bought_before,
    sold,
    sold_out,
    ticket_ids,
    unknown_event,
)
from ticketlab.tickets.sql import basket_lines, basket_refusal, stock_of
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH
from ticketlab.tickets.strategies.no_key_update import LOCK_ALL
from ticketlab.tickets.strategy import Connection, RetryPolicy, commit_guard, roll_back, strategy, transaction

# The usual case in one statement: sell to the whole batch, or to none of it. Each purchase makes its own version. The
# purchases are columns of `event`, so that tickets are generated only if the event exists and has enough of them.
SELL_TO_ALL = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(tickets)s,
        version = version + %(purchases)s,
        updated_at = clock_timestamp()
    WHERE id = %(event_id)s AND available_tickets >= %(tickets)s
    RETURNING id, available_tickets, version, %(purchase_ids)b::uuid[] AS ids, %(quantities)b::integer[] AS quantities
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(purchase_id::text || number)::uuid, id, purchase_id
    FROM event, unnest(ids, quantities) AS wanted(purchase_id, quantity), generate_series(1, quantity) AS number
    RETURNING purchased_at
)
SELECT available_tickets, version, (SELECT min(purchased_at) FROM sold) FROM event
"""

BOUGHT_BEFORE = "SELECT id, event_id, purchase_id, purchased_at FROM tickets WHERE purchase_id = ANY(%s) ORDER BY id"

# Writes what was decided under the locks: one row per purchase and event. `sold_before` continues the numbering of a
# basket's tickets.
SELL_AS_DECIDED = """
WITH wanted AS (
    SELECT * FROM unnest(
        (SELECT %(event_ids)s::uuid[]),
        (SELECT %(purchase_ids)s::uuid[]),
        (SELECT %(sold_before)s::integer[]),
        (SELECT %(quantities)s::integer[])
    ) AS wanted(event_id, purchase_id, sold_before, quantity)
), total AS (
    SELECT event_id, sum(quantity) AS tickets, count(*) AS purchases FROM wanted GROUP BY event_id
), event AS (
    UPDATE events
    SET available_tickets = available_tickets - tickets, version = version + purchases, updated_at = clock_timestamp()
    FROM total WHERE id = event_id
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(purchase_id::text || sold_before + number)::uuid, event_id, purchase_id
    FROM wanted, generate_series(1, quantity) AS number
    RETURNING purchased_at
)
SELECT min(purchased_at) FROM sold
"""


def serve(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    """Sell to all in one transaction; if a single request may have made it fail, serve each half separately.

    By bisection a bad request fails alone, and costs two transactions per halving, not one per request.
    """
    try:
        return _sell_to_all(connection, requests) or _decide_and_sell(connection, requests)
    except psycopg.Error as error:
        if len(requests) == 1 or not _may_be_caused_by_one(error):
            raise
    half = len(requests) // 2
    return [*_serve_part(connection, requests[:half]), *_serve_part(connection, requests[half:])]


def _serve_part(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    """Serve a part of the batch; an exception is the answer of this part only."""
    try:
        return serve(connection, requests)
    except Exception as error:
        return [error] * len(requests)


def _may_be_caused_by_one(error: psycopg.Error) -> bool:
    """Whether a single request may have caused the error. A lock timeout, for one, would only occur again."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return False
    return cause_of(error.sqlstate) not in {Cause.CONNECTION, *CONFLICTS}


def _sell_to_all(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    """Sell if the stock suffices for all and no purchase id has bought before; otherwise return no answers."""
    single = [each for each in requests if isinstance(each, PurchaseRequest)]
    # A connection that is closed already must not become an unknown commit here.
    if len(single) < len(requests) or connection.closed:
        return ()
    try:
        with commit_guard():
            if len(single) == 1:
                rows = connection.execute(SELL_IF_ENOUGH, single[0].parameters).fetchall()
                return [sold(single[0], rows)] if rows else ()
            row = connection.execute(SELL_TO_ALL, _batch_parameters(single)).fetchone()
    except psycopg.errors.UniqueViolation:
        return ()
    return _sold_to_all(single, *row) if row else ()


def _batch_parameters(requests: Sequence[PurchaseRequest]) -> dict[str, Any]:
    """The parameters of `SELL_TO_ALL`.

    Tickets are inserted in the order of the purchase ids, whatever the order of the answers. So two batches on two
    events that share several purchase ids cannot deadlock.
    """
    requests = sorted(requests, key=_by_id)
    return {
        "event_id": requests[0].event_id,
        "tickets": sum(each.quantity for each in requests),
        "purchases": len(requests),
        "purchase_ids": [each.purchase_id for each in requests],
        "quantities": [each.quantity for each in requests],
    }


def _sold_to_all(
    requests: Sequence[PurchaseRequest], left: int, version: int, purchased_at: datetime
) -> Sequence[PurchaseResult]:
    """Each purchase's answer; versions and stocks are counted back from those of the last purchase."""
    answers = []
    for each in reversed(requests):
        answers.append(
            PurchaseResult(
                outcome=Outcome.SOLD,
                quantity=each.quantity,
                tickets=[
                    SoldTicket(ticket_id, each.event_id, each.purchase_id, purchased_at)
                    for ticket_id in ticket_ids(each.purchase_id, each.quantity)
                ],
                version=version,
                available_tickets=left,
            )
        )
        left, version = left + each.quantity, version - 1
    return answers[::-1]


def _decide_and_sell(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    """Lock every event, decide each purchase in turn, and write the sales."""
    with transaction(connection):
        wanted = {event_id for each in requests for event_id in _quantities(each)}
        events = connection.execute(LOCK_ALL, [list(wanted)]).fetchall()
        # Read under the locks, when every earlier sale of these events has committed.
        bought = _bought_before(connection, requests)
        answers = decide(requests, events, bought)
        sales = [each for each, answer in zip(requests, answers, strict=True) if _is_sale(answer)]
        if sales:
            (row,) = connection.execute(SELL_AS_DECIDED, _sale_parameters(sales))
            bought |= {each.purchase_id: _tickets(each, row[0]) for each in sales}
        else:
            roll_back(connection)
    return [
        _with_tickets(each, answer, bought[each.purchase_id]) if answer.success else answer
        for each, answer in zip(requests, answers, strict=True)
    ]


def decide(
    requests: Sequence[Request], events: Sequence[TupleRow], bought: Container[UUID]
) -> Sequence[PurchaseResult]:
    """Decide first come, first served; after a refusal, later requests may still fit. Results have no tickets yet.

    A purchase id that has already bought gets SOLD with the cause REPEATED; what it owns is compared later.

    Args:
        requests: the purchases, in order of arrival.
        events: id, stock and version of every event that exists.
        bought: the purchase ids that have already bought.
    """
    stock = dict(stock_of(events))
    answers: list[PurchaseResult] = []
    sold_now: set[UUID] = set()
    for each in requests:
        if each.purchase_id in bought or each.purchase_id in sold_now:
            answers.append(PurchaseResult(outcome=Outcome.SOLD, quantity=each.quantity, cause=Cause.REPEATED))
            continue
        answer = _refusal(each, stock)
        if answer is None:
            answer = _take(each, stock)
            sold_now.add(each.purchase_id)
        answers.append(answer)
    return answers


def _refusal(request: Request, stock: Mapping[UUID, tuple[int, int]]) -> PurchaseResult | None:
    if isinstance(request, Basket):
        return basket_refusal(request, stock)
    if request.event_id not in stock:
        return unknown_event(request)
    available, version = stock[request.event_id]
    return sold_out(request, version=version, left=available) if available < request.quantity else None


def _take(request: Request, stock: dict[UUID, tuple[int, int]]) -> PurchaseResult:
    """Subtract the tickets from `stock`; each sale makes its own version."""
    for event_id, quantity in _quantities(request).items():
        available, version = stock[event_id]
        stock[event_id] = available - quantity, version + 1
    if isinstance(request, PurchaseRequest):
        left, version = stock[request.event_id]
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity, version=version, available_tickets=left)
    lines = basket_lines(request, stock)
    return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity, lines=lines)


def _by_id(request: Request) -> int:
    return request.purchase_id.int


def _quantities(request: Request) -> Mapping[UUID, int]:
    return request.quantities if isinstance(request, Basket) else {request.event_id: request.quantity}


def _is_sale(answer: PurchaseResult) -> bool:
    return answer.success and answer.cause is not Cause.REPEATED


def _bought_before(connection: Connection, requests: Sequence[Request]) -> dict[UUID, list[SoldTicket]]:
    owned: dict[UUID, list[SoldTicket]] = {}
    for row in connection.execute(BOUGHT_BEFORE, [[each.purchase_id for each in requests]]):
        ticket = SoldTicket._make(row)
        owned.setdefault(ticket.purchase_id, []).append(ticket)
    return owned


def _sale_parameters(sales: Sequence[Request]) -> dict[str, Any]:
    """The parameters of `SELL_AS_DECIDED`, in the order of the purchase ids: see `_batch_parameters`."""
    rows = []
    for each in sorted(sales, key=_by_id):
        sold_before = 0
        for event_id, quantity in sorted(_quantities(each).items()):
            rows.append((event_id, each.purchase_id, sold_before, quantity))
            sold_before += quantity
    columns = map(list, zip(*rows, strict=True))
    return dict(zip(("event_ids", "purchase_ids", "sold_before", "quantities"), columns, strict=True))


def _tickets(request: Request, purchased_at: datetime) -> list[SoldTicket]:
    ids = iter(ticket_ids(request.purchase_id, request.quantity))
    return [
        SoldTicket(next(ids), event_id, request.purchase_id, purchased_at)
        for event_id, quantity in sorted(_quantities(request).items())
        for _ in range(quantity)
    ]


def _with_tickets(request: Request, answer: PurchaseResult, tickets: Sequence[SoldTicket]) -> PurchaseResult:
    return replace(answer, tickets=tickets) if _is_sale(answer) else bought_before(request, tickets)


def _gatherer(database: Database) -> BatchQueue:
    return BatchQueue(database, serve)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="group commit: purchases waiting for one event are sold in one transaction",
    cost="a queue in each process; an error of the transaction fails the whole batch",
    when="one hot event and many concurrent buyers: the highest throughput",
    retry=RetryPolicy(max_attempts=5),
    basket=BatchQueue.purchase,
    resource=lambda database: nullcontext(database.get_or_create(_gatherer)),
)
def coalesced(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """Wait for the next batch on the event, and for this purchase's answer."""
    return queue.purchase(request)
