"""Measures of a history: counts, rates, latencies, repeated calls, and operations hit by faults. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ticketlab.history.arrays import NEVER, Integers, Mask
from ticketlab.history.recording import operations_of
from ticketlab.outcomes import OUTCOMES, RETRIES, Cause, Kind, Outcome

if TYPE_CHECKING:
    from ticketlab.history.index import IndexedHistory
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


def second_calls(case: IndexedHistory) -> Mask:
    """Mask of rows of purchases whose id was called before by another purchase, with any outcome.

    The first call of an id is the one that was invoked first. An id that buys again after a refund is included.
    """
    rows = _called_again(case, case.purchases)
    order = np.lexsort((rows, case.invoked[rows], case.id[rows]))
    return _of_operations(case, rows[order][~_starts(case.id[rows[order]])])


def _told_again(case: IndexedHistory) -> Mask:
    """Mask of rows of purchases answered as sold that only confirm a sale reported by another answer.

    An id has one sale, and one more for each refund that returned tickets. So many of its answers report a sale: first
    those without the cause REPEATED, by time of answer. The others confirm.
    """
    rows = _called_again(case, case.sold)
    rows = rows[np.lexsort((case.completed[rows], case.repeated[rows], case.id[rows]))]
    starts = np.flatnonzero(_starts(case.id[rows]))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return _of_operations(case, rows[place > case.count_by_id(case.refunded)[case.id[rows]]])


def double_called(case: IndexedHistory) -> int:
    """The number of purchase ids that were called more than once."""
    return _sum(case.count_by_id(case.purchases) > 1)


def _called_again(case: IndexedHistory, chosen: Mask) -> Integers:
    """The first row of each chosen operation whose id has several of them."""
    return np.flatnonzero(chosen & case.is_first_line & (case.count_by_id(chosen) > 1)[case.id])


def _starts(numbers: Integers) -> Mask:
    """Mask of the numbers that differ from the one before."""
    starts = np.ones(len(numbers), np.bool_)
    starts[1:] = numbers[1:] != numbers[:-1]
    return starts


def _of_operations(case: IndexedHistory, rows: Integers) -> Mask:
    """Mask of all rows of the operations that begin with these rows."""
    chosen = np.zeros(len(case), np.bool_)
    chosen[rows] = True
    return chosen[np.flatnonzero(case.is_first_line)[case.operation]] if len(rows) else chosen


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


def measure(case: IndexedHistory) -> Measures:
    """The numbers of one trial."""
    sales, calls, first = _sales(case), _first_calls(case), case.is_first_line
    outcomes = _outcomes(case, calls & first)
    refunds = _outcomes(case, ~case.purchases & first)
    refunded = int(case.quantity[case.refunded].sum())
    purchases = case.rows(calls & first)
    worked_on = purchases["outcome"].isin([Outcome.SOLD, Outcome.CONFLICT]).to_numpy()
    latency_ms = (purchases["completed_ns"] - purchases["scheduled_ns"]).to_numpy()[worked_on] / 1e6
    percents = list(PERCENTILES.values())
    percentiles = np.percentile(latency_ms, percents) if len(latency_ms) else np.full(len(percents), np.nan)
    latencies = {f"{name}_ms": float(value) for name, value in zip(PERCENTILES, percentiles, strict=True)}
    retries: dict[str, Any] = {name: int(purchases[name].sum()) for name in RETRIES.values()}
    seconds = _selling_time_s(case, sales, calls)
    return Measures(
        seconds=seconds,
        seats=int(case.seats["total"].sum()),
        tickets=int(case.seats["tickets"].sum()),
        oversold=int(case.seats["oversold"].sum()),
        sold=int(case.quantity[sales].sum()) - refunded,
        refunded=refunded,
        sales=_sum(sales & first),
        sold_out=outcomes[Outcome.SOLD_OUT],
        conflicts=outcomes[Outcome.CONFLICT],
        failed=outcomes[Outcome.FAILED],
        unavailable=outcomes[Outcome.UNAVAILABLE],
        unknown=outcomes[Outcome.UNKNOWN],
        double_called=double_called(case),
        refunds_failed=sum(refunds[each] for each in _UNANSWERED),
        refunds_unknown=refunds[Outcome.UNKNOWN],
        purchases_per_s=_sum(sales & first) / seconds if seconds else 0.0,
        retries=int((purchases["attempts"] - 1).sum()),
        **(latencies | retries),
    )


def _selling_time_s(case: IndexedHistory, sales: Mask, calls: Mask) -> float:
    """Seconds from the start to the last sale if the stock is gone, else to the end of the last purchase.

    The stock is gone if no event has enough seats left for its smallest purchase; with baskets, if fewer events have
    than the smallest basket that was sold needs. The seats left are those of the ledger, so refunded tickets that were
    not sold again are left. A strategy that sells little and then only collides had stock throughout, so its time is
    not cut short. Refunds and second calls do not extend the time.
    """
    if not calls.any():
        return 0.0
    left = case.of_events("total", default=0)
    left -= np.bincount(case.ticket_event, minlength=case.events)
    smallest = np.full(case.events, NEVER)
    np.minimum.at(smallest, case.event[calls], case.quantity[calls])
    gone = sales.any() and _sum(left >= smallest) < _fewest_lines(case.line[sales])
    return float(case.completed[sales if gone else calls].max()) / 1e9


def _fewest_lines(lines: Integers) -> int:
    """The number of lines of the smallest purchase: all purchases have a row with each smaller line number."""
    counts = np.bincount(lines)
    return int((counts == counts[0]).sum())


def stock_over_time(case: IndexedHistory) -> pd.DataFrame:
    """The seats left after each sale and refund, by the answers: columns `seconds` and `left`.

    A sale, of a whole basket, counts from its answer; a refund from its call, for its tickets may be sold again before
    it is answered. A refund of unknown outcome counts if its purchase has nothing in the ledger. The frame starts at
    time 0 with all seats, and falls below 0 only if more was sold than there was.
    """
    sales = _sales(case)
    at_ns = np.where(sales, case.completed, case.invoked)
    rows = np.flatnonzero(sales | case.refunded | (case.refund_unknown & (case.owned[case.id] == 0)))
    rows = rows[np.argsort(at_ns[rows], kind="stable")]
    change = np.where(sales, -1, 1)[rows] * case.quantity[rows]
    seats = int(case.ledger.events["total"].sum())
    # The rows of a basket are consecutive: the last has the sum of all.
    last = np.append(case.line[rows][1:], 0)[: len(rows)] == 0
    return pd.DataFrame(
        {
            "seconds": np.concatenate([[0.0], at_ns[rows][last] / 1e9]),
            "left": seats + np.concatenate([[0], change.cumsum()[last]]),
        }
    )


def _sales(case: IndexedHistory) -> Mask:
    """Mask of rows of sales, without answers that only confirm a sale."""
    return case.sold & ~_told_again(case)


def _first_calls(case: IndexedHistory) -> Mask:
    """Mask of rows of purchases without second calls, and without first calls that the second call overtook.

    A first call that failed because its id already owned other tickets was overtaken: see `Cause.REPEATED`.
    """
    second = second_calls(case)
    if not second.any():
        return case.purchases
    overtaken = (case.history["outcome"] == Outcome.FAILED).to_numpy() & case.repeated
    return case.purchases & ~second & ~overtaken


def _outcomes(case: IndexedHistory, rows: Mask) -> dict[Outcome, int]:
    """How many of these rows have each outcome."""
    counts = np.bincount(case.history["outcome"].cat.codes.to_numpy()[rows], minlength=len(OUTCOMES))
    return dict(zip(OUTCOMES, counts.tolist(), strict=True))
