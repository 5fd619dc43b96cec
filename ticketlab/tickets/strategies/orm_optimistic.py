"""Optimistic version check by SQLAlchemy's ORM: a Session, and `version_id_col` on the model.

As `optimistic`, plus the ORM's Python work in every attempt.
"""

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
    summary="the ORM's version_id_col: the UPDATE compares the version that was read, retry if it changed",
    cost="as optimistic, and the ORM's Python work in every attempt",
    when="an application built on the ORM, and low contention",
    retry=RetryPolicy(max_attempts=50, backoff_max_s=0.05),
    resource=Database.unit_of_work,
)
def orm_optimistic(session: Session, request: PurchaseRequest) -> PurchaseResult:
    """Sell if the event has not changed since it was read."""
    try:
        return sell_if_enough(session, request, session.get(Event, request.event_id))
    except StaleDataError as error:
        raise ConflictError(Cause.STALE_VERSION) from error
