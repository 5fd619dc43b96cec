"""Answers that change nothing and tell no version: each needs one version that was current, and as it says. Pure."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ticketlab.evidence.columns import Integers, Mask
from ticketlab.evidence.order.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Looker:
    """An operation that must have seen a version of one event."""

    row: int
    since: int
    until: int
    suits: Callable[[int, int], Mask]
    """Of the versions from the first to the last one given, which ones it can have seen."""


def place(lookers: Sequence[Looker], places: Places, *, last: int) -> tuple[dict[int, int], Looker | None]:
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
