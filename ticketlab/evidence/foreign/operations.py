"""The rows of a file as operations of a history: what each tells, and which belong together. Judges nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from ticketlab.evidence.exports.calls import Integers, Mask
from ticketlab.evidence.foreign.cells import MOST, Ids, Names, Range, ids, names, whole_numbers, words
from ticketlab.evidence.foreign.faults import Faults
from ticketlab.evidence.foreign.table import Table
from ticketlab.evidence.history import COLUMNS, NOT_SEEN, RETRIES
from ticketlab.outcomes import CAUSES, KINDS, OUTCOMES, Cause, Kind, Outcome

REQUIRED: Final = ("buyer", "event", "quantity", "purchase_id", "invoked_ns", "completed_ns", "outcome")
OPTIONAL: Final = tuple(name for name in COLUMNS if name not in REQUIRED)

_WORDS: Final = ("kind", "outcome", "cause")
_SHORT, _PLAIN = (int(np.iinfo(kind).max) for kind in (np.int16, np.int32))
_INSTANT: Final = Range(0, MOST)
VERSION: Final = Range(0, _PLAIN)
STOCK: Final = Range(NOT_SEEN + 1, _PLAIN)
"""A system that sells too much may well report a stock below 0: that is data, and for the checks to judge."""
_DEFAULTS: Final = {
    "attempts": (1, Range(1, _PLAIN)),
    **dict.fromkeys(RETRIES.values(), (0, Range(0, _SHORT))),
    "version": (NOT_SEEN, VERSION),
    "available": (NOT_SEEN, STOCK),
    "handed": (NOT_SEEN, Range(0, _PLAIN)),
    "handed_digest": (NOT_SEEN, Range(-(2**63), 2**63 - 1)),
    "handed_elsewhere": (0, Range(0, _SHORT)),
}
"""What stands for a cell in which there is nothing, and what may stand in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The rows of a file in order of invocation, those of one operation together."""

    history: pd.DataFrame
    """With the columns of COLUMNS."""
    places: Integers
    """The place of each of them in the file."""
    buyers: Names
    ids: Ids
    """As the rows of the file come."""

    @classmethod
    def of(cls, table: Table, events: Names, faults: Faults) -> Self:
        """The operations of a table.

        Raises:
            InvalidInputError: naming every fault, those of `faults` too.
        """
        columns, owners = _columns(table, events, faults)
        buyer = names(table, "buyer", faults)
        buyers = Names.of(buyer)
        columns["buyer"] = buyers.numbers(buyer)
        faults.tell()  # what follows compares cells with one another
        _compare(table, columns, faults)
        operation, first = _together(owners, columns)
        columns["line"] = _lines(table, operation, faults)
        _agree(table, columns, operation, first, faults)
        faults.tell()
        order = np.lexsort((columns["line"], operation, columns["invoked_ns"]))
        columns |= {name: pd.Categorical.from_codes(columns[name], dtype=COLUMNS[name]) for name in _WORDS}
        frame = pd.DataFrame(columns | {"purchase_id": owners.column()})[list(COLUMNS)].astype(COLUMNS)
        if (order[1:] < order[:-1]).any():
            frame = frame.iloc[order].reset_index(drop=True)
        return cls(history=frame, places=table.places[order], buyers=buyers, ids=owners)


def _columns(table: Table, events: Names, faults: Faults) -> tuple[dict[str, Any], Ids]:
    """The cells of each column but the buyer's, by themselves."""
    event = events.numbers(table.text("event"))
    columns: dict[str, Any] = {"event": event, "quantity": whole_numbers(table, "quantity", Range(1, _PLAIN), faults)}
    for name in ("invoked_ns", "completed_ns"):
        columns[name] = whole_numbers(table, name, _INSTANT, faults)
    columns["scheduled_ns"] = columns["invoked_ns"]
    if "scheduled_ns" in table.columns:
        told = whole_numbers(table, "scheduled_ns", _INSTANT, faults, empty=NOT_SEEN)
        columns["scheduled_ns"] = np.where(told == NOT_SEEN, columns["invoked_ns"], told)
    for name, (default, bounds) in _DEFAULTS.items():
        there = name in table.columns
        columns[name] = whole_numbers(table, name, bounds, faults, empty=default) if there else default
    outcome = words(table, "outcome", OUTCOMES, faults)
    there = "kind" in table.columns
    columns["outcome"] = outcome
    columns["kind"] = words(table, "kind", KINDS, faults, empty=Kind.PURCHASE) if there else np.zeros_like(outcome)
    columns["cause"] = _causes(table, outcome, faults)
    return columns, ids(table, "purchase_id", faults)


