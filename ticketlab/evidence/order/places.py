"""Operations at their places in the order of each event. Knows arrays, and neither histories nor verdicts."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ticketlab.evidence.columns import Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Rows of a history by event and place: who made version v stands at 2v, who saw it at 2v + 1.

    Makers have a place each. Those who saw the same version stand at one place, in any order among themselves.
    """

    rows: Integers
    event: Integers
    at: Integers
    since: Integers
    """The earliest time at which each can have taken effect: when it was called."""
    until: Integers
    """The latest: when it was answered."""

    @classmethod
    def of(cls, *, rows: Integers, event: Integers, at: Integers, since: Integers, until: Integers) -> Self:
        """Put into order what is in none."""
        order = sorting(event, at)
        columns = (each[order] for each in (rows, event, at, since, until))
        return cls(**dict(zip(("rows", "event", "at", "since", "until"), columns, strict=True)))

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: "Places") -> "Places":
        """The rows of both."""
        names = ("rows", "event", "at", "since", "until")
        return Places.of(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})

    def of_event(self, event: int) -> "Places":
        """The places of one event."""
        first, last = np.searchsorted(self.event, [event, event + 1])
        names = ("rows", "event", "at", "since", "until")
        return Places(**{name: getattr(self, name)[first:last] for name in names})

    def after(self, moments: Integers) -> Integers:
        """For each moment the last place that was surely taken before it, or -1; for places of one event."""
        by_end = np.argsort(self.until, kind="stable")
        last = np.append(-1, np.maximum.accumulate(self.at[by_end]))
        places: Integers = last[np.searchsorted(self.until[by_end], moments, side="left")]
        return places

    def before(self, moments: Integers, *, none: int) -> Integers:
        """For each moment the first place that was surely taken after it, or `none`; for places of one event."""
        by_start = np.argsort(self.since, kind="stable")
        first = np.append(np.minimum.accumulate(self.at[by_start][::-1])[::-1], none)
        places: Integers = first[np.searchsorted(self.since[by_start], moments, side="right")]
        return places


def sorting(major: Integers, minor: Integers) -> Integers:
    """The order by two columns of numbers that are not negative; fast where they are nearly in order already."""
    if len(major) and (minor[1:] >= minor[:-1]).all() and (major[1:] == major[:-1]).all():
        return np.arange(len(major))
    width = int(minor.max(initial=0)) + 1
    if int(major.max(initial=0)) * width < np.iinfo(np.int64).max - width:
        return np.argsort(major.astype(np.int64) * width + minor, kind="stable")
    return np.lexsort((minor, major))
