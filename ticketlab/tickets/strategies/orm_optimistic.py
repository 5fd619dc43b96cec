"""As an application writes it with SQLAlchemy's ORM: a Session, and the mapper's `version_id_col` on the model."""

from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from ticketlab.outcomes import Cause
from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Event, sell_if_enough
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import ConflictError, RetryPolicy, strategy


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the ORM's version_id_col: the UPDATE names the version that was read, retry when it moved",
    cost="as optimistic, and the ORM's work in Python for every attempt",
    when="an application that lives in its ORM, and events that few buyers want at once",
    retry=RetryPolicy(max_attempts=50, backoff_max_s=0.05),
    resource=Database.unit_of_work,
)
def orm_optimistic(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """Sell if nobody else has since the event was read."""
    try:
        return sell_if_enough(session, request, session.get(Event, request.event_id))
    except StaleDataError as error:
        raise ConflictError(Cause.STALE_VERSION) from error
