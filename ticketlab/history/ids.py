"""Purchase ids and ticket ids as integers: codes and digests. Knows no history and no ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


def codes(*columns: pd.Series[bytes]) -> tuple[Numbers, ...]:
    """Each column's ids as numbers from 0; equal ids have equal numbers in all columns.

    They are numbered by first occurrence, column by column. So there are no gaps, and the rows of the first column read
    a table by number in order.

    Args:
        columns: of type `parquet.PURCHASE_ID`, without missing values.
    """
    indices = pa.concat_arrays([_array(each) for each in columns]).dictionary_encode().indices
    numbers = indices.to_numpy().astype(np.int64)
    return tuple(np.split(numbers, np.cumsum([len(each) for each in columns])[:-1]))


def _array(column: pd.Series[bytes]) -> pa.Array:
    array = pa.array(column)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


Marks: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

PRIME: Final = 2**61 - 1
MASK: Final = 2**64 - 1


def digest(ids: Iterable[int]) -> int:
    """The digest of tickets by their ids as integers (`UUID.int`): from 0 to 2**64 - 1.

    It does not depend on the order of the tickets. A history has the same 64 bits as a signed integer, as `marks` has.
    """
    total = 0
    for number in ids:
        rest = number % PRIME
        total += rest * (rest + 1)
    return total & MASK


def marks(packed: bytes) -> Marks:
    """The digest of each single ticket, from ids of 16 bytes each in a row; the digest of several is the sum."""
    prime = np.uint64(PRIME)
    upper, lower = np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2).T % prime
    # 2**64 is 8 modulo the prime, and 8 times a number below the prime fits in 64 bits.
    rest = (upper * np.uint64(8) % prime + lower) % prime
    digests: Marks = (rest * (rest + np.uint64(1))).view(np.int64)
    return digests
