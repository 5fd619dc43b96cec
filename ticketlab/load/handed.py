"""The tickets in an answer, counted and digested for the history. Keeps none of them, judges nothing."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from ticketlab.errors import InvalidInputError, OwnCodeError
from ticketlab.evidence.digests import MASK, PRIME, digest
from ticketlab.evidence.history import NOTHING_HANDED, Handed
from ticketlab.outcomes import Cause
from ticketlab.tickets import PurchaseResult, SoldTicket
from ticketlab.tickets.purchase import checked_uuid

_EARLIER: Final = Cause.REPEATED


def handed(
    result: PurchaseResult,
    purchase_id: UUID,
    rows: Sequence[tuple[int, int, int | None, int | None]],
    events: Sequence[UUID],
) -> Sequence[Handed]:
    """What the answer to a purchase hands its buyer, for each of its rows, which begin with the number of an event.

    Of several events each has the tickets that name it, and the first one those that name none of them. An answer that
    tells of an earlier purchase may have tickets of other events than were asked for now: those are left out.

    Raises:
        OwnCodeError: the tickets are not as `SoldTicket` says.
    """
    tickets = result.tickets
    if not tickets:
        return [NOTHING_HANDED] * len(rows)
    earlier = result.cause is _EARLIER
    try:
        if earlier or len(rows) > 1:
            return _by_event(tickets, purchase_id.int, [events[row[0]] for row in rows], earlier=earlier)
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
        return _by_event(list(_checked(tickets)), purchase_id.int, [events[row[0]] for row in rows], earlier=earlier)


def _by_event(tickets: Sequence[SoldTicket], owner: int, events: Sequence[UUID], *, earlier: bool) -> list[Handed]:
    """The tickets of each event: of an earlier purchase those of these events only."""
    lines = {event.int: line for line, event in enumerate(events)}
    ids: list[list[int]] = [[] for _ in events]
    elsewhere = [0] * len(events)
    for ticket_id, event_id, purchase_id, _ in tickets:
        line = lines.get(event_id.int)
        others = purchase_id.int != owner
        if line is None:
            if earlier and not others:
                continue
            line, others = 0, True
        ids[line].append(ticket_id.int)
        elsewhere[line] += others
    return [(len(found), digest(found), count) for found, count in zip(ids, elsewhere, strict=True)]


def _checked(tickets: Sequence[SoldTicket]) -> Iterator[SoldTicket]:
    """The same as SoldTickets, whatever has their fields: a row of an ORM, or ids that are text."""
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
                f"The tickets of a PurchaseResult must be ticketlab.tickets.SoldTicket, not {each!r}: {error}. Leave "
                "`tickets` out where the function does not know them."
            ) from error
