"""Measures of a history: counts, rates, latencies, repeated calls, and operations hit by faults. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ticketlab.history import ids
from ticketlab.history.arrays import HistoryArrays, Integers, Mask
from ticketlab.history.recording import of_kind, operations_of, purchases_of
from ticketlab.outcomes import RETRIES, Cause, Kind, Outcome

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger


class Span(NamedTuple):
    """The time of a fault, in ns since the start of the trial, both ends included."""

    began_ns: int
    over_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """The operations hit by one fault, or by several together."""

    purchases: int = 0
    """Purchases under way during the fault that ended as UNKNOWN or by a lost connection."""
    committed: int = 0
    """Those of them that are UNKNOWN and took effect: their id owns tickets or was refunded."""
    refunds: int = 0
    """Refunds under way during the fault that ended as UNKNOWN or by a lost connection."""
    refunded: int = 0
    """Those of them that are UNKNOWN and took effect: their id owns nothing any more."""

    @property
    def operations(self) -> int:
        """Purchases and refunds."""
        return self.purchases + self.refunds

    def __add__(self, other: Met) -> Met:
        """Those of both."""
        return Met(
            purchases=self.purchases + other.purchases,
            committed=self.committed + other.committed,
            refunds=self.refunds + other.refunds,
            refunded=self.refunded + other.refunded,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMet:
    """One fault in one trial."""

    fault: str
    """The text of its option, such as "lose-reply@500"."""
    strategy: str
    met: Met | None
    """The operations that it hit; None if the trial ended before the fault was injected."""

    def as_json(self) -> dict[str, Any]:
        """The fault as plain data: `met` and `committed` count purchases, the last two fields count refunds."""
        met = self.met or Met()
        return {
            "fault": self.fault,
            "came": self.met is not None,
            "met": met.purchases,
            "committed": met.committed,
            "refunds_met": met.refunds,
            "refunds_made": met.refunded,
        }


def untested(faults: Sequence[FaultMet]) -> list[str]:
    """The faults that were not injected in any trial, or hit no operation."""
    return [name for name, met in met_by_fault(faults).items() if met is None or not met.operations]


def met_by_fault(faults: Sequence[FaultMet]) -> dict[str, Met | None]:
    """By fault what it met in all trials together; None where it was never injected."""
    totals: dict[str, Met | None] = {}
    for each in faults:
        before = totals.setdefault(each.fault, None)
        totals[each.fault] = before if each.met is None else (before or Met()) + each.met
    return totals


_UNANSWERED: Final = (Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.CONFLICT)


def met(history: pd.DataFrame, ledger: Ledger, faults: Sequence[Span]) -> tuple[Met, ...]:
    """The operations hit by each fault. A fault at one instant is a span of length 0.

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
    """Mask of operations of unknown outcome that surely changed the tickets.

    A purchase whose id was answered as sold in another call does not count: that call may have made the sale.
    """
    ids = lost["purchase_id"]
    same = history[history["purchase_id"].isin(ids)]
    first = same[same["cause"] != Cause.REPEATED]
    sold = ids.isin(first.loc[(first["kind"] == Kind.PURCHASE) & (first["outcome"] == Outcome.SOLD), "purchase_id"])
    refunded = ids.isin(first.loc[first["outcome"] == Outcome.REFUNDED, "purchase_id"])
    owns = ids.isin(ledger.tickets["purchase_id"])
    unknown = (lost["outcome"] == Outcome.UNKNOWN).to_numpy()
    effect = np.where(purchases, (owns | refunded) & ~sold, sold & ~owns & ~refunded)
    return unknown & effect.astype(np.bool_)


