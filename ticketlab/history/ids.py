"""Purchase ids and ticket ids as integers: codes, 64-bit hashes and digests. Knows no history and no ledger."""

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
"""Ids as elements of 16 bytes, which numpy moves in one go. They are never computed with: read them by `_words`."""

_ODD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
"""Multipliers of the two halves in the hash: odd, and otherwise without meaning."""


def codes(*columns: "pd.Series[bytes]") -> tuple[Numbers, ...]:
    """Each column's ids as numbers from 0: equal ids have equal numbers, whichever column they stand in.

    They are counted in the order in which the ids first stand there, the columns one after another. So there are no
    gaps, and what is looked up by number for every row of the first column lies in the order of its rows.

    Args:
        columns: of type `tables.PURCHASE_ID`, without missing values.
    """
    ids = [_pairs(each) for each in columns]
    starts = [_starts(each) for each in ids]
    firsts = [_distinct(each, at) for each, at in zip(ids, starts, strict=True)]
    numbers = _numbered(np.concatenate(firsts) if len(firsts) > 1 else firsts[0])
    found = np.split(numbers, np.cumsum([len(each) for each in firsts])[:-1])
    return tuple(_spread(each, at, len(column)) for each, at, column in zip(found, starts, ids, strict=True))


def distinct(column: "pd.Series[bytes]") -> bool:
    """Whether no two ids of a column are equal: where none are it is known by a sort, in a tenth of the time."""
    ids = _pairs(column)
    hashes = np.sort(_hashes(ids))
    return bool((hashes[1:] != hashes[:-1]).all()) or int(_numbered(ids).max()) + 1 == len(ids)


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
    """The number of each id, in the order of their first places."""
    first = _first_places(ids)
    firsts = np.flatnonzero(first == np.arange(len(ids)))
    numbers = np.empty(len(ids), np.int64)
    numbers[firsts] = np.arange(len(firsts))
    return numbers[first]


def _first_places(ids: Pairs) -> Numbers:
    """For each id the first place at which it stands.

    Sorted are hashes, with the place of each in the bits that are left below it: integers sort many times as fast as
    whole ids, or as an order of places. So equal ids come to lie side by side, the first place first, and are compared
    in full; those that share a hash and are not equal are sorted once more.
    """
    bits = len(ids).bit_length()
    packed = _hashes(ids) >> np.uint64(bits)
    packed <<= np.uint64(bits)
    packed |= np.arange(len(ids), dtype=np.uint64)
    packed.sort()
    places = (packed & np.uint64((1 << bits) - 1)).view(np.int64)
    packed >>= np.uint64(bits)
    starts = _parted(ids, places, packed)
    first = np.empty(len(ids), np.int64)
    first[places] = _spread(places[starts], starts, len(ids))
    return first


def _hashes(ids: Pairs) -> Words:
    """64 bits of each id, of which the upper ones are the best.

    Multiply-shift hashing: Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair Problem",
    Journal of Algorithms 25 (1997).
    """
    first, second = _words(ids)
    mixed = first * _ODD[0]
    mixed += second * _ODD[1]
    return mixed


def _parted(ids: Pairs, places: Numbers, hashes: Words) -> Numbers:
    """Where in these places another id begins; places of one hash are put in the order of their ids."""
    ordered = ids[places]
    starts = _starts(ordered)
    mixed_up = starts[1:][hashes[starts[1:]] == hashes[starts[1:] - 1]]
    if not len(mixed_up):
        return starts
    shared = np.unique(hashes[mixed_up])
    rows = _ranges(np.searchsorted(hashes, shared), np.searchsorted(hashes, shared, side="right"))
    first, second = _words(ordered[rows])
    order = rows[np.lexsort((places[rows], second, first, hashes[rows]))]
    places[rows], ordered[rows] = places[order], ordered[order]
    return _starts(ordered)


def _ranges(begins: Numbers, ends: Numbers) -> Numbers:
    """All numbers from each beginning up to before its end."""
    lengths = ends - begins
    numbers: Numbers = np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
    return numbers


Marks: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

PRIME: Final = 2**61 - 1
MASK: Final = 2**64 - 1


def digest(ids: Iterable[int]) -> int:
    """The digest of tickets whose ids are given as integers (`UUID.int`), from 0 to 2**64 - 1.

    A history has the same 64 bits as a signed integer, as marks are.
    """
    total = 0
    for number in ids:
        rest = number % PRIME
        total += rest * (rest + 1)
    return total & MASK


def marks(packed: bytes) -> Marks:
    """The mark of each ticket, of ids of 16 bytes each and end to end; the digest of several is their sum."""
    prime = np.uint64(PRIME)
    upper, lower = np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2).T % prime
    # 2**64 is 8 modulo the prime, and eight times what is below the prime fits in 64 bits.
    rest = (upper * np.uint64(8) % prime + lower) % prime
    found: Marks = (rest * (rest + np.uint64(1))).view(np.int64)
    return found
