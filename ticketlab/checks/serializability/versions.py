"""What is wrong with an order, and with which rows of the history it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from ticketlab.checks.serializability import real_time
from ticketlab.checks.serializability.real_time import Positions, sort_order
from ticketlab.checks.verdict import Anomaly
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted


class Violation(NamedTuple):
    """One thing that is wrong."""

    text: str
    rows: Sequence[int]
    """The fewest rows that show it."""
    anomaly: Anomaly


class Undecided(Exception):  # noqa: N818 - no error: the question is open, and the message says which
    """Nothing wrong was found, and no order either."""


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
        """Sorted out of a case."""
        reported = case.version != NOT_SEEN
        makers = np.flatnonzero(case.changed_stock & reported)
        makers = makers[sort_order(case.event[makers], case.version[makers])]
        return cls(case=case, writers=makers, readers=np.flatnonzero(case.refused & reported))

    @cached_property
    def event(self) -> Integers:
        """The event of each maker."""
        return self.case.event[self.writers]

    @cached_property
    def version(self) -> Integers:
        """The version of each maker."""
        return self.case.version[self.writers].astype(np.int64)

    @cached_property
    def is_consecutive(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether the maker before is of the same event and made the version before."""
        same = self.event[1:] == self.event[:-1]
        return np.append(False, same & (self.version[1:] == self.version[:-1] + 1))[: len(self.writers)]

    @cached_property
    def stock(self) -> Integers:
        """The stock that each maker left by the changes up to it; NOT_SEEN behind the first version that is missing."""
        begins = np.searchsorted(self.event, self.event)
        changes = self.case.stock_delta[self.writers].cumsum()
        of_event = changes - np.append(0, changes)[begins]
        complete = self.version - 2 == np.arange(len(self.writers)) - begins
        return np.where(complete, self.total[self.event] + of_event, NOT_SEEN)

    @cached_property
    def total(self) -> Integers:
        """The seats of each event, by its number."""
        return self._by_event("total")

    @cached_property
    def final_version(self) -> Integers:
        """The version of each event at the end; where the ledger does not say, what the changes of the event make."""
        last = self._by_event("version")
        if (last != NOT_SEEN).all():
            return last
        made = 1 + np.bincount(self.case.event[self.case.changed_stock], minlength=self.case.events)
        np.maximum.at(made, self.event, self.version)
        np.maximum.at(made, self.case.event[self.readers], self.case.version[self.readers])
        return np.where(last == NOT_SEEN, made, last)

    @cached_property
    def ended(self) -> Mask:
        """By event: whether `last` is surely its last version, and no row of unknown outcome may have made another."""
        open_ = np.bincount(self.case.event[self.case.undecided], minlength=self.case.events) > 0
        ended: Mask = (self._by_event("version") != NOT_SEEN) | ~open_
        return ended

    @cached_property
    def left(self) -> Integers:
        """The stock of each event in the end, or NOT_SEEN where the ledger does not tell."""
        return self._by_event("available")

    @cached_property
    def places(self) -> Positions:
        """Where all these rows stand."""
        case, rows = self.case, np.concatenate([self.writers, self.readers])
        at = np.concatenate([2 * self.version, 2 * case.version[self.readers].astype(np.int64) + 1])
        since, until = case.since[rows], case.until[rows]
        return Positions.of(rows=rows, event=case.event[rows], position=at, since=since, until=until)

    def maker_of(self, event: Integers, version: Integers) -> Integers:
        """For each version of an event the number of its maker among `makers`, or -1."""
        width = int(max(self.version.max(initial=0), version.max(initial=0))) + 1
        keys = self.event.astype(np.int64) * width + self.version
        wanted = event.astype(np.int64) * width + version
        place = np.searchsorted(keys, wanted)
        found = place < len(keys)
        found[found] = keys[place[found]] == wanted[found]
        return np.where(found, place, -1)

    def _by_event(self, column: str) -> Integers:
        numbers = np.full(self.case.events, NOT_SEEN, np.int64)
        numbers[self.case.ledger.events["event"]] = self.case.ledger.events[column]
        return numbers


