"""Histories for checkers made by others: Elle and Porcupine. Pure: frames in, lines of text out, one after another.

What each format says, and what of it follows from a history, stands in `elle` and `porcupine`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import pandas as pd

from ticketlab.formats.elle import append, register
from ticketlab.formats.porcupine import operations
from ticketlab.history.ledger import Ledger

__all__ = ["FORMATS", "append", "operations", "register"]

Export: TypeAlias = Callable[[pd.DataFrame, Ledger], Iterator[str]]

FORMATS: Final[Mapping[str, Export]] = {
    "elle-append": append,
    "elle-register": register,
    "porcupine": operations,
}
"""Each format by its name: a function of a history and its ledger that yields lines, without their ends."""
