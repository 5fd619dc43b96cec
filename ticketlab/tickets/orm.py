"""SQLAlchemy models of the tables, and a purchase through a Session."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    MetaData,
    SmallInteger,
    String,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column

from ticketlab.outcomes import Outcome
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, SoldTicket, sold_out, ticket_ids, unknown_event
from ticketlab.tickets.strategy import commit_guard

MAX_NAME_LENGTH = 255


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """The base class, with PostgreSQL's own naming convention, so that hand-written DDL gives the same names."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "ix": "%(table_name)s_%(column_0_name)s_idx",
            "ck": "%(constraint_name)s",
        }
    )


_Id = Annotated[UUID, mapped_column(primary_key=True, server_default=text("uuid_generate_v4()"))]
_Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
_OfEvent = Annotated[UUID, mapped_column(ForeignKey("events.id", ondelete="CASCADE"))]
_StampedMoment = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


class Event(Base):
    """An event and its stock. `version` rises by one with each update, and so records the order of the writes."""

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint("available_tickets >= 0", name="CHK_available_tickets_non_negative"),
        CheckConstraint("total_tickets >= 0", name="CHK_total_tickets_non_negative"),
        CheckConstraint("available_tickets <= total_tickets", name="CHK_available_tickets_within_total"),
    )

    id: Mapped[_Id] = mapped_column(init=False)
    """Assigned by the database."""
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    """At most 255 characters."""
    date: Mapped[_Moment] = mapped_column(index=True)
    """When it takes place; timezone-aware."""
    total_tickets: Mapped[int]
    """All seats, sold or not."""
    available_tickets: Mapped[int]
    """The unsold seats, except those that a strategy counts elsewhere while it sells."""
    version: Mapped[int] = mapped_column(server_default=text("1"), init=False)
    """1 for a new event; each update adds one."""
    created_at: Mapped[_StampedMoment] = mapped_column(init=False)
    """The start of the transaction that created it."""
    updated_at: Mapped[_StampedMoment] = mapped_column(init=False)
    """The time of the last update."""

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - read by the mapper, once


class Ticket(Base):
    """One sold ticket. `purchase_id` groups the tickets that were bought together."""

    __tablename__ = "tickets"

    id: Mapped[_Id] = mapped_column(default=None, kw_only=True)
    """Assigned by the strategy, else by the database."""
    event_id: Mapped[_OfEvent] = mapped_column(index=True)
    """Its event; deleting the event deletes the ticket."""
    purchase_id: Mapped[UUID] = mapped_column(index=True)
    """The purchase that owns it."""
    purchased_at: Mapped[_StampedMoment] = mapped_column(init=False, index=True)
    """The start of the transaction that sold it."""


class FreeSeat(Base):
    """A free seat: subtracted from the event's stock in advance, and deleted when it is sold."""

    __tablename__ = "free_seats"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, init=False)
    event_id: Mapped[_OfEvent] = mapped_column(index=True)


class StockShard(Base):
    """A share of an event's stock, kept in a row of its own to spread the lock contention."""

    __tablename__ = "stock_shards"
    __table_args__ = (CheckConstraint("available >= 0", name="CHK_stock_shards_available_non_negative"),)

    event_id: Mapped[_OfEvent] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    available: Mapped[int]


def sell_if_enough(session: Session, request: PurchaseRequest, event: Event | None) -> PurchaseResult:
    """Decide by the loaded event, change it, add the tickets, and commit.

    The mapper increments and compares the version: see `version_id_col`.
    """
    if event is None:
        return unknown_event(request)
    if event.available_tickets < request.quantity:
        return sold_out(request, version=event.version, left=event.available_tickets)
    event.available_tickets -= request.quantity
    event.updated_at = func.clock_timestamp()
    tickets = add_tickets(session, request)
    session.flush()
    with commit_guard():
        session.commit()
    return sold(request, tickets, version=event.version, left=event.available_tickets)


def add_tickets(session: Session, request: PurchaseRequest) -> list[Ticket]:
    """Add the request's tickets to the session."""
    tickets = [
        Ticket(id=ticket_id, event_id=request.event_id, purchase_id=request.purchase_id)
        for ticket_id in ticket_ids(request.purchase_id, request.quantity)
    ]
    session.add_all(tickets)
    return tickets


def sold(request: PurchaseRequest, tickets: Sequence[Ticket], *, version: int, left: int) -> PurchaseResult:
    """The result SOLD, from loaded tickets."""
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=request.quantity,
        tickets=[SoldTicket(each.id, each.event_id, each.purchase_id, each.purchased_at) for each in tickets],
        version=version,
        available_tickets=left,
    )
