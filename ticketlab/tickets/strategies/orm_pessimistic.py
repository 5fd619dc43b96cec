"""As an application writes it with SQLAlchemy's ORM: a Session, `with_for_update`, objects changed and added."""

from sqlalchemy.orm import Session

from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Event, sell_if_enough
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import strategy


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the ORM's SELECT … FOR UPDATE: session.get(…, with_for_update=True)",
    cost="as pessimistic, and the ORM's work in Python while the row is locked",
    when="an application that lives in its ORM, and events that are not that hot",
    resource=Database.unit_of_work,
)
def orm_pessimistic(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event."""
    event = session.get(Event, request.event_id, with_for_update=True)
    return sell_if_enough(session, request, event)
