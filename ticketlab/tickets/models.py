"""The documented tables as SQLAlchemy models. The migrations are made from, and checked against, these."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, MetaData, String, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

MAX_INTEGER = 2**31 - 1
"""The largest value of PostgreSQL's `integer`."""
MAX_NAME_LENGTH = 255


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """One naming convention: PostgreSQL's own, so that the documented DDL typed by hand gives the same names."""

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
_StampedMoment = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


class Event(Base):
    """An event and its stock. `version` rises with each update: it is the order that the database chose."""

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint("available_tickets >= 0", name="CHK_available_tickets_non_negative"),
        CheckConstraint("total_tickets >= 0", name="CHK_total_tickets_non_negative"),
        CheckConstraint("available_tickets <= total_tickets", name="CHK_available_tickets_within_total"),
    )

    id: Mapped[_Id] = mapped_column(init=False)
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    date: Mapped[_Moment] = mapped_column(index=True)
    total_tickets: Mapped[int]
    available_tickets: Mapped[int]
    version: Mapped[int] = mapped_column(server_default=text("1"), init=False)
    created_at: Mapped[_StampedMoment] = mapped_column(init=False)
    updated_at: Mapped[_StampedMoment] = mapped_column(init=False)


class Ticket(Base):
    """One sold ticket. `purchase_id` groups the tickets that were bought together."""

    __tablename__ = "tickets"

    id: Mapped[_Id] = mapped_column(init=False)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"), index=True)
    purchase_id: Mapped[UUID] = mapped_column(index=True)
    purchased_at: Mapped[_StampedMoment] = mapped_column(init=False, index=True)
