"""Checks of whole purchases: made once, complete, answered with their own tickets, and not lost in a crash.

Pure: opens no connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ticketlab.checks.base import check, invalid, valid
from ticketlab.checks.capacity import apart_for_a_moment, first_operation, operations
from ticketlab.checks.verdict import Anomaly, Verdict
from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.text import counted, every, verb
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.history.index import IndexedHistory


@check
def answers_match_tickets(case: IndexedHistory) -> Verdict:
    """The tickets in each answer are those that the purchase owns in the ledger.

    An answer "sold" with tickets has as many as were bought, and each names its purchase and event. If the ledger has
    the ids of its tickets, those in the answer are the same, by digest. An answer that reports an earlier purchase has
    the tickets of that one.

    Not compared with the ledger: purchases that were or may have been refunded. Purchases that the ledger lacks, or has
    with another quantity, are left to `sales_in_ledger` and `exactly_once`.
    """
    name = "answers_match_tickets"
    handed = _Handed(case)
    if not handed.rows.any():
        return valid(name, "not checked: no answer carried tickets")
    count = int((handed.rows & case.is_first_line).sum())
    violations = {carried: rows for carried, rows in handed.violations() if rows.any()}
    if not violations:
        ids = "" if handed.ids_known else "; the ledger has no ticket ids to compare"
        answers = f"{every(count, 'answer')} with tickets {verb(count, 'carries')}"
        return valid(name, f"{answers} those of the purchase{ids}")
    texts = [_text(operations(case, rows), count, carried) for carried, rows in violations.items()]
    rows = first_operation(case, np.logical_or.reduce(list(violations.values())))
    shown = case.rows(rows).assign(tickets=case.tickets_held[rows], in_answer=handed.tickets[rows])
    return invalid(name, "; ".join(texts), shown, Anomaly.WRONG_TICKETS)


def _text(found: int, count: int, carried: str) -> str:
    return f"{found:,} of {counted(count, 'answer')} {verb(found, 'carries')} {carried}"


class _Handed:
    """The tickets in the answers of a history, compared with those of the ledger."""

    def __init__(self, case: IndexedHistory) -> None:
        self.case = case
        self.tickets: Integers = case.history["handed"].to_numpy()
        """For each row the number of tickets in its answer."""
        self.rows = self._rows()
        """Rows of answers "sold" with tickets: all rows of a basket."""
        self._ticket_ids: Integers = case.ledger.tickets["ticket"].to_numpy()
        self.ids_known = bool((self._ticket_ids != NOT_SEEN).all())

    def _rows(self) -> Mask:
        case = self.case
        carried: Mask = case.sold & (self.tickets > 0)
        if carried.any() and not case.is_first_line.all():
            carries = np.bincount(case.operation[carried], minlength=int(case.operation[-1]) + 1) > 0
            carried = carries[case.operation]
        return carried

    def violations(self) -> Iterator[tuple[str, Mask]]:
        """Each kind of wrong answer, in words, with its rows; no row has two kinds."""
        elsewhere = self.rows & (self.case.history["handed_elsewhere"].to_numpy() > 0)
        number = self.rows & ~elsewhere & self._another_number()
        others = self.rows & ~number & self._other_tickets()
        of_another = self._owned_by_another(others)
        yield "tickets that belong to another purchase", of_another
        yield "tickets that name another purchase or another event", elsewhere & ~of_another
        others &= ~of_another & ~elsewhere
        single = others & (self.tickets == 1)  # of several tickets only some may be missing
        yield "tickets that do not exist in the ledger", single
        yield "tickets that are not those of the purchase in the ledger", others & ~single
        yield "another number of tickets than were bought", number

    def _kept(self) -> Mask:
        """Rows whose id has tickets in the ledger and no refund."""
        case = self.case
        of_rows: Mask = ((case.owned > 0) & ~case.perhaps_given_back)[case.id]
        return of_rows

    def _another_number(self) -> Mask:
        case = self.case
        wrong: Mask = ~case.repeated & (self.tickets != case.quantity)
        if (self.rows & case.repeated).any():
            wrong |= case.repeated & self._kept() & (self.tickets != case.tickets_held)
        return wrong

    def _other_tickets(self) -> Mask:
        """Rows with as many tickets as their purchase owns of the event, but different ones."""
        case = self.case
        if not self.ids_known:
            return np.zeros(len(case), np.bool_)
        others: Mask = case.history["handed_digest"].to_numpy() != self._owned_digests()
        others &= (self.tickets > 0) & (self.tickets == case.tickets_held) & self._kept()
        return others

    def _owned_digests(self) -> Integers:
        """For each row the digest of the tickets that its id owns of its event; arbitrary if it owns none."""
        case = self.case
        sums = np.zeros(case.ids, np.int64)
        np.add.at(sums, case.ticket_id, self._ticket_ids)
        owned: Integers = sums[case.id]
        several = np.flatnonzero(case.owned[case.id] != case.tickets_held)
        if len(several):  # ids with tickets of several events
            pairs, digests = self._by_pair()
            place = np.minimum(np.searchsorted(pairs, case.pairs[several]), len(pairs) - 1)
            owned[several] = digests[place]
        return owned

    def _by_pair(self) -> tuple[Integers, Integers]:
        """Each pair of id and event in the ledger as one number, sorted, and the digest of its tickets."""
        order = np.argsort(self.case.ticket_pairs, kind="stable")
        pairs = self.case.ticket_pairs[order]
        starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1]))[: len(pairs)]
        return pairs[starts], np.add.reduceat(self._ticket_ids[order], starts) if len(starts) else self._ticket_ids

    def _owned_by_another(self, rows: Mask) -> Mask:
        """Mask of those of these rows with exactly the tickets of another purchase, or a single one of another."""
        of_another = np.zeros(len(rows), np.bool_)
        places = np.flatnonzero(rows)
        if len(places):
            digests = self.case.history["handed_digest"].to_numpy()[places]
            single = (self.tickets[places] == 1) & _are_among(digests, self._ticket_ids)
            of_another[places] = single | _are_among(digests, self._by_pair()[1])
        return of_another


def _are_among(some: Integers, others: Integers) -> Mask:
    """Like `numpy.isin`, by sorting: `numpy.isin` hashes, and digests collide in its table."""
    if not len(others):
        return np.zeros(len(some), np.bool_)
    ascending = np.sort(others)
    place = np.minimum(np.searchsorted(ascending, some), len(ascending) - 1)
    among: Mask = ascending[place] == some
    return among


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
