"""Mutants of `coalesced`: each mistake is in how a batch is served or answered."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

from ticketlab.mutants import Trigger, mutant
from ticketlab.mutants._sql import WRITE_TICKETS
from ticketlab.mutants.answers import commit_afterwards
from ticketlab.outcomes import Outcome
from ticketlab.tickets.batch_queue import Answer, BatchHandler, BatchQueue, Request
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategies.coalesced import coalesced, serve
from ticketlab.tickets.strategy import Connection


def _queue_from(make: Callable[[Database], BatchQueue]) -> Callable[[Database], AbstractContextManager[BatchQueue]]:
    return lambda database: nullcontext(database.get_or_create(make))


def _served_by(serve_wrongly: BatchHandler) -> Callable[[Database], AbstractContextManager[BatchQueue]]:
    return _queue_from(lambda database: BatchQueue(database, serve_wrongly))


def _all_but_the_last(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    if len(requests) == 1:
        return serve(connection, requests)
    answers = serve(connection, requests[:-1])
    return [*answers, answers[-1]]


@mutant(
    coalesced,
    mistake="the last purchase of a batch is not made, and gets the answer before it",
    expected_check="sales_in_ledger",
    resource=_served_by(_all_but_the_last),
)
def coalesced_last_lost(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """An off-by-one error in a slice; a batch of one is right."""
    return queue.purchase(request)


def _writing_refused(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    answers = serve(connection, requests)
    for each, answer in zip(requests, answers, strict=True):
        refused = isinstance(answer, PurchaseResult) and answer.outcome is Outcome.SOLD_OUT
        if refused and isinstance(each, PurchaseRequest) and len(requests) > 1:
            connection.execute(WRITE_TICKETS, each.parameters)
    return answers


@mutant(
    coalesced,
    mistake="tickets are inserted for refused purchases of a batch too",
    expected_check="no_oversell",
    resource=_served_by(_writing_refused),
)
def coalesced_refused_sold(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The stock counts the sales, the tickets all purchases of the batch."""
    return queue.purchase(request)


def _with_last_version(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    answers = serve(connection, requests)
    last = answers[-1]
    if not isinstance(last, PurchaseResult):
        return answers
    return [
        replace(each, version=last.version, available_tickets=last.available_tickets)
        if isinstance(each, PurchaseResult) and each.outcome is last.outcome
        else each
        for each in answers
    ]


@mutant(
    coalesced,
    mistake="every purchase of a batch reports the version of the last one",
    expected_check="strict_serializability",
    resource=_served_by(_with_last_version),
)
def coalesced_one_version(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The version after the transaction is reported for each purchase."""
    return queue.purchase(request)


def _with_rotated_tickets(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    answers = serve(connection, requests)
    sold = [each for each in answers if isinstance(each, PurchaseResult) and each.success]
    rotated = iter([*sold[1:], *sold[:1]])
    return [
        replace(each, tickets=next(rotated).tickets) if isinstance(each, PurchaseResult) and each.success else each
        for each in answers
    ]


@mutant(
    coalesced,
    mistake="the tickets of a batch are returned with an index off by one",
    expected_check="answers_match_tickets",
    resource=_served_by(_with_rotated_tickets),
)
def coalesced_by_position(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The database is right, but each buyer gets another buyer's tickets."""
    return queue.purchase(request)


def _answering_first(database: Database) -> BatchQueue:
    def serve_and_commit_afterwards(_connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
        with ExitStack() as held:
            connection = held.enter_context(database.connection())
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
            answers = serve(connection, requests)
            commit_afterwards(connection, held.pop_all())
        return answers

    return BatchQueue(database, serve_and_commit_afterwards)


@mutant(
    coalesced,
    mistake="a batch is answered before it is committed",
    expected_check="durable",
    trigger=Trigger.CRASH,
    resource=_queue_from(_answering_first),
)
def coalesced_answered_first(queue: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The commit follows after a pause, on a connection that the batch keeps until then."""
    return queue.purchase(request)
