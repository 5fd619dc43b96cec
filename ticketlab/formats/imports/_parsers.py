"""Parses whole columns of text as numbers, words, names and ids. Collects errors in `ParseErrors`; raises nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ticketlab.history import parquet

if TYPE_CHECKING:
    from ticketlab.formats.imports._table import ParseErrors, Table
    from ticketlab.history.arrays import Integers, Mask


MOST: Final = 8_999_999_999_999_999_999
"""The largest number that is read: larger ones may not fit in 64 bits."""
_WHOLE: Final = r"^[+-]?([0-8]?[0-9]{1,18})(\.0*)?$"
_HYPHENS: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
IDS_OF_TEXT: Final = uuid5(UUID(int=0), "ticketlab: purchase ids that are no UUIDs")
"""The namespace of UUIDs made from other texts."""


class Range(NamedTuple):
    """The allowed numbers of a column, both ends included."""

    least: int
    most: int

    @property
    def words(self) -> str:
        """The range in an error message."""
        return f"a whole number from {self.least:,} to {self.most:,}"


def whole_numbers(
    table: Table, column: str, bounds: Range, errors: ParseErrors, *, empty: int | None = None
) -> Integers:
    """A column of whole numbers; `empty` is the value of an empty cell, or None if there may be none.

    A cell may hold the number `empty` itself: histories of this package contain NOT_SEEN.
    """
    cells = table.text(column)
    readable, numbers = _numbers(cells)
    right = readable & (numbers >= bounds.least) & (numbers <= bounds.most)
    if empty is not None:
        blank = table.is_empty(column)
        numbers = np.where(blank, empty, numbers)
        right |= blank | (readable & (numbers == empty))
    expected = bounds.words if empty is None else f"{bounds.words}, or an empty cell"
    errors.add(table.places, ~right, column, cells, expected)
    return numbers


def _numbers(cells: pa.Array) -> tuple[Mask, Integers]:
    """Mask of cells that are whole numbers, and the numbers; 0 for other cells."""
    try:
        plain: Integers = cells.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:  # not all cells are plain digits
        readable = _mask(pc.match_substring_regex(cells, _WHOLE))
        digits = pc.replace_substring_regex(pc.if_else(pa.array(readable), cells, "0"), r"\.0*$|^\+", "")
        return readable, digits.cast(pa.int64()).to_numpy()
    return np.ones(len(cells), np.bool_), plain


def words(
    table: Table, column: str, known: Sequence[str], errors: ParseErrors, *, empty: str | None = None
) -> Integers:
    """A column of known words in upper or lower case, as indices; `empty` is the word for an empty cell."""
    cells = table.text(column)
    codes: Integers = pc.index_in(pc.utf8_lower(cells), pa.array(map(str, known))).fill_null(-1).to_numpy()
    if empty is not None:
        codes = np.where(table.is_empty(column), known.index(empty), codes)
    errors.add(table.places, codes < 0, column, cells, f"one of {', '.join(known)}")
    return np.maximum(codes, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameIndex:
    """Names of events or buyers in the files, each with a number from 0."""

    known: pa.Array
    """The distinct names: sorted if all are numbers, else by first occurrence."""

    @classmethod
    def of(cls, *columns: pa.Array) -> NameIndex:
        """The names in these columns."""
        known = pc.unique(pa.concat_arrays(columns))
        known = known.filter(pc.not_equal(known, ""))
        if pc.all(pc.match_substring_regex(known, r"^(0|[1-9][0-9]{0,17})$")).as_py():
            known = known.take(pc.sort_indices(known.cast(pa.int64())))
        return cls(known=known)

    @property
    def is_identity(self) -> bool:
        """Whether the name of every number is the number itself."""
        return bool(self.known.equals(pa.array(map(str, range(len(self.known))), pa.string())))

    def numbers(self, column: pa.Array) -> Integers:
        """The number of each name, or -1 for an unknown name."""
        numbers: Integers = pc.index_in(column, self.known).fill_null(-1).to_numpy().astype(np.int64)
        return numbers

    def __getitem__(self, number: int) -> str:
        return str(self.known[number].as_py())


def names(table: Table, column: str, errors: ParseErrors) -> pa.Array:
    """A column of names, none empty."""
    cells = table.text(column)
    errors.add(table.places, table.is_empty(column), column, cells, "a name or a number")
    return cells


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseIds:
    """Purchase ids as the 16 bytes of a UUID each, in a row."""

    packed: bytes
    texts: pa.Array
    """The ids in the file."""
    made: Mask
    """Mask of the ids that were made from a text that is not a UUID."""

    def column(self) -> Any:  # noqa: ANN401 - as `parquet.purchase_ids`
        """The ids as a column of a frame."""
        return parquet.purchase_ids(self.packed)

    def numbers(self) -> Integers:
        """Each id as a number from 0; equal ids have equal numbers."""
        array = pa.Array.from_buffers(pa.binary(16), len(self.made), [None, pa.py_buffer(self.packed)])
        numbers: Integers = array.dictionary_encode().indices.to_numpy().astype(np.int64)
        return numbers

    def beside(self, others: PurchaseIds) -> PurchaseIds:
        """The ids of both that were made from texts."""
        chosen = [each.texts.filter(pa.array(each.made)) for each in (self, others) if each.made.any()]
        texts = pc.unique(pa.concat_arrays(chosen)) if chosen else pa.array([], pa.string())
        return _made_of(texts)

    def text_of(self, purchase_id: str) -> str:
        """The text in the files of an id given as a UUID."""
        if not self.made.any():
            return purchase_id
        rows = np.flatnonzero(np.frombuffer(self.packed, np.dtype("V16")) == np.void(UUID(purchase_id).bytes))
        return str(self.texts[rows[0]].as_py()) if len(rows) else purchase_id


def ids(table: Table, column: str, errors: ParseErrors) -> PurchaseIds:
    """A column of purchase ids: UUIDs, or other texts from which UUIDs are made."""
    cells = table.columns[column]
    if not pa.types.is_string(cells.type):
        blank = _mask(pc.equal(pc.binary_length(cells), 0))
        errors.add(table.places, blank, column, cells, "the 16 bytes of a UUID")
        return PurchaseIds(packed=b"".join(cells.to_pylist()), texts=cells, made=np.zeros(len(cells), np.bool_))
    errors.add(table.places, table.is_empty(column), column, cells, "a UUID or another name of the purchase")
    uuids = _mask(pc.match_substring_regex(cells, _HYPHENS))
    digits = pc.replace_substring(pc.if_else(pa.array(uuids), cells, str(UUID(int=0))), "-", "")
    packed = np.frombuffer(bytes.fromhex("".join(digits.to_pylist())), np.dtype("V16")).copy()
    packed[~uuids] = np.frombuffer(_made_of(cells.filter(pa.array(~uuids))).packed, np.dtype("V16"))
    return PurchaseIds(packed=packed.tobytes(), texts=cells, made=~uuids)


def _made_of(texts: pa.Array) -> PurchaseIds:
    packed = b"".join(map(_uuid5, texts.to_pylist()))
    return PurchaseIds(packed=packed, texts=texts, made=np.ones(len(texts), np.bool_))


def _uuid5(text: str) -> bytes:
    """The bytes of `uuid5(IDS_OF_TEXT, text)`, without creating the object."""
    digest = bytearray(hashlib.sha1(IDS_OF_TEXT.bytes + text.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask
