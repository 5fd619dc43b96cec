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

from ticketlab.checks.snapshots import oversold_for_a_moment
from ticketlab.checks.verdict import Anomaly, Verdict, check, invalid, valid
from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, every, plural, verb


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
    back = np.flatnonzero((case.refunded | case.refund_unknown) & case.is_first_line)
    if not len(back):
        return until
    sales = pd.DataFrame({"id": case.id[rows], "sale": np.arange(len(rows)), "invoked": case.invoked[rows]})
    refunds = pd.DataFrame({"id": case.id[back], "called": case.invoked[back], "latest": case.completed_or_inf[back]})
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


@check
def setup_unchanged(case: IndexedHistory) -> Verdict:
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
            name, with_count(len(changed), _difference(changed.iloc[0]), "event"), changed, Anomaly.CHANGED_SETUP
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


@check
def no_oversell(case: IndexedHistory) -> Verdict:
    """Every event has at most as many tickets as seats, and its stock is what is left of them.

    The evidence of an oversell is the first sale beyond the last seat, in the order of the event's version; where
    sales carry none their order is not known, and it is that in which their buyers were told.
    """
    name = "no_oversell"
    seats = case.seats
    wrong = seats[(seats["oversold"] > 0) | (seats["available"] != seats["total"] - seats["tickets"])]
    if wrong.empty:
        seen = oversold_for_a_moment(case, name) or oversold_by_answers(case, name) or _same_ticket_again(case, name)
        if seen:
            return seen
        known = (case.ledger.events["available"] != NOT_SEEN).all()
        stock = "the stock agrees" if known else "not every stock is known"
        text = f"{_tickets_for_seats(int(seats['tickets'].sum()), int(seats['total'].sum()))}, and {stock}"
        return valid(name, text + _order_undecided(case))
    first = wrong.sort_values("oversold", ascending=False, kind="stable").head(1)
    text = with_count(len(wrong), _disagreement(first.iloc[0]), "event") + _order_undecided(case)
    beyond = _first_beyond_the_last_seat(case, first.iloc[0])
    anomaly = _stock_anomaly(first.iloc[0])
    return invalid(name, text, first if beyond.empty or anomaly is not Anomaly.OVERSELL else beyond, anomaly)


def _same_ticket_again(case: IndexedHistory, name: str) -> Verdict | None:
    """One ticket of an event that was sold more than once, where the ledger knows the ids of its tickets."""
    marks = case.ledger.tickets["ticket"].to_numpy()
    ascending = np.sort(marks[marks != NOT_SEEN])
    if not (ascending[1:] == ascending[:-1]).any():
        return None  # the usual case, in a quarter of the time; two events may number their tickets alike
    order = np.lexsort((marks, case.ticket_event))
    event, mark = case.ticket_event[order], marks[order]
    again = np.flatnonzero((event[1:] == event[:-1]) & (mark[1:] == mark[:-1]) & (mark[1:] != NOT_SEEN))
    if not len(again):
        return None
    count = len(again)
    text = f"event {event[again[0]]}: {counted(count, 'ticket')} {verb(count, 'has')} the id of another ticket"
    owners = case.ticket_id[order[again[0] : again[0] + 2]]
    bought = case.sold_certain & case.is_first_line & (case.event == event[again[0]]) & np.isin(case.id, owners)
    return invalid(name, text, case.rows(np.flatnonzero(bought)).assign(ticket=mark[again[0]]), Anomaly.OVERSELL)


def _stock_anomaly(event: "pd.Series[int]") -> Anomaly:
    """What went wrong where tickets and stock do not go together."""
    if event["oversold"] > 0:
        return Anomaly.OVERSELL
    kept = event["available"] > event["total"] - event["tickets"]
    return Anomaly.LOST_UPDATE if kept else Anomaly.UNDERSELL


def _disagreement(event: "pd.Series[int]") -> str:
    if event["oversold"] > 0:
        found = _tickets_for_seats(event["tickets"], event["total"])
        return f"event {event['event']}: {found}, {event['oversold']:,} too many"
    left = f"{counted(event['total'], 'seat')} less {counted(event['tickets'], 'ticket')}"
    return (
        f"event {event['event']}: the stock says {event['available']:,} left, but "
        f"{left} are {event['total'] - event['tickets']:,}"
    )


def _tickets_for_seats(tickets: int, seats: int) -> str:
    return f"{counted(tickets, 'ticket')} for {counted(seats, 'seat')}"


def _first_beyond_the_last_seat(case: IndexedHistory, event: "pd.Series[int]") -> pd.DataFrame:
    """Where tickets were given back meanwhile the sales alone do not show it, and there may be none."""
    rows = np.flatnonzero(case.changed_stock & (case.event == event["event"]))
    seen = (case.version[rows] != NOT_SEEN).all()
    rows = rows[np.argsort((case.version if seen else case.until)[rows], kind="stable")]
    too_many = -case.stock_delta[rows].cumsum() > event["total"]
    return case.rows(rows[too_many][:1])


@check
def sales_in_ledger(case: IndexedHistory) -> Verdict:
    """Every sale that was answered is in the ledger, for the right events and with its quantities.

    A purchase id owns its quantity once, however often it was answered "sold". What was given back, or may have been,
    need not be there. An answer that reports an earlier sale is judged like a sale: "sold" is only said of exactly what
    was asked for. Where the purchase was refunded meanwhile, it is enough that the id owns something.
    """
    name = "sales_in_ledger"
    back = _given_back_last(case)
    owed = case.sold & case.decided_alone[case.id] & ~back[case.id]
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
    back &= case.count_by_id(case.sold) > 0
    text = f"{every(count, 'sale')} {verb(count, 'is')} in the ledger in full"
    returned = int(back.sum())
    return valid(name, text + (f", but for {returned:,} that {verb(returned, 'was')} refunded" if returned else ""))


