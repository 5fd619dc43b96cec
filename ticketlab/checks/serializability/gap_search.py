"""Answers that change nothing and tell no version: each needs one version that was current, and as it says. Pure."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ticketlab.checks.serializability.real_time import Positions
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.recording import NOT_SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConstraint:
    """An operation that must have seen a version of one event."""

    row: int
    since: int
    until: int
    allows: Callable[[int, int], Mask]
    """Of the versions from the first to the last one given, which ones it can have seen."""


def assign_reads(
    lookers: Sequence[ReadConstraint], places: Positions, *, last: int
) -> tuple[dict[int, int], ReadConstraint | None]:
    """A version for each row, and the first looker that has none.

    Each takes the earliest that suits it and comes not before what was seen by those who were answered before it was
    called. No other choice leaves more to those who come later, so if this fails, all do.

    Args:
        lookers: of one event.
        places: those of all its other rows.
        last: its last version.
    """
    since, until = (np.array([getattr(each, name) for each in lookers], np.int64) for name in ("since", "until"))
    earliest = np.maximum(places.after(since) // 2, 1)
    latest = np.minimum((places.before(until, none=2 * last + 2) - 1) // 2, last)
    found: dict[int, int] = {}
    waiting: list[tuple[int, int]] = []
    seen = 1
    for number in np.argsort(since, kind="stable").tolist():
        each = lookers[number]
        while waiting and waiting[0][0] < each.since:
            seen = max(seen, heapq.heappop(waiting)[1])
        first, end = max(int(earliest[number]), seen), int(latest[number])
        suiting: Integers = np.flatnonzero(each.suits(first, end)) if first <= end else np.empty(0, np.int64)
        if not len(suiting):
            return found, each
        found[each.row] = first + int(suiting[0])
        heapq.heappush(waiting, (each.until, found[each.row]))
    return found, None


_STEPS: Final = 50_000
"""Places tried before the search gives up."""


class SearchLimitError(Exception):
    """The search has tried what it may, and has neither found a way nor shown that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnackedWrite:
    """An operation that changed the stock and told no version."""

    row: int
    change: int
    earliest: int
    """The first version that it can have made."""
    latest: int
    """The last one."""
    stock: int = NOT_SEEN
    """The stock that it reports to have left, or NOT_SEEN."""
    refund_of: int | None = None
    """Of a refund the row of its purchase, where that is silent too: it comes before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionGaps:
    """The versions of one event that nobody told to have made, and what is known of those next to them."""

    missing: Sequence[int]
    """In ascending order."""
    stock: Mapping[int, int]
    """The stock at versions that somebody made or saw: at least that before each gap."""
    made: Mapping[int, int]
    """By how much the versions behind a gap changed the stock."""


def assign_versions(gaps: VersionGaps, silent: Sequence[UnackedWrite]) -> dict[int, int] | None:
    """A version for each row, so that every version is made once and the stock is as told, and never below nothing.

    None where there is no way to do it. Depth first, who must come earliest being tried first.

    Raises:
        GaveUpError: no way was found in time.
    """
    missing = gaps.missing
    if len(missing) != len(silent):
        return None
    order = sorted(silent, key=lambda each: (each.latest, each.earliest, each.row))
    chosen: list[UnackedWrite] = []
    tries = [_candidates(gaps, order, chosen)]
    for _ in range(_STEPS):
        if len(chosen) == len(missing):
            return {each.row: version for each, version in zip(chosen, missing, strict=True)}
        found = next(tries[-1], None)
        if found is not None:
            chosen.append(found)
            tries.append(_candidates(gaps, order, chosen))
            continue
        tries.pop()
        if not tries:
            return None
        chosen.pop()
    raise SearchLimitError


def _candidates(
    gaps: VersionGaps, order: Sequence[UnackedWrite], chosen: Sequence[UnackedWrite]
) -> Iterator[UnackedWrite]:
    """Who may have made the next missing version, when those `chosen` made the ones before; of equals the first."""
    if len(chosen) == len(gaps.missing):
        return
    version = gaps.missing[len(chosen)]
    before = _stock_before(gaps, chosen)
    used = {each.row for each in chosen}
    tried = set()
    for each in order:
        alike = (each.change, each.earliest, each.latest, each.stock, each.refund_of)
        if each.row in used or alike in tried or not each.earliest <= version <= each.latest:
            continue
        if each.refund_of is not None and each.refund_of not in used:
            continue
        if each.stock in {NOT_SEEN, before + each.change} and _agrees(gaps, version, before + each.change):
            tried.add(alike)
            yield each


def _stock_before(gaps: VersionGaps, chosen: Sequence[UnackedWrite]) -> int:
    """The stock on which the next missing version was made."""
    place, stock = len(chosen), 0
    while gaps.missing[place] - 1 not in gaps.stock:
        place -= 1  # the version before is missing too, and nobody saw it
        stock += chosen[place].change
    return stock + gaps.stock[gaps.missing[place] - 1]


def _agrees(gaps: VersionGaps, version: int, stock: int) -> bool:
    """Whether this stock at a version goes with all that was told of it, and of the version after it."""
    following = gaps.stock.get(version + 1)
    change = gaps.made.get(version + 1)
    return (
        stock >= 0
        and gaps.stock.get(version, stock) == stock
        and (following is None or change is None or stock + change == following)
    )
