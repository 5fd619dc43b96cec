"""Checks the reported versions: each made once, with the right stock, and in an order that agrees with real time.

Definitions: a *writer* is a row that reports a version that it made, a *reader* a row that was refused at a version.
The *expected stock* of a version is the seats of the event plus all changes up to it; it is unknown after a gap. An
event begins with version 1, and its *final version* is that of the ledger.

Idea: writers are sorted by event and version. Neighbours with one version are two writes of it; the stock that a writer
reports must be that of its predecessor plus its own change; a reader must have seen too small a stock at its version.
Last, the order of the versions is compared with real time (`real_time`).

Cost: O(n log n) for sorting; all else is linear, in whole columns.

Source: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997), for the order; a refusal
with a version is a read of it.

Example: an event of 2 seats; version 2 sold 1 ticket and left 1, version 3 sold 2 and left -1. Each stock is the one
before it less the tickets sold, but -1 is below 0: an oversell, shown by the row of version 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from ticketlab.checks.serializability import _real_time
from ticketlab.checks.serializability._real_time import Positions, sort_order
from ticketlab.checks.verdict import Anomaly, Violation
from ticketlab.history.text import counted
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.index import IndexedHistory


@dataclass(frozen=True, kw_only=True)
class VersionedRows:
    """The rows that report a version; none in a history that is versionless."""

    case: IndexedHistory
    writers: Integers
    """Rows that report a version that they made, by event and version."""
    readers: Integers
    """Rows that were refused at a version."""

    @classmethod
    def of(cls, case: IndexedHistory) -> Self:
        """Those of a history."""
        reported = case.version != NOT_SEEN
        writers = np.flatnonzero(case.changed_stock & reported)
        writers = writers[sort_order(case.event[writers], case.version[writers])]
        return cls(case=case, writers=writers, readers=np.flatnonzero(case.refused & reported))

    @cached_property
    def event(self) -> Integers:
        """The event of each writer."""
        return self.case.event[self.writers]

    @cached_property
    def version(self) -> Integers:
        """The version of each writer."""
        return self.case.version[self.writers].astype(np.int64)

    @cached_property
    def is_consecutive(self) -> Mask:
        """Whether the writer before it made the version before it, of the same event."""
        same = self.event[1:] == self.event[:-1]
        return np.append(False, same & (self.version[1:] == self.version[:-1] + 1))[: len(self.writers)]

    @cached_property
    def expected_stock(self) -> Integers:
        """The stock after each writer, by the changes up to it; NOT_SEEN after the first missing version."""
        begins = np.searchsorted(self.event, self.event)
        changes = self.case.stock_delta[self.writers].cumsum()
        of_event = changes - np.append(0, changes)[begins]
        complete = self.version - 2 == np.arange(len(self.writers)) - begins
        return np.where(complete, self.total[self.event] + of_event, NOT_SEEN)

    @cached_property
    def total(self) -> Integers:
        """The seats of each event, by its number."""
        return self.case.of_events("total")

    @cached_property
    def final_version(self) -> Integers:
        """The last version of each event; if the ledger has none, the highest that its changes account for."""
        last = self.case.of_events("version")
        if (last != NOT_SEEN).all():
            return last
        highest = 1 + np.bincount(self.case.event[self.case.changed_stock], minlength=self.case.events)
        np.maximum.at(highest, self.event, self.version)
        np.maximum.at(highest, self.case.event[self.readers], self.case.version[self.readers])
        return np.where(last == NOT_SEEN, highest, last)

    @cached_property
    def is_final_known(self) -> Mask:
        """By event: whether `final_version` is certain, so that no row of unknown outcome may have made another."""
        undecided = np.bincount(self.case.event[self.case.undecided], minlength=self.case.events) > 0
        known: Mask = (self.case.of_events("version") != NOT_SEEN) | ~undecided
        return known

    @cached_property
    def final_stock(self) -> Integers:
        """The stock of each event in the ledger, or NOT_SEEN."""
        return self.case.of_events("available")

    @cached_property
    def positions(self) -> Positions:
        """The positions of all these rows."""
        case, rows = self.case, np.concatenate([self.writers, self.readers])
        position = np.concatenate([2 * self.version, 2 * case.version[self.readers].astype(np.int64) + 1])
        return Positions.of(
            rows=rows, event=case.event[rows], position=position, since=case.since[rows], until=case.until[rows]
        )

    def writer_index(self, event: Integers, version: Integers) -> Integers:
        """For each version of an event the index of its writer in `writers`, or -1."""
        width = int(max(self.version.max(initial=0), version.max(initial=0))) + 1
        keys = self.event.astype(np.int64) * width + self.version
        wanted = event.astype(np.int64) * width + version
        index = np.searchsorted(keys, wanted)
        exists = index < len(keys)
        exists[exists] = keys[index[exists]] == wanted[exists]
        return np.where(exists, index, -1)


def first_index(mask: Mask) -> int | None:
    """The index of the first True, or None."""
    return int(np.argmax(mask)) if mask.any() else None


def check_versions(versioned: VersionedRows) -> Violation | None:
    """A version that was made twice, or that the event cannot have."""
    case, event, version, writers = versioned.case, versioned.event, versioned.version, versioned.writers
    twice = np.flatnonzero((event[1:] == event[:-1]) & (version[1:] == version[:-1]))
    if len(twice):
        rows = writers[twice[0] : twice[0] + 2].tolist()
        text = f"event {event[twice[0]]}: version {version[twice[0]]:,} was made twice"
        if len(twice) > 1:
            text += f", and so were {len(twice) - 1:,} more"
        # A sale that owns nothing and was not refunded was rolled back: its answer is a dirty read.
        refunded = case.count_by_id(case.refunded_certain | case.refund_unknown)[case.id[rows]] > 0
        gone = case.sold_certain[rows] & (case.tickets_held[rows] == 0) & ~refunded
        return Violation(text, rows, Anomaly.DIRTY_READ if gone.any() else Anomaly.LOST_UPDATE)
    if (index := first_index(version <= 1)) is not None:
        text = f"event {event[index]}: version {version[index]} was made, though the event began with version 1"
        return Violation(text, [int(writers[index])], Anomaly.LOST_UPDATE)
    if (index := first_index(version > versioned.final_version[event])) is not None:
        end = f"the event ended with version {versioned.final_version[event[index]]:,}"
        text = f"event {event[index]}: an answer reported version {version[index]:,}, but {end}"
        return Violation(text, [int(writers[index])], Anomaly.DIRTY_READ)
    return None


def check_stock(versioned: VersionedRows) -> Violation | None:
    """A reported stock that does not follow from the one before it, is below 0, or differs from the ledger's."""
    case, writers, event, version = versioned.case, versioned.writers, versioned.event, versioned.version
    expected, final = versioned.expected_stock, versioned.final_stock[event]
    stock, change = case.available[writers].astype(np.int64), case.stock_delta[writers]
    before = np.append(NOT_SEEN, stock[:-1])[: len(stock)]
    first = version == 2  # noqa: PLR2004 - the one after the first
    before[first] = versioned.total[event[first]]
    reported = stock != NOT_SEEN

    def left(index: int) -> str:
        return f"event {event[index]}: version {version[index]:,} left {counted(stock[index], 'seat')}"

    comparable = reported & (before != NOT_SEEN) & (first | versioned.is_consecutive)
    if (index := first_index(comparable & (before + change != stock))) is not None:
        rows = writers[index - (not first[index]) : index + 1].tolist()
        due = f"{before[index]:,} before it and {change[index]:+,} make {before[index] + change[index]:,}"
        return Violation(f"{left(index)}, but {due}", rows, Anomaly.LOST_UPDATE)
    if (index := first_index(reported & (expected != NOT_SEEN) & (stock != expected))) is not None:
        total = versioned.total[event[index]]
        due = f"{total:,} at the start and all changes up to it make {expected[index]:,}"
        return Violation(f"{left(index)}, but {due}", [int(writers[index])], Anomaly.LOST_UPDATE)
    known = np.where(reported, stock, expected)
    if (index := first_index((known != NOT_SEEN) & (known < 0))) is not None:
        sold = f"version {version[index]:,} sold {counted(-change[index], 'ticket')} and left {known[index]:,}"
        text = f"event {event[index]}: {sold}: more than were available"
        return Violation(text, [int(writers[index])], Anomaly.OVERSELL)
    is_last = versioned.is_final_known[event] & (version == versioned.final_version[event])
    if (index := first_index(is_last & reported & (final != NOT_SEEN) & (stock != final))) is not None:
        due = f"the ledger has {final[index]:,} at that version"
        return Violation(f"{left(index)}, but {due}", [int(writers[index])], Anomaly.LOST_UPDATE)
    return None


