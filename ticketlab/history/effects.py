"""Which calls took effect: sure, possible or not, by the answers of each purchase id and what it owns. Pure.

Definitions: an id is *irregular* if it has more than one purchase or refund, or a refund of nothing. An *explanation*
is a set of its calls that can have taken effect, so that all answers are right and the tickets are those of the ledger.

Idea: a regular id is decided by its outcomes and its tickets, in whole columns. For an irregular id `explanations`
walks all orders of its calls that real time allows, depth first. A call is certain if it is in all explanations. Where
they agree on one sale and at most one refund (`merged`), the id is reduced to these two.

Cost: linear in the history; exponential in the calls of one irregular id, at most MOST_CALLS.

Example: purchase A of unknown outcome in [0, 5] and purchase B in [6, 9], answered "sold" as a repeat; the id owns its
tickets. Either A sold and B confirmed it, or B sold: one sale of two possible calls, which took effect in [0, 9].
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Final, NamedTuple

import numpy as np

from ticketlab.history.arrays import NEVER, HistoryArrays, Integers, Mask
from ticketlab.outcomes import NOT_SEEN


class IdCall(NamedTuple):
    """One call of an irregular purchase id."""

    rows: tuple[int, ...]
    is_purchase: bool
    is_certain: bool
    """Answered; otherwise of unknown outcome."""
    is_repeated: bool
    """The answer reports an earlier call; for a refund, that there was nothing to refund."""
    lines: Mapping[int, int]
    """For each event the tickets that were asked for."""
    versions: Mapping[int, int]
    """For each event the version in the answer, if it counts."""
    stocks: Mapping[int, int]
    """For each event the stock in the answer, if it counts."""
    since: int
    until: int


class Merged(NamedTuple):
    """The one sale of an id, and its refund if there is one."""

    sale: IdCall
    since: int
    until: int
    stock_ignored: bool
    refund: IdCall | None
    refund_since: int


def explanations(calls: Sequence[IdCall], owned: Mapping[int, int]) -> set[int]:
    """Every set of calls that can have taken effect, as bits; empty if none explains the answers and the tickets.

    Args:
        calls: of one id, those that may have an effect or claim to have had one.
        owned: the tickets of each event that the id owns at the end.
    """
    # If no call was answered as the first sale, an answer that reports an earlier call may be the sale itself.
    repeated_may_sell = not any(each.is_purchase and each.is_certain and not each.is_repeated for each in calls)
    certain = sum(1 << place for place, each in enumerate(calls) if each.is_certain)
    found: set[int] = set()
    seen = set()
    stack: list[tuple[int, int, int]] = [(0, -1, 0)]
    while stack:
        configuration = stack.pop()
        if configuration in seen:
            continue
        seen.add(configuration)
        placed, standing, effects = configuration
        if placed & certain == certain and owned == (calls[standing].lines if standing >= 0 else {}):
            found.add(effects)
        deadline = min((each.until for place, each in enumerate(calls) if not placed >> place & 1), default=NEVER)
        for place, call in enumerate(calls):
            if placed >> place & 1 or call.since > deadline:
                continue
            for effect, stands in _steps(calls, place, standing, repeated_may_sell=repeated_may_sell):
                stack.append((placed | 1 << place, stands, effects | effect << place))
    return found


def _steps(calls: Sequence[IdCall], place: int, standing: int, *, repeated_may_sell: bool) -> Iterator[tuple[int, int]]:
    """Each possible result of a call while the sale `standing` is in force (-1: none).

    A result is whether the call took effect, as 0 or 1, and the sale in force afterwards.
    """
    call = calls[place]
    if not call.is_purchase and call.is_repeated:  # there was nothing to refund
        if standing < 0:
            yield 0, standing
    elif not call.is_purchase:
        if standing >= 0 and calls[standing].lines == call.lines:
            yield 1, -1
    elif standing < 0:
        if not call.is_repeated or repeated_may_sell:
            yield 1, place
    elif call.is_certain and _confirms(call, calls[standing]):
        yield 0, standing


def _confirms(call: IdCall, sale: IdCall) -> bool:
    """Whether an answer "sold" can report an earlier sale: the same tickets, and the same versions if known."""
    same = all(sale.versions.get(event, version) == version for event, version in call.versions.items())
    return call.lines == sale.lines and same


def merged(calls: Sequence[IdCall], found: set[int]) -> Merged | None:
    """The one sale, and at most one refund, that all explanations agree on; or None."""
    sales = {place for mask in found for place, each in enumerate(calls) if mask >> place & 1 and each.is_purchase}
    refunds = {mask & ~_bits(sales) for mask in found}
    one_sale = all((mask & _bits(sales)).bit_count() == 1 for mask in found)
    if not one_sale or len(refunds) > 1 or next(iter(refunds)).bit_count() > 1:
        return None
    candidates = [calls[place] for place in sales]
    answers = [each for each in calls if each.is_purchase and each.is_certain]
    empty_refunds = [each for each in calls if not each.is_purchase and each.is_repeated]
    refund = next((each for place, each in enumerate(calls) if refunds == {1 << place}), None)
    reported = {tuple(sorted(each.versions.items())) for each in answers if each.versions}
    if any(each.lines != candidates[0].lines for each in candidates) or len(reported) > 1 or (refund and empty_refunds):
        return None
    with_version = [each for each in candidates if each.versions]
    if reported and not with_version:
        return None  # only a confirmation reports the version; the call that sold reports none
    first = min(candidates, key=lambda each: each.since)
    if first.stocks and any(each.stocks != first.stocks for each in candidates):
        return None  # the stock that one of them reports counts only if that one made the sale
    return Merged(
        sale=min(with_version or candidates, key=lambda each: each.since),
        since=max([min(each.since for each in candidates), *(each.since for each in empty_refunds)]),
        until=min((each.until for each in answers), default=NEVER),
        stock_ignored=not first.stocks,
        refund=refund,
        refund_since=max((each.since for each in [*answers, *([refund] if refund else [])]), default=0),
    )


def as_answered(calls: Sequence[IdCall], found: set[int]) -> Merged | None:
    """The explanation in which a call that was answered with a version made the only sale; or None.

    There may be others: a call of the same id whose answer was lost can have made that sale. So an order of the history
    with this explanation proves the history valid, but the absence of such an order proves nothing.
    """
    if not all(each.is_purchase for each in calls):
        return None
    answered = [each for place, each in enumerate(calls) if each.is_certain and each.versions and 1 << place in found]
    if not answered:
        return None
    sale = min(answered, key=lambda each: each.since)
    until = min(each.until for each in calls if each.is_certain)
    return Merged(sale=sale, since=sale.since, until=until, stock_ignored=False, refund=None, refund_since=0)


def _bits(places: set[int]) -> int:
    return sum(1 << place for place in places)


MOST_CALLS: Final = 12
"""The most calls of one id whose orders are searched; with more, each of its calls stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What took effect. All arrays are by row of the history, except the last two."""

    sure: Mask
    """Rows that took effect in every explanation of their id."""
    open: Mask
    """Rows that took effect in some explanations of their id, and in others not."""
    since: Integers
    """The earliest time at which the row can have taken effect, in ns."""
    until: Integers
    """The latest time, or NEVER."""
    stock_ignored: Mask
    """Rows whose reported stock does not count, for another call may have made their sale."""
    entangled: Mask
    """Rows of ids that cannot be reduced to one sale and one refund: they need the general search."""
    irregular: Mask
    """By id: whether it has more than one purchase or refund, or a refund of nothing."""
    impossible: Mask
    """By id: no order of its own calls agrees with time and ends in the tickets that it owns."""


class Owners(NamedTuple):
    """Purchase ids of calls and tickets, and events of tickets, as numbers."""

    id: Integers
    """For each row of the history."""
    ids: int
    """The number of ids."""
    ticket_id: Integers
    """For each ticket of the ledger."""
    ticket_event: Integers


class Reports(NamedTuple):
    """The version and stock that each row reports of its event, or NOT_SEEN if they do not count."""

    version: Integers
    stock: Integers


def decide_irregular(
    effects: Effects, calls: Sequence[IdCall], owned: Mapping[int, int], number: int, *, trusting: bool = False
) -> None:
    """Decide which calls of the irregular id `number` took effect, and write them into `effects`."""
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


def _enter(effects: Effects, calls: Sequence[IdCall], *, sure: int, open_: int, entangled: bool = False) -> None:
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
        reports: the version and stock in each answer.
        owners: the purchase ids of calls and tickets.
        trusting: of several explanations of an id choose the one in which the answered call sold, if any.
    """
    counts = _Counts(columns, owners)
    purchases, refunds = counts.of(columns.purchases), counts.of(~columns.purchases)
    irregular = (purchases > 1) | (refunds > 1) | (counts.of(columns.empty_refunds) > 0)
    regular = ~irregular[owners.id]
    effects = Effects(
        sure=(columns.sold | columns.refunded) & regular,
        open=np.zeros(len(columns), np.bool_),
        since=columns.invoked.copy() if irregular.any() else columns.invoked,
        until=columns.completed_or_inf.copy() if irregular.any() else columns.completed_or_inf,
        stock_ignored=np.zeros(len(columns), np.bool_),
        entangled=np.zeros(len(columns), np.bool_),
        irregular=irregular,
        impossible=np.zeros(owners.ids, np.bool_),
    )
    if columns.sale_unknown.any() or columns.refund_unknown.any():
        _decide_unknown(effects, columns, counts, regular)
    if irregular.any():
        for number, calls, owned in irregular_ids(columns, reports, owners, irregular):
            decide_irregular(effects, calls, owned, number, trusting=trusting)
    return effects


