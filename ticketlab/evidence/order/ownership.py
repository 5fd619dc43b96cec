"""Refunds give back what was bought: the same tickets, once, and afterwards."""

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.columns import Integers, Mask
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.order.finding import Finding
from ticketlab.evidence.order.told import Told
from ticketlab.evidence.verdict import Anomaly


def refunds(told: Told) -> Finding | None:
    """A refund of what was not bought, of another number of tickets, before it was bought, or once more."""
    case = told.case
    rows = np.flatnonzero(case.refunded)
    if not len(rows):
        return None
    sale = _sale_of(case, rows)
    flaws = (
        (sale < 0, "was given back, and nobody had bought it", Anomaly.PHANTOM_SALE),
        (_other_tickets(case, rows, sale), "was given back with another number of tickets", Anomaly.HALF_PURCHASE),
        (_too_early(case, rows, sale), "was given back before it was bought", Anomaly.DIRTY_READ),
        (_once_more(case, rows), "was given back twice", Anomaly.DOUBLE_REFUND),
    )
    for wrong, text, anomaly in flaws:
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            shown = np.flatnonzero(
                (case.id == case.id[rows[place]]) & (case.surely_sold | case.refunded | case.undecided)
            )
            return Finding(f"event {case.event[rows[place]]}: a purchase {text}", shown.tolist(), anomaly)
    return None


def _sale_of(case: Case, rows: Integers) -> Integers:
    """The row of the sale of the same id and event, or -1."""
    sales = np.flatnonzero(case.surely_sold | (case.undecided & case.purchases))
    if not len(sales):
        return np.full(len(rows), -1)
    sales = sales[np.argsort(case.pairs[sales], kind="stable")]
    keys = case.pairs[sales]
    place = np.minimum(np.searchsorted(keys, case.pairs[rows]), len(keys) - 1)
    return np.where(keys[place] == case.pairs[rows], sales[place], -1)


def _other_tickets(case: Case, rows: Integers, sale: Integers) -> Mask:
    lines = np.bincount(case.operation)[case.operation]
    wanted = np.abs(case.change)
    other: Mask = (sale >= 0) & ((wanted[rows] != wanted[sale]) | (lines[rows] != lines[sale]))
    return other


def _too_early(case: Case, rows: Integers, sale: Integers) -> Mask:
    both = (case.version[rows] != NOT_SEEN) & (case.version[sale] != NOT_SEEN) & ~case.unordered[case.event[rows]]
    by_version = both & (case.version[rows] < case.version[sale])
    early: Mask = (sale >= 0) & (by_version | (case.latest[rows] < case.invoked[sale]))
    return early


def _once_more(case: Case, rows: Integers) -> Mask:
    sales = case.per_id(case.surely_sold | (case.undecided & case.purchases))
    again: Mask = (case.per_id(case.refunded) > sales)[case.id[rows]]
    return again
