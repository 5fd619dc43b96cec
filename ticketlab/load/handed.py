"""The tickets in an answer, counted and digested for the history. Keeps none of them, judges nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias
from uuid import UUID

from ticketlab.errors import InvalidInputError, OwnCodeError
from ticketlab.history.digests import MASK, PRIME, digest
from ticketlab.history.recording import NOTHING_HANDED, Handed
from ticketlab.outcomes import Cause
from ticketlab.tickets import PurchaseResult, SoldTicket
from ticketlab.tickets.purchase import checked_uuid

Rows: TypeAlias = Sequence[tuple[int, int, int | None, int | None]]
"""What an answer says of each event: the number of the event, the tickets, and the version and the stock seen."""


def rows_of(result: PurchaseResult, asked: Rows, events: Sequence[UUID]) -> Rows:
    """The events and quantities of an answer: those that were asked for.

    An answer that reports an earlier sale has the events and quantities of that sale, which may be others.

    Raises:
        OwnCodeError: the tickets are not as `SoldTicket` says.
    """
    if result.cause is not Cause.REPEATED or not result.success:
        return asked
    if not result.tickets:
        names_one = len(asked) == 1 and result.quantity > 0
        return [(asked[0][0], result.quantity, None, None)] if names_one else asked
    numbers = {event_id: number for number, event_id in enumerate(events)}
    named = Counter(ticket.event_id for ticket in _checked(result.tickets))
    if not named.keys() <= numbers.keys():
        return asked
    return [(numbers[event_id], count, None, None) for event_id, count in sorted(named.items())]


def handed(result: PurchaseResult, purchase_id: UUID, rows: Rows, events: Sequence[UUID]) -> Sequence[Handed]:
    """What the answer to a purchase hands its buyer, for each of its rows.

    In a basket the row of each event has the tickets of that event. Tickets of any other event count in the first row,
    as tickets that name something else.

    Raises:
        OwnCodeError: the tickets are not as `SoldTicket` says.
    """
    tickets = result.tickets
    if not tickets:
        return [NOTHING_HANDED] * len(rows)
    try:
        if len(rows) > 1:
            return _by_event(tickets, purchase_id.int, [events[row[0]] for row in rows])
        # The usual case, written out, for it is met at each sale. For the sum see `digests.digest`.
        owner, event = purchase_id.int, events[rows[0][0]].int
        total = elsewhere = 0
        for ticket_id, event_id, its_purchase_id, _ in tickets:
            rest = ticket_id.int % PRIME
            total += rest * (rest + 1)
            if its_purchase_id.int != owner or event_id.int != event:
                elsewhere += 1
        return ((len(tickets), total & MASK, elsewhere),)
    except (AttributeError, TypeError, ValueError):
        return _by_event(list(_checked(tickets)), purchase_id.int, [events[row[0]] for row in rows])


def _by_event(tickets: Sequence[SoldTicket], owner: int, events: Sequence[UUID]) -> list[Handed]:
    """The tickets of each event."""
    lines = {event.int: line for line, event in enumerate(events)}
    ids: list[list[int]] = [[] for _ in events]
    elsewhere = [0] * len(events)
    for ticket_id, event_id, purchase_id, _ in tickets:
        line = lines.get(event_id.int)
        others = purchase_id.int != owner
        if line is None:
            line, others = 0, True
        ids[line].append(ticket_id.int)
        elsewhere[line] += others
    return [(len(found), digest(found), count) for found, count in zip(ids, elsewhere, strict=True)]


def _checked(tickets: Sequence[SoldTicket]) -> Iterator[SoldTicket]:
    """Convert what has the fields of a `SoldTicket`: a row of an ORM will do, and ids that are text."""
    for each in tickets:
        try:
            yield SoldTicket(
                checked_uuid("id", each.id),
                checked_uuid("event_id", each.event_id),
                checked_uuid("purchase_id", each.purchase_id),
                each.purchased_at,
            )
        except (AttributeError, InvalidInputError) as error:
            raise OwnCodeError(
                "The tickets of a PurchaseResult need the fields of ticketlab.tickets.SoldTicket (id, event_id, "
                f"purchase_id, purchased_at), not {each!r}: {error}. Leave `tickets` out if they are not known."
            ) from error
