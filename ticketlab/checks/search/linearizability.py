"""Linearizability by search: whether any order of the operations explains a history. Opens no connection.

The slow reference for the checks that are fast: it takes no order for granted that the database told, but tries all
that real time allows, by the meaning of the operations alone (see `sequential`). It reads the monotonic clock, for its
time limit and for nothing else.

The search is that of Wing and Gong, "Testing and verifying concurrent objects" (1993), with the memo of Lowe, "Testing
for linearizability" (2017), as in Porcupine (https://github.com/anishathalye/porcupine): a configuration, which is the
operations that have taken effect and the state that they left, is looked at once. Events are judged one by one, for a
history is linearizable if it is so object by object (Herlihy and Wing, "Linearizability", 1990); events that a purchase
joins are one object.
"""

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import or_
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.checks.search.model import (
    ALLOWED_OUTCOMES,
    NO_EFFECT,
    Operations,
    Partition,
    State,
    apply,
    differences,
    partitions,
)
from ticketlab.checks.serializability.versions import Undecided, Violation
from ticketlab.checks.verdict import Anomaly, Status, Verdict, invalid, unknown, valid
from ticketlab.history.arrays import Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, every, plural
from ticketlab.outcomes import Outcome

NAME: Final = "linearizability"
MOST_OPERATIONS: Final = 10_000
"""Of one partition; sets of more take memory by their square."""

_Configuration: TypeAlias = tuple[Operations, State]


class _SearchResult(NamedTuple):
    """How far a search came: VALID, INVALID, or UNKNOWN where its time was up."""

    status: Status
    placed: int = 0
    """How many operations of known outcome the longest order has."""
    blocked: Sequence[int] = ()
    """Those that real time allows to come next, and the model does not."""
    differences: Sequence[Mapping[str, Any]] = ()
    """Where all have an order: what the ledger has otherwise."""


def linearizable(
    history: pd.DataFrame, ledger: Ledger, *, time_limit_s: float = 10.0, versionless: bool | None = None
) -> Verdict:
    """Some order of all operations obeys real time, explains every answer, and ends in what the ledger holds.

    An operation takes effect at one instant from its call to its answer, both included; one of unknown outcome at any
    time from its call on, or never. The evidence of INVALID is where the longest order found ends: the operations of
    which none can come next, or what the ledger has otherwise (`due` is what the order makes). It names no anomaly.

    `versionless` says whether sales make no known versions, for a part of a history that is so as a whole.

    The cost may double with each operation more that is under way at once. What is not decided within the limit (of
    which each partition has its share) is UNKNOWN, and so is a history that the model has no meaning for.
    """
    nonsense = _unsupported(history, ledger)
    if nonsense:
        return unknown(NAME, nonsense)
    deadline_s = time.monotonic() + time_limit_s
    parts = partitions(history, ledger, versionless=versionless)
    undecided = []
    for place, partition in enumerate(parts):
        if len(partition.operations) > MOST_OPERATIONS:
            undecided.append(f"{_named(partition)} has more than {MOST_OPERATIONS:,} operations")
            continue
        now_s = time.monotonic()
        found = _search(partition, now_s + (deadline_s - now_s) / (len(parts) - place))
        if found.status is Status.INVALID:
            return _refuted(partition, found, history)
        if found.status is Status.UNKNOWN:
            undecided.append(f"{_named(partition)} not decided within {time_limit_s:g} s")
    if undecided:
        return unknown(NAME, "; ".join(undecided))
    count = sum(len(partition.operations) for partition in parts)
    return valid(NAME, f"an order of {every(count, 'operation')} explains every answer and what is left")


def _unsupported(history: pd.DataFrame, ledger: Ledger) -> str:
    """What the model has no meaning for, in a sentence."""
    events = {*history["event"].tolist(), *ledger.tickets["event"].tolist()}
    missing = events - set(ledger.events["event"].tolist())
    if missing:
        return f"the ledger lacks event {min(missing)}"
    for kind, outcome in set(zip(history["kind"].tolist(), history["outcome"].tolist(), strict=True)):
        if outcome not in ALLOWED_OUTCOMES[kind] | NO_EFFECT:
            return f"no {kind} ends as {outcome}"
    return ""


def _search(partition: Partition, deadline_s: float) -> _SearchResult:
    """Look for an order, depth first: from one configuration to the next, and to none twice."""
    surely = sum(1 << place for place, each in enumerate(partition.operations) if each.outcome is not Outcome.UNKNOWN)
    callable_before, due = _callable_before(partition), _version_deadlines(partition)
    first: _Configuration = (0, State(partition.start, 0))
    seen, ahead = {first}, [first]
    best = _SearchResult(Status.INVALID, placed=-1)
    while ahead:
        if time.monotonic() >= deadline_s:
            return _SearchResult(Status.UNKNOWN)
        placed, state = ahead.pop()
        next_ = list(_next(callable_before, placed))
        wrong = differences(partition, state) if placed & surely == surely else []
        if placed & surely == surely and not wrong:
            return _SearchResult(Status.VALID)
        best = _better(best, (placed & surely).bit_count(), [each for each in next_ if surely >> each & 1], wrong)
        fresh = [each for each in _steps(partition, next_, placed, state) if each not in seen and _in_time(due, *each)]
        seen.update(fresh)
        ahead.extend(reversed(fresh))  # the earliest answer is tried first, and unknown outcomes last
    return best


