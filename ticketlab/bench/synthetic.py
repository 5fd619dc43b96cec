"""Histories that nobody lived, of any size, with their ledger: right by how they are made. Never opens a connection.

Each operation has an instant of effect; its interval lies around it, so that a buyer's operations follow one another
and those of all buyers overlap, as in a closed loop. Versions and stock are counted along those instants. First the
seats are sold, all but two of event 0; then most are sent away, and with `refunds` seats are given back and sold again.
The last two seats are sold near the very end, after which everybody is sent away. What is violated in a history is
violated there: see `violations`.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.errors import InvalidInputError
from ticketlab.history import parquet
from ticketlab.history.ledger import EVENT_COLUMNS, TICKET_COLUMNS, Ledger
from ticketlab.history.recording import COLUMNS, NOT_SEEN
from ticketlab.outcomes import CAUSES, KINDS, OUTCOMES, Cause, Kind, Outcome

Integers: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

FEWEST: Final = 200
MOST: Final = 100_000_000
_MOST_BUYERS: Final = 64
_MOST_QUANTITY: Final = 4
_SOLD_AT_FIRST: Final = 0.7
_LAST_QUANTITY: Final = 2
_CYCLE: Final = 8
"""When the seats are gone: of so many operations one is a refund, and one sells what was given back."""
_MARKS: Final = (0, 2**63 - 1)
_GAP_NS: Final = (200, 1_800)
"""From one instant of effect to the next: a million operations take about a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a history is to be like.

    Raises:
        InvalidInputError: no such history can be made.
    """

    operations: int
    """Calls; with `baskets` there are about two and a half rows of each."""
    events: int = 1
    baskets: bool = False
    """Whether purchases are of two or three events."""
    refunds: bool = False
    unknown: float = 0.0
    """The share of the first sales that got no answer: half of them took effect."""
    seed: int = 1

    def __post_init__(self) -> None:
        faults = {
            f"operations must be from {FEWEST:,} to {MOST:,}": not FEWEST <= self.operations <= MOST,
            "baskets need at least 3 events": self.baskets and self.events < 3,  # noqa: PLR2004 - they have up to 3
            "events must be from 1 to 10,000": not 1 <= self.events <= 10_000,  # noqa: PLR2004 - as it says
            "unknown must be a share from 0 to 1": not 0 <= self.unknown <= 1,
            "seed must not be negative": self.seed < 0,
        }
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"This history can not be made: {'; '.join(wrong)}.")

    @property
    def buyers(self) -> int:
        """As many as leave the last operations their room."""
        return min(_MOST_BUYERS, self.operations // 16)

    @property
    def last_sale(self) -> int:
        """The operation that sells the last seats: it is over before the last one of all begins."""
        return self.operations - 1 - 2 * self.buyers


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticHistory:
    """A history, its ledger, and where its end is."""

    history: pd.DataFrame
    ledger: Ledger
    last_sale: int
    """The row of the sale of the last two seats; its tickets are the last of the ledger."""
    last_refusal: int
    """The row of the last operation: a refusal of the same event, called after that sale was answered."""


@dataclass(slots=True, kw_only=True)
class _Calls:
    """Operations in the order of their effect, while they are being made."""

    kind: Integers
    outcome: Integers
    effect: Mask
    purchase: Integers
    """The operation whose purchase id each has: its own number, but of a refund that of the sale."""
    returned: Mask
    """Sales that are given back."""
    lines: Integers
    first: Integers
    """The event of the first line; that of each further one is so many `apart`, counted around."""
    apart: Integers
    quantity: Integers
    """A row an operation, a column a line."""


def generate(shape: Shape) -> SyntheticHistory:
    """The history of a shape, always the same for the same shape, and its ledger; the server crashed after it all."""
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
    marks = generator.integers(*_MARKS, len(tickets))
    handed, digest = _handed(calls, of, quantity, owners, marks)
    ledger = _ledger(total, versions, event[tickets], ids[of[tickets]], marks, crash_ns=int(completed.max()) + 1)
    del owners, tickets, marks, refund, change, unseen
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
        handed_digest=digest[order],
    )
    last_sale, last = (int(np.flatnonzero(of == each)[0]) for each in (shape.last_sale, shape.operations - 1))
    return SyntheticHistory(history=history, ledger=ledger, last_sale=last_sale, last_refusal=last)


def _calls(shape: Shape, generator: np.random.Generator) -> _Calls:
    """Who asks for what, and whether he has it."""
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
        _give_back(calls, sales, shape.last_sale - _CYCLE)
    _add_final_sale(calls, shape)
    return calls


def _add_unknown_outcomes(calls: _Calls, sales: int, share: float, generator: np.random.Generator) -> None:
    """Let some of the first sales be of unknown outcome, and half of them have no effect."""
    unanswered = np.flatnonzero(generator.random(sales) < share) if share else np.empty(0, np.int64)
    calls.outcome[unanswered] = OUTCOMES.index(Outcome.UNKNOWN)
    calls.effect[unanswered[generator.random(len(unanswered)) < 0.5]] = False  # noqa: PLR2004 - half


def _add_refusals(calls: _Calls, sales: int, events: int) -> None:
    """Two seats of event 0 are left: whoever asks for it wants three or four."""
    line = np.arange(calls.quantity.shape[1])
    asked = (calls.first[sales:, None] + line * calls.apart[sales:, None]) % events
    calls.quantity[sales:][asked == 0] = _LAST_QUANTITY + 1 + calls.quantity[sales:][asked == 0] % 2


def _give_back(calls: _Calls, sales: int, until: int) -> None:
    """Refunds of sales whose first line is one seat; four are then too many, and at last the same is sold again."""
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
    """The sale of the last two seats of event 0, and as the last operation of all a refusal of it."""
    sale, refusal = shape.last_sale, shape.operations - 1
    for each, quantity in ((sale, _LAST_QUANTITY), (refusal, _LAST_QUANTITY + 1)):
        calls.lines[each], calls.first[each], calls.quantity[each, 0] = 1, 0, quantity
    calls.effect[sale], calls.outcome[sale] = True, OUTCOMES.index(Outcome.SOLD)


def _times(shape: Shape, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """When each operation was called and answered: around its effect, and apart from its buyer's others."""
    effect = np.cumsum(generator.integers(*_GAP_NS, shape.operations)) + _GAP_NS[1]
    buyers = shape.buyers
    # A buyer's earlier operation is over by the middle between both effects.
    middle = (effect + np.concatenate([np.zeros(buyers, np.int64), effect[:-buyers]])) // 2
    until = np.concatenate([middle[buyers:], effect[-buyers:] + _GAP_NS[1]])
    invoked = effect - (generator.random(shape.operations) * (effect - middle)).astype(np.int64)
    completed = effect + (generator.random(shape.operations) * (until - effect)).astype(np.int64)
    return invoked, completed


