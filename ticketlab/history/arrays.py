"""The columns of a history as arrays, and what follows from each row alone. Pure; knows no ledger.

Each array is computed when first used.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.outcomes import CAUSES, KINDS, OUTCOMES, Cause, Kind, Outcome

Integers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

NEVER: Final = np.iinfo(np.int64).max
"""A time after all others, for an interval without an upper end."""


class HistoryArrays:
    """The columns of a history. Rows are counted from 0."""

    def __init__(self, history: pd.DataFrame) -> None:
        self.history = history

    def __len__(self) -> int:
        return len(self.history)

    def rows(self, chosen: Mask | Integers) -> pd.DataFrame:
        """The chosen rows of the history."""
        return self.history.iloc[np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen]

    @cached_property
    def event(self) -> Integers:
        """The event of each row."""
        return self._numbers("event")

    @cached_property
    def quantity(self) -> Integers:
        """The tickets of each row."""
        return self._numbers("quantity")

    @cached_property
    def version(self) -> Integers:
        """The version that each row made or saw, or NOT_SEEN."""
        return self._numbers("version")

    @cached_property
    def available(self) -> Integers:
        """The stock at that version, or NOT_SEEN."""
        return self._numbers("available")

    @cached_property
    def invoked(self) -> Integers:
        """When each row's operation was called, in ns."""
        return self._numbers("invoked_ns")

    @cached_property
    def completed(self) -> Integers:
        """When it was answered, in ns."""
        return self._numbers("completed_ns")

    @cached_property
    def line(self) -> Integers:
        """The place of each row in its operation, from 0."""
        return self._numbers("line")

    @cached_property
    def is_first_line(self) -> Mask:
        """Whether a row is the first of its operation."""
        leads: Mask = self.line == 0
        return leads

    @cached_property
    def operation(self) -> Integers:
        """The number of each row's operation; the rows of a basket are consecutive."""
        return np.cumsum(self.is_first_line) - 1

    @cached_property
    def repeated(self) -> Mask:
        """Purchases and refunds whose answer reports an earlier call."""
        return self._is("cause", CAUSES.index(Cause.REPEATED))

    @cached_property
    def purchases(self) -> Mask:
        """Rows of purchases, with any outcome."""
        return self._is("kind", KINDS.index(Kind.PURCHASE))

    @cached_property
    def sold(self) -> Mask:
        """Purchases that were answered as sold, including answers that report an earlier call."""
        return self._with_outcome(Kind.PURCHASE, Outcome.SOLD)

    @cached_property
    def refused(self) -> Mask:
        """Purchases that were answered as sold out."""
        return self._with_outcome(Kind.PURCHASE, Outcome.SOLD_OUT)

    @cached_property
    def sale_unknown(self) -> Mask:
        """Purchases of unknown outcome."""
        return self._with_outcome(Kind.PURCHASE, Outcome.UNKNOWN)

    @cached_property
    def refunded(self) -> Mask:
        """Refunds that returned tickets."""
        return self._with_outcome(Kind.REFUND, Outcome.REFUNDED) & ~self.repeated

    @cached_property
    def empty_refunds(self) -> Mask:
        """Refunds that were answered with nothing to refund."""
        return self._with_outcome(Kind.REFUND, Outcome.REFUNDED) & self.repeated

    @cached_property
    def refund_unknown(self) -> Mask:
        """Refunds of unknown outcome."""
        return self._with_outcome(Kind.REFUND, Outcome.UNKNOWN)

    @cached_property
    def completed_or_inf(self) -> Integers:
        """The time by which a row has taken effect: its answer, or NEVER for an unknown outcome."""
        return np.where(self._is("outcome", OUTCOMES.index(Outcome.UNKNOWN)), NEVER, self.completed)

    def _numbers(self, column: str) -> Integers:
        numbers: Integers = self.history[column].to_numpy()
        return numbers

    @cached_property
    def _codes(self) -> dict[str, np.ndarray[tuple[int], np.dtype[np.integer[Any]]]]:
        return {name: self.history[name].cat.codes.to_numpy() for name in ("kind", "outcome", "cause")}

    def _is(self, column: str, code: int) -> Mask:
        equal: Mask = self._codes[column] == code
        return equal

    def _with_outcome(self, kind: Kind, outcome: Outcome) -> Mask:
        return self._is("kind", KINDS.index(kind)) & self._is("outcome", OUTCOMES.index(outcome))


class LoadPart(StrEnum):
    """A part of a load that a run may include; faults have the names of their kinds."""

    QUANTITIES = "quantities"
    EVENTS = "events"
    BASKETS = "baskets"
    REFUNDS = "refunds"
    DOUBLE_CALLS = "double-calls"
    CRASH = "crash"
    DISCONNECT = "disconnect"
    LOSE_REQUEST = "lose-request"
    LOSE_REPLY = "lose-reply"

    @property
    def words(self) -> str:
        """The part as it is called in sentences."""
        return _WORDS[self]


def words_of(parts: Iterable[LoadPart]) -> list[str]:
    """The parts in words, in the order of the enum."""
    wanted = set(parts)
    return [each.words for each in LoadPart if each in wanted]


_WORDS = {
    LoadPart.QUANTITIES: "quantities above 1",
    LoadPart.EVENTS: "several events",
    LoadPart.BASKETS: "baskets",
    LoadPart.REFUNDS: "refunds",
    LoadPart.DOUBLE_CALLS: "double calls",
    LoadPart.CRASH: "crashes",
    LoadPart.DISCONNECT: "disconnects",
    LoadPart.LOSE_REQUEST: "lost requests",
    LoadPart.LOSE_REPLY: "lost replies",
}
