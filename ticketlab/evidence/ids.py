"""Purchase ids as small numbers: what is compared millions of times is compared as integers. Knows no history.

An id is a UUID of 16 bytes, and any 16 bytes will do: nothing here is right only with high probability.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]
Words: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
Pairs: TypeAlias = np.ndarray[tuple[int], np.dtype[np.complex128]]
"""Ids as elements of 16 bytes, which numpy moves in one go. They are never computed with: read them by `_words`."""

_ROUNDS: Final = 40
"""Each leaves a quarter or less of what it was given, unless somebody chose the ids for that."""


def codes(*columns: "pd.Series[bytes]") -> tuple[Numbers, ...]:
    """Each column's ids as numbers from 0: equal ids have equal numbers, whichever column they stand in.

    Every number up to the largest one is that of some id, so that `np.bincount` and arrays by number have no gaps.
    Ids that follow one another in a column, as the tickets of one purchase do, are looked at once.

    Args:
        columns: of type `tables.PURCHASE_ID`, without missing values.
    """
    ids = [_pairs(each) for each in columns]
    starts = [_starts(each) for each in ids]
    firsts = [_distinct(each, at) for each, at in zip(ids, starts, strict=True)]
    numbers = _numbered(np.concatenate(firsts) if len(firsts) > 1 else firsts[0])
    found = np.split(numbers, np.cumsum([len(each) for each in firsts])[:-1])
    return tuple(_spread(each, at, len(column)) for each, at, column in zip(found, starts, ids, strict=True))


def _pairs(column: "pd.Series[bytes]") -> Pairs:
    """The bytes of a column, not copied where it lies in one piece."""
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
    """The places at which an id differs from the one before."""
    new = np.ones(len(ids), np.bool_)
    np.logical_not(_equal(ids[1:], ids[:-1]), out=new[1:])
    return np.flatnonzero(new)


def _distinct(ids: Pairs, starts: Numbers) -> Pairs:
    return ids if len(starts) == len(ids) else ids[starts]


def _spread(numbers: Numbers, starts: Numbers, length: int) -> Numbers:
    """The number of each start, for all that follow it."""
    return numbers if len(starts) == length else np.repeat(numbers, np.diff(starts, append=length))


def _numbered(ids: Pairs) -> Numbers:
    """The number of each id, in the order of the places that stand for them."""
    stands = _stands_for(ids)
    itself = stands == np.arange(len(ids), dtype=stands.dtype)
    return (np.cumsum(itself, dtype=np.int64) - 1)[stands]


def _stands_for(ids: Pairs) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """For each id the place of one that is equal to it: the same place for all of them.

    In each round every id writes its place into a slot of a table, chosen by a hash. Whoever is equal to the id that
    stands there in the end has found its place, and all its equals have, as they share the slot. The others go on to
    the next round, where another hash parts them. It is what a hash table does, without a loop over its entries.
    """
    stands = np.empty(len(ids), np.int32)
    left, of_them = np.arange(len(ids), dtype=np.int32), ids
    for number in range(_ROUNDS):
        slots = _slots(of_them, number)
        table = np.empty(1 << _bits(len(of_them)), np.int32)
        table[slots] = np.arange(len(of_them), dtype=np.int32)
        last = table[slots]
        found = _equal(of_them[last], of_them)
        stands[left[found]] = left[last[found]]
        np.logical_not(found, out=found)
        left, of_them = left[found], of_them[found]
        if not len(left):
            return stands
    stands[left] = left[_by_sorting(of_them)]
    return stands


def _bits(count: int) -> int:
    """So many that there are one to two slots for each."""
    return max(1, count.bit_length())


def _slots(ids: Pairs, number: int) -> Numbers:
    """The slot of each id in this round: the upper bits of a sum of multiples, which differs from round to round.

    Multiply-shift hashing: Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair Problem",
    Journal of Algorithms 25 (1997).
    """
    one, other = (int(each) | 1 for each in np.random.default_rng(number).integers(0, 2**64, 2, dtype=np.uint64))
    first, second = _words(ids)
    mixed = first * np.uint64(one)
    mixed += second * np.uint64(other)
    mixed >>= np.uint64(64 - _bits(len(ids)))
    return mixed.view(np.int64)


def _by_sorting(ids: Pairs) -> Numbers:
    """As `_stands_for`, whatever the ids are, and slower."""
    _, places, numbers = np.unique(ids.view("V16"), return_index=True, return_inverse=True)
    return places[numbers]
