"""What a fault met: the operations that it left without an answer, and how many of them took effect all the same.

Counted from a history, a ledger and the times of the faults. Pure: opens no connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from ticketlab.history.arrays import Mask
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import operations_of
from ticketlab.outcomes import Cause, Kind, Outcome

_UNANSWERED: Final = (Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.CONFLICT)


class Span(NamedTuple):
    """When a fault was, in ns since the trial's start, both ends included."""

    began_ns: int
    over_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """The operations that one fault met, or several together."""

    purchases: int = 0
    """Under way during the fault, and ended as UNKNOWN, or for a lost connection."""
    committed: int = 0
    """Those of them whose outcome is UNKNOWN and that took effect: their id owns tickets, or gave them back."""
    refunds: int = 0
    """As `purchases`."""
    refunded: int = 0
    """Those of them whose outcome is UNKNOWN and that took effect: their id owns nothing any more."""

    @property
    def operations(self) -> int:
        """Purchases and refunds."""
        return self.purchases + self.refunds

    def __add__(self, other: "Met") -> "Met":
        """Those of both."""
        return Met(
            purchases=self.purchases + other.purchases,
            committed=self.committed + other.committed,
            refunds=self.refunds + other.refunds,
            refunded=self.refunded + other.refunded,
        )


def met(history: pd.DataFrame, ledger: Ledger, faults: Sequence[Span]) -> tuple[Met, ...]:
    """What each of these faults met. A fault that is known by its instant only begins and is over at that.

    An operation counts for every fault during which it was under way.
    """
    lost = _left_without_answer(operations_of(history)) if faults else history.iloc[:0]
    if lost.empty:
        return tuple(Met() for _ in faults)
    purchases = (lost["kind"] == Kind.PURCHASE).to_numpy()
    took_effect = _took_effect(lost, purchases, history, ledger)
    invoked, completed = (lost[name].to_numpy() for name in ("invoked_ns", "completed_ns"))

    def count(fault: Span) -> Met:
        under_way = (invoked <= fault.over_ns) & (completed >= fault.began_ns)
        return Met(
            purchases=_sum(under_way & purchases),
            committed=_sum(under_way & purchases & took_effect),
            refunds=_sum(under_way & ~purchases),
            refunded=_sum(under_way & ~purchases & took_effect),
        )

    return tuple(map(count, faults))


def _left_without_answer(operations: pd.DataFrame) -> pd.DataFrame:
    lost_connection = operations["outcome"].isin(_UNANSWERED) & (operations["cause"] == Cause.CONNECTION)
    return operations[(operations["outcome"] == Outcome.UNKNOWN) | lost_connection]


def _took_effect(lost: pd.DataFrame, purchases: Mask, history: pd.DataFrame, ledger: Ledger) -> Mask:
    """Which operations of unknown outcome changed the tickets, by all that is known.

    A purchase whose id was answered as sold in another call is none: that call may have made the sale.
    """
    ids = lost["purchase_id"]
    same = history[history["purchase_id"].isin(ids)]
    told = same[same["cause"] != Cause.REPEATED]
    sold = ids.isin(told.loc[(told["kind"] == Kind.PURCHASE) & (told["outcome"] == Outcome.SOLD), "purchase_id"])
    refunded = ids.isin(told.loc[told["outcome"] == Outcome.REFUNDED, "purchase_id"])
    owns = ids.isin(ledger.tickets["purchase_id"])
    unknown = (lost["outcome"] == Outcome.UNKNOWN).to_numpy()
    effect = np.where(purchases, (owns | refunded) & ~sold, sold & ~owns & ~refunded)
    return unknown & effect.astype(np.bool_)


def _sum(mask: Mask) -> int:
    return int(np.count_nonzero(mask))
