"""Checks of whole purchases: made once, complete, and still in the ledger after a crash. Pure: opens no connection."""

import numpy as np

from ticketlab.checks.capacity import first_operation, operations
from ticketlab.checks.snapshots import apart_for_a_moment
from ticketlab.checks.verdict import Anomaly, Verdict, check, invalid, valid
from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.text import counted, every, verb


@check
def exactly_once(case: IndexedHistory) -> Verdict:
    """A purchase id owns exactly its quantity of tickets or none, however often its call was repeated.

    If the strategy is declared idempotent, a repeated call must not be refused while the id owns its tickets.
    """
    name = "exactly_once"
    may_own = _may_own(case)
    wrong = may_own & (case.owned[case.id] > 0) & (case.tickets_held != case.quantity)
    twice = _sold_twice(case)
    refused = _refused_though_owned(case)
    if refused.any() and not (wrong.any() or twice.any()):
        count = operations(case, refused)
        calls_were = f"{counted(count, 'repeated call')} {verb(count, 'was')}"
        text = f"{calls_were} answered sold out, though the purchase id owned its tickets"
        first = first_operation(case, refused)
        calls = np.flatnonzero((case.id == case.id[first[0]]) & (case.sold_certain | refused))
        return invalid(name, text, case.rows(calls).assign(tickets=case.tickets_held[calls]), Anomaly.FALSE_SOLD_OUT)
    if not (wrong.any() or twice.any()):
        count = int((case.owned > 0).sum())
        ids_own = f"{every(count, 'purchase id')} in the ledger {verb(count, 'owns')}"
        return valid(name, f"{ids_own} what was bought, once")
    more = wrong & (case.tickets_held > case.quantity)
    rows = first_operation(case, more if more.any() else wrong if wrong.any() else twice)
    if not wrong.any():
        rows = np.flatnonzero(twice & (case.id == case.id[rows[0]]))
        count = len(np.unique(case.id[twice]))
        text = f"{counted(count, 'purchase id')} {verb(count, 'was')} sold to more than once"
    else:
        count = operations(case, wrong)
        text = f"{counted(count, 'purchase')} {verb(count, 'owns')} another number of tickets than was asked for"
    shown = case.rows(rows).assign(tickets=case.tickets_held[rows])
    half = wrong.any() and not more.any()
    return invalid(name, text, shown, Anomaly.HALF_PURCHASE if half else Anomaly.DOUBLE_SALE)


def _may_own(case: IndexedHistory) -> Mask:
    """Purchases whose quantity the tickets of their id must match: those that took effect or may have."""
    certain = case.sold & (~case.repeated | case.sold_certain)
    rows: Mask = (certain | case.sale_unknown) & case.decided_alone[case.id]
    return rows


def _sold_twice(case: IndexedHistory) -> Mask:
    """Sales of an id that was sold several times without as many refunds in between."""
    sold = case.sold & ~case.repeated
    if not case.effects.impossible.any():
        return np.zeros(len(case), np.bool_)
    sales, refunds = case.count_by_id(sold), case.count_by_id(case.refunded | case.refund_unknown)
    return sold & ((sales > refunds + 1) & case.effects.impossible)[case.id]


def _refused_though_owned(case: IndexedHistory) -> Mask:
    """Refusals of ids that had bought the same tickets before and were not refunded."""
    rows = case.refused & case.effects.irregular[case.id]
    if not (case.ledger.facts.idempotent and rows.any()):
        return np.zeros(len(case), np.bool_)
    sales = np.flatnonzero(case.sold_certain & ~case.perhaps_given_back[case.id])
    asked = zip(case.pairs[sales].tolist(), case.quantity[sales].tolist(), strict=True)
    bought = dict(zip(asked, case.until[sales].tolist(), strict=True))
    wrong = np.zeros(len(case), np.bool_)
    for row in np.flatnonzero(rows).tolist():
        bought_by = bought.get((int(case.pairs[row]), int(case.quantity[row])), NEVER)
        wrong[row] = bought_by < case.invoked[row]
    return wrong


@check
def atomic(case: IndexedHistory) -> Verdict:
    """No purchase is partial: it has all tickets of all its events or none, and no stock is taken without a ticket."""
    name = "atomic"
    may_own = _judged_purchases(case)
    partial = may_own & (case.owned[case.id] > 0) & (case.tickets_held < case.quantity)
    if partial.any():
        rows = first_operation(case, may_own & np.isin(case.operation, case.operation[partial]))
        count = operations(case, partial)
        text = f"{counted(count, 'purchase')} {verb(count, 'is')} partial"
        return invalid(name, text, case.rows(rows).assign(tickets=case.tickets_held[rows]), Anomaly.HALF_PURCHASE)
    seats = case.seats
    missing = seats["total"] - seats["tickets"] - seats["available"]
    if (missing > 0).any():
        event = seats[missing > 0].head(1)
        count = int(missing[missing > 0].iloc[0])
        seats_were = f"event {event['event'].iloc[0]}: {counted(count, 'seat')} {verb(count, 'was')}"
        text = f"{seats_were} taken from the stock without a ticket"
        return invalid(name, text, event, Anomaly.HALF_PURCHASE)
    if inconsistent := apart_for_a_moment(case, name):
        return inconsistent
    count = int((case.owned > 0).sum())
    purchases_are = f"{every(count, 'purchase')} in the ledger {verb(count, 'is')}"
    return valid(name, f"{purchases_are} whole, in stock and tickets")


def _judged_purchases(case: IndexedHistory) -> Mask:
    """For each id the purchase whose quantities its tickets must match, also if it was answered as failed.

    Refused purchases are left out: a refused basket has rows only for the events that refused it.
    """
    others = case.purchases & ~case.sold & ~case.refused & ~case.sale_unknown
    alone: Mask = (
        others & ((case.count_by_id(case.sold | case.sale_unknown) == 0) & (case.count_by_id(others) == 1))[case.id]
    )
    return _may_own(case) | alone


@check
def durable(case: IndexedHistory) -> Verdict:
    """Every sale and refund that was answered before the server crashed is in the ledger after it."""
    name = "durable"
    crashes = case.ledger.crashes_ns
    if not crashes:
        return valid(name, "not tested: the server was not crashed")
    before = case.completed <= max(crashes)
    refunded = (case.count_by_id(case.refunded_certain | case.refund_unknown) > 0)[case.id]
    sold = case.sold & ~case.repeated
    lost = before & sold & ~refunded & (case.tickets_held < case.quantity)
    undone = before & case.refunded & (case.owned[case.id] > 0) & ~case.effects.irregular[case.id]
    answered = int((before & (sold | case.refunded) & case.is_first_line).sum())
    wrong = lost | undone
    if wrong.any():
        count = operations(case, wrong)
        answers = f"{count:,} of {answered:,} sales and refunds answered before the crash"
        text = f"{answers} {verb(count, 'was')} missing after it"
        rows = _latest_operation(case, wrong)
        return invalid(name, text, case.rows(rows).assign(tickets=case.tickets_held[rows]), Anomaly.LOST_SALE)
    what = "the only sale or refund" if answered == 1 else f"all {answered:,} sales and refunds"
    return valid(name, f"{what} answered before the crash {verb(answered, 'was')} in the ledger after it")


def _latest_operation(case: IndexedHistory, rows: Mask) -> Integers:
    """The operation that was answered last before the crash: what a lost disk write affects first."""
    places = np.flatnonzero(rows)
    last = places[np.argmax(case.completed[places])]
    of_it: Integers = places[case.operation[places] == case.operation[last]]
    return of_it