def check_versions(told: VersionedRows) -> Violation | None:
    """A version that was made twice, or that the event has never come to."""
    event, version, makers = told.event, told.version, told.writers
    twice = np.flatnonzero((event[1:] == event[:-1]) & (version[1:] == version[:-1]))
    if len(twice):
        rows = makers[twice[0] : twice[0] + 2].tolist()
        text = f"event {event[twice[0]]}: version {version[twice[0]]:,} was made twice"
        if len(twice) > 1:
            text += f", and so were {len(twice) - 1:,} more"
        undone = (
            told.case.sold_certain[rows]
            & (told.case.tickets_held[rows] == 0)
            & ~_given_back(told.case)[told.case.id[rows]]
        )
        return Violation(text, rows, Anomaly.DIRTY_READ if undone.any() else Anomaly.LOST_UPDATE)
    early = np.flatnonzero(version <= 1)
    if len(early):
        text = f"event {event[early[0]]}: version {version[early[0]]} was made, though the event began with version 1"
        return Violation(text, [int(makers[early[0]])], Anomaly.LOST_UPDATE)
    beyond = np.flatnonzero(version > told.final_version[event])
    if len(beyond):
        place = beyond[0]
        ended = f"the event ended with version {told.final_version[event[place]]:,}"
        text = f"event {event[place]}: an answer reported version {version[place]:,}, but {ended}"
        return Violation(text, [int(makers[place])], Anomaly.DIRTY_READ)
    return None


def _given_back(case: IndexedHistory) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return case.count_by_id(case.refunded_certain | case.refund_unknown) > 0


def check_stock(told: VersionedRows) -> Violation | None:
    """A stock that is below 0, or is not that of the version before, plus or less what was given back or sold."""
    case, makers, event = told.case, told.writers, told.event
    stock, change = case.available[makers].astype(np.int64), case.stock_delta[makers]
    before = np.append(NOT_SEEN, stock[:-1])[: len(stock)]
    first = told.version == 2  # noqa: PLR2004 - the one after the first
    before[first] = told.total[event[first]]
    known = (stock != NOT_SEEN) & (before != NOT_SEEN) & (first | told.is_consecutive)
    wrong = np.flatnonzero(known & (before + change != stock))
    if len(wrong):
        place = wrong[0]
        rows = makers[place - (not first[place]) : place + 1].tolist()
        text = (
            f"event {event[place]}: version {told.version[place]:,} left {counted(stock[place], 'seat')}, though "
            f"{before[place]:,} before it and {change[place]:+,} make {before[place] + change[place]:,}"
        )
        return Violation(text, rows, Anomaly.LOST_UPDATE)
    wrong = np.flatnonzero((stock != NOT_SEEN) & (told.stock != NOT_SEEN) & (stock != told.stock))
    if len(wrong):
        place = wrong[0]
        text = (
            f"event {event[place]}: version {told.version[place]:,} left {counted(stock[place], 'seat')}, though "
            f"{told.total[event[place]]:,} at the start and all changes up to it make {told.stock[place]:,}"
        )
        return Violation(text, [int(makers[place])], Anomaly.LOST_UPDATE)
    left = np.where(stock != NOT_SEEN, stock, told.stock)
    below = np.flatnonzero((left != NOT_SEEN) & (left < 0))
    if len(below):
        place = below[0]
        text = (
            f"event {event[place]}: version {told.version[place]:,} sold {counted(-change[place], 'ticket')} and left "
            f"{left[place]:,}: that is more than there was"
        )
        return Violation(text, [int(makers[place])], Anomaly.OVERSELL)
    known = told.ended[event] & (stock != NOT_SEEN) & (told.left[event] != NOT_SEEN)
    ends = np.flatnonzero(known & (told.version == told.final_version[event]))
    wrong = ends[stock[ends] != told.left[event[ends]]]
    if len(wrong):
        place = wrong[0]
        text = (
            f"event {event[place]}: version {told.version[place]:,} left {counted(stock[place], 'seat')}, "
            f"but at that version the ledger has {told.left[event[place]]:,}"
        )
        return Violation(text, [int(makers[place])], Anomaly.LOST_UPDATE)
    return None


