"""Operations at their places in the order of each event. Knows arrays, and neither histories nor verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ticketlab.history.arrays import NEVER, Integers

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Rows of a history by event and place: who made version v stands at 2v, who saw it at 2v + 1.

    Makers have a place each. Those who saw the same version stand at one place, in any order among themselves.
    """

    rows: Integers
    event: Integers
    position: Integers
    since: Integers
    """The earliest time at which each can have taken effect: when it was called."""
    until: Integers
    """The latest: when it was answered."""

    @classmethod
    def of(cls, *, rows: Integers, event: Integers, position: Integers, since: Integers, until: Integers) -> Self:
        """Put into order what is in none."""
        order = sort_order(event, position)
        columns = (each[order] for each in (rows, event, position, since, until))
        return cls(**dict(zip(("rows", "event", "position", "since", "until"), columns, strict=True)))

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: "Positions") -> "Positions":
        """The rows of both."""
        names = ("rows", "event", "position", "since", "until")
        return Positions.of(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})

    def of_event(self, event: int) -> "Positions":
        """The places of one event."""
        first, last = np.searchsorted(self.event, [event, event + 1])
        names = ("rows", "event", "position", "since", "until")
        return Positions(**{name: getattr(self, name)[first:last] for name in names})

    def after(self, moments: Integers) -> Integers:
        """For each moment the last place that was surely taken before it, or -1; for places of one event."""
        by_end = np.argsort(self.until, kind="stable")
        last = np.append(-1, np.maximum.accumulate(self.position[by_end]))
        places: Integers = last[np.searchsorted(self.until[by_end], moments, side="left")]
        return places

    def before(self, moments: Integers, *, none: int) -> Integers:
        """For each moment the first place that was surely taken after it, or `none`; for places of one event."""
        by_start = np.argsort(self.since, kind="stable")
        first = np.append(np.minimum.accumulate(self.position[by_start][::-1])[::-1], none)
        places: Integers = first[np.searchsorted(self.since[by_start], moments, side="right")]
        return places


def sort_order(major: Integers, minor: Integers) -> Integers:
    """The order by two columns of numbers that are not negative; fast where they are nearly in order already."""
    if len(major) and (minor[1:] >= minor[:-1]).all() and (major[1:] == major[:-1]).all():
        return np.arange(len(major))
    width = int(minor.max(initial=0)) + 1
    if int(major.max(initial=0)) * width < np.iinfo(np.int64).max - width:
        return np.argsort(major.astype(np.int64) * width + minor, kind="stable")
    return np.lexsort((minor, major))


def inversion(places: Positions) -> tuple[int, int] | None:
    """Two rows of one event, the first one earlier in its order, though the second was answered before it was called.

    None where there are none. Linear: the earliest answer of all that come later is compared with each call.
    """
    if not len(places):
        return None
    earliest = _earliest_answer_from_there_on(places)
    later = _first_of_the_next_place(places)
    known = later < len(places)
    known[known] = places.event[later[known]] == places.event[known]
    late = np.zeros(len(places), np.bool_)
    late[known] = earliest[later[known]] < places.since[known]
    if not late.any():
        return None
    first = int(np.flatnonzero(late)[0])
    of_event = np.searchsorted(places.event, places.event[first], side="right")
    second = later[first] + int(np.argmin(places.until[later[first] : of_event]))
    return int(places.rows[first]), int(places.rows[second])


def _earliest_answer_from_there_on(places: Positions) -> Integers:
    """For each row the earliest answer among it and all later rows of its event."""
    ends = np.flatnonzero(np.append(places.event[1:] != places.event[:-1], True))
    if len(ends) == 1:
        of_all: Integers = np.minimum.accumulate(places.until[::-1])[::-1]
        return of_all
    earliest = np.empty_like(places.until)
    begin = 0
    for end in (ends + 1).tolist():
        earliest[begin:end] = np.minimum.accumulate(places.until[begin:end][::-1])[::-1]
        begin = end
    return earliest


