"""Purchase ids and ticket ids as integers: codes, 64-bit hashes and digests. Knows no history and no ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]
Words: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
Pairs: TypeAlias = np.ndarray[tuple[int], np.dtype[np.complex128]]
"""Ids as elements of 16 bytes, which numpy moves at once. Never computed with: `_words` reads them."""

_ODD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
"""Multipliers of the two halves in the hash: arbitrary odd numbers."""


def codes(*columns: pd.Series[bytes]) -> tuple[Numbers, ...]:
    """Each column's ids as numbers from 0; equal ids have equal numbers in all columns.

    They are numbered by first occurrence, column by column. So there are no gaps, and the rows of the first column read
    a table by number in order.

    Args:
        columns: of type `parquet.PURCHASE_ID`, without missing values.
    """
    ids = [_pairs(each) for each in columns]
    starts = [_starts(each) for each in ids]
    firsts = [_distinct(each, at) for each, at in zip(ids, starts, strict=True)]
    numbers = _numbered(np.concatenate(firsts) if len(firsts) > 1 else firsts[0])
    by_column = np.split(numbers, np.cumsum([len(each) for each in firsts])[:-1])
    return tuple(_spread(each, at, len(column)) for each, at, column in zip(by_column, starts, ids, strict=True))


def distinct(column: pd.Series[bytes]) -> bool:
    """Whether no two ids of a column are equal. Ten times as fast as `codes` if they are not."""
    ids = _pairs(column)
    hashes = np.sort(_hashes(ids))
    return bool((hashes[1:] != hashes[:-1]).all()) or int(_numbered(ids).max()) + 1 == len(ids)


def _pairs(column: pd.Series[bytes]) -> Pairs:
    """The bytes of a column; not copied if it is one chunk."""
    array = pa.array(column)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    data = array.buffers()[1]
    if data is None:
        return np.empty(0, np.complex128)
    return np.frombuffer(data, np.complex128)[array.offset : array.offset + len(array)]


def _words(ids: Pairs) -> tuple[Words, Words]:
    """The first and the second half of each id, without a copy."""
    words = ids.view(np.uint64)
    return words[0::2], words[1::2]


def _equal(some: Pairs, others: Pairs) -> Mask:
    """Whether ids are equal byte by byte; as numbers, -0.0 and 0.0 would be, and NaN would not."""
    (first, second), (other_first, other_second) = _words(some), _words(others)
    equal: Mask = first == other_first
    equal &= second == other_second
    return equal


def _starts(ids: Pairs) -> Numbers:
    """The indices at which an id differs from the one before."""
    new = np.ones(len(ids), np.bool_)
    np.logical_not(_equal(ids[1:], ids[:-1]), out=new[1:])
    return np.flatnonzero(new)


def _distinct(ids: Pairs, starts: Numbers) -> Pairs:
    return ids if len(starts) == len(ids) else ids[starts]


def _spread(numbers: Numbers, starts: Numbers, length: int) -> Numbers:
    """The number of each start, for all elements up to the next start."""
    return numbers if len(starts) == length else np.repeat(numbers, np.diff(starts, append=length))


def _numbered(ids: Pairs) -> Numbers:
    """The number of each id, by first occurrence."""
    first = _first_indices(ids)
    firsts = np.flatnonzero(first == np.arange(len(ids)))
    numbers = np.empty(len(ids), np.int64)
    numbers[firsts] = np.arange(len(firsts))
    return numbers[first]


def _first_indices(ids: Pairs) -> Numbers:
    """For each id the index of its first occurrence.

    Sorts hashes, with the index in the low bits: integers sort many times as fast as whole ids. Equal ids are then side
    by side, the first index first, and are compared in full. Different ids with one hash are sorted once more.
    """
    bits = len(ids).bit_length()
    packed = _hashes(ids) >> np.uint64(bits)
    packed <<= np.uint64(bits)
    packed |= np.arange(len(ids), dtype=np.uint64)
    packed.sort()
    places = (packed & np.uint64((1 << bits) - 1)).view(np.int64)
    packed >>= np.uint64(bits)
    starts = _id_starts(ids, places, packed)
    first = np.empty(len(ids), np.int64)
    first[places] = _spread(places[starts], starts, len(ids))
    return first


def _hashes(ids: Pairs) -> Words:
    """A 64-bit hash of each id; its upper bits are the best.

    Multiply-shift hashing: Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair Problem",
    Journal of Algorithms 25 (1997).
    """
    first, second = _words(ids)
    mixed = first * _ODD[0]
    mixed += second * _ODD[1]
    return mixed


def _id_starts(ids: Pairs, places: Numbers, hashes: Words) -> Numbers:
    """Where in these indices another id begins; indices of one hash are sorted by their ids."""
    ordered = ids[places]
    starts = _starts(ordered)
    collisions = starts[1:][hashes[starts[1:]] == hashes[starts[1:] - 1]]
    if not len(collisions):
        return starts
    shared = np.unique(hashes[collisions])
    rows = _ranges(np.searchsorted(hashes, shared), np.searchsorted(hashes, shared, side="right"))
    first, second = _words(ordered[rows])
    order = rows[np.lexsort((places[rows], second, first, hashes[rows]))]
    places[rows], ordered[rows] = places[order], ordered[order]
    return _starts(ordered)


def _ranges(begins: Numbers, ends: Numbers) -> Numbers:
    """All numbers from each beginning to its end, exclusive."""
    lengths = ends - begins
    numbers: Numbers = np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
    return numbers


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
