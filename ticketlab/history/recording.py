"""The history of a trial: every purchase and refund as its buyer saw it, as columns. Opens no connection.

A purchase of one event is one row. A basket has one row per event, with the same purchase id, times, outcome, cause and
attempts; a basket that was refused as sold out has rows only for the events that refused it. A refund has the id of its
purchase and one row per event.

`LiveCounter` counts what a running trial has recorded. Reading takes time from the buyers, which share the process, so
a reading looks at new rows only, of all buyers at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.history import parquet
from ticketlab.history.ids import MASK
from ticketlab.history.parquet import PURCHASE_ID
from ticketlab.outcomes import CAUSES, KINDS, NOT_SEEN, OUTCOMES, RETRIES, RETRY_CAUSES, Cause, Kind, Outcome

if TYPE_CHECKING:
    from uuid import UUID


COLUMNS: Final[dict[str, Any]] = {
    "buyer": "int32",  # the buyer's number, from 0
    "event": "int32",  # the event's number in the ledger, from 0
    "line": "int16",  # the index of the row in its operation, from 0
    "kind": pd.CategoricalDtype([str(each) for each in KINDS]),
    "quantity": "int32",  # tickets requested or refunded, or those that an earlier call bought
    "purchase_id": PURCHASE_ID,
    "scheduled_ns": "int64",  # when the purchase was due, in ns since the start of the trial
    "invoked_ns": "int64",  # when it was called
    "completed_ns": "int64",  # when it was answered
    "outcome": pd.CategoricalDtype([str(each) for each in OUTCOMES]),
    "cause": pd.CategoricalDtype([str(each) for each in CAUSES]),
    "attempts": "int32",  # at least 1
    **dict.fromkeys(RETRIES.values(), "int16"),
    "version": "int32",  # of the event, as the purchase made or saw it, or NOT_SEEN
    "available": "int32",  # the event's stock at that version, or NOT_SEEN
    "handed": "int32",  # tickets of this event in the answer, or NOT_SEEN if the answer has no tickets
    "handed_digest": "int64",  # of their ids: see `ids.digest`; NOT_SEEN if the answer has no tickets
    "handed_elsewhere": "int16",  # those of them that name another purchase or another event
}
"""The columns of a history frame and their types."""
ABSENT: Final = {"handed": NOT_SEEN, "handed_digest": NOT_SEEN, "handed_elsewhere": 0}
"""The values of columns that older saved histories lack."""

# Most operations are purchases of one event that succeed at once. Columns that are zero for these are kept apart, so
# that they cost nothing.
_SELDOM: Final = ("line", *RETRIES.values(), "handed_elsewhere")
NUMBERS: Final = tuple(name for name in COLUMNS if name not in ("purchase_id", "kind", *_SELDOM))
"""The columns that a recorder writes, in this order, as 64-bit integers. The cause is its index in the enum; the
outcome is the index of kind and outcome in ENDS, plus len(ENDS) for a call `again`."""
ENDS: Final = tuple((kind, outcome) for kind in KINDS for outcome in OUTCOMES)
"""All pairs of kind and outcome."""
_INVOKED: Final = NUMBERS.index("invoked_ns")
_END_CODE: Final = {kind: {outcome: ENDS.index((kind, outcome)) for outcome in OUTCOMES} for kind in KINDS}
_CAUSE_CODE: Final = {cause: code for code, cause in enumerate(CAUSES)}
_PURCHASE: Final = Kind.PURCHASE  # in Python 3.11 the lookup takes as long as packing a row
_packed: Final = Struct(f"{len(NUMBERS) - 1}qQ").pack  # twice as fast as extending an array by a tuple


Handed: TypeAlias = tuple[int, int, int]
"""The tickets of one event in an answer: their number, or NOT_SEEN if the answer has no tickets; the digest of their
ids, see `ids.digest`; and how many of them name another purchase or event. A plain tuple, because one is created at
each sale and a NamedTuple takes three times as long."""
NOTHING_HANDED: Final[Handed] = (NOT_SEEN, NOT_SEEN & MASK, 0)
"""An answer without tickets."""


class Recorder:
    """The operations of one buyer: numbers appended to a flat array, without an object per operation."""

    def __init__(self, buyer: int) -> None:
        self.buyer = buyer
        self._numbers = array("q")
        self._seldom = array("q")
        self._not_counted = 0
        self._purchase_ids = bytearray()
        self.said: dict[str, str] = {}
        """The first error message of each kind of operation that ended without an answer."""
        self.under_way: tuple[Kind, Sequence[tuple[int, int]], UUID, int] | None = None
        """The last call: its kind, its events with quantities, its purchase id, and its time."""

    def record(
        self,
        *,
        event: int,
        quantity: int,
        purchase_id: bytes,
        scheduled_ns: int,
        invoked_ns: int,
        completed_ns: int,
        outcome: Outcome,
        cause: Cause,
        retries: Sequence[Cause],
        version: int | None,
        available: int | None,
        line: int = 0,
        kind: Kind = Kind.PURCHASE,
        handed: Handed = NOTHING_HANDED,
        again: bool = False,
    ) -> None:
        """Append one row; times are readings of one monotonic clock, `retries` are those of the whole operation.

        Of several calls of one id, `again` marks all but one: the first that was answered as sold, or else the first
        call. A call `again` is a row like any other, but `len` does not count it.
        """
        if line or again or kind is not _PURCHASE:
            self._not_counted += 1
        tickets, digest, elsewhere = handed
        if line or retries or elsewhere:  # belongs to the row appended below
            self._seldom.extend((self._rows, line, *map(retries.count, RETRY_CAUSES), elsewhere))
        self._numbers.frombytes(
            _packed(
                self.buyer,
                event,
                quantity,
                scheduled_ns,
                invoked_ns,
                completed_ns,
                _END_CODE[kind][outcome] + len(ENDS) * again,
                _CAUSE_CODE[cause],
                1 + len(retries),
                NOT_SEEN if version is None else version,
                NOT_SEEN if available is None else available,
                tickets,
                digest,
            )
        )
        self._purchase_ids += purchase_id

    @property
    def _rows(self) -> int:
        return len(self._numbers) // len(NUMBERS)

    def __len__(self) -> int:
        """The number of recorded purchases, without calls `again`."""
        return self._rows - self._not_counted

    def since(self, row: int) -> array[int]:
        """A copy of the complete rows from `row` on, as NUMBERS; the buyer may be recording another."""
        return self._numbers[row * len(NUMBERS) : self._rows * len(NUMBERS)]

    def ended(self, now_ns: int) -> Recorder:
        """A copy of the rows so far, which the buyer may still extend; an operation in progress is UNKNOWN in it."""
        while True:
            under_way, copy = self.under_way, self._copied()
            if under_way is self.under_way:
                break
        if under_way is not None:
            copy.record_unknown(*under_way, now_ns)
        return copy

    def record_unknown(
        self, kind: Kind, lines: Sequence[tuple[int, int]], purchase_id: UUID, invoked_ns: int, now_ns: int
    ) -> None:
        """Append an operation that has not ended, unless it was already recorded as the last one."""
        if self._numbers[-len(NUMBERS) :][_INVOKED : _INVOKED + 1] == array("q", [invoked_ns]):
            return
        for line, (event, quantity) in enumerate(lines):
            self.record(
                kind=kind,
                event=event,
                line=line,
                quantity=quantity,
                purchase_id=purchase_id.bytes,
                scheduled_ns=invoked_ns,
                invoked_ns=invoked_ns,
                completed_ns=now_ns,
                outcome=Outcome.UNKNOWN,
                cause=Cause.NONE,
                retries=(),
                version=None,
                available=None,
            )

    def _copied(self) -> Recorder:
        """A copy of the complete rows: a row is complete once its purchase id is appended."""
        copy = Recorder(self.buyer)
        copy._purchase_ids = self._purchase_ids[: len(self._purchase_ids) // 16 * 16]
        rows = len(copy._purchase_ids) // 16
        copy._numbers = self._numbers[: rows * len(NUMBERS)]
        width = 1 + len(_SELDOM)
        whole = len(self._seldom) // width
        kept = sum(place < rows for place in self._seldom[: whole * width : width])
        copy._seldom = self._seldom[: kept * width]
        return copy

    def numbers(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """The recorded integers, one row each: the columns of NUMBERS, then those of _SELDOM."""
        always = np.frombuffer(self._numbers, dtype=np.int64).reshape(-1, len(NUMBERS))
        places, *kept = np.frombuffer(self._seldom, dtype=np.int64).reshape(-1, 1 + len(_SELDOM)).T
        seldom = np.zeros((len(always), len(_SELDOM)), np.int64)
        # A count too large for its column becomes the maximum; `attempts` has the whole.
        seldom[places] = np.minimum(np.transpose(kept), np.iinfo(np.int16).max)
        return np.hstack([always, seldom])

    def purchase_ids(self) -> bytes:
        """The recorded purchase ids, 16 bytes each."""
        return bytes(self._purchase_ids)


def collect(recorders: Iterable[Recorder], *, start_ns: int) -> pd.DataFrame:
    """The history of all buyers, by time of call, in ns since `start_ns`."""
    recorders = list(recorders)
    names = NUMBERS + _SELDOM
    numbers = np.concatenate([np.empty((0, len(names)), np.int64), *(each.numbers() for each in recorders)])
    purchase_ids = np.frombuffer(b"".join(each.purchase_ids() for each in recorders), dtype=np.dtype("V16"))
    # Stable, so that the rows of a basket stay together.
    order = np.argsort(numbers[:, names.index("invoked_ns")], kind="stable")
    numbers = numbers[order]
    columns: dict[str, Any] = {name: numbers[:, place] for place, name in enumerate(names)}
    for name in ("scheduled_ns", "invoked_ns", "completed_ns"):
        columns[name] = columns[name] - start_ns
    columns["kind"], columns["outcome"] = np.divmod(columns["outcome"] % len(ENDS), len(OUTCOMES))
    for name in ("kind", "outcome", "cause"):
        columns[name] = pd.Categorical.from_codes(columns[name], dtype=COLUMNS[name])
    columns["purchase_id"] = parquet.purchase_ids(purchase_ids[order].tobytes())
    return pd.DataFrame({name: columns[name] for name in COLUMNS}).astype(COLUMNS)


def operations_of(history: pd.DataFrame) -> pd.DataFrame:
    """One row per operation: the first of a basket."""
    return history[history["line"] == 0] if history["line"].any() else history


def of_kind(history: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """The rows of purchases, or those of refunds."""
    rows = history["kind"] == kind
    return history if rows.all() else history[rows]


def purchases_of(history: pd.DataFrame) -> pd.DataFrame:
    """One row per purchase: the first of a basket, and no refunds."""
    return operations_of(of_kind(history, Kind.PURCHASE))


def write(history: pd.DataFrame, path: Path) -> None:
    """Save a history as Parquet."""
    parquet.write(history, path)


def read(path: Path) -> pd.DataFrame:
    """A saved history."""
    return parquet.read(path, COLUMNS, absent=ABSENT)


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

    def _first_lines(self, buyer: Column, invoked_ns: Column) -> np.ndarray[tuple[int], np.dtype[np.bool]]:
        """Mask of rows that begin an operation: other lines of a basket have the call time of the row before."""
        before_ns = np.roll(invoked_ns, 1)
        starts = buyer != np.roll(buyer, 1)
        starts[:1] = True
        before_ns[starts] = self._last_invoked_ns[buyer[starts]]
        self._last_invoked_ns[buyer] = invoked_ns  # of several rows of a buyer the last one remains
        return np.not_equal(invoked_ns, before_ns)
