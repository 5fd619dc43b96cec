"""Generates synthetic histories of any size with their ledgers, valid by construction. Opens no connection.

Each operation takes effect at an instant within its interval; a buyer's operations follow one another and those of all
buyers overlap, as in a closed loop. Versions and available tickets are computed along those instants. First all seats
but two of event 0 are sold; then most purchases are refused, and with `refunds` some seats are refunded and sold again.
The last two seats are sold near the very end, and all later purchases are refused. Violations are added there: see
`ticketlab.bench._checking_worker`.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.errors import check_values
from ticketlab.history import parquet
from ticketlab.history.ledger import EVENT_COLUMNS, TICKET_COLUMNS, Ledger
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import CAUSES, KINDS, NOT_SEEN, OUTCOMES, Cause, Kind, Outcome

Integers: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

FEWEST: Final = 200
MOST: Final = 100_000_000
_MOST_BUYERS: Final = 64
_MOST_QUANTITY: Final = 4
_SOLD_AT_FIRST: Final = 0.7
_LAST_QUANTITY: Final = 2
_CYCLE: Final = 8
"""After the first sales one operation in eight is a refund, and one sells the refunded seats again."""
_TICKET_DIGESTS: Final = (0, 2**63 - 1)
_GAP_NS: Final = (200, 1_800)
"""Between two instants of effect: a million operations take about a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The parameters of a synthetic history.

    Raises:
        InvalidInputError: a value is out of range.
    """

    operations: int
    """Calls; with `baskets` each has two or three rows."""
    events: int = 1
    baskets: bool = False
    """Whether purchases are of two or three events."""
    refunds: bool = False
    unknown: float = 0.0
    """The share of the first sales whose outcome is unknown: half of them took effect."""
    seed: int = 1

    def __post_init__(self) -> None:
        errors = {
            f"operations must be from {FEWEST:,} to {MOST:,}": not FEWEST <= self.operations <= MOST,
            "baskets need at least 3 events": self.baskets and self.events < 3,  # noqa: PLR2004 - they have up to 3
            "events must be from 1 to 10,000": not 1 <= self.events <= 10_000,  # noqa: PLR2004 - as it says
            "unknown must be a share from 0 to 1": not 0 <= self.unknown <= 1,
            "seed must not be negative": self.seed < 0,
        }
        check_values("This history is invalid:", errors)

    @property
    def buyers(self) -> int:
        """The number of buyers: few enough that the last sale is over before the last operation begins."""
        return min(_MOST_BUYERS, self.operations // 16)

    @property
    def last_sale(self) -> int:
        """The operation that sells the last seats."""
        return self.operations - 1 - 2 * self.buyers


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticHistory:
    """A history, its ledger, and the two rows that violations change."""

    history: pd.DataFrame
    ledger: Ledger
    last_sale: int
    """The row of the sale of the last two seats; its tickets are the last of the ledger."""
    last_refusal: int
    """The row of the last operation: a refusal of the same event, called after that sale was answered."""


@dataclass(slots=True, kw_only=True)
class _Calls:
    """Operations in the order of their effect."""

    kind: Integers
    outcome: Integers
    effect: Mask
    purchase: Integers
    """The operation whose purchase id each has: its own number, or for a refund that of the sale."""
    returned: Mask
    """Sales that are refunded."""
    lines: Integers
    first: Integers
    """The event of the first line; each further line is of the event `apart` numbers on, modulo their count."""
    apart: Integers
    quantity: Integers
    """A row per operation, a column per line."""


def generate(shape: Shape) -> SyntheticHistory:
    """The history of a shape and its ledger, the same for the same shape; the server crashed after the last answer."""
    generator = np.random.default_rng(shape.seed)
    calls = _calls(shape, generator)
    invoked, completed = _times(shape, generator)
    ids = np.frombuffer(generator.bytes(16 * shape.operations), np.dtype("V16"))
    of = np.repeat(np.arange(shape.operations), calls.lines)
    line = np.arange(len(of)) - np.repeat(np.cumsum(calls.lines) - calls.lines, calls.lines)
    event = (calls.first[of] + line * calls.apart[of]) % shape.events
    quantity = calls.quantity[of, line]
    refund = calls.kind[of] == KINDS.index(Kind.REFUND)
    change = np.where(calls.effect[of], np.where(refund, quantity, -quantity), 0)
    total = -np.bincount(event, change, minlength=shape.events).astype(np.int64)
    version = 1 + _running(event, calls.effect[of], shape.events)
    available = total[event] + _running(event, change, shape.events)
    versions = 1 + np.bincount(event[calls.effect[of]], minlength=shape.events)
    unseen = calls.outcome[of] == OUTCOMES.index(Outcome.UNKNOWN)
    version[unseen] = available[unseen] = NOT_SEEN
    owners = np.flatnonzero(calls.effect[of] & ~refund & ~calls.returned[of])
    tickets = np.repeat(owners, quantity[owners])
    digests = generator.integers(*_TICKET_DIGESTS, len(tickets))
    handed, handed_digest = _handed(calls, of, quantity, owners, digests)
    ledger = _ledger(total, versions, event[tickets], ids[of[tickets]], digests, crash_ns=int(completed.max()) + 1)
    del owners, tickets, digests, refund, change, unseen
    order = np.argsort(invoked[of], kind="stable")
    of = of[order]
    history = _frame(
        buyer=of % shape.buyers,
        event=event[order],
        line=line[order],
        kind=calls.kind[of],
        quantity=quantity[order],
        purchase_id=parquet.purchase_ids(ids[calls.purchase[of]].tobytes()),
        invoked=invoked[of],
        completed=completed[of],
        outcome=calls.outcome[of],
        version=version[order],
        available=available[order],
        handed=handed[order],
        handed_digest=handed_digest[order],
    )
    last_sale, last = (int(np.flatnonzero(of == each)[0]) for each in (shape.last_sale, shape.operations - 1))
    return SyntheticHistory(history=history, ledger=ledger, last_sale=last_sale, last_refusal=last)


def _calls(shape: Shape, generator: np.random.Generator) -> _Calls:
    """The requests of all operations, and their outcomes."""
    count = shape.operations
    calls = _Calls(
        kind=np.full(count, KINDS.index(Kind.PURCHASE), np.int8),
        outcome=np.full(count, OUTCOMES.index(Outcome.SOLD_OUT), np.int8),
        effect=np.zeros(count, np.bool_),
        purchase=np.arange(count),
        returned=np.zeros(count, np.bool_),
        lines=generator.integers(2, 4, count, np.int8) if shape.baskets else np.ones(count, np.int8),
        first=generator.integers(0, shape.events, count, np.int32),
        apart=generator.integers(1, max(2, shape.events // 3 + 1), count, np.int32),
        quantity=generator.integers(1, _MOST_QUANTITY + 1, (count, 3), np.int32),
    )
    sales = int(count * _SOLD_AT_FIRST)
    calls.effect[:sales] = True
    calls.outcome[:sales] = OUTCOMES.index(Outcome.SOLD)
    _add_unknown_outcomes(calls, sales, shape.unknown, generator)
    _add_refusals(calls, sales, shape.events)
    if shape.refunds:
        _add_refunds(calls, sales, shape.last_sale - _CYCLE)
    _add_final_sale(calls, shape)
    return calls


def _add_unknown_outcomes(calls: _Calls, sales: int, share: float, generator: np.random.Generator) -> None:
    """Give some of the first sales an unknown outcome, and half of these no effect."""
    unanswered = np.flatnonzero(generator.random(sales) < share) if share else np.empty(0, np.int64)
    calls.outcome[unanswered] = OUTCOMES.index(Outcome.UNKNOWN)
    calls.effect[unanswered[generator.random(len(unanswered)) < 0.5]] = False  # noqa: PLR2004 - half


def _add_refusals(calls: _Calls, sales: int, events: int) -> None:
    """Two seats of event 0 are left: let refused purchases ask for three or four of it."""
    line = np.arange(calls.quantity.shape[1])
    asked = (calls.first[sales:, None] + line * calls.apart[sales:, None]) % events
    calls.quantity[sales:][asked == 0] = _LAST_QUANTITY + 1 + calls.quantity[sales:][asked == 0] % 2


def _add_refunds(calls: _Calls, sales: int, until: int) -> None:
    """Refund sales whose first line is one seat; then refuse a purchase of four, and sell the same again."""
    begins = np.arange(sales, until, _CYCLE)
    known = calls.outcome[:sales] == OUTCOMES.index(Outcome.SOLD)
    sold = np.flatnonzero((calls.quantity[:sales, 0] == 1) & known)
    sold = sold[:: max(1, len(sold) // max(1, len(begins)))][: len(begins)]
    refunds, between, again = (begins[: len(sold)] + later for later in (1, 2, 3))
    for each in (calls.lines, calls.first, calls.apart, calls.quantity):
        each[refunds] = each[again] = each[sold]
    calls.first[between], calls.lines[between], calls.quantity[between, 0] = calls.first[sold], 1, _MOST_QUANTITY
    calls.kind[refunds] = KINDS.index(Kind.REFUND)
    calls.purchase[refunds] = sold
    calls.returned[sold] = True
    calls.effect[refunds] = calls.effect[again] = True
    calls.outcome[refunds] = OUTCOMES.index(Outcome.REFUNDED)
    calls.outcome[again] = OUTCOMES.index(Outcome.SOLD)


def _add_final_sale(calls: _Calls, shape: Shape) -> None:
    """Sell the last two seats of event 0, and let the last operation be refused."""
    sale, refusal = shape.last_sale, shape.operations - 1
    for each, quantity in ((sale, _LAST_QUANTITY), (refusal, _LAST_QUANTITY + 1)):
        calls.lines[each], calls.first[each], calls.quantity[each, 0] = 1, 0, quantity
    calls.effect[sale], calls.outcome[sale] = True, OUTCOMES.index(Outcome.SOLD)


def _times(shape: Shape, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """When each operation was invoked and completed: around its effect, without overlap with its buyer's others."""
    effect = np.cumsum(generator.integers(*_GAP_NS, shape.operations)) + _GAP_NS[1]
    buyers = shape.buyers
    # A buyer's earlier operation is over halfway between both effects.
    middle = (effect + np.concatenate([np.zeros(buyers, np.int64), effect[:-buyers]])) // 2
    until = np.concatenate([middle[buyers:], effect[-buyers:] + _GAP_NS[1]])
    invoked = effect - (generator.random(shape.operations) * (effect - middle)).astype(np.int64)
    completed = effect + (generator.random(shape.operations) * (until - effect)).astype(np.int64)
    return invoked, completed