def check_refusals(versioned: VersionedRows) -> Violation | None:
    """A refusal at a version that had enough tickets, or at a version or stock that never existed."""
    case, readers = versioned.case, versioned.readers
    event, version = case.event[readers], case.version[readers].astype(np.int64)
    witness, stock = _stock_at_version(versioned, event, version)
    seen = np.where(case.available[readers] == NOT_SEEN, stock, case.available[readers])
    never = (version > versioned.final_version[event]) | (version < 1) | ((stock != NOT_SEEN) & (stock != seen))
    enough = (seen != NOT_SEEN) & (seen >= case.quantity[readers])
    for wrong, anomaly in ((never, Anomaly.DIRTY_READ), (enough, Anomaly.FALSE_SOLD_OUT)):
        if (index := first_index(wrong)) is not None:
            rows = [int(witness[index])] if witness[index] >= 0 and anomaly is Anomaly.DIRTY_READ else []
            left = f" with {seen[index]:,} left" if seen[index] != NOT_SEEN else ""
            call = f"a call for {counted(case.quantity[readers[index]], 'ticket')}"
            text = f"event {event[index]}: {call} was answered sold out at version {version[index]:,}{left}"
            if anomaly is Anomaly.DIRTY_READ:
                text += f"; it had {stock[index]:,}" if stock[index] != NOT_SEEN else "; the event never had it"
            return Violation(text, [*rows, int(readers[index])], anomaly)
    return None


