"""How a trial stands, counted from what its buyers have recorded so far. Opens no connection.

It is read while the buyers buy, in the process that they buy in: each reading costs them time, so it looks only at what
is new, and at all buyers' at once.
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
    """How a trial stands."""

    seconds: float = 0.0
    """Since its start; 0 before it."""
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    """Purchases by how they ended. The second call of an id is counted only where it was told of a sale first."""
    refunds: Mapping[Outcome, int] = field(default_factory=dict)
    """Refunds by how they ended."""
    tickets: int = 0
    """Tickets that buyers were told they own: those that they gave back are not among them."""

    @property
    def purchases(self) -> int:
        """Purchases, however they ended."""
        return sum(self.outcomes.values())


class LiveCounter:
    """Counts what recorders hold, each row once."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = recorders
        self._seen = [0] * len(recorders)
        self._last_invoked_ns = np.full(len(recorders), -1)
        self._ends = np.zeros(len(ENDS), np.int64)
        self._tickets = 0

    def read(self, seconds: float) -> LiveCounts:
        """What was recorded up to now, `seconds` after the start. Recorders are numbered by their buyers, from 0."""
        fresh = [each.since(seen) for each, seen in zip(self._recorders, self._seen, strict=True)]
        self._seen = [seen + len(rows) // len(NUMBERS) for seen, rows in zip(self._seen, fresh, strict=True)]
        columns = np.frombuffer(b"".join(fresh), np.int64).reshape(-1, len(NUMBERS)).T
        buyer, quantity, invoked_ns, end, cause = (
            columns[NUMBERS.index(name)] for name in ("buyer", "quantity", "invoked_ns", "outcome", "cause")
        )
        first = self._first_lines(buyer, invoked_ns)
        self._ends += np.bincount(end[first], minlength=2 * len(ENDS))[: len(ENDS)]  # none of the calls `again`
        given_back = (end == _REFUNDED) & (cause != _REPEATED)
        self._tickets += int(quantity[end == _SOLD].sum()) - int(quantity[given_back].sum())
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
        """Which rows begin an operation: the further lines of a basket have the time of call of the row before."""
        before_ns = np.roll(invoked_ns, 1)
        starts = buyer != np.roll(buyer, 1)
        starts[:1] = True
        before_ns[starts] = self._last_invoked_ns[buyer[starts]]
        self._last_invoked_ns[buyer] = invoked_ns  # of several the last stays
        return np.not_equal(invoked_ns, before_ns)
