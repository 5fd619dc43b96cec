"""The check that the tickets in each answer are those of the purchase. Pure: opens no connection."""

from collections.abc import Iterator

import numpy as np

from ticketlab.checks.capacity import first_operation, operations
from ticketlab.checks.verdict import Anomaly, Verdict, check, invalid, valid
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, every, verb


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
