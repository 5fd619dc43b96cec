"""Linearizability by search: whether any order of the operations explains a history. Opens no connection.

Definitions: a *configuration* is the set of operations that have taken effect and the state that they left. A
*partition* is a group of events that share no purchase with others.

Idea: depth first. Any operation that was called before the earliest answer of those left may come next, if the model
allows it in the current state. Each configuration is visited once. It uses only what the operations mean (`model`), not
the order of the versions. Partitions are judged one by one, for a history is linearizable if each object is.

Cost: may double with each operation that runs concurrently; bounded by a time limit, the only use of the clock.

Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); the memo of visited configurations from Lowe,
"Testing for linearizability" (2017), as in Porcupine (https://github.com/anishathalye/porcupine); locality from Herlihy
and Wing, "Linearizability" (1990).

Example: 1 seat; a sale in [0, 9] and a refusal in [1, 2]. The order sale, refusal explains both: the sale took effect
before it was answered. If the sale were called at 3, the refusal would have to come first, while a seat was left.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import or_
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.checks.base import invalid, unknown, valid
from ticketlab.checks.search._model import (
    ALLOWED_OUTCOMES,
    NO_EFFECT,
    Operations,
    Partition,
    State,
    apply,
    differences,
    partitions,
)
from ticketlab.checks.verdict import Anomaly, Status, Undecided, Verdict, Violation
from ticketlab.history.text import counted, every, plural
from ticketlab.outcomes import NOT_SEEN, Outcome

if TYPE_CHECKING:
    from ticketlab.history.arrays import Mask
    from ticketlab.history.index import IndexedHistory
    from ticketlab.history.ledger import Ledger


NAME: Final = "linearizability"
MOST_OPERATIONS: Final = 10_000
"""In one partition; memory grows with the square."""

_Configuration: TypeAlias = tuple[Operations, State]


class _SearchResult(NamedTuple):
    """VALID, INVALID, or UNKNOWN if the time was up; with the longest order found."""

    status: Status
    placed: int = 0
    """Operations of known outcome in the longest order."""
    blocked: Sequence[int] = ()
    """Operations that real time allows next, and the model does not."""
    differences: Sequence[Mapping[str, Any]] = ()
    """If the order is complete: how the ledger differs from its end."""


def linearizable(
    history: pd.DataFrame, ledger: Ledger, *, time_limit_s: float = 10.0, versionless: bool | None = None
) -> Verdict:
    """Some order of all operations obeys real time, explains every answer, and ends in the state of the ledger.

    An operation takes effect at one instant from its call to its answer, both included; one of unknown outcome at any
    time after its call, or never. The evidence of INVALID is the end of the longest order found: the operations of
    which none can come next, or how the ledger differs (`due` is the value of the order). It names no anomaly.

    Args:
        history: of one trial, or a part of it with whole partitions.
        ledger: as read at its end.
        time_limit_s: for all partitions together; what is not decided by then is UNKNOWN.
        versionless: whether no sale of the whole history reports a version; read from `history` by default.
    """
    unsupported = _unsupported(history, ledger)
    if unsupported:
        return unknown(NAME, unsupported)
    deadline_s = time.monotonic() + time_limit_s
    parts = partitions(history, ledger, versionless=versionless)
    undecided = []
    for place, partition in enumerate(parts):
        if len(partition.operations) > MOST_OPERATIONS:
            undecided.append(f"{_label(partition)} has more than {MOST_OPERATIONS:,} operations")
            continue
        now_s = time.monotonic()
        found = _search(partition, now_s + (deadline_s - now_s) / (len(parts) - place))
        if found.status is Status.INVALID:
            return _refuted(partition, found, history)
        if found.status is Status.UNKNOWN:
            undecided.append(f"{_label(partition)} not decided within {time_limit_s:g} s")
    if undecided:
        return unknown(NAME, "; ".join(undecided))
    count = sum(len(partition.operations) for partition in parts)
    return valid(NAME, f"an order of {every(count, 'operation')} explains every answer and the final stock")


def _unsupported(history: pd.DataFrame, ledger: Ledger) -> str:
    """What in the history the model does not cover, or an empty string."""
    events = {*history["event"].tolist(), *ledger.tickets["event"].tolist()}
    missing = events - set(ledger.events["event"].tolist())
    if missing:
        return f"the ledger lacks event {min(missing)}"
    for kind, outcome in set(zip(history["kind"].tolist(), history["outcome"].tolist(), strict=True)):
        if outcome not in ALLOWED_OUTCOMES[kind] | NO_EFFECT:
            return f"no {kind} ends as {outcome}"
    return ""


def _search(partition: Partition, deadline_s: float) -> _SearchResult:
    """Look for an order, depth first, visiting each configuration once."""
    certain = sum(1 << place for place, each in enumerate(partition.operations) if each.outcome is not Outcome.UNKNOWN)
    callable_before, due = _callable_before(partition), _version_deadlines(partition)
    first: _Configuration = (0, State(partition.start, 0))
    seen, stack = {first}, [first]
    best = _SearchResult(Status.INVALID, placed=-1)
    while stack:
        if time.monotonic() >= deadline_s:
            return _SearchResult(Status.UNKNOWN)
        placed, state = stack.pop()
        next_ = list(_next(callable_before, placed))
        complete = placed & certain == certain
        wrong = differences(partition, state) if complete else []
        if complete and not wrong:
            return _SearchResult(Status.VALID)
        best = _better(best, (placed & certain).bit_count(), [each for each in next_ if certain >> each & 1], wrong)
        fresh = [each for each in _steps(partition, next_, placed, state) if each not in seen and _in_time(due, *each)]
        seen.update(fresh)
        stack.extend(reversed(fresh))  # the earliest answer is tried first, unknown outcomes last
    return best


def _callable_before(partition: Partition) -> list[Operations]:
    """For each operation those called before its answer or at the same tick: only these can precede it."""
    calls = sorted((each.invoked_ns, place) for place, each in enumerate(partition.operations))
    called = list(accumulate((1 << place for _, place in calls), initial=0))
    return [called[bisect_right(calls, (each.completed_ns, math.inf))] for each in partition.operations]


def _next(callable_before: Sequence[Operations], placed: Operations) -> Iterator[int]:
    """The operations that may come next: those called before the earliest answer of all that are left."""
    first_answered = (~placed & (placed + 1)).bit_length() - 1  # the lowest unset bit: operations are sorted by answer
    left = callable_before[first_answered] & ~placed if first_answered < len(callable_before) else 0
    while left:
        yield (left & -left).bit_length() - 1
        left &= left - 1


def _version_deadlines(partition: Partition) -> list[tuple[list[int], list[Operations]]]:
    """For each event the reported versions, sorted, each with the operations that report it or a lower one.

    Answers that may confirm an earlier sale are left out: they may report a past version.
    """
    due = []
    everything = range(len(partition.operations))
    late = set(everything) if partition.versionless else {each for each in everything if partition.named >> each & 1}
    for event in partition.events:
        reported = sorted(
            (line.version, number)
            for number, each in enumerate(partition.operations)
            for line in each.lines
            if line.event == event and line.version != NOT_SEEN and number not in late
        )
        sets = accumulate((1 << number for _, number in reported), or_, initial=0)
        due.append(([version for version, _ in reported], list(sets)))
    return due


def _in_time(due: Sequence[tuple[list[int], list[Operations]]], placed: Operations, state: State) -> bool:
    """Whether no operation is left that reports a past version: versions only rise, so it could not come any more."""
    return not any(
        sets[bisect_left(versions, version)] & ~placed
        for (versions, sets), (_, version) in zip(due, state.stock, strict=True)
    )


def _steps(partition: Partition, next_: Sequence[int], placed: Operations, state: State) -> list[_Configuration]:
    """The configurations after one more operation."""
    steps = []
    for number in next_:
        made = apply(partition, number, state)
        if made is state and not partition.operations[number].may_wait:
            # It changes nothing: any order of the rest remains possible if this operation comes now.
            return [(placed | 1 << number, state)]
        if made is not None:
            steps.append((placed | 1 << number, made))
    return steps


def _better(
    best: _SearchResult, placed: int, blocked: Sequence[int], wrong: Sequence[Mapping[str, Any]]
) -> _SearchResult:
    """The longer of two orders; of two complete orders the one from which the ledger differs less."""
    if placed > best.placed or (placed == best.placed and len(wrong) < len(best.differences)):
        return _SearchResult(Status.INVALID, placed, blocked, wrong)
    return best


def _refuted(partition: Partition, found: _SearchResult, history: pd.DataFrame) -> Verdict:
    """INVALID, with what blocks the longest order."""
    if found.differences:
        text = f"{_label(partition)}: no order ends in the state of the ledger"
        return invalid(NAME, text, pd.DataFrame(found.differences))
    blocked = [partition.operations[number] for number in found.blocked]
    certain = sum(each.outcome is not Outcome.UNKNOWN for each in partition.operations)
    text = (
        f"{_label(partition)}: no order explains more than {found.placed:,} of {counted(certain, 'operation')}; "
        f"none of {len(blocked):,} can come next"
    )
    return invalid(NAME, text, history.iloc[sorted(row for each in blocked for row in each.rows)])


def _label(partition: Partition) -> str:
    numbers = ", ".join(map(str, partition.events))
    return f"event {numbers}" if len(partition.events) == 1 else f"events {numbers}"


MOST_ROWS = 2_000
"""With more the general search rarely ends in time."""
TIME_LIMIT_S = 5.0
_MOST_LISTED = 3


def search(case: IndexedHistory, events: Collection[int]) -> Violation | None:
    """Look for an order of the operations on these events and on all that share a purchase with them.

    Raises:
        Undecided: there are too many operations, or the time was too short.
    """
    rows = _connected_rows(case, events)
    first = ", ".join(map(str, sorted(events)[:_MOST_LISTED]))
    more = f" and {len(events) - _MOST_LISTED:,} more" if len(events) > _MOST_LISTED else ""
    named = f"{plural(len(events), 'event')} {first}{more}"
    open_question = f"{named}: no order was found for operations that report no version, and none was ruled out"
    if rows.sum() > MOST_ROWS:
        raise Undecided(open_question)
    among = np.union1d(case.event[rows], list(events))
    whole = case.ledger
    ledger = replace(
        whole,
        events=whole.events[whole.events["event"].isin(among)],
        tickets=whole.tickets[whole.tickets["event"].isin(among)],
    )
    found = linearizable(case.rows(rows), ledger, time_limit_s=TIME_LIMIT_S, versionless=case.versionless)
    if found.status is Status.UNKNOWN:
        raise Undecided(open_question)
    if found.status is Status.VALID:
        return None
    shown = np.flatnonzero(rows & (case.undecided | case.sale_unknown | case.refund_unknown | case.refused))
    return Violation(found.summary, shown.tolist(), Anomaly.STALE_READ)


def _connected_rows(case: IndexedHistory, events: Collection[int]) -> Mask:
    """The rows on these events, and on all that share a purchase id with one of them, in a call or a ticket."""
    wanted = np.zeros(case.events, np.bool_)
    wanted[list(events)] = True
    while True:
        among = np.zeros(case.ids, np.bool_)
        among[case.id[wanted[case.event]]] = True
        among[case.ticket_id[wanted[case.ticket_event]]] = True
        reached = wanted.copy()
        reached[case.event[among[case.id]]] = True
        reached[case.ticket_event[among[case.ticket_id]]] = True
        if (reached == wanted).all():
            return among[case.id]
        wanted = reached
