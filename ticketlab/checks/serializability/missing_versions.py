"""Finds a place in the version order for operations that reported no version. A violation if there is none.

In: the reported order (`told`), and the rows of the history that report nothing of it: sales and refunds whose answer
was lost or names no version (they made one of the missing versions), and refusals that name none (they saw one).
Not for a history that is versionless as a whole: see `unordered`.
"""

from collections.abc import Iterator
from functools import cached_property, partial

import numpy as np

from ticketlab.checks.search import linearizability
from ticketlab.checks.serializability import gap_search, real_time
from ticketlab.checks.serializability.gap_search import (
    ReadConstraint,
    SearchLimitError,
    UnackedWrite,
    VersionGaps,
    assign_versions,
)
from ticketlab.checks.serializability.real_time import Positions
from ticketlab.checks.serializability.versions import VersionedRows, Violation
from ticketlab.checks.verdict import Anomaly
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, verb


def check_missing_versions(told: VersionedRows) -> Violation | None:
    """A version that no operation can have made, or an answer that no version suits.

    Raises:
        Undecided: nothing wrong was found, and no place for some of them either.
    """
    if told.case.versionless:
        return None
    quiet = UnversionedRows(told)
    open_events: list[int] = []
    placed = told.places
    versions: dict[int, int] = {}
    for event in quiet.events.tolist():
        try:
            made = _fill(quiet, event)
        except _NeedsSearchError:
            open_events.append(event)
            continue
        if isinstance(made, Violation):
            return made
        versions |= made
        if not _reports_agree(told, event, versions):
            open_events.append(event)
            continue
        placed += _places(told.case, made, seen=0)
    for event in np.setdiff1d(quiet.looked_at, open_events).tolist():
        seen, without = gap_search.assign_reads(
            list(_read_constraints(quiet, event, versions)), placed.of_event(event), last=int(told.final_version[event])
        )
        if without is not None and not quiet.is_open(event):
            return _no_consistent_version(told, event, without.row)
        if without is not None:
            open_events.append(event)
        placed += _places(told.case, seen, seen=1)
    if quiet.any and not open_events and _contradicts(told.case, placed):
        open_events = quiet.affected_events.tolist()
    return linearizability.search(told.case, open_events) if open_events else None


class _NeedsSearchError(Exception):
    """Whether the event has an order cannot be decided from here."""


class UnversionedRows:
    """The rows that reported no version, by what they are."""

    def __init__(self, told: VersionedRows) -> None:
        self.told = told
        case = told.case
        without = case.version == NOT_SEEN
        self.silent = np.flatnonzero(case.changed_stock & without)
        self.undecided = np.flatnonzero(case.undecided | case.effects.entangled)
        self.refused = np.flatnonzero(case.refused & without)
        made = np.bincount(self.told.event, minlength=case.events)
        known = np.zeros(case.events, np.bool_)
        known[case.ledger.events["event"]] = True
        self.missing = np.where(known, self.told.final_version - 1 - made, 0)
        self.events = np.union1d(np.flatnonzero(self.missing), case.event[np.append(self.silent, self.undecided)])
        self.looked_at = np.unique(case.event[self.refused])

    @cached_property
    def sale(self) -> Integers:
        """Of each id the row of its sale, or -1."""
        return _first_of_each_id(self.told.case, self.told.case.sold_certain)

    @cached_property
    def refund(self) -> Integers:
        """Of each id the row of its refund, or -1."""
        return _first_of_each_id(self.told.case, self.told.case.refunded_certain)

    @cached_property
    def bought_again(self) -> Mask:
        """By id: whether it has several sales."""
        several: Mask = self.told.case.count_by_id(self.told.case.sold_certain) > 1
        return several

    @property
    def any(self) -> bool:
        """Whether there is anything that was not reported."""
        return len(self.affected_events) > 0

    @property
    def affected_events(self) -> Integers:
        """The events on which something was not reported."""
        return np.union1d(self.events, self.looked_at)

    def is_open(self, event: int) -> bool:
        """Whether the versions of the event were filled by choice."""
        return bool((self.told.case.event[self.silent] == event).any())


