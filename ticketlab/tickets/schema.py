"""Tables of one's own, beside the documented ones: how they are made and filled, and what they hold in the end."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

EventRow: TypeAlias = tuple[UUID, int, int | None, int | None]
"""Its id, all its seats, the seats that the tables say are left, and its version; None where they do not say."""
TicketRow: TypeAlias = tuple[UUID, UUID] | tuple[UUID, UUID, UUID]
"""Its event's id, its purchase's, and its own where the purchase function hands tickets to its buyers: then what was
handed is compared with what is there, and a ticket or seat that an event has sold twice is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """How a trial of a strategy begins and ends on tables that are not ticketlab's.

    Each trial has an empty database of its own, so there is nothing to clean up. What the functions raise ends the
    run, and is told with their traceback.
    """

    lay_out: Callable[[psycopg.Connection[TupleRow], Mapping[UUID, int]], None]
    """Makes the tables, and puts so many seats of each event on sale. Events are numbered: the `int` of an id is 1 for
    the first one, 2 for the second, which tables with whole numbers as keys can use. The last one is for the warm-up.

    It is called in a transaction, which is committed for it."""
    events: Callable[[psycopg.Connection[TupleRow]], Iterable[EventRow]]
    """Every event, when all buyers are done, and now and then while they buy. Read in one snapshot with `tickets`.

    Seats left and tickets are expected to change together, in one transaction; where they do not, let it say None."""
    tickets: Callable[[psycopg.Connection[TupleRow]], Iterable[TicketRow]]
    """Every ticket that was sold, a row each."""