class _Counts:
    """Counts operations by id."""

    def __init__(self, columns: HistoryArrays, owners: Owners) -> None:
        self.owners = owners
        self._leads = columns.is_first_line

    def of(self, rows: Mask) -> Integers:
        """The number of operations of each id among these rows."""
        return np.bincount(self.owners.id[rows & self._leads], minlength=self.owners.ids)


def _decide_unknown(effects: Effects, columns: HistoryArrays, counts: _Counts, regular: Mask) -> None:
    """Unknown outcomes of regular ids: the tickets that the id owns at the end decide."""
    id_, owners = counts.owners.id, counts.owners
    owns = np.bincount(owners.ticket_id, minlength=owners.ids) > 0
    sold, refunded = counts.of(columns.sold) > 0, counts.of(columns.refunded) > 0
    perhaps_sold, perhaps_refunded = counts.of(columns.sale_unknown) > 0, counts.of(columns.refund_unknown) > 0
    both_or_neither = perhaps_sold & perhaps_refunded & ~owns
    effects.sure[regular & columns.sale_unknown & (owns | refunded)[id_]] = True
    effects.sure[regular & columns.refund_unknown & (sold & ~owns)[id_]] = True
    unknown = columns.sale_unknown | columns.refund_unknown
    effects.open[regular & unknown & both_or_neither[id_]] = True