def _callable_before(partition: Partition) -> list[Operations]:
    """For each operation those that were called before it was answered, or at that tick: no others precede it."""
    calls = sorted((each.invoked_ns, place) for place, each in enumerate(partition.operations))
    called = list(accumulate((1 << place for _, place in calls), initial=0))
    return [called[bisect_right(calls, (each.completed_ns, math.inf))] for each in partition.operations]


def _next(callable_before: Sequence[Operations], placed: Operations) -> Iterator[int]:
    """The operations that may come next: those that were called before the first answer of all that are left."""
    first_answered = (~placed & (placed + 1)).bit_length() - 1  # the lowest bit not set: they are in order of answers
    left = callable_before[first_answered] & ~placed if first_answered < len(callable_before) else 0
    while left:
        yield (left & -left).bit_length() - 1
        left &= left - 1


def _version_deadlines(partition: Partition) -> list[tuple[list[int], list[Operations]]]:
    """For each event the reported versions, sorted, each with the operations that report it or a lower one.

    Answers that may confirm a sale made before are left out: they may name a version that is past.
    """
    due = []
    everything = range(len(partition.operations))
    late = set(everything) if partition.versionless else {each for each in everything if partition.named >> each & 1}
    for event in partition.events:
        told = sorted(
            (line.version, number)
            for number, each in enumerate(partition.operations)
            for line in each.lines
            if line.event == event and line.version != NOT_SEEN and number not in late
        )
        sets = accumulate((1 << number for _, number in told), or_, initial=0)
        due.append(([version for version, _ in told], list(sets)))
    return due


def _in_time(due: Sequence[tuple[list[int], list[Operations]]], placed: Operations, state: State) -> bool:
    """Whether no operation is left that was told of a version that is past: versions only rise, so it can not come."""
    return not any(
        sets[bisect_left(versions, version)] & ~placed
        for (versions, sets), (_, version) in zip(due, state.stock, strict=True)
    )


def _steps(partition: Partition, next_: Sequence[int], placed: Operations, state: State) -> list[_Configuration]:
    """The configurations that one more operation leads to."""
    steps = []
    for number in next_:
        made = apply(partition, number, state)
        if made is state and not partition.operations[number].may_wait:
            # It changes nothing, so whatever order explains the rest does so, too, where this one comes at once.
            return [(placed | 1 << number, state)]
        if made is not None:
            steps.append((placed | 1 << number, made))
    return steps


def _better(
    best: _SearchResult, placed: int, blocked: Sequence[int], wrong: Sequence[Mapping[str, Any]]
) -> _SearchResult:
    """The longer order of two, or of two complete ones that from which the ledger differs less."""
    if placed > best.placed or (placed == best.placed and len(wrong) < len(best.differences)):
        return _SearchResult(Status.INVALID, placed, blocked, wrong)
    return best


def _refuted(partition: Partition, found: _SearchResult, history: pd.DataFrame) -> Verdict:
    """INVALID, with what stands in the way of the longest order."""
    if found.differences:
        text = f"{_named(partition)}: no order ends in what the ledger holds"
        return invalid(NAME, text, pd.DataFrame(found.differences))
    blocked = [partition.operations[number] for number in found.blocked]
    surely = sum(each.outcome is not Outcome.UNKNOWN for each in partition.operations)
    text = (
        f"{_named(partition)}: no order explains more than {found.placed:,} of {counted(surely, 'operation')}; "
        f"after them comes none of {len(blocked):,}"
    )
    return invalid(NAME, text, history.iloc[sorted(row for each in blocked for row in each.rows)])


def _named(partition: Partition) -> str:
    numbers = ", ".join(map(str, partition.events))
    return f"event {numbers}" if len(partition.events) == 1 else f"events {numbers}"


MOST_ROWS = 2_000
"""Beyond that the general search would rarely end in time."""
TIME_LIMIT_S = 5.0
_MOST_NAMED = 3


def search(case: IndexedHistory, events: Collection[int]) -> Violation | None:
    """Look for any order of these events, and of those that baskets tie to them.

    Raises:
        Undecided: there are too many operations, or the time was too short.
    """
    rows = _tied_to(case, events)
    first = ", ".join(map(str, sorted(events)[:_MOST_NAMED]))
    more = f" and {len(events) - _MOST_NAMED:,} more" if len(events) > _MOST_NAMED else ""
    named = f"{plural(len(events), 'event')} {first}{more}"
    open_question = f"{named}: no order was found for operations that report no version, and none was ruled out"
    if rows.sum() > MOST_ROWS:
        raise Undecided(open_question)
    among = np.union1d(case.event[rows], list(events))
    kept = case.ledger
    ledger = replace(
        kept,
        events=kept.events[kept.events["event"].isin(among)],
        tickets=kept.tickets[kept.tickets["event"].isin(among)],
    )
    found = linearizable(case.rows(rows), ledger, time_limit_s=TIME_LIMIT_S, versionless=case.versionless)
    if found.status is Status.UNKNOWN:
        raise Undecided(open_question)
    if found.status is Status.VALID:
        return None
    shown = np.flatnonzero(rows & (case.undecided | case.sale_unknown | case.refund_unknown | case.refused))
    return Violation(found.summary, shown.tolist(), Anomaly.STALE_READ)


def _tied_to(case: IndexedHistory, events: Collection[int]) -> Mask:
    """The rows on these events, and on all that share a purchase id with one of them, by a call or by a ticket."""
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