def _causes(table: Table, outcome: Integers, faults: Faults) -> Integers:
    refused = outcome == OUTCOMES.index(Outcome.SOLD_OUT)
    usual = np.where(refused, CAUSES.index(Cause.INSUFFICIENT), CAUSES.index(Cause.NONE))
    if "cause" not in table.columns:
        return usual
    told = words(table, "cause", CAUSES, faults, empty=Cause.NONE)
    return np.where(table.is_empty("cause"), usual, told)


def _compare(table: Table, columns: dict[str, Any], faults: Faults) -> None:
    """What the cells of one row must have to do with each other."""
    early = columns["completed_ns"] < columns["invoked_ns"]
    faults.add(table.places, early, "completed_ns", table.text("completed_ns"), "no less than invoked_ns")
    refund = columns["kind"] == KINDS.index(Kind.REFUND)
    outcome = columns["outcome"]
    refunded = outcome == OUTCOMES.index(Outcome.REFUNDED)
    bought = np.isin(outcome, [OUTCOMES.index(each) for each in (Outcome.SOLD, Outcome.SOLD_OUT)])
    for wrong, kind in ((refunded & ~refund, "purchase"), (bought & refund, "refund")):
        expected = f"an outcome of a {kind}, which this row's kind is"
        faults.add(table.places, wrong, "outcome", table.text("outcome"), expected)


def _together(owners: Ids, columns: dict[str, Any]) -> tuple[Integers, Integers]:
    """Of each row the number of its operation, in the order of the file, and that operation's first row."""
    rows = np.arange(len(columns["event"]))
    owner = owners.numbers()
    if len(owner) == 0 or owner.max() + 1 == len(owner):
        return rows, rows
    keys = (owner, columns["invoked_ns"], columns["kind"])
    order = np.lexsort((rows, *keys))
    same = np.logical_and.reduce([key[order[1:]] == key[order[:-1]] for key in keys])
    begins = np.flatnonzero(np.append(True, ~same))
    first = np.empty_like(rows)
    first[order] = np.repeat(order[begins], np.diff(np.append(begins, len(rows))))
    return np.cumsum(first == rows)[first] - 1, first


def _lines(table: Table, operation: Integers, faults: Faults) -> Integers:
    """The place of each row in its operation; where the file tells it, from 0 on and without a gap."""
    lines = np.zeros(len(operation), np.int64)
    if _several(operation):
        lines += pd.Series(operation).groupby(operation).cumcount().to_numpy()
    if "line" not in table.columns:
        return lines
    told = whole_numbers(table, "line", Range(0, _SHORT), faults, empty=NOT_SEEN)
    told = np.where(told == NOT_SEEN, lines, told)
    order = np.lexsort((told, operation))
    expected = np.empty_like(lines)
    expected[order] = lines[np.argsort(operation, kind="stable")]
    _differ(
        table, "line", told != expected, lambda row: f"{expected[row]}: lines of one operation count from 0", faults
    )
    return told


def _several(operation: Integers) -> bool:
    return bool(len(operation) and operation.max() + 1 < len(operation))


def _agree(table: Table, columns: dict[str, Any], operation: Integers, first: Integers, faults: Faults) -> None:
    """Whether the rows of one operation tell one story, each of an event of its own."""
    if not _several(operation):
        return
    for name in ("buyer", "completed_ns", "outcome"):
        value = columns[name]
        _differ(table, name, value != value[first], lambda row: _as_on(table, first[row]), faults)
    pairs = pd.DataFrame({"operation": operation, "event": columns["event"]})
    again = pairs.duplicated().to_numpy()
    if again.any():
        number = pairs.groupby(["operation", "event"], sort=False).ngroup().to_numpy()
        earlier = np.unique(number, return_index=True)[1]
        told = "another purchase_id, event, invoked_ns or kind than on"
        _differ(table, "event", again, lambda row: f"{told} {table.at(earlier[number[row]])}", faults)


def _as_on(table: Table, row: int) -> str:
    return f"the same as on {table.at(row)}, which is of the same operation"


def _differ(table: Table, column: str, wrong: Mask, expected: Callable[[int], str], faults: Faults) -> None:
    faults.add_each(table.places, wrong, column, table.text(column), expected)
