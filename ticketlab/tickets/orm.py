"""What the ORM strategies have in common: a purchase by objects of a Session."""

from sqlalchemy import func
from sqlalchemy.orm import Session

from ticketlab.outcomes import Outcome
from ticketlab.tickets.models import Event, Ticket
from ticketlab.tickets.purchase import (
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    sold_out,
    ticket_ids,
    unknown_event,
)
from ticketlab.tickets.strategy import commit_guard


def sell_if_enough(session: Session, request: PurchaseRequest, event: Event | None) -> PurchaseResult:
    """Decide by the event as it was loaded, change it, add the tickets, and commit.

    The version is raised by the mapper: `version_id_col` of the model, which every UPDATE compares.
    """
    if event is None:
        return unknown_event(request)
    if event.available_tickets < request.quantity:
        return sold_out(request, version=event.version, left=event.available_tickets)
    event.available_tickets -= request.quantity
    event.updated_at = func.clock_timestamp()
    tickets = [
        Ticket(id=ticket_id, event_id=event.id, purchase_id=request.purchase_id)
        for ticket_id in ticket_ids(request.purchase_id, request.quantity)
    ]
    session.add_all(tickets)
    session.flush()
    with commit_guard():
        session.commit()
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=request.quantity,
        tickets=[SoldTicket(each.id, each.event_id, each.purchase_id, each.purchased_at) for each in tickets],
        version=event.version,
        available_tickets=event.available_tickets,
    )
