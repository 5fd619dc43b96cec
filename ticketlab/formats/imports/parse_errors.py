"""The faults of a file, collected: each with its place, what was found, and what is expected. Decides nothing."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from ticketlab.errors import InvalidInputError
from ticketlab.formats.calls import Integers, Mask

LISTED: Final = 20
"""Faults that are told one by one; the rest is counted."""
_LONGEST: Final = 60


class ParseErrors:
    """What is wrong with the rows of one file."""

    def __init__(self, *, name: str, unit: str) -> None:
        self._name = name
        self._unit = unit
        self._count = 0
        self._first: list[tuple[int, str]] = []

    def add(self, places: Integers, wrong: Mask, column: str, found: pa.Array, expected: str) -> None:
        """Every row that is wrong in a column: what was found there, and what is expected."""
        self.add_each(places, wrong, column, found, lambda _row: expected)

    def add_each(
        self, places: Integers, wrong: Mask, column: str, found: pa.Array, expected: Callable[[int], str]
    ) -> None:
        """As `add`, what is expected being told for each row."""
        rows = np.flatnonzero(wrong)
        first = rows[np.argsort(places[rows], kind="stable")[:LISTED]]
        texts = found.take(pa.array(first)).to_pylist()
        told = [
            (place, f"{self._unit} {place}, {column}: found {_shown(text)}; expected {expected(row)}")
            for row, place, text in zip(first.tolist(), places[first].tolist(), texts, strict=True)
        ]
        self._extend(len(rows), told)

    def add_one(self, place: int, column: str, found: str, expected: str) -> None:
        """One fault, in words of its own."""
        self._extend(1, [(place, f"{self._unit} {place}, {column}: {found}; expected {expected}")])

    def tell(self) -> None:
        """Go on only if there are none.

        Raises:
            InvalidInputError: naming the first LISTED of them, in the order of the file, and counting all.
        """
        if not self._count:
            return
        shown = [text for _, text in sorted(self._first, key=lambda each: each[0])[:LISTED]]
        more = self._count - len(shown)
        rest = [f"… and {more:,} more"] if more else []
        noun = "fault" if self._count == 1 else "faults"
        raise InvalidInputError("\n  ".join([f"{self._name} has {self._count:,} {noun}:", *shown, *rest]))

    def _extend(self, count: int, told: Sequence[tuple[int, str]]) -> None:
        self._count += count
        self._first = sorted([*self._first, *told], key=lambda each: each[0])[:LISTED]


def _shown(text: str | bytes) -> str:
    if not text:
        return "nothing"
    if isinstance(text, bytes):
        return f"the bytes {text.hex()}"
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
