"""The calls of one purchase id: which of them can have taken effect, by their answers and by what the id owns.

Pure, one id at a time. `effects` says what a sale, a refund and a confirmation are, and enters the result into
the arrays of a whole history.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ticketlab.history.arrays import NEVER


class Call(NamedTuple):
    """One operation of an irregular id."""

    rows: tuple[int, ...]
    is_purchase: bool
    is_certain: bool
    """Answered; otherwise of unknown outcome."""
    is_repeated: bool
    """The answer says that an earlier call did this; of a refund, that there was nothing to refund."""
    lines: Mapping[int, int]
    """Of each event the tickets that were asked for."""
    versions: Mapping[int, int]
    """Of each event the version in the answer, where that counts."""
    stocks: Mapping[int, int]
    """Of each event the stock in the answer, where that counts."""
    since: int
    until: int


class Merged(NamedTuple):
    """The one sale of an id, and its refund if there is one."""

    sale: Call
    since: int
    until: int
    stock_ignored: bool
    refund: Call | None
    refund_since: int


def explanations(calls: Sequence[Call], owned: Mapping[int, int]) -> set[int]:
    """Every set of calls that can have taken effect, as bits; empty if none explains the answers and the tickets.

    Args:
        calls: of one id, those that may have an effect or claim to have had one.
        owned: the tickets of each event that the id owns at the end.
    """
    # Where no call was answered as the first sale, an answer that reports an earlier call may be that of the sale.
    repeated_may_sell = not any(each.is_purchase and each.is_certain and not each.is_repeated for each in calls)
    certain = sum(1 << place for place, each in enumerate(calls) if each.is_certain)
    found: set[int] = set()
    seen = set()
    ahead: list[tuple[int, int, int]] = [(0, -1, 0)]
    while ahead:
        step = ahead.pop()
        if step in seen:
            continue
        seen.add(step)
        placed, standing, effects = step
        if placed & certain == certain and owned == (calls[standing].lines if standing >= 0 else {}):
            found.add(effects)
        deadline = min((each.until for place, each in enumerate(calls) if not placed >> place & 1), default=NEVER)
        for place, call in enumerate(calls):
            if placed >> place & 1 or call.since > deadline:
                continue
            for effect, stands in _steps(calls, place, standing, repeated_may_sell=repeated_may_sell):
                ahead.append((placed | 1 << place, stands, effects | effect << place))
    return found


def _steps(calls: Sequence[Call], place: int, standing: int, *, repeated_may_sell: bool) -> Iterator[tuple[int, int]]:
    """Each possible result of a call when the sale `standing` is in force (-1: none).

    That is: whether the call took effect, as 0 or 1, and which sale is in force afterwards.
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


def _confirms(call: Call, sale: Call) -> bool:
    """Whether an answer "sold" can be that of a sale made before: the same tickets, and the same versions if known.

    That holds for an answer that reports an earlier call too: "sold" is only said of exactly what was asked for.
    """
    same = all(sale.versions.get(event, version) == version for event, version in call.versions.items())
    return call.lines == sale.lines and same


def merged(calls: Sequence[Call], found: set[int]) -> Merged | None:
    """The one sale, and perhaps one refund, that all explanations agree on; None if they do not."""
    sales = {place for mask in found for place, each in enumerate(calls) if mask >> place & 1 and each.is_purchase}
    refunds = {mask & ~_bits(sales) for mask in found}
    one_sale = all((mask & _bits(sales)).bit_count() == 1 for mask in found)
    if not one_sale or len(refunds) > 1 or next(iter(refunds)).bit_count() > 1:
        return None
    makers = [calls[place] for place in sales]
    answers = [each for each in calls if each.is_purchase and each.is_certain]
    nothings = [each for each in calls if not each.is_purchase and each.is_repeated]
    refund = next((each for place, each in enumerate(calls) if refunds == {1 << place}), None)
    pins = {tuple(sorted(each.versions.items())) for each in answers if each.versions}
    if any(each.lines != makers[0].lines for each in makers) or len(pins) > 1 or (refund and nothings):
        return None
    with_version = [each for each in makers if each.versions]
    if pins and not with_version:
        return None  # only a confirmation reports the version; the call that sold reports none
    first = min(makers, key=lambda each: each.since)
    if first.stocks and any(each.stocks != first.stocks for each in makers):
        return None  # the stock that one of them reports counts only if that one made the sale
    return Merged(
        sale=min(with_version or makers, key=lambda each: each.since),
        since=max([min(each.since for each in makers), *(each.since for each in nothings)]),
        until=min((each.until for each in answers), default=NEVER),
        stock_ignored=not first.stocks,
        refund=refund,
        refund_since=max((each.since for each in [*answers, *([refund] if refund else [])]), default=0),
    )


def as_answered(calls: Sequence[Call], found: set[int]) -> Merged | None:
    """The explanation in which the call that was answered with a version made the only sale; None if it is no such one.

    There may be others: a call of the same id whose answer was lost can have made that sale. So an order of the history
    that keeps to this explanation proves it right; that there is no such order proves nothing.
    """
    if not all(each.is_purchase for each in calls):
        return None
    makers = [each for place, each in enumerate(calls) if each.is_certain and each.versions and 1 << place in found]
    if not makers:
        return None
    sale = min(makers, key=lambda each: each.since)
    until = min(each.until for each in calls if each.is_certain)
    return Merged(sale=sale, since=sale.since, until=until, stock_ignored=False, refund=None, refund_since=0)


def _bits(places: set[int]) -> int:
    return sum(1 << place for place in places)
