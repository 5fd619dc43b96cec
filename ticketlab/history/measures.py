"""Measures of a history: counts, rates and latencies, repeated calls, and what each fault met. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ticketlab.history import ids
from ticketlab.history.arrays import HistoryArrays, Integers, Mask
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import RETRIES, of_kind, operations_of, purchases_of
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


def second_calls(history: pd.DataFrame) -> Mask:
    """Rows of purchases whose id another purchase called before, whatever came of either; a basket counts as one call.

    The first call of an id is the one that was invoked first. An id that buys again after a refund is among them.
    """
    told = HistoryArrays(history)
    rows, numbers = _called_again(told, told.purchases)
    order = np.lexsort((rows, told.invoked[rows], numbers))
    return _of_operations(told, rows[order][~_starts(numbers[order])])


def told_again(history: pd.DataFrame) -> Mask:
    """Rows of purchases told as sold though another answer told of the same sale.

    An id was sold once, and once more for each refund that gave something back: so many of its answers tell of a sale,
    first those without the cause REPEATED, in the order in which they were answered. The others only confirm.
    """
    told = HistoryArrays(history)
    rows, numbers = _called_again(told, told.sold)
    if not len(rows):
        return np.zeros(len(told), np.bool_)
    order = np.lexsort((told.completed[rows], told.repeated[rows], numbers))
    rows, numbers = rows[order], numbers[order]
    starts = np.flatnonzero(_starts(numbers))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return _of_operations(told, rows[place > _refunds(told, rows)])


def double_called(history: pd.DataFrame) -> int:
    """How many purchase ids were called more than once."""
    told = HistoryArrays(history)
    _, numbers = _called_again(told, told.purchases)
    return len(np.unique(numbers))


def _called_again(told: HistoryArrays, chosen: Mask) -> tuple[Integers, Integers]:
    """Of ids with several chosen operations: the first row of each of these operations, and the number of its id."""
    rows = np.flatnonzero(chosen & told.is_first_line)
    column = told.history["purchase_id"].iloc[rows]
    if len(rows) == 0 or ids.distinct(column):
        return rows[:0], rows[:0]
    (numbers,) = ids.codes(column)
    several = np.bincount(numbers)[numbers] > 1
    return rows[several], numbers[several]


def _starts(numbers: Integers) -> Mask:
    """Where a number differs from the one before."""
    starts = np.ones(len(numbers), np.bool_)
    starts[1:] = numbers[1:] != numbers[:-1]
    return starts


def _refunds(told: HistoryArrays, rows: Integers) -> Integers:
    """For each row how many refunds of its id gave something back."""
    refunds = np.flatnonzero(told.refunded & told.is_first_line)
    if not len(refunds):
        return np.zeros(len(rows), np.int64)
    owners = told.history["purchase_id"]
    of_rows, of_refunds = ids.codes(owners.iloc[rows], owners.iloc[refunds])
    counts = np.bincount(of_refunds, minlength=1 + int(max(of_rows.max(), of_refunds.max())))
    return counts[of_rows]


def _of_operations(told: HistoryArrays, rows: Integers) -> Mask:
    """All rows of the operations that begin with these."""
    chosen = np.zeros(len(told), np.bool_)
    chosen[rows] = True
    found: Mask = chosen[np.flatnonzero(told.is_first_line)[told.operation]] if len(rows) else chosen
    return found


PERCENTILES: Final = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One trial in numbers. Latencies are NaN where no purchase was worked on."""

    seconds: float
    """The selling time: from the start until the stock was gone, or else until the last purchase was over."""
    seats: int
    """Seats that there were, all events together."""
    tickets: int
    """Tickets in the ledger."""
    oversold: int
    """Tickets beyond the seats, all events together."""
    sold: int
    """Tickets that buyers were told they own in the end: those that they gave back are not among them."""
    refunded: int
    """Tickets that buyers were told to have given back."""
    sales: int
    """Purchases that were sold, whether they were given back or not."""
    sold_out: int
    conflicts: int
    failed: int
    unavailable: int
    unknown: int
    """Purchases that ended otherwise: no refund is among them."""
    double_called: int
    """Purchase ids that were called more than once."""
    refunds_failed: int
    """Refunds that surely came to nothing: conflicts, failures, and those for which no connection was had."""
    refunds_unknown: int
    purchases_per_s: float
    """Sales per second of the selling time: a "sold out" is an answer, not work."""
    p50_ms: float
    """Latency from the moment a purchase was due, over those that were sold or gave up after conflicts.

    A quick refusal or failure would make it look better than it was.
    """
    p95_ms: float
    p99_ms: float
    retries: int
    """Attempts beyond the first, of all purchases and no refund; below, those of each cause."""
    retries_stale_version: int
    retries_concurrent_update: int
    retries_serialization: int
    retries_deadlock: int
    retries_lock_timeout: int
    retries_pool_timeout: int

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def measure(history: pd.DataFrame, ledger: Ledger) -> Measures:
    """The numbers of one trial."""
    seats = ledger.seats()
    purchases = purchases_of(_first_calls(history))
    outcomes = purchases["outcome"].value_counts()
    refunds = operations_of(of_kind(history, Kind.REFUND))["outcome"].value_counts()
    refunded = int(history.loc[_given_back(history), "quantity"].sum())
    sold = history[_sold(history)]
    sales = len(operations_of(sold))
    worked_on = purchases[purchases["outcome"].isin([Outcome.SOLD, Outcome.CONFLICT])]
    latency_ms = (worked_on["completed_ns"] - worked_on["scheduled_ns"]).to_numpy() / 1e6
    percentiles = (
        np.percentile(latency_ms, list(PERCENTILES.values())) if len(latency_ms) else [np.nan] * len(PERCENTILES)
    )
    latencies = {f"{name}_ms": float(value) for name, value in zip(PERCENTILES, percentiles, strict=True)}
    retries: dict[str, Any] = {name: int(purchases[name].sum()) for name in RETRIES.values()}
    seconds = selling_time_s(history, ledger)
    return Measures(
        seconds=seconds,
        seats=int(seats["total"].sum()),
        tickets=int(seats["tickets"].sum()),
        oversold=int(seats["oversold"].sum()),
        sold=int(sold["quantity"].sum()) - refunded,
        refunded=refunded,
        sales=sales,
        sold_out=int(outcomes[Outcome.SOLD_OUT]),
        conflicts=int(outcomes[Outcome.CONFLICT]),
        failed=int(outcomes[Outcome.FAILED]),
        unavailable=int(outcomes[Outcome.UNAVAILABLE]),
        unknown=int(outcomes[Outcome.UNKNOWN]),
        double_called=double_called(history),
        refunds_failed=int(refunds[[Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE]].sum()),
        refunds_unknown=int(refunds[Outcome.UNKNOWN]),
        purchases_per_s=sales / seconds if seconds else 0.0,
        retries=int((purchases["attempts"] - 1).sum()),
        **(latencies | retries),
    )


