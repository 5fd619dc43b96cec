"""Counts of a running trial, from what its buyers have recorded so far. Opens no connection.

Reading takes time from the buyers, which share the process. So a reading looks at new rows only, of all buyers at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from ticketlab.history.recording import ENDS, NUMBERS, Recorder
from ticketlab.outcomes import CAUSES, Cause, Kind, Outcome

_SOLD: Final = ENDS.index((Kind.PURCHASE, Outcome.SOLD))
_REFUNDED: Final = ENDS.index((Kind.REFUND, Outcome.REFUNDED))
_REPEATED: Final = CAUSES.index(Cause.REPEATED)

Column: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCounts:
    """The counts of a trial at one time."""

    seconds: float = 0.0
    """Since the start; 0 before it."""
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    """Purchases by outcome. A second call of an id counts only if it was the first to be answered as sold."""
    refunds: Mapping[Outcome, int] = field(default_factory=dict)
    """Refunds by outcome."""
    tickets: int = 0
    """Tickets answered as sold, minus those answered as refunded."""

    @property
    def purchases(self) -> int:
        """All purchases, with any outcome."""
        return sum(self.outcomes.values())


class LiveCounter:
    """Counts the rows of recorders, each once."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = recorders
        self._seen = [0] * len(recorders)
        self._last_invoked_ns = np.full(len(recorders), -1)
        self._ends = np.zeros(len(ENDS), np.int64)
        self._tickets = 0

    def read(self, seconds: float) -> LiveCounts:
        """The counts up to now, `seconds` after the start. Recorder n must belong to buyer n."""
        fresh = [each.since(seen) for each, seen in zip(self._recorders, self._seen, strict=True)]
        self._seen = [seen + len(rows) // len(NUMBERS) for seen, rows in zip(self._seen, fresh, strict=True)]
        columns = np.frombuffer(b"".join(fresh), np.int64).reshape(-1, len(NUMBERS)).T
        buyer, quantity, invoked_ns, end, cause = (
            columns[NUMBERS.index(name)] for name in ("buyer", "quantity", "invoked_ns", "outcome", "cause")
        )
        first = self._first_lines(buyer, invoked_ns)
        self._ends += np.bincount(end[first], minlength=2 * len(ENDS))[: len(ENDS)]  # none of the calls `again`
        refunded = (end == _REFUNDED) & (cause != _REPEATED)
        self._tickets += int(quantity[end == _SOLD].sum()) - int(quantity[refunded].sum())
        return LiveCounts(
            seconds=seconds,
            outcomes=self._counts(Kind.PURCHASE),
            refunds=self._counts(Kind.REFUND),
            tickets=self._tickets,
        )

    def _counts(self, kind: Kind) -> dict[Outcome, int]:
        ends = zip(ENDS, self._ends, strict=True)
        return {outcome: int(count) for (what, outcome), count in ends if count and what is kind}

    def _first_lines(self, buyer: Column, invoked_ns: Column) -> "np.ndarray[tuple[int], np.dtype[np.bool]]":
        """Mask of rows that begin an operation: other lines of a basket have the call time of the row before."""
        before_ns = np.roll(invoked_ns, 1)
        starts = buyer != np.roll(buyer, 1)
        starts[:1] = True
        before_ns[starts] = self._last_invoked_ns[buyer[starts]]
        self._last_invoked_ns[buyer] = invoked_ns  # of several rows of a buyer the last one remains
        return np.not_equal(invoked_ns, before_ns)
