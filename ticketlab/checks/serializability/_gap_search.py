"""Assigns versions to the operations of one event that reported none. Pure; knows no history.

Definitions: a *gap* is a version that no answer reports as made. An *unacknowledged write* changed the stock and
reported no version; it made one of the gaps. A *read constraint* is a refusal without a version; it saw some version at
which the stock was too small for it.

Idea of `assign_writes`: depth first over the gaps in ascending order. Each gap takes a write that real time allows
there and whose change leads from the stock before the gap to the stock after it. Writes that are alike are tried once.

Idea of `assign_reads`: greedy, by time of call. Each read takes the lowest version that suits it and is not below the
version of a read answered before its call. No other choice leaves more versions to later reads, so if the greedy choice
fails, every choice does.

Cost: `assign_reads` sorts, O(n log n), and looks through the versions of each read's interval; `assign_writes` is
exponential at worst and stops after `_MOST_STEPS`.

Example: version 1 has 5 seats; versions 2 and 3 are gaps; version 4 sold 1 ticket and left 1 seat. Two writes of -1 and
-2 fit in both orders, for both leave 2 seats before version 4. If a refusal saw 3 seats at version 2, only one order
agrees: the -2 made version 2, the -1 version 3.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.checks.serializability._real_time import Positions
    from ticketlab.history.arrays import Integers, Mask


_MOST_STEPS: Final = 50_000
"""Steps of `assign_writes` before it gives up."""


class SearchLimitError(Exception):
    """The search ended at its limit: neither found an assignment nor excluded one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConstraint:
    """An operation that must have seen a version of the event."""

    row: int
    since: int
    until: int
    allows: Callable[[int, int], Mask]
    """For the versions from the first to the last argument, which ones it can have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnackedWrite:
    """An operation that changed the stock and reported no version."""

    row: int
    change: int
    earliest: int
    """The first version that it can have made."""
    latest: int
    """The last one."""
    stock: int = NOT_SEEN
    """The stock that it reports to have left, or NOT_SEEN."""
    refund_of: int | None = None
    """For a refund the row of its purchase, if that reported no version either: it comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionGaps:
    """The versions of one event that no answer reports, and what is known of the versions next to them."""

    missing: Sequence[int]
    """In ascending order."""
    stock: Mapping[int, int]
    """The stock at versions that some answer reports: at least the version before each run of gaps."""
    change: Mapping[int, int]
    """The change of stock by the versions next to a gap."""


def assign_reads(
    constraints: Sequence[ReadConstraint], positions: Positions, *, last: int
) -> tuple[dict[int, int], ReadConstraint | None]:
    """A version for each row, and the first constraint that no version satisfies.

    Args:
        constraints: of one event.
        positions: those of all other rows of the event.
        last: its last version.
    """
    since = np.array([read.since for read in constraints], np.int64)
    until = np.array([read.until for read in constraints], np.int64)
    earliest = np.maximum(positions.last_before(since) // 2, 1)
    latest = np.minimum((positions.first_after(until, default=2 * last + 2) - 1) // 2, last)
    assigned: dict[int, int] = {}
    under_way: list[tuple[int, int]] = []  # the answer and version of each read so far, by answer
    lowest = 1
    for number in np.argsort(since, kind="stable").tolist():
        read: ReadConstraint = constraints[number]
        while under_way and under_way[0][0] < read.since:
            lowest = max(lowest, heapq.heappop(under_way)[1])
        first, end = max(int(earliest[number]), lowest), int(latest[number])
        allowed: Integers = np.flatnonzero(read.allows(first, end)) if first <= end else np.empty(0, np.int64)
        if not len(allowed):
            return assigned, read
        assigned[read.row] = first + int(allowed[0])
        heapq.heappush(under_way, (read.until, assigned[read.row]))
    return assigned, None


def assign_writes(gaps: VersionGaps, writes: Sequence[UnackedWrite]) -> dict[int, int] | None:
    """A version for each row, so that each gap is filled once and all stocks are as reported and not negative.

    None if there is no such assignment. Writes with the earliest deadline are tried first.

    Raises:
        SearchLimitError: the search took too many steps.
    """
    if len(gaps.missing) != len(writes):
        return None
    order = sorted(writes, key=lambda write: (write.latest, write.earliest, write.row))
    chosen: list[UnackedWrite] = []
    stack = [_candidates(gaps, order, chosen)]
    for _ in range(_MOST_STEPS):
        if len(chosen) == len(gaps.missing):
            return {write.row: version for write, version in zip(chosen, gaps.missing, strict=True)}
        write = next(stack[-1], None)
        if write is not None:
            chosen.append(write)
            stack.append(_candidates(gaps, order, chosen))
            continue
        stack.pop()
        if not stack:
            return None
        chosen.pop()
    raise SearchLimitError


def _candidates(
    gaps: VersionGaps, order: Sequence[UnackedWrite], chosen: Sequence[UnackedWrite]
) -> Iterator[UnackedWrite]:
    """The writes that can have made the next gap after `chosen` made the ones before; of equal writes the first."""
    if len(chosen) == len(gaps.missing):
        return
    version = gaps.missing[len(chosen)]
    before = _stock_before(gaps, chosen)
    used = {write.row for write in chosen}
    tried = set()
    for write in order:
        alike = (write.change, write.earliest, write.latest, write.stock, write.refund_of)
        if write.row in used or alike in tried or not write.earliest <= version <= write.latest:
            continue
        if write.refund_of is not None and write.refund_of not in used:
            continue
        after = before + write.change
        if write.stock in {NOT_SEEN, after} and _agrees(gaps, version, after):
            tried.add(alike)
            yield write


def _stock_before(gaps: VersionGaps, chosen: Sequence[UnackedWrite]) -> int:
    """The stock on which the next gap was made."""
    index, change = len(chosen), 0
    while gaps.missing[index] - 1 not in gaps.stock:
        index -= 1  # the version before is a gap too, and no answer reports its stock
        change += chosen[index].change
    return change + gaps.stock[gaps.missing[index] - 1]


def _agrees(gaps: VersionGaps, version: int, stock: int) -> bool:
    """Whether this stock agrees with what is reported of the version and of the next one."""
    following, change = gaps.stock.get(version + 1), gaps.change.get(version + 1)
    return (
        stock >= 0
        and gaps.stock.get(version, stock) == stock
        and (following is None or change is None or stock + change == following)
    )
