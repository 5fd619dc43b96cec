"""Finds an oversell from the answers alone: at one time the buyers owned more tickets of an event than it has seats.

In: the answers of a case, and the seats of its events. Out: a verdict, or None where the answers show no such thing.
Does not depend on the tickets of the ledger: they may be lost, deleted since, or unknown.

Definition. An answer "sold" surely gave its id the tickets by the time it completed, whether the call made the sale or
confirmed it. The id owns them until the first call of a refund that can take effect after that sale; if there is none,
it owns them to the end. An answer that reports an earlier call is left out.

Idea. Each answer is a span of time in which its tickets are surely owned. Spans of one id and event are not summed:
each ends when the next one begins. More tickets than seats in the spans that cover one moment are an oversell, in
every order of the operations.

Cost: one sum for each event; n log n for those of which more tickets were answered as sold than there are seats.

Example. One seat. Purchase 1 is called at 0 and answered "sold" at 10, purchase 2 is called at 5 and answered "sold" at
20, a refund of purchase 1 is called at 30: at 20 both own a ticket. Were the refund called at 15, it could come before
the second sale, and nothing would be wrong.
"""

import numpy as np
import pandas as pd

from ticketlab.checks.verdict import Anomaly, Verdict, invalid
from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, verb


def oversold_by_answers(case: IndexedHistory, name: str) -> Verdict | None:
    """The oversell that the answers show, as a verdict of the check `name`; its evidence is the sale beyond the seats.

    A reported stock below 0 is one too.
    """
    below = (case.available < 0) & (case.available != NOT_SEEN)
    if below.any():
        row = np.flatnonzero(below)[:1]
        text = f"event {case.event[row[0]]}: an answer reported a stock of {case.available[row[0]]:,}"
        return invalid(name, text, case.rows(row), Anomaly.OVERSELL)
    rows = np.flatnonzero(_of_too_many(case))
    beyond = _first_beyond(case, rows, _owned_until(case, rows)) if len(rows) else None
    if beyond is None:
        return None
    last, owned = beyond
    event = int(case.event[last])
    seats = counted(int(_seats(case)[event]), "seat")
    tickets = f"{counted(owned, 'ticket')} of {seats} {verb(owned, 'was')} owned"
    text = f"event {event}: by the answers {tickets} at one time"
    return invalid(name, text, case.rows(np.array([last])), Anomaly.OVERSELL)


def _seats(case: IndexedHistory) -> Integers:
    """By event its seats; of an event that the ledger does not have there is no limit."""
    seats = np.full(case.events, NEVER)
    seats[case.ledger.events["event"].to_numpy()] = case.ledger.events["total"].to_numpy()
    return seats


def _of_too_many(case: IndexedHistory) -> Mask:
    """Sales of events of which more tickets were answered as sold than there are seats, at whatever time."""
    sold = case.sold & ~case.repeated
    answered = np.bincount(case.event[sold], weights=case.quantity[sold], minlength=case.events)
    too_many: Mask = sold & (answered > _seats(case))[case.event]
    return too_many


def _owned_until(case: IndexedHistory, rows: Integers) -> Integers:
    """Of each of these sales the first moment at which its tickets may have gone back, or NEVER."""
    until = np.full(len(rows), NEVER)
    back = np.flatnonzero((case.refunded | case.perhaps_refunded) & case.leads)
    if not len(back):
        return until
    sales = pd.DataFrame({"id": case.id[rows], "sale": np.arange(len(rows)), "invoked": case.invoked[rows]})
    refunds = pd.DataFrame({"id": case.id[back], "called": case.invoked[back], "latest": case.latest[back]})
    pairs = sales.merge(refunds, on="id")
    after = pairs[pairs["latest"] >= pairs["invoked"]]
    np.minimum.at(until, after["sale"].to_numpy(), after["called"].to_numpy())
    return until


def _first_beyond(case: IndexedHistory, rows: Integers, until: Integers) -> tuple[int, int] | None:
    """The first of these sales at whose completion more tickets were owned than there are seats, and the number owned.

    None if there is none.
    """
    spans = pd.DataFrame({"sale": rows, "id": case.id[rows], "event": case.event[rows], "begin": case.completed[rows]})
    spans["until"], spans["quantity"] = until, case.quantity[rows].astype(np.int64)
    spans = spans.sort_values("begin", kind="stable")
    following = spans.groupby(["id", "event"])["begin"].shift(-1, fill_value=NEVER)
    spans["until"] = np.minimum(spans["until"], following)
    spans = spans[spans["until"] > spans["begin"]]
    starts = spans.assign(at=spans["begin"], change=spans["quantity"])
    ends = spans.assign(at=spans["until"], change=-spans["quantity"])
    # At equal times refunds come before sales.
    changes = pd.concat([starts, ends]).sort_values(["at", "change"], kind="stable")
    owned = changes.groupby("event")["change"].cumsum()
    wrong = np.flatnonzero(owned > _seats(case)[changes["event"]])
    if not len(wrong):
        return None
    return int(changes["sale"].iloc[wrong[0]]), int(owned.iloc[wrong[0]])
