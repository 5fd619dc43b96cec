"""How a trial stands, counted from what its buyers have recorded so far. Opens no connection.

It is read while the buyers buy, in the process that they buy in: each reading costs them time, so it looks only at what
is new, and at all buyers' at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ticketlab.evidence.history import NUMBERS, Recorder
from ticketlab.outcomes import OUTCOMES, Outcome

Column: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """How a trial stands."""

    seconds: float = 0.0
    """Since its start; 0 before it."""
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    """Purchases and refunds by how they ended."""
    tickets: int = 0
    """Tickets that buyers were told they own: those that they gave back are not among them."""

    @property
    def purchases(self) -> int:
        """Purchases, however they ended, and refunds that did not end well."""
        return sum(self.outcomes.values()) - self.outcomes.get(Outcome.REFUNDED, 0)


class Tally:
    """Counts what recorders hold, each row once."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = recorders
        self._seen = [0] * len(recorders)
        self._last_invoked_ns = np.full(len(recorders), -1)
        self._outcomes = np.zeros(len(OUTCOMES), np.int64)
        self._tickets = 0

    def read(self, seconds: float) -> SoFar:
        """What was recorded up to now, `seconds` after the start. Recorders are numbered by their buyers, from 0."""
        fresh = [each.since(seen) for each, seen in zip(self._recorders, self._seen, strict=True)]
        self._seen = [seen + len(rows) // len(NUMBERS) for seen, rows in zip(self._seen, fresh, strict=True)]
        columns = np.frombuffer(b"".join(fresh), np.int64).reshape(-1, len(NUMBERS)).T
        buyer, quantity, invoked_ns, outcome = (
            columns[NUMBERS.index(name)] for name in ("buyer", "quantity", "invoked_ns", "outcome")
        )
        first = self._first_lines(buyer, invoked_ns)
        self._outcomes += np.bincount(outcome[first], minlength=len(OUTCOMES))
        self._tickets += int(quantity[outcome == OUTCOMES.index(Outcome.SOLD)].sum())
        self._tickets -= int(quantity[outcome == OUTCOMES.index(Outcome.REFUNDED)].sum())
        counts = {each: int(count) for each, count in zip(OUTCOMES, self._outcomes, strict=True) if count}
        return SoFar(seconds=seconds, outcomes=counts, tickets=self._tickets)

    def _first_lines(self, buyer: Column, invoked_ns: Column) -> "np.ndarray[tuple[int], np.dtype[np.bool]]":
        """Which rows begin a purchase: the further lines of a basket have the time of call of the row before."""
        before_ns = np.roll(invoked_ns, 1)
        starts = buyer != np.roll(buyer, 1)
        starts[:1] = True
        before_ns[starts] = self._last_invoked_ns[buyer[starts]]
        self._last_invoked_ns[buyer] = invoked_ns  # of several the last stays
        return np.not_equal(invoked_ns, before_ns)