def _first_of_each_id(case: IndexedHistory, rows: Mask) -> Integers:
    first = np.full(case.ids, -1)
    places = np.flatnonzero(rows)[::-1]
    first[case.id[places]] = places
    return first


def _fill(quiet: UnversionedRows, event: int) -> dict[int, int] | Violation:
    """A version for each silent row of the event."""
    told, case = quiet.told, quiet.told.case
    if (case.event[quiet.undecided] == event).any():
        raise _NeedsSearchError
    silent = quiet.silent[case.event[quiet.silent] == event]
    if quiet.bought_again[case.id[silent]].any():
        raise _NeedsSearchError  # which sale a refund of such an id gives back is not known from one event
    missing = int(quiet.missing[event])
    if missing > len(silent):
        return _unclaimed_version(told, event, missing - len(silent))
    if missing < len(silent):
        gaps = max(0, missing)
        took_effect = f"{counted(len(silent), 'operation')} without a reported version took effect"
        text = f"event {event}: {took_effect}, but only {counted(gaps, 'version')} {verb(gaps, 'is')} missing"
        return Violation(text, silent[: missing + 1].tolist(), Anomaly.LOST_UPDATE)
    known = _gaps_of(told, event)
    if any(version - 1 not in known.stock for version in known.missing if version - 1 not in known.missing):
        raise _NeedsSearchError  # the stock before a gap was not told
    try:
        made = assign_versions(known, list(_candidates(quiet, event, silent)))
    except SearchLimitError:
        raise _NeedsSearchError from None
    if made is None:
        text = f"event {event}: no order of the operations without a version explains the versions that are missing"
        return Violation(text, silent.tolist(), Anomaly.LOST_UPDATE)
    return made


def _gaps_of(told: VersionedRows, event: int) -> VersionGaps:
    first, end = np.searchsorted(told.event, [event, event + 1])
    version, rows, last = told.version[first:end], told.writers[first:end], int(told.final_version[event])
    known = np.concatenate([[1], version, [last + 1]])
    breaks = np.flatnonzero(np.diff(known) > 1)
    missing = [each for place in breaks for each in range(int(known[place]) + 1, int(known[place + 1]))]
    case = told.case
    stock, made = {1: int(told.total[event])}, {}
    for place in breaks.tolist():
        for number in (place - 1, place):
            if 0 <= number < len(rows) and case.available[rows[number]] != NOT_SEEN:
                stock[int(version[number])] = int(case.available[rows[number]])
                made[int(version[number])] = int(case.stock_delta[rows[number]])
    seers = told.readers[case.event[told.readers] == event]
    wanted = seers[np.isin(case.version[seers], missing) & (case.available[seers] != NOT_SEEN)]
    stock |= dict(zip(case.version[wanted].tolist(), case.available[wanted].tolist(), strict=True))
    if last in missing and told.left[event] != NOT_SEEN:
        stock[last] = int(told.left[event])
    return VersionGaps(missing=missing, stock=stock, made=made)


def _unclaimed_version(told: VersionedRows, event: int, count: int) -> Violation:
    first, end = np.searchsorted(told.event, [event, event + 1])
    gone = np.append(told.version[first:end] != np.arange(end - first) + 2, True)
    behind = first + int(np.argmax(gone))
    rows = [int(told.writers[place]) for place in (behind - 1, behind) if first <= place < end]
    text = f"event {event}: no operation made version {behind - first + 2:,}"
    if count > 1:
        text += f", nor {count - 1:,} more"
    return Violation(text, rows, Anomaly.PHANTOM_SALE)


