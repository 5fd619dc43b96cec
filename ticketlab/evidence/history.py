"""The history of a trial: every purchase as its buyer saw it, as columns. Never opens a connection."""

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ticketlab.evidence import tables
from ticketlab.evidence.tables import PURCHASE_ID
from ticketlab.outcomes import CAUSES, OUTCOMES, Cause, Outcome

NOT_SEEN: Final = -1
"""The version and the stock of an operation that saw neither."""

COLUMNS: Final[dict[str, Any]] = {
    "buyer": "int32",  # the buyer's number, from 0
    "event": "int32",  # the event's number in the ledger, from 0
    "quantity": "int32",  # tickets wanted
    "purchase_id": PURCHASE_ID,
    "scheduled_ns": "int64",  # when the purchase was due, in nanoseconds since the trial's start
    "invoked_ns": "int64",  # when it was called
    "completed_ns": "int64",  # when its result was there
    "outcome": pd.CategoricalDtype([str(each) for each in OUTCOMES]),
    "cause": pd.CategoricalDtype([str(each) for each in CAUSES]),
    "attempts": "int32",  # at least 1
    "version": "int32",  # of the event, as the purchase made or saw it, or NOT_SEEN
    "available": "int32",  # the event's stock at that version, or NOT_SEEN
}
"""The columns of a history frame and their types."""

# What the recorder writes, in this order, as 64-bit integers; outcome and cause by their position in the enum.
_NUMBERS: Final = tuple(name for name in COLUMNS if name != "purchase_id")
_OUTCOME_CODE: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_CAUSE_CODE: Final = {cause: code for code, cause in enumerate(CAUSES)}


class Recorder:
    """What one buyer did, appended while he buys: numbers into a flat array, no object kept per operation."""

    def __init__(self, buyer: int) -> None:
        self.buyer = buyer
        self._numbers = array("q")
        self._purchase_ids = bytearray()

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
        attempts: int,
        version: int | None,
        available: int | None,
    ) -> None:
        """Append one operation; times are readings of one monotonic clock."""
        self._numbers.extend(
            (
                self.buyer,
                event,
                quantity,
                scheduled_ns,
                invoked_ns,
                completed_ns,
                _OUTCOME_CODE[outcome],
                _CAUSE_CODE[cause],
                attempts,
                NOT_SEEN if version is None else version,
                NOT_SEEN if available is None else available,
            )
        )
        self._purchase_ids += purchase_id

    def __len__(self) -> int:
        """How many operations were recorded."""
        return len(self._numbers) // len(_NUMBERS)

    def numbers(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """The recorded integers, a row an operation."""
        return np.frombuffer(self._numbers, dtype=np.int64).reshape(-1, len(_NUMBERS)).copy()

    def purchase_ids(self) -> bytes:
        """The recorded purchase ids, 16 bytes each."""
        return bytes(self._purchase_ids)


def collect(recorders: Iterable[Recorder], *, start_ns: int) -> pd.DataFrame:
    """One history of what all buyers recorded, in order of invocation, its clock starting at `start_ns`."""
    recorders = list(recorders)
    width = len(_NUMBERS)
    numbers = np.concatenate([np.empty((0, width), np.int64), *(each.numbers() for each in recorders)])
    purchase_ids = np.frombuffer(b"".join(each.purchase_ids() for each in recorders), dtype=np.dtype("V16"))
    order = np.argsort(numbers[:, _NUMBERS.index("invoked_ns")], kind="stable")
    numbers = numbers[order]
    columns: dict[str, Any] = {name: numbers[:, place] for place, name in enumerate(_NUMBERS)}
    for name in ("scheduled_ns", "invoked_ns", "completed_ns"):
        columns[name] = numbers[:, _NUMBERS.index(name)] - start_ns
    for name in ("outcome", "cause"):
        columns[name] = pd.Categorical.from_codes(numbers[:, _NUMBERS.index(name)], dtype=COLUMNS[name])
    columns["purchase_id"] = tables.purchase_ids(purchase_ids[order].tobytes())
    return pd.DataFrame({name: columns[name] for name in COLUMNS}).astype(COLUMNS)


def write(history: pd.DataFrame, path: Path) -> None:
    """Save a history as Parquet."""
    tables.write(history, path)


def read(path: Path) -> pd.DataFrame:
    """A history as it was saved."""
    return tables.read(path, COLUMNS)
