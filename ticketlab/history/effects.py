"""Which operations took effect: decided for each purchase id from its own answers and from what it owns at the end.

In: the columns of a history, and the tickets of its ledger. Out: masks over the rows, and for each row the window of
time in which its effect lies. Does not look at stock, nor at the order of versions across ids: that is for the checks.

Definitions. A *sale* gives an id tickets, a *refund* takes them back, a *confirmation* is a call that was answered
"sold" and changed nothing, because the id had its tickets already. A call of unknown outcome is a sale or nothing.

Idea. An id with at most one purchase and one refund is decided by counting, for all ids at once. Any other id is a tiny
history of its own: all orders of its calls that agree with time and end in the tickets of the ledger are walked. If
there is none, the id is impossible. If all of them contain one sale, it does not matter which call made it: the calls
are merged into one sale. It lies between the call of the earliest of them and the first answer that confirms it. Every
moment in this window is possible: the earliest call may have sold, and the others confirmed.

Cost: linear for ids of one purchase and one refund; for the others exponential in the calls of one id, which are few.

Example. Purchase p of 2 tickets, called [0, 5] with unknown outcome, called again [8, 9] and answered "sold". If p owns
2 tickets, one sale took effect in [0, 9]; whether the first or the second call made it cannot be seen, nor matters.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Final, NamedTuple

import numpy as np

from ticketlab.history.arrays import HistoryArrays, Integers, Mask
from ticketlab.history.calls import Call, Merged, as_answered, explanations, merged
from ticketlab.history.recording import NOT_SEEN

MOST_CALLS: Final = 12
"""The largest number of calls of one id whose orders are walked; if an id has more, each of its calls stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What took effect. Masks and windows are by row of the history, but for `impossible`."""

    sure: Mask
    """Rows that took effect in every explanation of their id."""
    open: Mask
    """Rows that took effect in some explanations of their id, and in others not."""
    since: Integers
    """The earliest moment at which the row can have taken effect, in ns."""
    until: Integers
    """The latest one; NEVER where nothing limits it."""
    stock_ignored: Mask
    """Rows whose reported stock says nothing, for another call may have made their sale."""
    entangled: Mask
    """Rows of ids that cannot be reduced to one sale and one refund: only a search over all orders decides them."""
    irregular: Mask
    """By id: whether it has more calls than one purchase and one refund."""
    impossible: Mask
    """By id: no order of its own calls agrees with time and ends in the tickets that it owns."""


class Owners(NamedTuple):
    """Who asks for what and who owns what: purchase ids and events as numbers."""

    id: Integers
    """Of each row of the history."""
    ids: int
    """How many ids there are."""
    ticket_id: Integers
    """Of each ticket of the ledger."""
    ticket_event: Integers


class Reports(NamedTuple):
    """What each row's answer says of its event, or NOT_SEEN where it says nothing that counts."""

    version: Integers
    stock: Integers


def decide_irregular(
    effects: Effects, calls: Sequence[Call], owned: Mapping[int, int], number: int, *, trusting: bool = False
) -> None:
    """Decide which calls of the irregular id `number` took effect, and write it into the arrays of `effects`."""
    found = explanations(calls, owned) if len(calls) <= MOST_CALLS else None
    if found is None:
        _enter(effects, calls, sure=0, open_=(1 << len(calls)) - 1, entangled=True)
        return
    if not found:
        effects.impossible[number] = True
        claims = [not each.is_repeated and each.is_certain for each in calls]
        _enter(effects, calls, sure=sum(1 << place for place, claim in enumerate(claims) if claim), open_=0)
        return
    if found == {0}:
        return
    one = merged(calls, found) or (as_answered(calls, found) if trusting else None)
    if one is not None:
        _enter_merged(effects, one)
        return
    sure = reduce(and_, found)
    has_versions = all(each.versions for place, each in enumerate(calls) if sure >> place & 1)
    is_unambiguous = len(found) == 1 and has_versions and sure == (1 << len(calls)) - 1
    _enter(effects, calls, sure=sure, open_=reduce(or_, found) & ~sure, entangled=not is_unambiguous)


def _enter(effects: Effects, calls: Sequence[Call], *, sure: int, open_: int, entangled: bool = False) -> None:
    for place, call in enumerate(calls):
        rows = list(call.rows)
        effects.sure[rows] = bool(sure >> place & 1)
        effects.open[rows] = bool(open_ >> place & 1)
        effects.entangled[rows] = entangled


def _enter_merged(effects: Effects, one: Merged) -> None:
    sale = list(one.sale.rows)
    effects.sure[sale] = True
    effects.since[sale], effects.until[sale] = one.since, one.until
    effects.stock_ignored[sale] = one.stock_ignored
    if one.refund is not None:
        rows = list(one.refund.rows)
        effects.sure[rows] = True
        effects.since[rows] = np.maximum(effects.since[rows], one.refund_since)