def _running(event: Integers, values: Integers, events: int) -> Integers:
    """At each row the sum of the values of its event so far."""
    if events == 1:
        return np.cumsum(values, dtype=np.int64)
    order = np.argsort(event.astype(np.uint16), kind="stable")  # numpy has a radix sort for 16 bits
    sums = np.cumsum(values[order], dtype=np.int64)
    counts = np.bincount(event, minlength=events)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    running = np.empty_like(sums)
    running[order] = sums - np.repeat(before, counts)
    return running


def _handed(
    calls: _Calls, of: Integers, quantity: Integers, owners: Integers, digests: Integers
) -> tuple[Integers, Integers]:
    """The tickets in each row's answer, counted and digested; `digests` are those of single tickets, by `owners`.

    Refunded tickets are in no ledger, so that their digest is compared with nothing.
    """
    sold = (calls.outcome[of] == OUTCOMES.index(Outcome.SOLD)) & (calls.kind[of] == KINDS.index(Kind.PURCHASE))
    counts = quantity[owners].astype(np.int64)
    digest = np.full(len(of), NOT_SEEN, np.int64)
    if len(owners):
        digest[owners] = np.add.reduceat(digests, np.cumsum(counts) - counts)
    digest[~sold] = NOT_SEEN
    return np.where(sold, quantity, NOT_SEEN), digest


