"""Whether the version order agrees with real time. Knows arrays, and neither histories nor verdicts.

Definitions: a *writer* is an operation that made a version of an event, a *reader* one that saw it. The *position* of
the writer of version v is 2v; that of its readers is 2v + 1, in any order among themselves. An operation takes effect
in the closed interval [`since`, `until`], normally from its call to its answer.

Idea: an order by positions agrees with real time if no operation was called after the answer of an operation at a
higher position of the same event (`inversion`). Going backwards through the positions, the earliest answer so far is
compared with each call. Where operations span several events, each event may agree with real time and all of them
together may not: `cycle` puts the orders of all events and of real time into one graph and looks for a cycle.

Cost: O(n log n) for sorting by position; then `inversion` is O(n), and the graph has O(n) nodes and edges.

Source: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997).

Example: the writer of version 2 runs in [5, 6], that of version 3 in [1, 2], a reader of version 3 in [3, 7]. Their
positions are 4, 6 and 7. Version 3 was answered at 2, before version 2 was called at 5: an inversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ticketlab.history.arrays import NEVER, Integers

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_COLUMNS = ("rows", "event", "position", "since", "until")
_CYCLE_STARTS = 50
"""Members of a cycle from which a shortest one is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Rows of a history, sorted by event and position."""

    rows: Integers
    event: Integers
    position: Integers
    since: Integers
    """The earliest time at which each can have taken effect."""
    until: Integers
    """The latest."""

    @classmethod
    def of(cls, *, rows: Integers, event: Integers, position: Integers, since: Integers, until: Integers) -> Self:
        """Sort unsorted columns."""
        order = sort_order(event, position)
        columns = (column[order] for column in (rows, event, position, since, until))
        return cls(**dict(zip(_COLUMNS, columns, strict=True)))

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: Positions) -> Positions:
        """The rows of both."""
        return Positions.of(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _COLUMNS})

    def of_event(self, event: int) -> Positions:
        """The rows of one event."""
        first, end = np.searchsorted(self.event, [event, event + 1])
        return Positions(**{name: getattr(self, name)[first:end] for name in _COLUMNS})

    def last_before(self, times: Integers) -> Integers:
        """For each time the highest position that was surely reached before it, or -1; for rows of one event."""
        by_until = np.argsort(self.until, kind="stable")
        highest = np.append(-1, np.maximum.accumulate(self.position[by_until]))
        positions: Integers = highest[np.searchsorted(self.until[by_until], times, side="left")]
        return positions

    def first_after(self, times: Integers, *, default: int) -> Integers:
        """For each time the lowest position that was surely reached after it, or `default`; for rows of one event."""
        by_since = np.argsort(self.since, kind="stable")
        lowest = np.append(np.minimum.accumulate(self.position[by_since][::-1])[::-1], default)
        positions: Integers = lowest[np.searchsorted(self.since[by_since], times, side="right")]
        return positions


def sort_order(major: Integers, minor: Integers) -> Integers:
    """The order by two columns of non-negative numbers."""
    if len(major) and (minor[1:] >= minor[:-1]).all() and (major[1:] == major[:-1]).all():
        return np.arange(len(major))
    # One key, sorted stably, is fast where the columns are nearly sorted already; it must fit into 64 bits.
    width = int(minor.max(initial=0)) + 1
    if int(major.max(initial=0)) * width < np.iinfo(np.int64).max - width:
        return np.argsort(major.astype(np.int64) * width + minor, kind="stable")
    return np.lexsort((minor, major))


def inversion(positions: Positions) -> tuple[int, int] | None:
    """Two rows of one event in the wrong order, or None.

    The first has the lower position, though the second was answered before the first was called.
    """
    if not len(positions):
        return None
    earliest, following = _earliest_answer_onwards(positions), _start_of_next_position(positions)
    known = following < len(positions)
    known[known] = positions.event[following[known]] == positions.event[known]
    late = np.zeros(len(positions), np.bool_)
    # Strictly less: two clock ticks may tie, and a tie counts as concurrent.
    late[known] = earliest[following[known]] < positions.since[known]
    if not late.any():
        return None
    first = int(np.flatnonzero(late)[0])
    end = np.searchsorted(positions.event, positions.event[first], side="right")
    second = following[first] + int(np.argmin(positions.until[following[first] : end]))
    return int(positions.rows[first]), int(positions.rows[second])


def _earliest_answer_onwards(positions: Positions) -> Integers:
    """For each row the earliest answer among it and all later rows of its event."""
    ends = np.flatnonzero(np.append(positions.event[1:] != positions.event[:-1], True)) + 1
    earliest = np.empty_like(positions.until)
    begin = 0
    for end in ends.tolist():
        earliest[begin:end] = np.minimum.accumulate(positions.until[begin:end][::-1])[::-1]
        begin = end
    return earliest


def _start_of_next_position(positions: Positions) -> Integers:
    """For each row the index of the first row at a later position or of a later event."""
    same = (positions.event[1:] == positions.event[:-1]) & (positions.position[1:] == positions.position[:-1])
    starts = np.append(np.flatnonzero(~same) + 1, len(positions))
    following: Integers = starts[np.append(0, np.cumsum(~same))]
    return following


def cycle(positions: Positions, operation: Integers) -> Sequence[int]:
    """Rows of different operations, each of which would have to precede the next and the last the first; or none.

    A cycle is a strongly connected component of the graph with more than one operation. Nodes are the operations, one
    barrier for each operation on the time line, and one barrier for each position. Barriers keep the graph linear: an
    operation points to the barrier of its answer, a barrier to the next one and to the calls after it.

    Args:
        positions: the position of every row.
        operation: for each of these rows the number of its operation, from 0.
    """
    if not len(positions):
        return ()
    from scipy.sparse import coo_array, csr_array  # takes long to import
    from scipy.sparse.csgraph import connected_components

    count = int(operation.max()) + 1
    since, until = np.zeros(count, np.int64), np.full(count, NEVER)
    since[operation], until[operation] = positions.since, positions.until
    edges = _position_edges(positions, operation, 2 * count), _time_edges(since, until)
    sources, targets = (np.concatenate(pair) for pair in zip(*edges, strict=True))
    nodes = 2 * count + len(positions)
    graph = csr_array(coo_array((np.ones(len(sources), np.int8), (sources, targets)), shape=(nodes, nodes)))
    _, component = connected_components(graph, directed=True, connection="strong")
    sizes = np.bincount(component)
    cyclic = np.flatnonzero(sizes[component[:count]] > 1)
    if not len(cyclic):
        return ()
    members = cyclic[component[cyclic] == component[cyclic[0]]]
    shortest = min((_cycle_through(graph, int(member), count) for member in members[:_CYCLE_STARTS]), key=len)
    row = np.zeros(count, np.int64)
    row[operation[::-1]] = positions.rows[::-1]
    return [int(row[member]) for member in shortest]


def _position_edges(positions: Positions, operation: Integers, offset: int) -> tuple[Integers, Integers]:
    """Edges from each row to the barrier of its position, and from each barrier to the rows at the next position.

    Barriers are numbered from `offset`.
    """
    new_event = np.append(True, positions.event[1:] != positions.event[:-1])
    new_position = new_event | np.append(True, positions.position[1:] != positions.position[:-1])
    group = np.cumsum(new_position) - 1
    has_previous = ~new_event[np.flatnonzero(new_position)][group]
    barrier = offset + group
    sources = np.concatenate([operation, barrier[has_previous] - 1])
    return sources, np.concatenate([barrier, operation[has_previous]])


def _time_edges(since: Integers, until: Integers) -> tuple[Integers, Integers]:
    """Edges from each operation to the barrier of its answer, along the time line, and to each later call."""
    count = len(since)
    by_until = np.argsort(until, kind="stable")
    barrier = count + np.arange(count)
    answered = np.searchsorted(until[by_until], since, side="left")  # how many had been answered before each call
    called = np.flatnonzero(answered)
    sources = np.concatenate([by_until, barrier[:-1], barrier[answered[called] - 1]])
    targets = np.concatenate([barrier, barrier[1:], called])
    return sources, targets


def _cycle_through(graph: csr_array[np.int8, tuple[int, int]], start: int, count: int) -> list[int]:
    """The operations on a shortest path from `start` back to itself."""
    from scipy.sparse.csgraph import breadth_first_order

    order, predecessor = breadth_first_order(graph, start, directed=True)
    sources = set(graph.T.tocsr()[[start]].indices.tolist())
    node = next(int(reached) for reached in order if int(reached) in sources)
    path = []
    while node != start:
        path.append(node)
        node = int(predecessor[node])
    return [start, *(member for member in reversed(path) if member < count)]