def _given_back_last(case: IndexedHistory) -> Mask:
    """By id: whether a refund of it, made or perhaps made, can be the last of its calls to take effect."""
    back = case.refunded | case.refund_unknown
    if not back.any():
        return np.zeros(case.ids, np.bool_)
    sold = case.sold & ~case.repeated
    last_sale, last_refund = np.full(case.ids, NOT_SEEN, np.int64), np.full(case.ids, NOT_SEEN, np.int64)
    np.maximum.at(last_sale, case.id[sold], case.invoked[sold])
    np.maximum.at(last_refund, case.id[back], case.completed_or_inf[back])
    given_back: Mask = case.perhaps_given_back & (last_refund >= last_sale)
    return given_back


@check
def tickets_accounted_for(case: IndexedHistory) -> Verdict:
    """Every ticket in the ledger belongs to a purchase that was sold, or whose outcome is unknown and then whole.

    Whole means: all the tickets of all its events, or none of any. A purchase that was given back owns none.
    """
    name = "tickets_accounted_for"
    nobodys = ~_has_buyer(case)
    kept = (case.count_by_id(case.refunded) > 0) & case.decided_alone & ~_bought_last(case)
    kept_tickets = kept[case.ticket_id] & ~nobodys
    alone = case.decided_alone[case.id]
    in_part = alone & case.sale_unknown & (case.owned[case.id] > 0) & (case.tickets_held != case.quantity)
    faults = []
    if nobodys.any():
        tickets, owners = int(nobodys.sum()), len(np.unique(case.ticket_id[nobodys]))
        belong = f"{counted(tickets, 'ticket')} {verb(tickets, 'belongs')} to {counted(owners, 'purchase id')}"
        faults.append(f"{belong} that no answer reports as sold")
    if kept_tickets.any():
        tickets = int(kept_tickets.sum())
        faults.append(f"{counted(tickets, 'ticket')} of refunded purchases {verb(tickets, 'is')} still there")
    if in_part.any():
        purchases = len(np.unique(case.id[in_part]))
        faults.append(f"{counted(purchases, 'purchase')} of unknown outcome {verb(purchases, 'is')} there in part")
    if not faults:
        tickets = len(case.ticket_id)
        return valid(name, f"{every(tickets, 'ticket')} {verb(tickets, 'belongs')} to the purchases of the history")
    text = "; ".join(faults)
    if nobodys.any() or kept_tickets.any():
        shown = _first_purchase(case, nobodys if nobodys.any() else kept_tickets)
        return invalid(name, text, shown, Anomaly.PHANTOM_SALE)
    rows = first_operation(case, in_part)
    return invalid(name, text, case.rows(rows).assign(tickets=case.tickets_held[rows]), Anomaly.HALF_PURCHASE)


def _bought_last(case: IndexedHistory) -> Mask:
    """By id: whether it has more sales, made or perhaps made, than refunds."""
    sales = case.count_by_id((case.sold & ~case.repeated) | case.sale_unknown)
    more: Mask = (sales > case.count_by_id(case.refunded)) & case.effects.irregular
    return more


def _has_buyer(case: IndexedHistory) -> Mask:
    """Which tickets are of an event that a purchase of their id asked for which took effect, or may have."""
    rows = case.sold_certain | (case.undecided & case.purchases)
    event = np.full(case.ids, NOT_SEEN)
    event[case.id[rows]] = case.event[rows]
    asked: Mask = event[case.ticket_id] == case.ticket_event
    others = np.flatnonzero(~asked)
    if len(others):  # of a basket only one event was looked at
        asked[others] = np.isin(case.ticket_pairs[others], case.pairs[rows])
    return asked


def _first_purchase(case: IndexedHistory, tickets: Mask) -> pd.DataFrame:
    """The purchase of the first of these tickets as the ledger has it, and what its buyer was told, if anybody."""
    first = np.flatnonzero(tickets)[0]
    rows = np.flatnonzero((case.id == case.ticket_id[first]) & (case.event == case.ticket_event[first]))
    count = int((case.ticket_pairs == case.ticket_pairs[first]).sum())
    if len(rows):
        return case.rows(rows).assign(tickets=count)
    return case.ledger.tickets[["event", "purchase_id"]].iloc[[first]].assign(tickets=count)


def first_operation(case: IndexedHistory, rows: Mask) -> Integers:
    """Of these rows those of the operation that was called first."""
    places = np.flatnonzero(rows)
    first = places[np.argmin(case.invoked[places])]
    of_it: Integers = places[case.operation[places] == case.operation[first]]
    return of_it


def operations(case: IndexedHistory, rows: Mask) -> int:
    """How many operations these rows are of."""
    return len(np.unique(case.operation[rows]))


def _order_undecided(case: IndexedHistory) -> str:
    count = case.sales_without_version
    carry = f"{counted(count, 'sale')} {verb(count, 'carries')}"
    return f"; {carry} no version, so the order is not decided" if count else ""


def with_count(count: int, first: str, noun: str) -> str:
    """The first of several, and how many more there are."""
    more = count - 1
    return f"{first} (and {more:,} more {plural(more, noun)})" if more else first