def _ledger(
    total: Integers, versions: Integers, event: Integers, ids: Integers, digests: Integers, *, crash_ns: int
) -> Ledger:
    """The ledger of a sold-out trial."""
    columns = {"event": np.arange(len(total)), "available": np.zeros_like(total), "version": versions}
    columns |= {"total": total, "total_found": total}
    tickets = {"event": event.astype(np.int32), "purchase_id": parquet.purchase_ids(ids.tobytes()), "ticket": digests}
    return Ledger(
        events=pd.DataFrame(columns)[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS),
        tickets=pd.DataFrame(tickets).astype(TICKET_COLUMNS),
        crashes_ns=(crash_ns,),
    )


def _frame(
    *, outcome: Integers, kind: Integers, invoked: Integers, completed: Integers, **others: object
) -> pd.DataFrame:
    """The history. Each column gets its type before they are joined: at ten million rows a copy is a gigabyte."""
    cause = np.full(len(outcome), CAUSES.index(Cause.NONE), np.int8)
    cause[outcome == OUTCOMES.index(Outcome.SOLD_OUT)] = CAUSES.index(Cause.INSUFFICIENT)
    cause[outcome == OUTCOMES.index(Outcome.UNKNOWN)] = CAUSES.index(Cause.CONNECTION)
    columns: dict[str, Any] = {
        **others,
        "scheduled_ns": invoked,
        "invoked_ns": invoked,
        "completed_ns": completed,
        "attempts": np.ones(len(outcome), np.int32),
        **{
            name: pd.Categorical.from_codes(codes, dtype=COLUMNS[name])
            for name, codes in (("kind", kind), ("outcome", outcome), ("cause", cause))
        },
    }
    nothing = np.zeros(len(outcome), np.int16)
    typed = {
        name: column.astype(COLUMNS[name], copy=False) if isinstance(column, np.ndarray) else column
        for name, column in ((name, columns.get(name, nothing)) for name in COLUMNS)
    }
    return pd.DataFrame(typed)
