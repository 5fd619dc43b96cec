"""Batches whose members are not told what became of them: each mistake is in how a batch is served."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

from ticketlab.mutants import Trigger, mutant
from ticketlab.mutants.answers import commit_afterwards
from ticketlab.mutants.sql import WRITE_TICKETS
from ticketlab.outcomes import Outcome
from ticketlab.tickets.batch_queue import Answer, BatchHandler, BatchQueue, Request
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategies.coalesced import coalesced, serve
from ticketlab.tickets.strategy import Connection


def _gathered(make: Callable[[Database], BatchQueue]) -> Callable[[Database], AbstractContextManager[BatchQueue]]:
    return lambda database: nullcontext(database.get_or_create(make))


def _served_by(serve_wrongly: BatchHandler) -> Callable[[Database], AbstractContextManager[BatchQueue]]:
    return _gathered(lambda database: BatchQueue(database, serve_wrongly))


def _all_but_the_last(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    if len(requests) == 1:
        return serve(connection, requests)
    answers = serve(connection, requests[:-1])
    return [*answers, answers[-1]]


@mutant(
    coalesced,
    mistake="the last member of a batch is not written, and told what the one before him is",
    expected_check="sales_in_ledger",
    resource=_served_by(_all_but_the_last),
)
def coalesced_last_lost(gatherer: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """One off in a slice: a batch of one is right."""
    return gatherer.purchase(request)


def _all_and_the_refused(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    answers = serve(connection, requests)
    for each, answer in zip(requests, answers, strict=True):
        refused = isinstance(answer, PurchaseResult) and answer.outcome is Outcome.SOLD_OUT
        if refused and isinstance(each, PurchaseRequest) and len(requests) > 1:
            connection.execute(WRITE_TICKETS, each.parameters)
    return answers


@mutant(
    coalesced,
    mistake="the tickets of a member who was refused are written with the others'",
    expected_check="no_oversell",
    resource=_served_by(_all_and_the_refused),
)
def coalesced_refused_sold(gatherer: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The stock goes by what was decided, the tickets by who is in the batch."""
    return gatherer.purchase(request)


def _all_alike(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
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
    mistake="every member of a batch is told the version that the last one made",
    expected_check="strict_serializability",
    resource=_served_by(_all_alike),
)
def coalesced_one_version(gatherer: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """What the transaction made is told as what each purchase made."""
    return gatherer.purchase(request)


def _by_position(connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
    answers = serve(connection, requests)
    sold = [each for each in answers if isinstance(each, PurchaseResult) and each.success]
    moved = iter([*sold[1:], *sold[:1]])
    return [
        replace(each, tickets=next(moved).tickets) if isinstance(each, PurchaseResult) and each.success else each
        for each in answers
    ]


@mutant(
    coalesced,
    mistake="the tickets of a batch are handed out by a position that is off by one",
    expected_check="answers_match_tickets",
    resource=_served_by(_by_position),
)
def coalesced_by_position(gatherer: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """All that the database holds is right; each buyer gets the tickets of another one."""
    return gatherer.purchase(request)


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
    resource=_gathered(_answering_first),
)
def coalesced_answered_first(gatherer: BatchQueue, request: PurchaseRequest) -> PurchaseResult:
    """The commit follows a pause later, on a connection that the batch keeps until then."""
    return gatherer.purchase(request)