def _stock_at_version(versioned: VersionedRows, event: Integers, version: Integers) -> tuple[Integers, Integers]:
    """For each reader the row that shows the stock at its version, or -1, and that stock, or NOT_SEEN.

    The source is the writer of the version; without one the ledger, if the version is the last one; else the first
    reader of the version that reports its stock.
    """
    case, readers = versioned.case, versioned.readers
    index = versioned.writer_index(event, version)
    witness = np.append(versioned.writers, -1)[index]
    stock = np.where(index >= 0, case.available[witness], NOT_SEEN).astype(np.int64)
    stock = np.where((index >= 0) & (stock == NOT_SEEN), np.append(versioned.expected_stock, NOT_SEEN)[index], stock)
    is_last = (version == versioned.final_version[event]) & versioned.is_final_known[event]
    stock = np.where((index < 0) & is_last, versioned.final_stock[event], stock)
    stock = np.where(version == 1, versioned.total[event], stock)
    open_ = np.flatnonzero((index < 0) & (stock == NOT_SEEN) & (case.available[readers] != NOT_SEEN))
    _, first, group = np.unique(
        event[open_] * (version.max(initial=0) + 1) + version[open_], return_index=True, return_inverse=True
    )
    witness[open_] = readers[open_[first[group]]]
    stock[open_] = case.available[witness[open_]]
    return witness, stock


def check_real_time(versioned: VersionedRows) -> Violation | None:
    """Two operations of an event whose order contradicts real time, or a cycle of operations on several events."""
    case, positions = versioned.case, versioned.positions
    pair = _real_time.inversion(positions)
    if pair is not None:
        first, second = (_label(case, row) for row in pair)
        text = f"event {case.event[pair[0]]}: {first} precedes {second}, but was called after that had been answered"
        return Violation(text, pair, Anomaly.STALE_READ)
    if case.is_first_line.all():
        return None
    cycle = _real_time.cycle(positions, case.operation[positions.rows])
    if not cycle:
        return None
    rows = np.flatnonzero(np.isin(case.operation, case.operation[list(cycle)]))
    text = f"a cycle of {len(cycle)} operations on several events, each of which must precede the next"
    return Violation(text, rows.tolist(), Anomaly.STALE_READ)


def _label(case: IndexedHistory, row: int) -> str:
    return f"version {case.version[row]:,}" if not case.refused[row] else f"a refusal at version {case.version[row]:,}"
