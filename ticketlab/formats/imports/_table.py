"""A CSV or Parquet file as columns of text, and the errors found in it. Knows no history."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask


LISTED: Final = 20
"""Errors listed one by one; the rest is counted."""
_LONGEST: Final = 60


class ParseErrors:
    """The errors in the rows of one file: where, what was found, and what was expected."""

    def __init__(self, *, name: str, unit: str) -> None:
        self._name = name
        self._unit = unit
        self._count = 0
        self._first: list[tuple[int, str]] = []

    def add(self, places: Integers, wrong: Mask, column: str, found: pa.Array, expected: str) -> None:
        """Add an error for every wrong row of a column."""
        self.add_each(places, wrong, column, found, lambda _row: expected)

    def add_each(
        self, places: Integers, wrong: Mask, column: str, found: pa.Array, expected: Callable[[int], str]
    ) -> None:
        """As `add`, with an expectation for each row."""
        rows = np.flatnonzero(wrong)
        first = rows[np.argsort(places[rows], kind="stable")[:LISTED]]
        texts = found.take(pa.array(first)).to_pylist()
        texts_by_place = [
            (place, f"{self._unit} {place}, {column}: found {_shown(text)}; expected {expected(row)}")
            for row, place, text in zip(first.tolist(), places[first].tolist(), texts, strict=True)
        ]
        self._extend(len(rows), texts_by_place)

    def add_one(self, place: int, column: str, found: str, expected: str) -> None:
        """Add one error of a whole row."""
        self._extend(1, [(place, f"{self._unit} {place}, {column}: {found}; expected {expected}")])

    def raise_if_any(self) -> None:
        """Raise if there are errors.

        Raises:
            InvalidInputError: naming the first LISTED errors in the order of the file, and counting all.
        """
        if not self._count:
            return
        shown = [text for _, text in sorted(self._first, key=lambda each: each[0])[:LISTED]]
        more = self._count - len(shown)
        rest = [f"… and {more:,} more"] if more else []
        noun = "error" if self._count == 1 else "errors"
        raise InvalidInputError("\n  ".join([f"{self._name} has {self._count:,} {noun}:", *shown, *rest]))

    def _extend(self, count: int, texts: Sequence[tuple[int, str]]) -> None:
        self._count += count
        self._first = sorted([*self._first, *texts], key=lambda each: each[0])[:LISTED]


def _shown(text: str | bytes) -> str:
    if not text:
        return "nothing"
    if isinstance(text, bytes):
        return f"the bytes {text.hex()}"
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


_PARQUET: Final = b"PAR1"
_KNOWN_BY: Final = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"PK\x03\x04": "a ZIP file or a spreadsheet: save it as CSV",
    _PARQUET: "a Parquet file: name it .parquet",
}
"""The first bytes of files that are not CSV, and what to do about it."""
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of a file as text, with empty texts for missing values; ids of 16 bytes stay bytes."""

    name: str
    """The name of the file in messages."""
    columns: dict[str, pa.Array]
    """By name, one text per row."""
    places: Integers
    """The place of each row: in CSV the line on which it begins, with the header on 1; in Parquet the row, from 1."""
    unit: str
    """What places count: line, row, or record."""
    misfits: Sequence[tuple[int, str, str]] = ()
    """Rows left out because they have too few or too many cells: place, what was found, what was expected."""

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file: Parquet if its name ends in .parquet or .pq, else CSV.

        Raises:
            InvalidInputError: it cannot be read or has another format.
        """
        try:
            if path.suffix.lower() in {".parquet", ".pq"}:
                return cls._of_parquet(path)
            data = path.read_bytes()
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
        return cls.of_csv(data, name=str(path))

    @classmethod
    def of_csv(cls, data: bytes, *, name: str) -> Self:
        """Parse CSV in UTF-8, with the names of the columns in the first line, separated by commas.

        Raises:
            InvalidInputError: it has another format.
        """
        _check_csv(data, name)
        data = data.removeprefix(b"\xef\xbb\xbf")
        if not data.endswith((b"\n", b"\r")):
            data += b"\n"
        header = _names_of(data, name)
        wrong: list[Any] = []

        def skip(row: Any) -> str:  # noqa: ANN401 - pyarrow has no name for it
            wrong.append(row)
            return "skip"

        try:
            read = pyarrow.csv.read_csv(
                io.BytesIO(data),
                read_options=pyarrow.csv.ReadOptions(use_threads=False),  # with threads rows have no number
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            _check_utf8(data, name)
            raise InvalidInputError(f"{name} cannot be read as CSV: {error}.") from error
        begins, unit = _line_numbers(data, 1 + read.num_rows + len(wrong))
        numbers = np.array([row.number - 1 for row in wrong], np.int64)
        found = [(f"{row.actual_columns} cells", f"{row.expected_columns}, as in the first line") for row in wrong]
        return cls._checked(
            name=name,
            columns={each: _trimmed(read.column(each)) for each in header},
            places=np.delete(begins, np.append(0, numbers)),
            unit=unit,
            misfits=[(place, *each) for place, each in zip(begins[numbers].tolist(), found, strict=True)],
        )

    @classmethod
    def _of_parquet(cls, path: Path) -> Self:
        with path.open("rb") as file:
            begins = file.read(len(_PARQUET))
        if begins != _PARQUET:
            raise InvalidInputError(f"{path} is not a Parquet file by its first bytes: name it .csv if it is CSV.")
        try:
            read = pq.read_table(path)
        except pa.ArrowException as error:
            raise InvalidInputError(f"{path} cannot be read as a Parquet file: {error}.") from error
        _check_duplicate_columns(read.column_names, str(path))
        columns = {name: _as_text(read.column(name), f"{path}, column {name}") for name in read.column_names}
        places = np.arange(1, read.num_rows + 1)
        return cls._checked(name=str(path), columns=columns, places=places, unit="row")

    @classmethod
    def _checked(cls, *, misfits: Sequence[tuple[int, str, str]] = (), **fields: Any) -> Self:  # noqa: ANN401 - its own
        table = cls(misfits=misfits, **fields)
        if not len(table):
            table.errors().raise_if_any()
        return table

    def require_rows(self) -> None:
        """Raise if the file has only a header.

        Raises:
            InvalidInputError: it has no rows.
        """
        if not len(self):
            raise InvalidInputError(f"{self.name} has no rows: there is nothing to judge.")

    def errors(self) -> ParseErrors:
        """The errors of the file so far: rows with too few or too many cells."""
        errors = ParseErrors(name=self.name, unit=self.unit)
        for place, found, expected in self.misfits:
            errors.add_one(place, "the whole row", found, expected)
        return errors

    def text(self, column: str) -> pa.Array:
        """The cells of a column.

        Raises:
            InvalidInputError: they are bytes.
        """
        cells = self.columns[column]
        if not pa.types.is_string(cells.type):
            raise InvalidInputError(f"{self.name}, column {column}: found bytes; expected text or numbers.")
        return cells

    def is_empty(self, column: str) -> Mask:
        """Mask of the empty cells of a column."""
        empty: Mask = pc.equal(self.columns[column], "").to_numpy(zero_copy_only=False)
        return empty

    def at(self, row: int) -> str:
        """The place of a row in a message."""
        return f"{self.unit} {self.places[row]}"

    def require(self, columns: Collection[str], *, others: Collection[str] = ()) -> None:
        """Raise if one of these columns is missing.

        Raises:
            InvalidInputError: naming the missing columns, and similar names in the file that are not among `others`.
        """
        missing = [each for each in columns if each not in self.columns]
        if not missing:
            return
        spare = [each for each in self.columns if each not in {*columns, *others}]
        lacking = ", ".join(each + _suggestion(each, spare) for each in missing)
        found = ", ".join(self.columns)
        hints = (f" They seem to be separated by {each!r}: use commas." for each in ";\t|" if each in found)
        raise InvalidInputError(f"{self.name} lacks {lacking}. Its columns are: {found}.{next(hints, '')}")


def _suggestion(name: str, there: Sequence[str]) -> str:
    by_letters = {each.strip().lower().replace(" ", "_").replace("-", "_"): each for each in there}
    near = get_close_matches(name, by_letters, n=1)
    return f" (is it {by_letters[near[0]]!r}?)" if near else ""


def _check_csv(data: bytes, name: str) -> None:
    if not data or data.isspace():
        raise InvalidInputError(f"{name} is empty: the first line must name the columns.")
    for begin, what in _KNOWN_BY.items():
        if data.startswith(begin):
            raise InvalidInputError(f"{name} is not CSV but {what}.")
    if b"\0" in data:
        line = 1 + data.count(b"\n", 0, data.index(b"\0"))
        raise InvalidInputError(f"{name}, line {line}: found a zero byte; expected CSV in UTF-8.")


def _check_utf8(data: bytes, name: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        found = f"{name}, line {line}: the byte {data[error.start : error.end].hex(' ')}"
        raise InvalidInputError(f"{found} is not UTF-8. Save the file as UTF-8.") from error


def _names_of(data: bytes, name: str) -> list[str]:
    """The names in the first line."""
    begin = next(place for place, byte in enumerate(data) if byte not in b"\r\n")
    end = min((place for place in (data.find(each, begin) for each in (b"\n", b"\r")) if place >= 0), default=len(data))
    _check_utf8(data[begin:end], name)
    names: list[str] = pyarrow.csv.read_csv(io.BytesIO(data[begin:end] + b"\n")).column_names
    _check_duplicate_columns(names, name)
    return names


def _check_duplicate_columns(names: Sequence[str], name: str) -> None:
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise InvalidInputError(f"{name} has the column {twice[0]} more than once.")


def _line_numbers(data: bytes, records: int) -> tuple[Integers, str]:
    """The line on which each record begins, and the unit; the record's number if lines cannot be told apart."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if b"\r" in data:  # a carriage return alone ends a line too
        returns = np.flatnonzero(text == _RETURN)
        ends = np.sort(np.concatenate([ends, np.setdiff1d(returns, ends - 1)]))
    closing = ends
    if b'"' in data:
        closing = ends[np.searchsorted(np.flatnonzero(text == _QUOTE), ends) % 2 == 0]
    starts = np.insert(closing + 1, 0, 0)
    starts = starts[starts < len(text)]
    starts = starts[~np.isin(text[starts], (_NEWLINE, _RETURN))]
    if len(starts) != records:
        return np.arange(1, records + 1), "record"
    return np.searchsorted(ends, starts) + 1, "line"


def _trimmed(column: pa.ChunkedArray) -> pa.Array:
    return pc.utf8_trim_whitespace(column.combine_chunks())


def _as_text(column: pa.ChunkedArray, where: str) -> pa.Array:
    """A column of Parquet as text, with empty texts for null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([each.storage for each in column.chunks], column.type.storage_type)
    if _is_bytes(column.type):
        lengths = pc.unique(pc.binary_length(column.drop_null())).to_pylist()
        if lengths in ([16], []):
            return column.cast(pa.binary()).combine_chunks().fill_null(b"")
        raise InvalidInputError(f"{where}: found bytes of another length; expected the 16 bytes of a UUID.")
    try:
        return _trimmed(column.cast(pa.string())).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidInputError(f"{where}: found {column.type}; expected text or numbers.") from None


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
