"""The verdicts on a history made by others, in the names that its file has. Knows what can be judged without tickets.

Without tickets two claims are left: those of a history by itself. Strict serializability is judged as if the ledger
held what the buyers were told, which is what any order of these operations would leave. Where an answer was lost, or
somebody was told of an earlier purchase that the file does not have, only tickets could tell what happened.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from ticketlab.evidence import checks
from ticketlab.evidence.check import Check
from ticketlab.evidence.foreign.reading import MOST_TICKETS, Foreign
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.ledger import TICKET_COLUMNS, Ledger
from ticketlab.evidence.verdict import Anomaly, Status, Verdict, invalid, unknown
from ticketlab.outcomes import Cause, Kind, Outcome

NEEDS_NO_TICKETS: Final = frozenset({"no_deadlock", "strict_serializability"})
"""The checks that judge a history without its tickets, by name."""
NO_LEDGER: Final = "no ledger was given (--tickets)"
_STRICT: Final = "strict_serializability"
_EVENT: Final = re.compile(r"\bevent (\d+)\b")


def judge(foreign: Foreign, chosen: Iterable[Check] = checks.CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check. Its evidence has `in_file`, the place of each operation in the file."""
    history = foreign.history.assign(in_file=foreign.places)
    open_question = None if foreign.tickets_known else _left_open(foreign.history)
    ledger = foreign.ledger if foreign.tickets_known or open_question else _as_told(foreign)
    found = checks.judge(history, ledger, chosen)
    if not foreign.tickets_known:
        oversold = _oversold_by_answers(foreign, history)
        found = tuple(_without_tickets(each, open_question, oversold) for each in found)
    return tuple(_in_its_words(each, foreign) for each in found)


def is_decided(verdicts: Iterable[Verdict]) -> bool:
    """Whether any check decided something of a history: deadlocks alone say nothing of its tickets."""
    return any(each.status is not Status.UNKNOWN and each.check != "no_deadlock" for each in verdicts)


def _oversold_by_answers(foreign: Foreign, history: pd.DataFrame) -> Verdict | None:
    """An oversell that the answers show by themselves: more was answered as sold, and never given back, than is there.

    An id counts once for each event, and not at all if a refund of it was made or perhaps made.
    """
    back = history["purchase_id"].isin(history.loc[history["kind"] == Kind.REFUND, "purchase_id"])
    sales = history[(history["outcome"] == Outcome.SOLD) & (history["cause"] != Cause.REPEATED) & ~back]
    sales = sales.drop_duplicates(["purchase_id", "event"])
    seats = foreign.ledger.events.set_index("event")["total"]
    sold = sales.groupby("event")["quantity"].sum()
    too_many = (sold - seats.reindex(sold.index)).sort_values(ascending=False)
    if not (too_many > 0).any():
        return None
    event = too_many.index[0]
    text = f"event {event}: buyers were sold {sold[event]:,} tickets of {seats[event]:,} seats by their answers"
    last = sales[sales["event"] == event].sort_values("completed_ns").tail(1)
    return invalid("no_oversell", text, last, Anomaly.OVERSELL)


def _without_tickets(verdict: Verdict, open_question: str | None, oversold: Verdict | None) -> Verdict:
    if oversold is not None and verdict.check == oversold.check:
        return oversold
    if verdict.check not in NEEDS_NO_TICKETS:
        return unknown(verdict.check, NO_LEDGER)
    if verdict.check == _STRICT and open_question:
        return unknown(verdict.check, open_question)
    return verdict


def _left_open(history: pd.DataFrame) -> str | None:
    """Why the order can not be judged without tickets, if it can not."""
    lost = int((history["outcome"] == Outcome.UNKNOWN).sum())
    sold = history["outcome"] == Outcome.SOLD
    again = history["cause"] == Cause.REPEATED
    owners = history["purchase_id"]
    earlier = int((sold & again & ~owners.isin(owners[sold & ~again])).sum()) if again.any() else 0
    if lost:
        return f"{NO_LEDGER}, and of {lost:,} rows the outcome is unknown"
    if earlier:
        return f"{NO_LEDGER}, and {earlier:,} rows tell of an earlier purchase that is not there"
    if history.loc[sold & ~again, "quantity"].sum() > MOST_TICKETS:
        return f"{NO_LEDGER}, and more than {MOST_TICKETS:,} were sold"
    return None


def _as_told(foreign: Foreign) -> Ledger:
    """The ledger that would be left if all that was told is so."""
    history, first = foreign.history, foreign.history["cause"] != Cause.REPEATED
    given_back = history.loc[(history["outcome"] == Outcome.REFUNDED) & first, "purchase_id"]
    sales = history[(history["outcome"] == Outcome.SOLD) & first]
    if len(given_back):
        sales = sales[~sales["purchase_id"].isin(given_back)]
    rows = np.repeat(np.arange(len(sales)), sales["quantity"])
    tickets = sales[["event", "purchase_id"]].iloc[rows].reset_index(drop=True)
    return replace(foreign.ledger, tickets=tickets.assign(ticket=NOT_SEEN).astype(TICKET_COLUMNS))


def _in_its_words(verdict: Verdict, foreign: Foreign) -> Verdict:
    summary = _EVENT.sub(lambda found: f"event {foreign.events[int(found[1])]}", verdict.summary)
    return replace(verdict, summary=summary, evidence=tuple(_named(row, foreign) for row in verdict.evidence))


def _named(row: Mapping[str, Any], foreign: Foreign) -> dict[str, Any]:
    """A row of evidence with the names of the file; a number that is its own name stays one."""
    named = dict(row)
    for column, names in (("event", foreign.events), ("buyer", foreign.buyers)):
        if column in named and not names.as_they_were:
            named[column] = names[named[column]]
    if "purchase_id" in named:
        named["purchase_id"] = foreign.ids.text_of(named["purchase_id"])
    return named
