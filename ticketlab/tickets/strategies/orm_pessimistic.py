"""Row lock by SQLAlchemy's ORM: a Session, `with_for_update`, and changed and added objects.

As `pessimistic`, plus the ORM's Python work while the row is locked.
"""

from sqlalchemy.orm import Session

from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Event, sell_if_enough
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import strategy


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the ORM's SELECT … FOR UPDATE: session.get(…, with_for_update=True)",
    cost="as pessimistic, and the ORM's Python work while the row is locked",
    when="an application built on the ORM, and moderate contention",
    resource=Database.unit_of_work,
)
def orm_pessimistic(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event."""
    event = session.get(Event, request.event_id, with_for_update=True)
    return sell_if_enough(session, request, event)