def decide(columns: HistoryArrays, reports: Reports, owners: Owners, *, trusting: bool = False) -> Effects:
    """The effects of a history.

    Args:
        columns: of the history.
        reports: what each answer says of its event.
        owners: who owns what at the end.
        trusting: of several explanations of an id take the one in which the answered call sold, if there is one.
    """
    counts = _Counts(columns, owners)
    purchases, refunds = counts.of(columns.purchases), counts.of(~columns.purchases)
    irregular = (purchases > 1) | (refunds > 1) | (counts.of(columns.refunded_nothing) > 0)
    regular = ~irregular[owners.id]
    effects = Effects(
        sure=(columns.sold | columns.refunded) & regular,
        open=np.zeros(len(columns), np.bool_),
        since=columns.invoked.copy() if irregular.any() else columns.invoked,
        until=columns.latest.copy() if irregular.any() else columns.latest,
        stock_ignored=np.zeros(len(columns), np.bool_),
        entangled=np.zeros(len(columns), np.bool_),
        irregular=irregular,
        impossible=np.zeros(owners.ids, np.bool_),
    )
    if columns.perhaps_sold.any() or columns.perhaps_refunded.any():
        _decide_unknown(effects, columns, counts, regular)
    if irregular.any():
        for number, calls, owned in irregular_ids(columns, reports, owners, irregular):
            decide_irregular(effects, calls, owned, number, trusting=trusting)
    return effects


class _Counts:
    """Counts operations by id."""

    def __init__(self, columns: HistoryArrays, owners: Owners) -> None:
        self.owners = owners
        self._leads = columns.leads

    def of(self, rows: Mask) -> Integers:
        """How many operations each id has among these rows."""
        return np.bincount(self.owners.id[rows & self._leads], minlength=self.owners.ids)


def _decide_unknown(effects: Effects, columns: HistoryArrays, counts: _Counts, regular: Mask) -> None:
    """Unknown outcomes of ids with one purchase and one refund at most: what the id owns at the end decides."""
    id_, owners = counts.owners.id, counts.owners
    owns = np.bincount(owners.ticket_id, minlength=owners.ids) > 0
    sold, refunded = counts.of(columns.sold) > 0, counts.of(columns.refunded) > 0
    perhaps_sold, perhaps_refunded = counts.of(columns.perhaps_sold) > 0, counts.of(columns.perhaps_refunded) > 0
    both_or_neither = perhaps_sold & perhaps_refunded & ~owns
    effects.sure[regular & columns.perhaps_sold & (owns | refunded)[id_]] = True
    effects.sure[regular & columns.perhaps_refunded & (sold & ~owns)[id_]] = True
    unknown = columns.perhaps_sold | columns.perhaps_refunded
    effects.open[regular & unknown & both_or_neither[id_]] = True


def irregular_ids(
    columns: HistoryArrays, reports: Reports, owners: Owners, irregular: Mask
) -> Iterator[tuple[int, list[Call], dict[int, int]]]:
    """Each irregular id by its number, with its calls in the order of the history, and what it owns."""
    owned: dict[int, Counter[int]] = defaultdict(Counter)
    tickets = np.flatnonzero(irregular[owners.ticket_id])
    for number, event in zip(owners.ticket_id[tickets].tolist(), owners.ticket_event[tickets].tolist(), strict=True):
        owned[number][event] += 1
    certain = columns.sold | columns.refunded | columns.refunded_nothing
    matters = irregular[owners.id] & (certain | columns.perhaps_sold | columns.perhaps_refunded)
    calls: dict[int, dict[int, list[int]]] = {number: {} for number in np.flatnonzero(irregular).tolist()}
    for row in np.flatnonzero(matters).tolist():
        calls[int(owners.id[row])].setdefault(int(columns.operation[row]), []).append(row)
    for number, operations in calls.items():
        made = [_call(columns, reports, rows, is_certain=bool(certain[rows[0]])) for rows in operations.values()]
        yield number, made, dict(owned[number])


def _call(columns: HistoryArrays, reports: Reports, rows: list[int], *, is_certain: bool) -> Call:
    first = rows[0]
    events = columns.event[rows].tolist()
    versions, stocks = (
        zip(events, reports.version[rows].tolist(), strict=True),
        zip(events, reports.stock[rows].tolist(), strict=True),
    )
    return Call(
        rows=tuple(rows),
        is_purchase=bool(columns.purchases[first]),
        is_certain=is_certain,
        is_repeated=bool(columns.repeated[first]) and is_certain,
        lines=dict(zip(events, columns.quantity[rows].tolist(), strict=True)),
        versions={event: version for event, version in versions if version != NOT_SEEN},
        stocks={event: stock for event, stock in stocks if stock != NOT_SEEN},
        since=int(columns.invoked[first]),
        until=int(columns.latest[first]),
    )