def selling_time_s(history: pd.DataFrame, ledger: Ledger) -> float:
    """Seconds from the start until the last sale where the stock is gone, else until the last purchase was over.

    Gone means: no event has left as many seats as the smallest purchase wanted of it, or of baskets: fewer events
    have than the smallest basket that was sold needs. A strategy that sells little and then only collides had stock
    all the time, so its time is not cut short. What was given back counts by what the ledger has in the end: where it
    was not sold again, seats are left. Refunds themselves do not make the time longer, nor do second calls.
    """
    sales, history = history[_sold(history)], of_kind(_first_calls(history), Kind.PURCHASE)
    if history.empty:
        return 0.0
    seats = ledger.seats().set_index("event")
    smallest = history.groupby("event")["quantity"].min()
    left = (seats["total"] - seats["tickets"]).reindex(smallest.index) >= smallest
    gone = len(sales) and left.sum() < _fewest_lines(sales["line"])
    return float((sales if gone else history)["completed_ns"].max()) / 1e9


def _fewest_lines(lines: "pd.Series[int]") -> int:
    """The lines of the smallest purchase: up to there every purchase has a row of each number."""
    counts = np.bincount(lines)
    return int((counts == counts[0]).sum())


def stock_over_time(history: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """What was left of all seats after each sale and refund, as buyers were told: columns `seconds` and `left`.

    A sale is that of a whole basket, and its place is when it was told: no version is needed to draw it. The place of
    a refund is when it was asked for, since its tickets may be sold to another before it is answered; one of unknown
    outcome counts where the ledger has nothing of its purchase any more.

    It starts at time 0 with every seat, and falls below zero only where more was sold than there was.
    """
    sales, refunds = _sold(history), _given_back(history) | _surely_gone(history, ledger)
    changes = pd.DataFrame(
        {
            "ns": np.where(sales, history["completed_ns"], history["invoked_ns"]),
            "change": np.where(sales, -1, 1) * history["quantity"].astype("int64"),
            "line": history["line"],
        }
    )[sales | refunds].sort_values("ns", kind="stable")
    seats = int(ledger.events["total"].sum())
    # The lines of a basket follow one another: the last of them has the sum of all.
    last = np.append(changes["line"].to_numpy()[1:], 0)[: len(changes)] == 0
    return pd.DataFrame(
        {
            "seconds": np.concatenate([[0.0], changes["ns"].to_numpy()[last] / 1e9]),
            "left": seats + np.concatenate([[0], changes["change"].to_numpy().cumsum()[last]]),
        }
    )


def _sold(history: pd.DataFrame) -> "pd.Series[bool]":
    """The rows of sales: what only confirms a sale is none."""
    return (history["outcome"] == Outcome.SOLD) & ~told_again(history)


def _first_calls(history: pd.DataFrame) -> pd.DataFrame:
    """The rows but for those of second calls, and of first ones that the second overtook.

    A call that came when its id owned other tickets than it asked for failed by right: see `Cause.REPEATED`.
    """
    second = second_calls(history)
    if not second.any():
        return history
    overtaken = (history["outcome"] == Outcome.FAILED) & (history["cause"] == Cause.REPEATED)
    return history[~second & ~overtaken]


def _given_back(history: pd.DataFrame) -> "pd.Series[bool]":
    """The rows of refunds that were told to have given something back."""
    return (history["outcome"] == Outcome.REFUNDED) & (history["cause"] != Cause.REPEATED)


def _surely_gone(history: pd.DataFrame, ledger: Ledger) -> "pd.Series[bool]":
    """The rows of refunds of unknown outcome of whose purchase the ledger has nothing."""
    unknown = (history["kind"] == Kind.REFUND) & (history["outcome"] == Outcome.UNKNOWN)
    if unknown.any():
        unknown[unknown] = ~history.loc[unknown, "purchase_id"].isin(ledger.tickets["purchase_id"])
    return unknown
