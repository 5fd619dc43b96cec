"""Ticket ids as 64-bit marks, and the sum of several marks as a digest. Pure; knows no history and no ledger.

Two sets of tickets have the same digest where they are the same, in whatever order; of random ids two different sets
share one with a probability of about 2**-58. The mark of an id is x * (x + 1) modulo 2**64, where x is the id modulo
the prime 2**61 - 1. So every bit of the id counts. It is a square, nearly, for ids that are counted from 1: the tickets
{5, 8} and {6, 7} have the same sum, and different digests.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np

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