def _running(event: Integers, values: Integers, events: int) -> Integers:
    """At each row the sum of the values of its event up to there."""
    if events == 1:
        return np.cumsum(values, dtype=np.int64)
    order = np.argsort(event.astype(np.uint16), kind="stable")  # of 16 bits: numpy sorts them by their digits
    sums = np.cumsum(values[order], dtype=np.int64)
    counts = np.bincount(event, minlength=events)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    running = np.empty_like(sums)
    running[order] = sums - np.repeat(before, counts)
    return running


def _handed(
    calls: _Calls, of: Integers, quantity: Integers, owners: Integers, marks: Integers
) -> tuple[Integers, Integers]:
    """What each row's answer hands: of a sale its tickets, whose marks follow one another in the order of `owners`.

    What was given back later is in no ledger: its digest is compared with nothing.
    """
    sold = (calls.outcome[of] == OUTCOMES.index(Outcome.SOLD)) & (calls.kind[of] == KINDS.index(Kind.PURCHASE))
    counts = quantity[owners].astype(np.int64)
    digest = np.full(len(of), NOT_SEEN, np.int64)
    if len(owners):
        digest[owners] = np.add.reduceat(marks, np.cumsum(counts) - counts)
    digest[~sold] = NOT_SEEN
    return np.where(sold, quantity, NOT_SEEN), digest


def _ledger(
    total: Integers, versions: Integers, event: Integers, ids: Integers, marks: Integers, *, crash_ns: int
) -> Ledger:
    """Everything is sold in the end."""
    columns = {"event": np.arange(len(total)), "available": np.zeros_like(total), "version": versions}
    columns |= {"total": total, "total_found": total}
    tickets = {"event": event.astype(np.int32), "purchase_id": parquet.purchase_ids(ids.tobytes()), "ticket": marks}
    return Ledger(
        events=pd.DataFrame(columns)[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS),
        tickets=pd.DataFrame(tickets).astype(TICKET_COLUMNS),
        crashes_ns=(crash_ns,),
    )


def _frame(
    *, outcome: Integers, kind: Integers, invoked: Integers, completed: Integers, **told: object
) -> pd.DataFrame:
    """A history, its columns of their types from the start: at ten million rows a copy of all is a gigabyte."""
    cause = np.full(len(outcome), CAUSES.index(Cause.NONE), np.int8)
    cause[outcome == OUTCOMES.index(Outcome.SOLD_OUT)] = CAUSES.index(Cause.INSUFFICIENT)
    cause[outcome == OUTCOMES.index(Outcome.UNKNOWN)] = CAUSES.index(Cause.CONNECTION)
    columns: dict[str, Any] = {
        **told,
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
