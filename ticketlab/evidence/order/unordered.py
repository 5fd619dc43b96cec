"""Histories whose sales report no version: whether some order of them explains every answer.

In: a case that is versionless as a whole. The order is then not known, and is looked for event by event. An event on
which nothing was refunded and no answer reports a stock needs no search: if each sale takes effect when it is called
and each refusal when it is answered, the stock is as low as it can be, so a refusal that finds enough seats even then
is wrong in every order. All others are given to `versionless`, and to the general search where purchases join several
events or an outcome is open.
"""

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.columns import Integers
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.order import small, versionless
from ticketlab.evidence.order.finding import Finding
from ticketlab.evidence.order.free import surely_free
from ticketlab.evidence.order.told import Told
from ticketlab.evidence.order.versionless import Item, Kind
from ticketlab.evidence.verdict import Anomaly


def refusals(told: Told) -> Finding | None:
    """A refusal while enough seats were free in every order, or answers that no order explains.

    Raises:
        Undecided: no order was found, and none was ruled out.
    """
    case = told.case
    if not case.versionless:
        return None
    refused = np.flatnonzero(case.refused)
    free = np.maximum(surely_free(case, refused), case.available[refused])
    false = refused[free >= case.quantity[refused]]
    if len(false):
        text = f"event {case.event[false[0]]}: sold out was answered while enough seats were free in every order"
        return Finding(text, [int(false[0])], Anomaly.FALSE_SOLD_OUT)
    joined = np.isin(case.operation, case.operation[~case.leads])
    matters = case.changed | case.undecided | case.refused
    reported = (case.available != NOT_SEEN) & matters
    searched = case.surely_refunded | case.undecided | case.effects.entangled | reported | (case.refused & joined)
    general = case.undecided | case.effects.entangled | (joined & matters)
    left_open: list[int] = []
    for event in np.unique(case.event[searched]).tolist():
        rows = np.flatnonzero((case.event == event) & matters)
        if general[rows].any():
            left_open.append(event)
            continue
        finding = _search(case, event, rows, int(told.total[event]))
        if finding is None:
            continue
        if finding.rows:
            return finding
        left_open.append(event)
    return small.search(case, left_open) if left_open else None


def _search(case: Case, event: int, rows: Integers, total: int) -> Finding | None:
    """None if an order was found; a finding without rows if the search gave up."""
    refunds = rows[case.refund_version[rows] != NOT_SEEN]
    versions, counts = np.unique(case.refund_version[refunds], return_counts=True)
    if (counts > 1).any():
        twice = refunds[case.refund_version[refunds] == versions[counts > 1][0]]
        text = f"event {event}: version {versions[counts > 1][0]:,} was made twice"
        return Finding(text, twice[:2].tolist(), Anomaly.LOST_UPDATE)
    answer = versionless.search(_items(case, rows), total)
    if answer.found:
        return None
    if not answer.exhausted:
        return Finding("", (), Anomaly.STALE_READ)
    stuck = np.array(sorted(answer.stuck), np.int64)
    text = f"event {event}: no order of its sales and refunds explains every answer"
    return Finding(text, stuck.tolist(), Anomaly.STALE_READ)


def _items(case: Case, rows: Integers) -> list[Item]:
    sale_of = dict(
        zip(case.id[rows][case.surely_sold[rows]].tolist(), rows[case.surely_sold[rows]].tolist(), strict=True)
    )
    return [
        Item(
            row=row,
            kind=Kind.REFUSAL if case.refused[row] else Kind.SALE if case.purchases[row] else Kind.REFUND,
            quantity=int(case.quantity[row]),
            since=int(case.since[row]),
            until=int(case.until[row]),
            stock=int(case.available[row]),
            rank=int(case.refund_version[row]),
            follows=NOT_SEEN if case.purchases[row] else sale_of.get(int(case.id[row]), NOT_SEEN),
        )
        for row in rows.tolist()
    ]
