"""Histories in other formats. Exports for Elle and Porcupine are pure: frames in, an iterator of text lines out.

`elle` and `porcupine` describe their formats, `calls` what they share; `imports` reads histories from other systems.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import pandas as pd

from ticketlab.formats._elle import append, register
from ticketlab.formats._porcupine import operations
from ticketlab.history.ledger import Ledger

__all__ = ["FORMATS", "append", "operations", "register"]

Export: TypeAlias = Callable[[pd.DataFrame, Ledger], Iterator[str]]

FORMATS: Final[Mapping[str, Export]] = {
    "elle-append": append,
    "elle-register": register,
    "porcupine": operations,
}
"""Each format by name: a function of a history and its ledger that yields lines without line ends."""
