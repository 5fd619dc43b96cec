"""Finds a place in the version order for operations that reported no version. A violation if there is none.

Definitions: an *unacknowledged write* is a certain sale or refund without a version (its answer was lost or names
none); it made one of the missing versions. A refusal without a version is a read of some version.

Idea, for each event: as many versions must be missing as there are unacknowledged writes. A write is bounded below by
the versions of operations answered before its call and above by those called after its answer, and by the sale or
refund of the same id. Within these bounds `gap_search` assigns versions to writes, then to reads. An event for which
this proves nothing is left to the general search (`search.linearizability`), with all events that share a purchase.

Cost: O(n log n) where nothing is missing; the searches are bounded by steps and by time.

Example: versions 2 and 4 are reported, and a purchase of unknown outcome owns its tickets at the end: it made version
3. Without such a purchase, version 3 was made by no operation: a phantom sale.

Not for a history that is versionless as a whole: see `unversioned`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from ticketlab.checks.search import _linearizability
from ticketlab.checks.serializability import _gap_search, _real_time
from ticketlab.checks.serializability._gap_search import ReadConstraint, SearchLimitError, UnackedWrite, VersionGaps
from ticketlab.checks.serializability._real_time import Positions
from ticketlab.checks.verdict import Anomaly, Violation
from ticketlab.history.text import counted, verb
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.checks.serializability._versions import VersionedRows
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.index import IndexedHistory


def check_missing_versions(versioned: VersionedRows) -> Violation | None:
    """A version that no operation can have made, or an answer that no version explains.

    Raises:
        Undecided: neither a violation nor a place for every operation was found.
    """
    case = versioned.case
    if case.versionless:
        return None
    unversioned = UnversionedRows(versioned)
    unsolved: list[int] = []
    positions = versioned.positions
    versions: dict[int, int] = {}
    for event in unversioned.write_events.tolist():
        try:
            written = _assign_writes(unversioned, event)
        except _NeedsSearchError:
            unsolved.append(event)
            continue
        if isinstance(written, Violation):
            return written
        versions |= written
        if not _reports_agree(versioned, event, versions):
            unsolved.append(event)
            continue
        positions += _positions(case, written, is_read=0)
    for event in np.setdiff1d(unversioned.read_events, unsolved).tolist():
        constraints = list(_read_constraints(unversioned, event, versions))
        last = int(versioned.final_version[event])
        read, failed = _gap_search.assign_reads(constraints, positions.of_event(event), last=last)
        if failed is not None and not unversioned.has_writes(event):
            tickets = counted(case.quantity[failed.row], "ticket")
            text = f"event {event}: a call for {tickets} was refused, but enough were available throughout the call"
            return Violation(text, [failed.row], Anomaly.FALSE_SOLD_OUT)
        if failed is not None:
            unsolved.append(event)  # other versions of the writes might leave one for this read
        positions += _positions(case, read, is_read=1)
    if len(unversioned.events) and not unsolved and _contradicts(case, positions):
        unsolved = unversioned.events.tolist()
    return _linearizability.search(case, unsolved) if unsolved else None


class _NeedsSearchError(Exception):
    """The versions of this event alone do not decide whether it has an order."""


class UnversionedRows:
    """The rows that reported no version, by kind."""

    def __init__(self, versioned: VersionedRows) -> None:
        self.versioned = versioned
        case = versioned.case
        without = case.version == NOT_SEEN
        self.writes = np.flatnonzero(case.changed_stock & without)
        self.undecided = np.flatnonzero(case.undecided | case.effects.entangled)
        self.reads = np.flatnonzero(case.refused & without)
        written = np.bincount(versioned.event, minlength=case.events)
        in_ledger = np.zeros(case.events, np.bool_)
        in_ledger[case.ledger.events["event"]] = True
        self.missing = np.where(in_ledger, versioned.final_version - 1 - written, 0)
        """By event: how many versions no answer reports as made."""
        self.write_events = np.union1d(np.flatnonzero(self.missing), case.event[np.append(self.writes, self.undecided)])
        self.read_events = np.unique(case.event[self.reads])
        self.events = np.union1d(self.write_events, self.read_events)

    @cached_property
    def sale(self) -> Integers:
        """For each id the row of its first sale, or -1."""
        return _first_of_each_id(self.versioned.case, self.versioned.case.sold_certain)

    @cached_property
    def refund(self) -> Integers:
        """For each id the row of its first refund, or -1."""
        return _first_of_each_id(self.versioned.case, self.versioned.case.refunded_certain)

    @cached_property
    def has_several_sales(self) -> Mask:
        """By id."""
        several: Mask = self.versioned.case.count_by_id(self.versioned.case.sold_certain) > 1
        return several

    def has_writes(self, event: int) -> bool:
        """Whether some versions of the event were assigned by choice."""
        return bool((self.versioned.case.event[self.writes] == event).any())


def _first_of_each_id(case: IndexedHistory, mask: Mask) -> Integers:
    first = np.full(case.ids, -1)
    rows = np.flatnonzero(mask)[::-1]
    first[case.id[rows]] = rows
    return first


def _assign_writes(unversioned: UnversionedRows, event: int) -> dict[int, int] | Violation:
    """A version for each unacknowledged write of the event."""
    versioned, case = unversioned.versioned, unversioned.versioned.case
    if (case.event[unversioned.undecided] == event).any():
        raise _NeedsSearchError
    writes = unversioned.writes[case.event[unversioned.writes] == event]
    if unversioned.has_several_sales[case.id[writes]].any():
        raise _NeedsSearchError  # one event does not tell which of the sales a refund returns
    missing = int(unversioned.missing[event])
    if missing > len(writes):
        return _unclaimed_version(versioned, event, missing - len(writes))
    if missing < len(writes):
        gaps = max(0, missing)
        took_effect = f"{counted(len(writes), 'operation')} without a reported version took effect"
        text = f"event {event}: {took_effect}, but only {counted(gaps, 'version')} {verb(gaps, 'is')} missing"
        return Violation(text, writes[: missing + 1].tolist(), Anomaly.LOST_UPDATE)
    version_gaps = _version_gaps(versioned, event)
    known = {*version_gaps.stock, *version_gaps.missing}
    if any(version - 1 not in known for version in version_gaps.missing):
        raise _NeedsSearchError  # the stock before a gap is unknown
    try:
        written = _gap_search.assign_writes(version_gaps, list(_write_candidates(unversioned, event, writes)))
    except SearchLimitError:
        raise _NeedsSearchError from None
    if written is None:
        text = f"event {event}: no order of the operations without a version explains the missing versions"
        return Violation(text, writes.tolist(), Anomaly.LOST_UPDATE)
    return written


def _version_gaps(versioned: VersionedRows, event: int) -> VersionGaps:
    case = versioned.case
    first, end = np.searchsorted(versioned.event, [event, event + 1])
    version, writers, last = versioned.version[first:end], versioned.writers[first:end], versioned.final_version[event]
    known = np.concatenate([[1], version, [last + 1]])
    breaks = np.flatnonzero(np.diff(known) > 1)
    missing = [number for index in breaks for number in range(int(known[index]) + 1, int(known[index + 1]))]
    stock, change = {1: int(versioned.total[event])}, {}
    for index in (number for after in breaks.tolist() for number in (after - 1, after)):
        if 0 <= index < len(writers) and case.available[writers[index]] != NOT_SEEN:
            stock[int(version[index])] = int(case.available[writers[index]])
            change[int(version[index])] = int(case.stock_delta[writers[index]])
    readers = versioned.readers[case.event[versioned.readers] == event]
    readers = readers[np.isin(case.version[readers], missing) & (case.available[readers] != NOT_SEEN)]
    stock |= dict(zip(case.version[readers].tolist(), case.available[readers].tolist(), strict=True))
    if last in missing and versioned.final_stock[event] != NOT_SEEN:
        stock[int(last)] = int(versioned.final_stock[event])
    return VersionGaps(missing=missing, stock=stock, change=change)


def _unclaimed_version(versioned: VersionedRows, event: int, count: int) -> Violation:
    """The first missing version, with the rows on both sides of it."""
    first, end = np.searchsorted(versioned.event, [event, event + 1])
    is_gap = np.append(versioned.version[first:end] != np.arange(end - first) + 2, True)
    behind = first + int(np.argmax(is_gap))
    rows = [int(versioned.writers[index]) for index in (behind - 1, behind) if first <= index < end]
    text = f"event {event}: no operation made version {behind - first + 2:,}"
    if count > 1:
        text += f", nor {count - 1:,} more"
    return Violation(text, rows, Anomaly.PHANTOM_SALE)


def _write_candidates(unversioned: UnversionedRows, event: int, writes: Integers) -> Iterator[UnackedWrite]:
    """The unacknowledged writes of an event, each with the first and the last version that it can have made."""
    versioned, case = unversioned.versioned, unversioned.versioned.case
    positions, last = versioned.positions.of_event(event), int(versioned.final_version[event])
    earliest = positions.last_before(case.since[writes]) // 2 + 1
    latest = (positions.first_after(case.until[writes], default=2 * last + 2) - 1) // 2
    for row, lower, upper in zip(writes.tolist(), earliest.tolist(), latest.tolist(), strict=True):
        first, end, refund_of = lower, upper, None
        if case.purchases[row]:
            refund = int(unversioned.refund[case.id[row]])
            if refund >= 0 and case.event[refund] == event and case.version[refund] != NOT_SEEN:
                end = min(end, int(case.version[refund]) - 1)
        else:
            sale = _row_of_event(case, int(unversioned.sale[case.id[row]]), event)
            if sale >= 0 and case.version[sale] != NOT_SEEN:
                first = max(first, int(case.version[sale]) + 1)
            elif sale >= 0:
                refund_of = sale
        change, stock = int(case.stock_delta[row]), int(case.available[row])
        yield UnackedWrite(row=row, change=change, earliest=first, latest=end, refund_of=refund_of, stock=stock)


def _row_of_event(case: IndexedHistory, row: int, event: int) -> int:
    """The row of that event in the operation of the given row, or -1."""
    if row < 0:
        return -1
    rows = np.flatnonzero((case.operation == case.operation[row]) & (case.event == event))
    return int(rows[0]) if len(rows) else -1


def _read_constraints(unversioned: UnversionedRows, event: int, versions: dict[int, int]) -> Iterator[ReadConstraint]:
    """The refusals of the event without a version."""
    case = unversioned.versioned.case
    stock = _stock_by_version(unversioned.versioned, event, versions)
    for row in unversioned.reads[case.event[unversioned.reads] == event].tolist():
        allows = partial(_refuses, stock, quantity=int(case.quantity[row]), shown=int(case.available[row]))
        yield ReadConstraint(row=row, since=int(case.invoked[row]), until=int(case.completed[row]), allows=allows)


def _refuses(stock: Integers, first: int, last: int, *, quantity: int, shown: int) -> Mask:
    """Of these versions, those with too small a stock, and with the one that was shown if any was."""
    stocks = stock[first : last + 1]
    refuses: Mask = (stocks < quantity) & ((stocks == shown) | (shown == NOT_SEEN))
    return refuses


def _stock_by_version(versioned: VersionedRows, event: int, versions: dict[int, int]) -> Integers:
    """The stock at each version of an event, indexed from 1; index 0 is not used."""
    case = versioned.case
    changes = np.zeros(int(versioned.final_version[event]) + 1, np.int64)
    first, end = np.searchsorted(versioned.event, [event, event + 1])
    changes[versioned.version[first:end]] = case.stock_delta[versioned.writers[first:end]]
    for row, version in versions.items():
        if case.event[row] == event:
            changes[version] = case.stock_delta[row]
    stock: Integers = versioned.total[event] + np.cumsum(changes)
    return stock


def _reports_agree(versioned: VersionedRows, event: int, versions: dict[int, int]) -> bool:
    """Whether all changes together leave the stock that was reported at each version, and none below 0."""
    case, stock = versioned.case, _stock_by_version(versioned, event, versions)
    if (stock[1:] < 0).any():
        return False
    first, end = np.searchsorted(versioned.event, [event, event + 1])
    readers = versioned.readers[case.event[versioned.readers] == event]
    rows = np.concatenate([versioned.writers[first:end], readers])
    reported = case.available[rows]
    if ((reported != NOT_SEEN) & (reported != stock[case.version[rows]])).any():
        return False
    return bool(versioned.final_stock[event] in {NOT_SEEN, int(stock[-1])})


def _positions(case: IndexedHistory, versions: dict[int, int], *, is_read: int) -> Positions:
    rows = np.array(list(versions), np.int64)
    position = 2 * np.array(list(versions.values()), np.int64) + is_read
    return Positions.of(
        rows=rows, event=case.event[rows], position=position, since=case.since[rows], until=case.until[rows]
    )


def _contradicts(case: IndexedHistory, positions: Positions) -> bool:
    """Whether the positions contradict real time, within one event or across several."""
    if _real_time.inversion(positions) is not None:
        return True
    return not case.is_first_line.all() and bool(_real_time.cycle(positions, case.operation[positions.rows]))
