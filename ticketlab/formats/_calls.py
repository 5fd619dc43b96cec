"""Shared by all exports: the calls of a history, their processes, and the versions that they report. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from ticketlab.outcomes import CAUSES, NOT_SEEN, OUTCOMES, Cause, Outcome

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.ledger import Ledger


FIRST_VERSION = 1
"""The version with which every event begins; no operation made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The operations of a history, in its order; the rows of each are consecutive."""

    first: Integers
    """The row of each operation's first line."""
    end: Integers
    """The row after its last line."""
    process: Integers
    invoked: Integers
    completed: Integers

    @classmethod
    def of(cls, history: pd.DataFrame) -> Self:
        """The operations of a history."""
        first = np.flatnonzero(history["line"].to_numpy() == 0)
        rows = history.iloc[first]
        invoked, completed = (rows[name].to_numpy().astype(np.int64) for name in ("invoked_ns", "completed_ns"))
        crashed = is_any(rows, Outcome.UNKNOWN)
        return cls(
            first=first,
            end=np.append(first[1:], len(history))[: len(first)],
            process=_processes(rows["buyer"].to_numpy().astype(np.int64), invoked, completed, crashed),
            invoked=invoked,
            completed=completed,
        )

    @property
    def processes(self) -> int:
        """One more than the highest process number."""
        return int(self.process.max(initial=-1)) + 1

    @property
    def begin_ns(self) -> int:
        """A time before every answer."""
        return min(0, int(self.invoked.min(initial=0)))

    @property
    def end_ns(self) -> int:
        """A time after every answer."""
        return int(self.completed.max(initial=0)) + 1


def _processes(buyer: Integers, invoked: Integers, completed: Integers, crashed: Mask) -> Integers:
    """The process of each operation: its buyer if the buyer's last one was answered before, else a new number.

    An operation without an answer may still be running, so its process never calls again. The same holds if the answer
    ties with the next call: a tie counts as concurrent, and a process does one thing at a time.
    """
    order = np.lexsort((invoked, buyer))
    buyer, invoked = buyer[order], invoked[order]
    begins = np.append(True, buyer[1:] != buyer[:-1])[: len(buyer)]
    busy_until = pd.Series(completed[order]).groupby(buyer).cummax().shift(1, fill_value=-1).to_numpy()
    after_crash = np.append(False, crashed[order][:-1])[: len(buyer)]
    anew = ~begins & (after_crash | (invoked <= busy_until))
    numbers = np.where(begins, buyer, buyer.max(initial=-1) + np.cumsum(anew))
    since = np.maximum.accumulate(np.where(begins | anew, np.arange(len(buyer)), 0))
    process = np.empty_like(buyer)
    process[order] = numbers[since]
    return process


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """What the rows report of the versions of their events."""

    event: Integers
    version: Integers
    made: Mask
    """Sales and refunds that report the version that they made."""
    first: Mask
    """Of those the first with its version, if that is above FIRST_VERSION."""
    alone: Mask
    """Of those the only one with its version."""
    seen: Mask
    """Refusals that report the version that they saw."""
    unversioned: Mask
    """Rows without a version whose operation changed the event, may have changed it, or failed to."""
    ordered: Mask
    """By number of the event: whether its versions order its sales."""

    @classmethod
    def of(cls, history: pd.DataFrame, ledger: Ledger) -> Self:
        """The versions in a history. If a sale of an event carries no version, no version of that event counts."""
        event, version = (history[name].to_numpy().astype(np.int64) for name in ("event", "version"))
        done = is_any(history, Outcome.SOLD, Outcome.REFUNDED)
        again = (history["cause"].cat.codes == CAUSES.index(Cause.REPEATED)).to_numpy()
        refused = is_any(history, Outcome.SOLD_OUT)
        known = ledger.events["event"].to_numpy()
        ordered = np.ones(1 + max(event.max(initial=-1), known.max(initial=-1)), np.bool_)
        ordered[event[done & ~again & (version == NOT_SEEN)]] = False
        counts = ordered[event] & (version != NOT_SEEN)
        made = done & ~again & counts
        first, alone = _first_and_only_writers(event, version, np.flatnonzero(made & (version > FIRST_VERSION)))
        return cls(
            event=event,
            version=version,
            made=made,
            first=first,
            alone=alone,
            seen=refused & counts,
            unversioned=~made & ~refused & ~(done & again),
            ordered=ordered,
        )

    def last(self, ledger: Ledger) -> dict[int, int]:
        """The final version of each ordered event: that of the ledger, else the highest reported one."""
        highest = np.full(len(self.ordered), FIRST_VERSION)
        for rows in (self.made, self.seen):
            np.maximum.at(highest, self.event[rows], self.version[rows])
        final = np.full(len(self.ordered), NOT_SEEN)
        final[ledger.events["event"]] = ledger.events["version"]
        final = np.where(final == NOT_SEEN, highest, final)
        events = np.union1d(ledger.events["event"], self.event)
        events = events[self.ordered[events]]
        return dict(zip(events.tolist(), final[events].tolist(), strict=True))


def _first_and_only_writers(event: Integers, version: Integers, rows: Integers) -> tuple[Mask, Mask]:
    """Masks of the first writer of each version, and of those that are the only one."""
    first, alone = np.zeros(len(event), np.bool_), np.zeros(len(event), np.bool_)
    ordered = rows[np.lexsort((rows, version[rows], event[rows]))]
    same = (event[ordered[1:]] == event[ordered[:-1]]) & (version[ordered[1:]] == version[ordered[:-1]])
    follows = np.append(False, same)[: len(ordered)]
    first[ordered[~follows]] = True
    alone[ordered[~(follows | np.append(same, False)[: len(ordered)])]] = True
    return first, alone


def is_any(history: pd.DataFrame, *outcomes: Outcome) -> Mask:
    """Mask of the rows with one of these outcomes."""
    codes = history["outcome"].cat.codes.to_numpy()
    mask: Mask = np.isin(codes, [OUTCOMES.index(each) for each in outcomes])
    return mask