def _candidates(quiet: UnversionedRows, event: int, silent: Integers) -> Iterator[UnackedWrite]:
    """The silent rows of an event, each with the first and the last version that it can have made."""
    told, case = quiet.told, quiet.told.case
    places, last = told.places.of_event(event), int(told.final_version[event])
    earliest = places.after(case.since[silent]) // 2 + 1
    latest = (places.before(case.until[silent], none=2 * last + 2) - 1) // 2
    for row, first, end in zip(silent.tolist(), earliest.tolist(), latest.tolist(), strict=True):
        undoes = None
        if case.purchases[row]:
            back = int(quiet.refund[case.id[row]])
            if back >= 0 and case.event[back] == event and case.version[back] != NOT_SEEN:
                end = min(end, int(case.version[back]) - 1)  # noqa: PLW2901 - bounded once more
        else:
            sale = _line_of(case, int(quiet.sale[case.id[row]]), event)
            if sale >= 0 and case.version[sale] != NOT_SEEN:
                first = max(first, int(case.version[sale]) + 1)  # noqa: PLW2901 - bounded once more
            elif sale >= 0:
                undoes = sale
        stock = int(case.available[row])
        yield UnackedWrite(
            row=row, change=int(case.stock_delta[row]), earliest=first, latest=end, refund_of=undoes, stock=stock
        )


def _line_of(case: IndexedHistory, row: int, event: int) -> int:
    """The row of that event in the operation of the given row, or -1."""
    if row < 0:
        return -1
    rows = np.flatnonzero((case.operation == case.operation[row]) & (case.event == event))
    return int(rows[0]) if len(rows) else -1


def _read_constraints(quiet: UnversionedRows, event: int, versions: dict[int, int]) -> Iterator[ReadConstraint]:
    """Those who must have seen a version of the event, and did not tell which."""
    case, told = quiet.told.case, quiet.told
    stock = _stocks(told, event, versions)
    for row in quiet.refused[case.event[quiet.refused] == event].tolist():
        low = partial(_too_low, stock, wanted=int(case.quantity[row]), shown=int(case.available[row]))
        yield ReadConstraint(row=row, since=int(case.invoked[row]), until=int(case.completed[row]), allows=low)


def _too_low(stock: Integers, first: int, last: int, *, wanted: int, shown: int) -> Mask:
    """At which versions the stock is too small, and the one that was shown if one was."""
    stocks = stock[first : last + 1]
    low: Mask = (stocks < wanted) & ((stocks == shown) | (shown == NOT_SEEN))
    return low


def _stocks(told: VersionedRows, event: int, versions: dict[int, int]) -> Integers:
    """The stock at each version of an event, from 1; place 0 is not used."""
    case = told.case
    changes = np.zeros(int(told.final_version[event]) + 1, np.int64)
    first, end = np.searchsorted(told.event, [event, event + 1])
    changes[told.version[first:end]] = case.stock_delta[told.writers[first:end]]
    for row, version in versions.items():
        if case.event[row] == event:
            changes[version] = case.stock_delta[row]
    stocks: Integers = told.total[event] + np.cumsum(changes)
    return stocks


def _reports_agree(told: VersionedRows, event: int, versions: dict[int, int]) -> bool:
    """Whether the changes up to each version of the event leave the stock that was reported there, and none below 0."""
    case, stock = told.case, _stocks(told, event, versions)
    if (stock[1:] < 0).any():
        return False
    first, end = np.searchsorted(told.event, [event, event + 1])
    rows = np.concatenate([told.writers[first:end], told.readers[case.event[told.readers] == event]])
    reported = case.available[rows]
    if ((reported != NOT_SEEN) & (reported != stock[case.version[rows]])).any():
        return False
    return bool(told.left[event] == NOT_SEEN or told.left[event] == stock[-1])


def _no_consistent_version(told: VersionedRows, event: int, row: int) -> Violation:
    case = told.case
    wanted = case.quantity[row]
    text = f"event {event}: a call for {counted(wanted, 'ticket')} was refused, but enough were left all the time"
    return Violation(text, [row], Anomaly.FALSE_SOLD_OUT)


def _places(case: IndexedHistory, versions: dict[int, int], *, seen: int) -> Positions:
    rows = np.array(list(versions), np.int64)
    at = 2 * np.array(list(versions.values()), np.int64) + seen
    return Positions.of(rows=rows, event=case.event[rows], position=at, since=case.since[rows], until=case.until[rows])


def _contradicts(case: IndexedHistory, placed: Positions) -> bool:
    """Whether the places that were found do not go together, of one event or of several."""
    if real_time.inversion(placed) is not None:
        return True
    return not case.is_first_line.all() and bool(real_time.cycle(placed, case.operation[placed.rows]))
