"""What sets the trials of one strategy apart, besides chance: how many buyers there were, and how large the pool.

Pure: columns and words, for all who put trials in groups or name them. Every frame of trials has the columns SETTING.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from ticketlab.report.phrases import has_multiple, join_names, number, pluralize

SETTING: Final = ("buyers", "pool_size")
"""The number of buyers, and the connections that their pool held at most."""
GROUP: Final = ("strategy", *SETTING)
"""Trials that agree in these are repeats of one another."""


def varying_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of SETTING of which a frame holds more than one value."""
    return tuple(column for column in SETTING if has_multiple(frame[column]))


def setting_parts(row: pd.Series, among: pd.DataFrame) -> list[str]:
    """What tells the setting of a row from those of the others: "16 buyers", "pool of 5", both or nothing."""
    words = {"buyers": pluralize(row["buyers"], "buyer"), "pool_size": f"pool of {number(row['pool_size'])}"}
    return [words[column] for column in varying_columns(among)]


def in_setting(row: pd.Series, among: pd.DataFrame) -> str:
    """The same as a sentence goes on with it: " with 16 buyers and a pool of 5", or nothing."""
    parts = [f"a {part}" if part.startswith("pool") else part for part in setting_parts(row, among)]
    return f" with {join_names(parts)}" if parts else ""


def matching_rows(frame: pd.DataFrame, row: pd.Series, columns: Sequence[str] = GROUP) -> pd.DataFrame:
    """The rows of a frame that agree with a row in these columns: by default its repeats."""
    same: pd.DataFrame = frame[np.logical_and.reduce([frame[column] == row[column] for column in columns])]
    return same
