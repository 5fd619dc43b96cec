"""Purchase ids as numbers: equal ids have equal numbers, different ones different ones, whatever their bytes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ticketlab.history import ids, parquet


def column(*values):
    return pd.Series(parquet.purchase_ids(b"".join(values)))


def number(value):
    return value.to_bytes(16, "big")


def assert_numbered(values, numbers):
    """Two ids are equal exactly where their numbers are, and no number is left out."""
    seen = dict(zip(numbers, values, strict=True))
    assert [seen[each] for each in numbers] == values
    assert len(seen) == len(set(values))
    assert sorted(seen) == list(range(len(seen)))


def test_an_id_has_one_number_in_both_columns():
    """Told once and owned thrice."""
    told, owned = ids.codes(column(number(7), number(8)), column(number(8), number(8), number(9), number(8)))
    assert told[1] == owned[0] == owned[1] == owned[3]
    assert_numbered([7, 8, 8, 8, 9, 8], [*told.tolist(), *owned.tolist()])
    assert told.dtype == owned.dtype == np.int64


@pytest.mark.parametrize(
    "values",
    [
        range(70_000),
        [value << 64 for value in range(70_000)],
        [value << 127 for value in (0, 1, 0)],
        [0x7FF8 << 48, 0x7FF8 << 48, 0x7FF8 << 112, 0x7FF8 << 112, 0x80 << 56, 0, 0x80 << 120],
    ],
    ids=["small", "large", "sign", "bytes that are no number"],
)
def test_any_bytes_will_do(values):
    """Counted ids, as tests have them, and bytes that as floating point numbers are NaN or minus zero."""
    values = [number(each) for each in values]
    (found,) = ids.codes(column(*values))
    assert_numbered(values, found.tolist())


def test_many_ids_of_many_tickets():
    """More than a table has room for at once, in any order."""
    generator = np.random.default_rng(1)
    told = [generator.bytes(16) for _ in range(5_000)]
    owned = [told[place] for place in generator.integers(0, 5_000, 20_000)]
    numbers = ids.codes(column(*told), column(*owned))
    assert_numbered(told + owned, np.concatenate(numbers).tolist())


@settings(max_examples=50, deadline=None)
@given(some.lists(some.lists(some.binary(min_size=16, max_size=16) | some.just(b"\0" * 16)), min_size=1, max_size=3))
def test_whatever_the_columns_are(columns):
    """None, one or several ids, in one, two or three columns."""
    found = ids.codes(*(column(*each) for each in columns))
    assert [len(each) for each in found] == [len(each) for each in columns]
    assert_numbered([value for each in columns for value in each], np.concatenate(found).tolist())


def test_a_part_of_a_column_has_its_own_numbers():
    """Rows of a frame may be chosen, and frames laid end to end, before their ids are numbered."""
    values = [number(each) for each in (5, 6, 7, 6)]
    whole = column(*values)
    (part,) = ids.codes(whole[1:])
    assert_numbered(values[1:], part.tolist())
    (joined,) = ids.codes(pd.concat([whole, whole[1:]]))
    assert_numbered(values + values[1:], joined.tolist())


def test_ids_are_counted_as_they_first_come():
    """So that what is looked up by number lies in the order of the rows."""
    told, owned = ids.codes(column(*map(number, (9, 3, 7))), column(*map(number, (7, 1, 9, 0))))
    assert told.tolist() == [0, 1, 2]
    assert owned.tolist() == [2, 3, 0, 4]


@pytest.mark.parametrize(
    ("values", "told"), [((), True), ((1,), True), ((1, 2, 3), True), ((1, 2, 1), False), ((2, 2), False)]
)
def test_ids_are_distinct_where_none_comes_twice(values, told):
    """However far apart."""
    (numbers,) = ids.codes(column(*map(number, values)))
    assert (len(set(numbers.tolist())) == len(values)) is told
