"""The claim that a purchase sells what was put on sale, and changes nothing else about it."""

from typing import TYPE_CHECKING

from ticketlab.evidence.case import Case
from ticketlab.evidence.check import check
from ticketlab.evidence.checks.books import and_more
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.verdict import Anomaly, Verdict, invalid, valid
from ticketlab.evidence.words import counted, every, verb

if TYPE_CHECKING:
    import pandas as pd


@check
def setup_unchanged(case: Case) -> Verdict:
    """The events and their seats are still those that the lab put on sale.

    What the lab set up is known from its plan. So a purchase function that raises `total_tickets`, adds or deletes an
    event, or a schema that lays out more seats than it was asked for, cannot widen what it is judged by.
    """
    name = "setup_unchanged"
    facts, events = case.ledger.facts, case.ledger.events
    if facts.seats is None:
        return valid(name, "nothing to compare with: the seats are those that were given for this history")
    changed = events[events["total_found"] != events["total"]]
    if not changed.empty:
        return invalid(
            name, and_more(len(changed), _difference(changed.iloc[0]), "event"), changed, Anomaly.CHANGED_SETUP
        )
    if facts.events_added:
        text = f"the tables hold {counted(facts.events_added, 'event')} that the lab did not put there"
        return invalid(name, text, events.head(0), Anomaly.CHANGED_SETUP)
    seats = sum(facts.seats)
    events_have = f"{every(len(events), 'event')} {verb(len(events), 'has')}"
    return valid(name, f"{events_have} the seats that were put on sale, {seats:,} in all")


def _difference(event: "pd.Series[int]") -> str:
    seats = int(event["total"])
    put = f"event {event['event']}: {counted(seats, 'seat')} {verb(seats, 'was')} put on sale"
    if event["total_found"] == NOT_SEEN:
        return f"{put}, and the event is gone"
    return f"{put}, and the database says {event['total_found']:,}"