def irregular_ids(
    columns: HistoryArrays, reports: Reports, owners: Owners, irregular: Mask
) -> Iterator[tuple[int, list[IdCall], dict[int, int]]]:
    """Each irregular id: its number, its calls in the order of the history, and its tickets by event."""
    owned: dict[int, Counter[int]] = defaultdict(Counter)
    tickets = np.flatnonzero(irregular[owners.ticket_id])
    for number, event in zip(owners.ticket_id[tickets].tolist(), owners.ticket_event[tickets].tolist(), strict=True):
        owned[number][event] += 1
    certain = columns.sold | columns.refunded | columns.empty_refunds
    matters = irregular[owners.id] & (certain | columns.sale_unknown | columns.refund_unknown)
    calls: dict[int, dict[int, list[int]]] = {number: {} for number in np.flatnonzero(irregular).tolist()}
    for row in np.flatnonzero(matters).tolist():
        calls[int(owners.id[row])].setdefault(int(columns.operation[row]), []).append(row)
    for number, operations in calls.items():
        of_id = [_call(columns, reports, rows, is_certain=bool(certain[rows[0]])) for rows in operations.values()]
        yield number, of_id, dict(owned[number])


def _call(columns: HistoryArrays, reports: Reports, rows: list[int], *, is_certain: bool) -> IdCall:
    first = rows[0]
    events = columns.event[rows].tolist()
    versions = zip(events, reports.version[rows].tolist(), strict=True)
    stocks = zip(events, reports.stock[rows].tolist(), strict=True)
    return IdCall(
        rows=tuple(rows),
        is_purchase=bool(columns.purchases[first]),
        is_certain=is_certain,
        is_repeated=bool(columns.repeated[first]) and is_certain,
        lines=dict(zip(events, columns.quantity[rows].tolist(), strict=True)),
        versions={event: version for event, version in versions if version != NOT_SEEN},
        stocks={event: stock for event, stock in stocks if stock != NOT_SEEN},
        since=int(columns.invoked[first]),
        until=int(columns.completed_or_inf[first]),
    )
