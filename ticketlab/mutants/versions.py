"""Mutants of version checks: not compared, not incremented, or outdated, so a decision uses a stale stock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ticketlab.mutants import mutant
from ticketlab.mutants._sql import edited, write_back_if_enough
from ticketlab.outcomes import Cause
from ticketlab.tickets import orm
from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Event
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold_out, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.optimistic import SELL_IF_UNCHANGED, optimistic, sell_if_unchanged
from ticketlab.tickets.strategies.orm_optimistic import orm_optimistic
from ticketlab.tickets.strategies.orm_pessimistic import orm_pessimistic
from ticketlab.tickets.strategies.pessimistic import LOCK, pessimistic
from ticketlab.tickets.strategy import ConflictError, Connection, commit_guard, transaction

_Cache: TypeAlias = dict[UUID, tuple[int, int]]
"""Stock and version by event."""

_SELL_KEEPING_VERSION = edited(SELL_IF_UNCHANGED, ("version = version + 1, ", ""))
_SELL_SETTING_VERSION = edited(SELL_IF_ENOUGH, ("version = version + 1", "version = %(version)s + 1"))


@mutant(optimistic, mistake="the version is not compared", expected_check="no_oversell")
def optimistic_uncompared(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Nothing checks that the event is unchanged since it was read."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    with commit_guard():
        return write_back_if_enough(connection, request, event)


@mutant(optimistic, mistake="the version is compared by a read, not by the write", expected_check="no_oversell")
def optimistic_compared_by_a_read(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """As TypeORM's optimistic lock mode does: another buyer may sell between the comparison and the write."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    with transaction(connection):
        unchanged = connection.execute(f"{READ} AND version = %s", [request.event_id, event[1]]).fetchone()
        if unchanged is None:
            raise ConflictError(Cause.STALE_VERSION)
        return write_back_if_enough(connection, request, unchanged)


@mutant(optimistic, mistake="the version is compared, but never incremented", expected_check="strict_serializability")
def optimistic_never_raised(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Every comparison succeeds, whatever was sold meanwhile."""
    return sell_if_unchanged(connection, request, _SELL_KEEPING_VERSION)


@mutant(atomic, mistake="the version that was read, plus one, is written", expected_check="strict_serializability")
def atomic_version_as_read(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The stock is right, but two sales make the same version, so later comparisons are wrong."""
    return sell_if_unchanged(connection, request, _SELL_SETTING_VERSION)


@contextmanager
def _with_cache(database: Database) -> Iterator[tuple[Connection, _Cache]]:
    with database.connection() as connection:
        yield connection, database.get_or_create(_empty_cache)


def _empty_cache(_database: Database) -> _Cache:
    return {}


@mutant(
    pessimistic,
    mistake="the stock is read once, and then cached by the application",
    expected_check="no_oversell",
    resource=_with_cache,
)
def pessimistic_kept(resource: tuple[Connection, _Cache], request: PurchaseRequest) -> PurchaseResult:
    """Each sale updates the cache after its commit; until then others sell from the old stock."""
    connection, cache = resource
    with transaction(connection):
        event = cache.get(request.event_id) or connection.execute(LOCK, [request.event_id]).fetchone()
        result = write_back_if_enough(connection, request, event)
    if result.version is not None and result.available_tickets is not None:
        cache[request.event_id] = result.available_tickets, result.version
    return result


@mutant(
    orm_optimistic, mistake="a bulk update, which bypasses the mapper's version check", expected_check="no_oversell"
)
def orm_optimistic_bulk_update(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """The mapper compares the versions of flushed objects, not of rows changed by a statement."""
    return _write_back(session, request, session.get(Event, request.event_id))


@mutant(orm_pessimistic, mistake="an object loaded before the lock is not refreshed", expected_check="no_oversell")
def orm_pessimistic_not_refreshed(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """The row is locked and read again, but without `populate_existing` the session keeps the old values."""
    event = session.get(Event, request.event_id)
    session.execute(select(Event).where(Event.id == request.event_id).with_for_update())
    return _write_back(session, request, event)


def _write_back(session: Session, request: PurchaseRequest, event: Event | None) -> PurchaseResult:
    """As `orm.sell_if_enough`, but writes an absolute stock by a statement: correct under a row lock."""
    if event is None:
        return unknown_event(request)
    if event.available_tickets < request.quantity:
        return sold_out(request, version=event.version, left=event.available_tickets)
    change = (
        update(Event)
        .where(Event.id == event.id)
        .values(
            available_tickets=event.available_tickets - request.quantity,
            version=Event.version + 1,
            updated_at=func.clock_timestamp(),
        )
        .returning(Event.available_tickets, Event.version)
        .execution_options(synchronize_session=False)
    )
    left, version = session.execute(change).one()
    tickets = orm.add_tickets(session, request)
    session.flush()
    with commit_guard():
        session.commit()
    return orm.sold(request, tickets, version=version, left=left)
