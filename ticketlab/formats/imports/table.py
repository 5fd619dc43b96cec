"""The faults of a file, collected: each with its place, what was found, and what is expected. Decides nothing."""

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

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

    def raise_if_any(self) -> None:
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


_PARQUET: Final = b"PAR1"
_KNOWN_BY: Final = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"PK\x03\x04": "a ZIP file or a spreadsheet: save it as CSV",
    _PARQUET: "a Parquet file: name it .parquet",
}
"""What a file begins with that is no CSV, and what to do about it."""
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of a file as text, empty where nothing is told; ids of 16 bytes stay bytes."""

    name: str
    """The file, as its faults name it."""
    columns: dict[str, pa.Array]
    """Each with a text a row."""
    places: Integers
    """The place of each row: of CSV the line on which it begins, the header's being 1; of Parquet the row, from 1."""
    unit: str
    """What is counted: line, row, or record."""
    misfits: Sequence[tuple[int, str, str]] = ()
    """The places of rows that have too few or too many cells and are not among these, what was found, and expected."""

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def read(cls, path: Path) -> Self:
        """A file, by the end of its name: .parquet, else CSV.

        Raises:
            InvalidInputError: it can not be read, or is no such file.
        """
        try:
            if path.suffix.lower() in {".parquet", ".pq"}:
                return cls._of_parquet(path)
            data = path.read_bytes()
        except OSError as error:
            raise InvalidInputError(f"{path} can not be read: {error.strerror or error}.") from error
        return cls.of_csv(data, name=str(path))

    @classmethod
    def of_csv(cls, data: bytes, *, name: str) -> Self:
        """CSV in UTF-8, its columns named in the first line and parted by commas.

        Raises:
            InvalidInputError: it is no such text.
        """
        _refuse_what_is_no_csv(data, name)
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
            _refuse_what_is_no_utf8(data, name)
            raise InvalidInputError(f"{name} can not be read as CSV: {error}.") from error
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
            raise InvalidInputError(f"{path} is no Parquet file by its first bytes: name it .csv if it is CSV.")
        try:
            read = pq.read_table(path)
        except pa.ArrowException as error:
            raise InvalidInputError(f"{path} can not be read as a Parquet file: {error}.") from error
        _check_duplicate_columns(read.column_names, str(path))
        columns = {name: _as_text(read.column(name), f"{path}, column {name}") for name in read.column_names}
        places = np.arange(1, read.num_rows + 1)
        return cls._checked(name=str(path), columns=columns, places=places, unit="row")

    @classmethod
    def _checked(cls, *, misfits: Sequence[tuple[int, str, str]] = (), **fields: Any) -> Self:  # noqa: ANN401 - its own
        table = cls(misfits=misfits, **fields)
        if not len(table):
            table.faults().raise_if_any()
        return table

    def require_rows(self) -> None:
        """Refuse a file with a header only.

        Raises:
            InvalidInputError: it has no rows.
        """
        if not len(self):
            raise InvalidInputError(f"{self.name} has no rows: nothing to judge.")

    def faults(self) -> ParseErrors:
        """What is wrong with the file so far."""
        faults = ParseErrors(name=self.name, unit=self.unit)
        for place, found, expected in self.misfits:
            faults.add_one(place, "the whole row", found, expected)
        return faults

    def text(self, column: str) -> pa.Array:
        """The cells of a column.

        Raises:
            InvalidInputError: they are bytes.
        """
        cells = self.columns[column]
        if not pa.types.is_string(cells.type):
            raise InvalidInputError(f"{self.name}, column {column}: bytes, where text or numbers are expected.")
        return cells

    def is_empty(self, column: str) -> Mask:
        """Which cells of a column tell nothing."""
        empty: Mask = pc.equal(self.columns[column], "").to_numpy(zero_copy_only=False)
        return empty

    def at(self, row: int) -> str:
        """The place of a row, in words."""
        return f"{self.unit} {self.places[row]}"

    def require(self, columns: Collection[str], *, others: Collection[str] = ()) -> None:
        """Whether these columns are there.

        Raises:
            InvalidInputError: some are not; names that come near are suggested, unless they are among the others.
        """
        missing = [each for each in columns if each not in self.columns]
        if not missing:
            return
        spare = [each for each in self.columns if each not in {*columns, *others}]
        told = [each + _suggestion(each, spare) for each in missing]
        there = ", ".join(self.columns)
        hint = next(
            (f" They seem to be parted by {each!r}: commas are expected." for each in ";\t|" if each in there), ""
        )
        raise InvalidInputError(f"{self.name} lacks {', '.join(told)}. Its columns are: {there}.{hint}")


def _suggestion(name: str, there: Sequence[str]) -> str:
    by_letters = {each.strip().lower().replace(" ", "_").replace("-", "_"): each for each in there}
    near = get_close_matches(name, by_letters, n=1)
    return f" (is it {by_letters[near[0]]!r}?)" if near else ""


def _refuse_what_is_no_csv(data: bytes, name: str) -> None:
    if not data or data.isspace():
        raise InvalidInputError(f"{name} is empty: a first line that names the columns is expected.")
    for begin, what in _KNOWN_BY.items():
        if data.startswith(begin):
            raise InvalidInputError(f"{name} is not CSV but {what}.")
    if b"\0" in data:
        line = 1 + data.count(b"\n", 0, data.index(b"\0"))
        raise InvalidInputError(f"{name}, line {line}: a zero byte. CSV in UTF-8 is expected.")


def _refuse_what_is_no_utf8(data: bytes, name: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        found = data[error.start : error.end].hex(" ")
        raise InvalidInputError(
            f"{name}, line {line}: the byte {found} is no UTF-8. Save the file as UTF-8."
        ) from error


def _names_of(data: bytes, name: str) -> list[str]:
    """The names in the first line."""
    begin = next(place for place, byte in enumerate(data) if byte not in b"\r\n")
    end = min((place for place in (data.find(each, begin) for each in (b"\n", b"\r")) if place >= 0), default=len(data))
    _refuse_what_is_no_utf8(data[begin:end], name)
    names: list[str] = pyarrow.csv.read_csv(io.BytesIO(data[begin:end] + b"\n")).column_names
    _check_duplicate_columns(names, name)
    return names


def _check_duplicate_columns(names: Sequence[str], name: str) -> None:
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise InvalidInputError(f"{name} has the column {twice[0]} more than once.")


def _line_numbers(data: bytes, records: int) -> tuple[Integers, str]:
    """The line on which each record begins, as an editor counts, and what that is called; empty lines are none."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if b"\r" in data:  # by itself it ends a line too
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
    """A column of Parquet as text; numbers as they are written, nothing where it is null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([each.storage for each in column.chunks], column.type.storage_type)
    if _is_bytes(column.type):
        lengths = pc.unique(pc.binary_length(column.drop_null())).to_pylist()
        if lengths in ([16], []):
            return column.cast(pa.binary()).combine_chunks().fill_null(b"")
        raise InvalidInputError(f"{where}: bytes of another length than the 16 of a UUID.")
    try:
        return _trimmed(column.cast(pa.string())).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidInputError(f"{where}: {column.type}, where text or numbers are expected.") from None


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