def _first_of_the_next_place(places: Positions) -> Integers:
    """For each row where the rows behind its place begin."""
    same = (places.event[1:] == places.event[:-1]) & (places.position[1:] == places.position[:-1])
    begins = np.append(np.flatnonzero(~same) + 1, len(places))
    group = np.append(0, np.cumsum(~same))
    behind: Integers = begins[group]
    return behind


def cycle(places: Positions, operation: Integers) -> Sequence[int]:
    """Rows of different operations that would each have to come before the next, the last one before the first.

    For operations of several events: each event alone may have an order that agrees with time, and all of them
    together none. Linear but for a sort: the orders of the events and that of time are made one graph, in which every
    answer points to a line of time and the line to every later call. A circle is a strongly connected component of more
    than one operation. Empty where there is none.

    Args:
        places: where every row stands.
        operation: for each of these rows the number of its operation, from 0.
    """
    if not len(places):
        return ()
    from scipy.sparse import coo_array, csr_array  # takes long to import
    from scipy.sparse.csgraph import connected_components

    count = int(operation.max()) + 1
    since, until = np.zeros(count, np.int64), np.full(count, NEVER)
    since[operation], until[operation] = places.since, places.until
    of_events, of_time = _by_event(places, operation, 2 * count), _by_time(since, until)
    before, behind = (np.concatenate(pair) for pair in zip(of_events, of_time, strict=True))
    nodes = 2 * count + len(places)
    graph = csr_array(coo_array((np.ones(len(before), np.int8), (before, behind)), shape=(nodes, nodes)))
    _, component = connected_components(graph, directed=True, connection="strong")
    sizes = np.bincount(component)
    circular = np.flatnonzero(sizes[component[:count]] > 1)
    if not len(circular):
        return ()
    members = circular[component[circular] == component[circular[0]]]
    shortest = min((_circle(graph, int(each), count) for each in members[:_TRIED]), key=len)
    row = np.zeros(count, np.int64)
    row[operation[::-1]] = places.rows[::-1]
    return [int(row[each]) for each in shortest]


_TRIED = 50
"""Members of a circle from which the shortest one is looked for."""


def _by_event(places: Positions, operation: Integers, first: int) -> tuple[Integers, Integers]:
    """Each row before a bar that stands behind its place, and each bar before the next place; bars follow `first`."""
    opens = np.append(True, (places.event[1:] != places.event[:-1]) | (places.position[1:] != places.position[:-1]))
    starts_event = np.append(True, places.event[1:] != places.event[:-1])
    place = np.cumsum(opens) - 1
    behind_a_bar = ~starts_event[np.flatnonzero(opens)][place]
    bar = first + place
    before = np.concatenate([operation, bar[behind_a_bar] - 1])
    return before, np.concatenate([bar, operation[behind_a_bar]])


def _by_time(since: Integers, until: Integers) -> tuple[Integers, Integers]:
    """Each operation before its answer on the line of time, the line in its order, and each call behind its moment."""
    count = len(since)
    by_end = np.argsort(until, kind="stable")
    line = count + np.arange(count)
    answered = np.searchsorted(until[by_end], since, side="left")  # how many had been answered before the call
    called = np.flatnonzero(answered)
    before = np.concatenate([by_end, line[:-1], line[answered[called] - 1]])
    behind = np.concatenate([line, line[1:], called])
    return before, behind


def _circle(graph: "csr_array[np.int8, tuple[int, int]]", start: int, count: int) -> list[int]:
    """The operations on a shortest way from `start` back to itself."""
    from scipy.sparse.csgraph import breadth_first_order

    order, before = breadth_first_order(graph, start, directed=True)
    pointing = set(graph.T.tocsr()[[start]].indices.tolist())
    node = next(int(each) for each in order if int(each) in pointing)
    way = []
    while node != start:
        way.append(node)
        node = int(before[node])
    return [start, *(each for each in reversed(way) if each < count)]