def _sum(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def second_calls(history: pd.DataFrame) -> Mask:
    """Mask of rows of purchases whose id was called before by another purchase, with any outcome.

    The first call of an id is the one that was invoked first. An id that buys again after a refund is included.
    """
    columns = HistoryArrays(history)
    rows, numbers = _called_again(columns, columns.purchases)
    order = np.lexsort((rows, columns.invoked[rows], numbers))
    return _of_operations(columns, rows[order][~_starts(numbers[order])])


def told_again(history: pd.DataFrame) -> Mask:
    """Mask of rows of purchases answered as sold that only confirm a sale reported by another answer.

    An id has one sale, and one more for each refund that returned tickets. So many of its answers report a sale: first
    those without the cause REPEATED, by time of answer. The others confirm.
    """
    columns = HistoryArrays(history)
    rows, numbers = _called_again(columns, columns.sold)
    if not len(rows):
        return np.zeros(len(columns), np.bool_)
    order = np.lexsort((columns.completed[rows], columns.repeated[rows], numbers))
    rows, numbers = rows[order], numbers[order]
    starts = np.flatnonzero(_starts(numbers))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return _of_operations(columns, rows[place > _refunds(columns, rows)])


def double_called(history: pd.DataFrame) -> int:
    """The number of purchase ids that were called more than once."""
    columns = HistoryArrays(history)
    _, numbers = _called_again(columns, columns.purchases)
    return len(np.unique(numbers))


def _called_again(columns: HistoryArrays, chosen: Mask) -> tuple[Integers, Integers]:
    """For ids with several chosen operations: the first row of each operation, and the number of its id."""
    rows = np.flatnonzero(chosen & columns.is_first_line)
    column = columns.history["purchase_id"].iloc[rows]
    if len(rows) == 0 or ids.distinct(column):
        return rows[:0], rows[:0]
    (numbers,) = ids.codes(column)
    several = np.bincount(numbers)[numbers] > 1
    return rows[several], numbers[several]


def _starts(numbers: Integers) -> Mask:
    """Mask of the numbers that differ from the one before."""
    starts = np.ones(len(numbers), np.bool_)
    starts[1:] = numbers[1:] != numbers[:-1]
    return starts


def _refunds(columns: HistoryArrays, rows: Integers) -> Integers:
    """For each row the number of refunds of its id that returned tickets."""
    refunds = np.flatnonzero(columns.refunded & columns.is_first_line)
    if not len(refunds):
        return np.zeros(len(rows), np.int64)
    owners = columns.history["purchase_id"]
    of_rows, of_refunds = ids.codes(owners.iloc[rows], owners.iloc[refunds])
    counts = np.bincount(of_refunds, minlength=1 + int(max(of_rows.max(), of_refunds.max())))
    return counts[of_rows]


def _of_operations(columns: HistoryArrays, rows: Integers) -> Mask:
    """Mask of all rows of the operations that begin with these rows."""
    chosen = np.zeros(len(columns), np.bool_)
    chosen[rows] = True
    return chosen[np.flatnonzero(columns.is_first_line)[columns.operation]] if len(rows) else chosen


PERCENTILES: Final = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One trial in numbers. Latencies are NaN if no purchase was sold or ended in a conflict."""

    seconds: float
    """The selling time: see `selling_time_s`."""
    seats: int
    """Seats of all events together."""
    tickets: int
    """Tickets in the ledger."""
    oversold: int
    """Tickets beyond the seats, all events together."""
    sold: int
    """Tickets answered as sold, minus those answered as refunded."""
    refunded: int
    """Tickets answered as refunded."""
    sales: int
    """Purchases that were sold, refunded later or not."""
    sold_out: int
    conflicts: int
    failed: int
    unavailable: int
    unknown: int
    """Purchases of other outcomes, without refunds."""
    double_called: int
    """Purchase ids that were called more than once."""
    refunds_failed: int
    """Refunds that surely had no effect: CONFLICT, FAILED or UNAVAILABLE."""
    refunds_unknown: int
    purchases_per_s: float
    """Sales per second of the selling time: a "sold out" is an answer, not work."""
    p50_ms: float
    """Latency since the purchase was due, over purchases that were sold or gave up after conflicts.

    Quick refusals and failures are left out: they would make it look better.
    """
    p95_ms: float
    p99_ms: float
    retries: int
    """Attempts beyond the first of all purchases, without refunds; below by cause."""
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
    refunded = int(history.loc[_refunded(history), "quantity"].sum())
    sold = history[_sold(history)]
    sales = len(operations_of(sold))
    worked_on = purchases[purchases["outcome"].isin([Outcome.SOLD, Outcome.CONFLICT])]
    latency_ms = (worked_on["completed_ns"] - worked_on["scheduled_ns"]).to_numpy() / 1e6
    percents = list(PERCENTILES.values())
    percentiles = np.percentile(latency_ms, percents) if len(latency_ms) else np.full(len(percents), np.nan)
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
    """Seconds from the start to the last sale if the stock is gone, else to the end of the last purchase.

    The stock is gone if no event has enough seats left for its smallest purchase; with baskets, if fewer events have
    than the smallest basket that was sold needs. The seats left are those of the ledger, so refunded tickets that were
    not sold again are left. A strategy that sells little and then only collides had stock throughout, so its time is
    not cut short. Refunds and second calls do not extend the time.
    """
    sales, history = history[_sold(history)], of_kind(_first_calls(history), Kind.PURCHASE)
    if history.empty:
        return 0.0
    seats = ledger.seats().set_index("event")
    smallest = history.groupby("event")["quantity"].min()
    left = (seats["total"] - seats["tickets"]).reindex(smallest.index) >= smallest
    gone = len(sales) and left.sum() < _fewest_lines(sales["line"])
    return float((sales if gone else history)["completed_ns"].max()) / 1e9


def _fewest_lines(lines: pd.Series[int]) -> int:
    """The number of lines of the smallest purchase: all purchases have a row with each smaller line number."""
    counts = np.bincount(lines)
    return int((counts == counts[0]).sum())


def stock_over_time(history: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """The seats left after each sale and refund, by the answers: columns `seconds` and `left`.

    A sale, of a whole basket, counts from its answer; a refund from its call, for its tickets may be sold again before
    it is answered. A refund of unknown outcome counts if its purchase has nothing in the ledger. The frame starts at
    time 0 with all seats, and falls below 0 only if more was sold than there was.
    """
    sales, refunds = _sold(history), _refunded(history) | _surely_refunded(history, ledger)
    changes = pd.DataFrame(
        {
            "ns": np.where(sales, history["completed_ns"], history["invoked_ns"]),
            "change": np.where(sales, -1, 1) * history["quantity"].astype("int64"),
            "line": history["line"],
        }
    )[sales | refunds].sort_values("ns", kind="stable")
    seats = int(ledger.events["total"].sum())
    # The rows of a basket are consecutive: the last has the sum of all.
    last = np.append(changes["line"].to_numpy()[1:], 0)[: len(changes)] == 0
    return pd.DataFrame(
        {
            "seconds": np.concatenate([[0.0], changes["ns"].to_numpy()[last] / 1e9]),
            "left": seats + np.concatenate([[0], changes["change"].to_numpy().cumsum()[last]]),
        }
    )


def _sold(history: pd.DataFrame) -> pd.Series[bool]:
    """Mask of rows of sales, without answers that only confirm a sale."""
    return (history["outcome"] == Outcome.SOLD) & ~told_again(history)


def _first_calls(history: pd.DataFrame) -> pd.DataFrame:
    """The rows without second calls, and without first calls that the second call overtook.

    A first call that failed because its id already owned other tickets was overtaken: see `Cause.REPEATED`.
    """
    second = second_calls(history)
    if not second.any():
        return history
    overtaken = (history["outcome"] == Outcome.FAILED) & (history["cause"] == Cause.REPEATED)
    return history[~second & ~overtaken]


def _refunded(history: pd.DataFrame) -> pd.Series[bool]:
    """Mask of rows of refunds that returned tickets."""
    return (history["outcome"] == Outcome.REFUNDED) & (history["cause"] != Cause.REPEATED)


def _surely_refunded(history: pd.DataFrame, ledger: Ledger) -> pd.Series[bool]:
    """Mask of rows of refunds of unknown outcome whose purchase has nothing in the ledger."""
    unknown = (history["kind"] == Kind.REFUND) & (history["outcome"] == Outcome.UNKNOWN)
    if unknown.any():
        unknown[unknown] = ~history.loc[unknown, "purchase_id"].isin(ledger.tickets["purchase_id"])
    return unknown
