"""How numbers, counts, names and settings are written, and sentences that all views of a run share. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from ticketlab.history.text import counted, plural
from ticketlab.outcomes import RETRIES

NO_TRIALS: Final = "No trial was run"
LISTED: Final = 4
"""The most names that a sentence lists before it says "and n more"."""
_ONE_PERCENT: Final = 0.01


def number(value: float, digits: int = 3) -> str:
    """A number with thousands separators: whole from 100 up, else to 3 digits; a dash for NaN."""
    if not np.isfinite(value):
        return "—"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def exact(value: float) -> str:
    """A number of tickets, not rounded: the median of two repeats may be fractional."""
    return f"{value:,.10g}"


def pluralize(count: float, noun: str) -> str:
    """A count with its noun; unlike `history.text.counted` also of a fractional count."""
    return f"{number(count)} {plural(1 if count == 1 else 2, noun)}"


def percent(share: float) -> str:
    """A share as a percentage; a small share is not rounded to 0 %, nor a large one to 100 %."""
    if not np.isfinite(share):
        return "—"
    if 0 < share < _ONE_PERCENT:
        return "under 1 %"
    return "over 99 %" if 1 - _ONE_PERCENT < share < 1 else f"{share * 100:.0f} %"


def has_multiple(column: pd.Series) -> bool:
    """Whether a column holds more than one value."""
    return len(column.unique()) > 1


def join_names(names: Sequence[str], most: int = LISTED) -> str:
    """Names as a list within a sentence: at most so many, then "and n more"."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def display_name(strategy: str, safe: bool) -> str:
    """A strategy's name; a control is marked as such."""
    return strategy if safe else f"{strategy} (control)"


def capital(text: str) -> str:
    """A text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def format_id(value: object) -> str:
    """A buyer or an event by its number or its name; a column with missing values holds floats."""
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def retries_by_cause(measures: pd.DataFrame) -> list[str]:
    """For each strategy that retried: how often and why, the most frequent cause first."""
    sentences = []
    for name, trials in measures.groupby("strategy", sort=False):
        counts = trials[list(RETRIES.values())].sum().set_axis(list(RETRIES))
        causes = [
            f"{count:,} {cause}" for cause, count in counts.sort_values(ascending=False, kind="stable").items() if count
        ]
        if causes:
            sentences.append(f"{name} retried {counted(int(counts.sum()), 'time')}: {', '.join(causes)}.")
    return sentences


def oversold_text(trial: pd.Series) -> str:
    """What a trial oversold. With several events the total of tickets may not show it."""
    if trial["tickets"] - trial["seats"] == trial["oversold"]:
        return f"{number(trial['tickets'])} tickets for {pluralize(trial['seats'], 'seat')}"
    return f"{pluralize(trial['oversold'], 'ticket')} too many"


SETTING: Final = ("buyers", "pool_size")
"""Columns of every frame of trials: the number of buyers, and the most connections of their pool."""
GROUP: Final = ("strategy", *SETTING)
"""Trials that agree in these columns are repeats of one another."""


def varying_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of SETTING that have more than one value in a frame."""
    return tuple(column for column in SETTING if has_multiple(frame[column]))


def setting_parts(row: pd.Series, among: pd.DataFrame) -> list[str]:
    """What distinguishes the setting of a row from the others: "16 buyers", "pool of 5", both or nothing."""
    words = {"buyers": pluralize(row["buyers"], "buyer"), "pool_size": f"pool of {number(row['pool_size'])}"}
    return [words[column] for column in varying_columns(among)]


def in_setting(row: pd.Series, among: pd.DataFrame) -> str:
    """The same within a sentence: " with 16 buyers and a pool of 5", or nothing."""
    parts = [f"a {part}" if part.startswith("pool") else part for part in setting_parts(row, among)]
    return f" with {join_names(parts)}" if parts else ""


def matching_rows(frame: pd.DataFrame, row: pd.Series, columns: Sequence[str] = GROUP) -> pd.DataFrame:
    """The rows of a frame that agree with a row in these columns: by default its repeats."""
    same: pd.DataFrame = frame[np.logical_and.reduce([frame[column].to_numpy() == row[column] for column in columns])]
    return same