def check_refusals(told: VersionedRows) -> Violation | None:
    """A refusal beside a stock that would have done, or at a version or a stock that never was."""
    case, seers = told.case, told.readers
    event, version = case.event[seers], case.version[seers].astype(np.int64)
    witness, stock = _stock_at_version(told, event, version)
    shown = np.where(case.available[seers] == NOT_SEEN, stock, case.available[seers])
    never = (version > told.final_version[event]) | (version < 1) | ((stock != NOT_SEEN) & (stock != shown))
    enough = (shown != NOT_SEEN) & (shown >= case.quantity[seers])
    for wrong, anomaly in ((never, Anomaly.DIRTY_READ), (enough, Anomaly.FALSE_SOLD_OUT)):
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            rows = [int(witness[place])] if witness[place] >= 0 and anomaly is Anomaly.DIRTY_READ else []
            left = f" with {shown[place]:,} left" if shown[place] != NOT_SEEN else ""
            asked = counted(case.quantity[seers[place]], "ticket")
            text = f"event {event[place]}: a call for {asked} was answered sold out at version {version[place]:,}{left}"
            if anomaly is Anomaly.DIRTY_READ:
                text += f"; it had {stock[place]:,}" if stock[place] != NOT_SEEN else "; the event never came to it"
            return Violation(text, [*rows, int(seers[place])], anomaly)
    return None


def _stock_at_version(told: VersionedRows, event: Integers, version: Integers) -> tuple[Integers, Integers]:
    """For each of those who were refused the row that tells the stock at his version, or -1, and that stock.

    It is told by who made the version; where nobody says that he did, by the ledger if it is the last one, and else by
    the first of those who saw it.
    """
    case, seers = told.case, told.readers
    maker = told.maker_of(event, version)
    made = np.append(told.writers, -1)[maker]
    stock = np.where(maker >= 0, case.available[made], NOT_SEEN).astype(np.int64)
    stock = np.where((maker >= 0) & (stock == NOT_SEEN), np.append(told.stock, NOT_SEEN)[maker], stock)
    stock = np.where((maker < 0) & (version == told.final_version[event]) & told.ended[event], told.left[event], stock)
    stock = np.where(version == 1, told.total[event], stock)
    quiet = np.flatnonzero((maker < 0) & (stock == NOT_SEEN) & (case.available[seers] != NOT_SEEN))
    _, first, group = np.unique(
        event[quiet] * (version.max(initial=0) + 1) + version[quiet], return_index=True, return_inverse=True
    )
    made[quiet] = seers[quiet[first[group]]]
    stock[quiet] = case.available[made[quiet]]
    return made, stock


def check_real_time(told: VersionedRows) -> Violation | None:
    """Two operations of an event in another order than that of time; or of several events a circle of them."""
    case, places = told.case, told.places
    pair = real_time.inversion(places)
    if pair is not None:
        first, second = pair
        text = (
            f"event {case.event[first]}: {_label(case, first)} was called after {_label(case, second)} "
            "had been answered, and comes before it"
        )
        return Violation(text, pair, Anomaly.STALE_READ)
    if case.is_first_line.all():
        return None
    circle = real_time.cycle(places, case.operation[places.rows])
    if not circle:
        return None
    rows = np.flatnonzero(np.isin(case.operation, case.operation[list(circle)]))
    text = (
        f"{len(circle)} operations on several events, each of which would have to come before the next one, in a circle"
    )
    return Violation(text, rows.tolist(), Anomaly.STALE_READ)


def _label(case: IndexedHistory, row: int) -> str:
    return f"version {case.version[row]:,}" if not case.refused[row] else f"a refusal at version {case.version[row]:,}"
