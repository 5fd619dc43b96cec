"""What every export goes by: the calls of a history, who made them, and what they tell of versions. Writes nothing."""

from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import CAUSES, OUTCOMES, Cause, Outcome

Integers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

FIRST_VERSION = 1
"""The version with which every event begins, made by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The operations of a history, in its order; the rows of one follow one another."""

    first: Integers
    """The row of each operation's first line."""
    end: Integers
    """The row behind its last one."""
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
        """A number that is no process's, nor is any above it."""
        return int(self.process.max(initial=-1)) + 1

    @property
    def begin_ns(self) -> int:
        """An instant at which nothing was over yet."""
        return min(0, int(self.invoked.min(initial=0)))

    @property
    def end_ns(self) -> int:
        """An instant after all that was answered."""
        return int(self.completed.max(initial=0)) + 1


def _processes(buyer: Integers, invoked: Integers, completed: Integers, crashed: Mask) -> Integers:
    """The process of each operation: its buyer, as long as his last one was answered before it; else a new number.

    The one that got no answer may still go on, so that its process never calls again. Nor does one that was answered
    in the instant of the next call: two ticks that tie count as concurrent, and a process does one thing at a time.
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
    """What the rows tell of the versions of their events."""

    event: Integers
    version: Integers
    made: Mask
    """Sales and refunds that told the version which they made."""
    first: Mask
    """Of those the first to have made a version that can be made."""
    alone: Mask
    """Of those the ones that share their version with nobody."""
    seen: Mask
    """Refusals that told the version at which they were refused."""
    unversioned: Mask
    """Rows that changed their event, or may have, or would have, and do not tell a version."""
    ordered: Mask
    """The events, by their number, whose versions are the order of their sales."""

    @classmethod
    def of(cls, history: pd.DataFrame, ledger: Ledger) -> Self:
        """What a history tells; on an event of which a sale carries no version, no version tells anything."""
        event, version = (history[name].to_numpy().astype(np.int64) for name in ("event", "version"))
        done = is_any(history, Outcome.SOLD, Outcome.REFUNDED)
        again = (history["cause"].cat.codes == CAUSES.index(Cause.REPEATED)).to_numpy()
        refused = is_any(history, Outcome.SOLD_OUT)
        known = ledger.events["event"].to_numpy()
        ordered = np.ones(1 + max(event.max(initial=-1), known.max(initial=-1)), np.bool_)
        ordered[event[done & ~again & (version == NOT_SEEN)]] = False
        telling = ordered[event] & (version != NOT_SEEN)
        made = done & ~again & telling
        first, alone = _makers(event, version, np.flatnonzero(made & (version > FIRST_VERSION)))
        return cls(
            event=event,
            version=version,
            made=made,
            first=first,
            alone=alone,
            seen=refused & telling,
            unversioned=~made & ~refused & ~(done & again),
            ordered=ordered,
        )

    def last(self, ledger: Ledger) -> dict[int, int]:
        """The version of each ordered event in the end; where the ledger does not tell, the last one told."""
        highest = np.full(len(self.ordered), FIRST_VERSION)
        for rows in (self.made, self.seen):
            np.maximum.at(highest, self.event[rows], self.version[rows])
        final = np.full(len(self.ordered), NOT_SEEN)
        final[ledger.events["event"]] = ledger.events["version"]
        final = np.where(final == NOT_SEEN, highest, final)
        events = np.union1d(ledger.events["event"], self.event)
        events = events[self.ordered[events]]
        return dict(zip(events.tolist(), final[events].tolist(), strict=True))


def _makers(event: Integers, version: Integers, rows: Integers) -> tuple[Mask, Mask]:
    """Who made a version first, and who alone."""
    first, alone = np.zeros(len(event), np.bool_), np.zeros(len(event), np.bool_)
    ordered = rows[np.lexsort((rows, version[rows], event[rows]))]
    same = (event[ordered[1:]] == event[ordered[:-1]]) & (version[ordered[1:]] == version[ordered[:-1]])
    follows = np.append(False, same)[: len(ordered)]
    first[ordered[~follows]] = True
    alone[ordered[~(follows | np.append(same, False)[: len(ordered)])]] = True
    return first, alone


def is_any(history: pd.DataFrame, *outcomes: Outcome) -> Mask:
    """The rows that ended in one of these ways."""
    codes = history["outcome"].cat.codes.to_numpy()
    found: Mask = np.isin(codes, [OUTCOMES.index(each) for each in outcomes])
    return found
