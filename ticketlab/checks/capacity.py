"""Checks of seats and tickets: the setup, the number of tickets, sales in the ledger, and tickets without a sale.

Violations in snapshots that the lab took during the trial count too, even if they were repaired by the end.

Also finds an oversell from the answers alone (`oversold_by_answers`), when the tickets are lost, deleted or unknown:

Definitions: an answer "sold" gave its id the tickets by the time it completed, whether the call made the sale or
confirmed it. The id surely owns them until the first call of a refund that can take effect after that sale, or to the
end. An answer that reports an earlier call is left out.

Idea: each answer is a time span in which its tickets are surely owned. Spans of one id and event are not summed: each
ends when the next begins. More tickets than seats in the spans that cover one moment are an oversell in every order.

Cost: one sum for each event; O(n log n) for events with more tickets answered as sold than seats.

Example: 1 seat. Purchase 1 is called at 0 and answered "sold" at 10, purchase 2 is called at 5 and answered "sold" at
20, a refund of purchase 1 is called at 30: at 20 both own a ticket. If the refund were called at 15, it could come
before the second sale, and nothing would be wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ticketlab.checks.base import check, invalid, valid
from ticketlab.checks.verdict import Anomaly, Verdict
from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.text import counted, every, plural, verb
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.history.index import IndexedHistory


def oversold_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """INVALID if an event had more tickets than seats in a snapshot."""
    samples = _samples(case)
    wrong = samples[samples["tickets"] > samples["seats"]]
    if wrong.empty:
        return None
    first = wrong.iloc[0]
    tickets, seats = counted(first["tickets"], "ticket"), counted(first["seats"], "seat")
    text = f"{_when(first)} had {tickets} for {seats}"
    return invalid(name, text, _shown(wrong), Anomaly.OVERSELL)


def apart_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """INVALID if stock and tickets did not add up to the seats in a snapshot, though they do at the end.

    Events whose stock is wrong at the end are left out: `no_oversell` reports them. So are strategies that keep their
    stock elsewhere.
    """
    if case.ledger.facts.stock_elsewhere:
        return None
    seats = case.seats
    consistent = seats[seats["available"] == seats["total"] - seats["tickets"]]
    samples = _samples(case)
    samples = samples[samples["event"].isin(consistent["event"])]
    known = samples["available"] != NOT_SEEN
    wrong = samples[known & (samples["available"] + samples["tickets"] != samples["seats"])]
    if wrong.empty:
        return None
    first = wrong.iloc[0]
    had = f"{first['available']:,} left and {counted(first['tickets'], 'ticket')}, of {counted(first['seats'], 'seat')}"
    text = f"stock and tickets were not changed together: {_when(first)} had {had}"
    return invalid(name, text, _shown(wrong), Anomaly.HALF_PURCHASE)


def _samples(case: IndexedHistory) -> pd.DataFrame:
    samples = case.ledger.samples
    if samples is None:
        return pd.DataFrame({"at_ns": [], "event": [], "available": [], "tickets": [], "seats": []})
    seats = case.ledger.events.set_index("event")["total"]
    return samples.assign(seats=samples["event"].map(seats))


def _when(sample: pd.Series[int]) -> str:
    return f"at {sample['at_ns'] / 1e9:.3f} s event {sample['event']}"


def _shown(samples: pd.DataFrame) -> pd.DataFrame:
    """The first of these samples, with the columns of an event of the ledger and the time of the snapshot."""
    return samples.rename(columns={"seats": "total"})[["event", "total", "tickets", "available", "at_ns"]].head(1)


def oversold_by_answers(case: IndexedHistory, name: str) -> Verdict | None:
    """INVALID for the check `name` if the answers show an oversell; its evidence is the first sale beyond the seats.

    A reported stock below 0 is an oversell too.
    """
    below = (case.available < 0) & (case.available != NOT_SEEN)
    if below.any():
        row = np.flatnonzero(below)[:1]
        text = f"event {case.event[row[0]]}: an answer reported a stock of {case.available[row[0]]:,}"
        return invalid(name, text, case.rows(row), Anomaly.OVERSELL)
    seats = case.of_events("total", default=NEVER)  # no limit for an event that the ledger lacks
    sold = case.sold & ~case.repeated
    answered = np.bincount(case.event[sold], weights=case.quantity[sold], minlength=case.events)
    rows = np.flatnonzero(sold & (answered > seats)[case.event])
    beyond = _first_beyond(case, seats, rows, _owned_until(case, rows)) if len(rows) else None
    if beyond is None:
        return None
    last, owned = beyond
    event = int(case.event[last])
    tickets = f"{counted(owned, 'ticket')} for {counted(int(seats[event]), 'seat')}"
    text = f"event {event}: by the answers, buyers owned {tickets} at one time"
    return invalid(name, text, case.rows(np.array([last])), Anomaly.OVERSELL)


def _owned_until(case: IndexedHistory, rows: Integers) -> Integers:
    """For each of these sales the first moment at which its tickets may be refunded, or NEVER."""
    until = np.full(len(rows), NEVER)
    back = np.flatnonzero((case.refunded | case.refund_unknown) & case.is_first_line)
    if not len(back):
        return until
    sales = pd.DataFrame({"id": case.id[rows], "sale": np.arange(len(rows)), "invoked": case.invoked[rows]})
    refunds = pd.DataFrame({"id": case.id[back], "called": case.invoked[back], "latest": case.completed_or_inf[back]})
    pairs = sales.merge(refunds, on="id")
    after = pairs[pairs["latest"] >= pairs["invoked"]]
    np.minimum.at(until, after["sale"].to_numpy(), after["called"].to_numpy())
    return until


def _first_beyond(case: IndexedHistory, seats: Integers, rows: Integers, until: Integers) -> tuple[int, int] | None:
    """The first of these sales after which more tickets were owned than there are seats, and their number; or None."""
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
    wrong = np.flatnonzero(owned > seats[changes["event"]])
    if not len(wrong):
        return None
    return int(changes["sale"].iloc[wrong[0]]), int(owned.iloc[wrong[0]])


@check
def setup_unchanged(case: IndexedHistory) -> Verdict:
    """The events and their seats are still those that the lab put on sale.

    The seats are known from the plan of the trial. So a purchase function that raises `total_tickets` or adds an event,
    or a schema that creates too many seats, cannot hide an oversell.
    """
    name = "setup_unchanged"
    facts, events = case.ledger.facts, case.ledger.events
    if facts.seats is None:
        return valid(name, "not checked: the number of seats came with the history")
    changed = events[events["total_found"] != events["total"]]
    if not changed.empty:
        text = with_count(len(changed), _difference(changed.iloc[0]), "event")
        return invalid(name, text, changed, Anomaly.CHANGED_SETUP)
    if facts.events_added:
        text = f"the tables hold {counted(facts.events_added, 'event')} that the lab did not create"
        return invalid(name, text, events.head(0), Anomaly.CHANGED_SETUP)
    seats = sum(facts.seats)
    events_have = f"{every(len(events), 'event')} {verb(len(events), 'has')}"
    return valid(name, f"{events_have} the seats that were put on sale, {seats:,} in all")


def _difference(event: pd.Series[int]) -> str:
    seats = int(event["total"])
    put = f"event {event['event']}: {counted(seats, 'seat')} {verb(seats, 'was')} put on sale"
    if event["total_found"] == NOT_SEEN:
        return f"{put}, and the event is gone"
    return f"{put}, and the database says {event['total_found']:,}"


@check
def no_oversell(case: IndexedHistory) -> Verdict:
    """Every event has at most as many tickets as seats, and its stock is what is left of them.

    The evidence of an oversell is the first sale beyond the last seat, in the order of versions, or of answers if sales
    carry no version.
    """
    name = "no_oversell"
    seats = case.seats
    wrong = seats[(seats["oversold"] > 0) | (seats["available"] != seats["total"] - seats["tickets"])]
    if wrong.empty:
        found = oversold_for_a_moment(case, name) or oversold_by_answers(case, name) or _duplicate_ticket(case, name)
        if found:
            return found
        known = (case.ledger.events["available"] != NOT_SEEN).all()
        stock = "the stock agrees" if known else "not every stock is known"
        text = f"{_tickets_for_seats(int(seats['tickets'].sum()), int(seats['total'].sum()))}, and {stock}"
        return valid(name, text + _order_undecided(case))
    first = wrong.sort_values("oversold", ascending=False, kind="stable").head(1)
    text = with_count(len(wrong), _disagreement(first.iloc[0]), "event") + _order_undecided(case)
    beyond = _first_beyond_the_last_seat(case, first.iloc[0])
    anomaly = _stock_anomaly(first.iloc[0])
    return invalid(name, text, first if beyond.empty or anomaly is not Anomaly.OVERSELL else beyond, anomaly)


def _duplicate_ticket(case: IndexedHistory, name: str) -> Verdict | None:
    """A ticket of an event that was sold more than once, if the ledger has the ids of its tickets."""
    tickets = case.ledger.tickets["ticket"].to_numpy()
    ascending = np.sort(tickets[tickets != NOT_SEEN])
    if not (ascending[1:] == ascending[:-1]).any():
        return None  # the usual case, four times as fast; beyond it, two events may number their tickets alike
    order = np.lexsort((tickets, case.ticket_event))
    event, ticket = case.ticket_event[order], tickets[order]
    again = np.flatnonzero((event[1:] == event[:-1]) & (ticket[1:] == ticket[:-1]) & (ticket[1:] != NOT_SEEN))
    if not len(again):
        return None
    count, first = len(again), again[0]
    text = f"event {event[first]}: {counted(count, 'ticket')} {verb(count, 'has')} the id of another ticket"
    owners = case.ticket_id[order[first : first + 2]]
    bought = case.sold_certain & case.is_first_line & (case.event == event[first]) & np.isin(case.id, owners)
    return invalid(name, text, case.rows(np.flatnonzero(bought)).assign(ticket=ticket[first]), Anomaly.OVERSELL)


def _stock_anomaly(event: pd.Series[int]) -> Anomaly:
    if event["oversold"] > 0:
        return Anomaly.OVERSELL
    too_high = event["available"] > event["total"] - event["tickets"]
    return Anomaly.LOST_UPDATE if too_high else Anomaly.UNDERSELL


def _disagreement(event: pd.Series[int]) -> str:
    if event["oversold"] > 0:
        found = _tickets_for_seats(event["tickets"], event["total"])
        return f"event {event['event']}: {found}, {event['oversold']:,} too many"
    left = f"{counted(event['total'], 'seat')} minus {counted(event['tickets'], 'ticket')}"
    stock = f"event {event['event']}: the stock is {event['available']:,}"
    return f"{stock}, but {left} leave {event['total'] - event['tickets']:,}"


def _tickets_for_seats(tickets: int, seats: int) -> str:
    return f"{counted(tickets, 'ticket')} for {counted(seats, 'seat')}"


def _first_beyond_the_last_seat(case: IndexedHistory, event: pd.Series[int]) -> pd.DataFrame:
    """The first sale beyond the seats; none where refunds in between hide it."""
    rows = np.flatnonzero(case.changed_stock & (case.event == event["event"]))
    has_versions = (case.version[rows] != NOT_SEEN).all()
    rows = rows[np.argsort((case.version if has_versions else case.until)[rows], kind="stable")]
    too_many = -case.stock_delta[rows].cumsum() > event["total"]
    return case.rows(rows[too_many][:1])


@check
def sales_in_ledger(case: IndexedHistory) -> Verdict:
    """Every sale that was answered is in the ledger, for the right events and with its quantities.

    A purchase id owns its quantity once, however often it was answered "sold". A purchase that was or may have been
    refunded need not be there. An answer that reports an earlier sale is judged like a sale; if the purchase was
    refunded in between, it is enough that the id owns something.
    """
    name = "sales_in_ledger"
    refunded = _refunded_last(case)
    owed = case.sold & case.decided_alone[case.id] & ~refunded[case.id]
    own_sale = case.sold_certain | ~case.perhaps_given_back[case.id]
    wrong = owed & np.where(own_sale, case.tickets_held != case.quantity, case.owned[case.id] == 0)
    count = int((case.sold & case.is_first_line).sum())
    if wrong.any():
        missing = operations(case, wrong)
        text = f"{missing:,} of {counted(count, 'sale')} {verb(missing, 'is')} not in the ledger as answered"
        fewer = wrong & (case.tickets_held < case.quantity)
        rows = first_operation(case, fewer if fewer.any() else wrong)
        shown = case.rows(rows).assign(tickets=case.tickets_held[rows])
        return invalid(name, text, shown, Anomaly.LOST_SALE if fewer.any() else Anomaly.DOUBLE_SALE)
    returned = int((refunded & (case.count_by_id(case.sold) > 0)).sum())
    text = f"{every(count, 'sale')} {verb(count, 'is')} in the ledger in full"
    return valid(name, text + (f", except {returned:,} that {verb(returned, 'was')} refunded" if returned else ""))


def _refunded_last(case: IndexedHistory) -> Mask:
    """By id: whether a refund, certain or possible, can be the last of its calls to take effect."""
    refunds = case.refunded | case.refund_unknown
    if not refunds.any():
        return np.zeros(case.ids, np.bool_)
    sold = case.sold & ~case.repeated
    last_sale, last_refund = np.full(case.ids, NOT_SEEN, np.int64), np.full(case.ids, NOT_SEEN, np.int64)
    np.maximum.at(last_sale, case.id[sold], case.invoked[sold])
    np.maximum.at(last_refund, case.id[refunds], case.completed_or_inf[refunds])
    refunded: Mask = case.perhaps_given_back & (last_refund >= last_sale)
    return refunded


@check
def tickets_accounted_for(case: IndexedHistory) -> Verdict:
    """Every ticket in the ledger belongs to a purchase that was sold, or to a whole purchase of unknown outcome.

    Whole means all the tickets of all its events, or none of any. A refunded purchase owns none.
    """
    name = "tickets_accounted_for"
    unsold = ~_has_sale(case)
    refunded = (case.count_by_id(case.refunded) > 0) & case.decided_alone & ~_has_more_sales(case)
    kept = refunded[case.ticket_id] & ~unsold
    alone = case.decided_alone[case.id]
    partial = alone & case.sale_unknown & (case.owned[case.id] > 0) & (case.tickets_held != case.quantity)
    texts = []
    if unsold.any():
        tickets, owners = int(unsold.sum()), len(np.unique(case.ticket_id[unsold]))
        belong = f"{counted(tickets, 'ticket')} {verb(tickets, 'belongs')} to {counted(owners, 'purchase id')}"
        texts.append(f"{belong} that no answer reports as sold")
    if kept.any():
        tickets = int(kept.sum())
        texts.append(f"{counted(tickets, 'ticket')} of refunded purchases {verb(tickets, 'is')} still in the ledger")
    if partial.any():
        purchases = len(np.unique(case.id[partial]))
        texts.append(f"{counted(purchases, 'purchase')} of unknown outcome {verb(purchases, 'is')} partial")
    if not texts:
        tickets = len(case.ticket_id)
        return valid(name, f"{every(tickets, 'ticket')} {verb(tickets, 'belongs')} to the purchases of the history")
    text = "; ".join(texts)
    if unsold.any() or kept.any():
        return invalid(name, text, _first_purchase(case, unsold if unsold.any() else kept), Anomaly.PHANTOM_SALE)
    rows = first_operation(case, partial)
    return invalid(name, text, case.rows(rows).assign(tickets=case.tickets_held[rows]), Anomaly.HALF_PURCHASE)


def _has_more_sales(case: IndexedHistory) -> Mask:
    """By id: whether it has more sales, certain or possible, than refunds."""
    sales = case.count_by_id((case.sold & ~case.repeated) | case.sale_unknown)
    more: Mask = (sales > case.count_by_id(case.refunded)) & case.effects.irregular
    return more


def _has_sale(case: IndexedHistory) -> Mask:
    """Mask of tickets with a purchase of their id and event that took effect or may have."""
    rows = case.sold_certain | (case.undecided & case.purchases)
    event = np.full(case.ids, NOT_SEEN)
    event[case.id[rows]] = case.event[rows]
    has_sale: Mask = event[case.ticket_id] == case.ticket_event
    others = np.flatnonzero(~has_sale)
    if len(others):  # the fast comparison knows one event of each basket
        has_sale[others] = np.isin(case.ticket_pairs[others], case.pairs[rows])
    return has_sale


def _first_purchase(case: IndexedHistory, tickets: Mask) -> pd.DataFrame:
    """The purchase of the first of these tickets: its rows in the history, or what the ledger has."""
    first = np.flatnonzero(tickets)[0]
    rows = np.flatnonzero((case.id == case.ticket_id[first]) & (case.event == case.ticket_event[first]))
    count = int((case.ticket_pairs == case.ticket_pairs[first]).sum())
    if len(rows):
        return case.rows(rows).assign(tickets=count)
    return case.ledger.tickets[["event", "purchase_id"]].iloc[[first]].assign(tickets=count)


def first_operation(case: IndexedHistory, rows: Mask) -> Integers:
    """Those of these rows that belong to the operation that was called first."""
    places = np.flatnonzero(rows)
    first = places[np.argmin(case.invoked[places])]
    of_it: Integers = places[case.operation[places] == case.operation[first]]
    return of_it


def operations(case: IndexedHistory, rows: Mask) -> int:
    """The number of operations with any of these rows."""
    return len(np.unique(case.operation[rows]))


def _order_undecided(case: IndexedHistory) -> str:
    count = case.sales_without_version
    carry = f"{counted(count, 'sale')} {verb(count, 'carries')}"
    return f"; {carry} no version, so the order is not decided" if count else ""


def with_count(count: int, first: str, noun: str) -> str:
    """The first of several, with the number of the others: "event 3 is full (and 2 more events)"."""
    more = count - 1
    return f"{first} (and {more:,} more {plural(more, noun)})" if more else first
