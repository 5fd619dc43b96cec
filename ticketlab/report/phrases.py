"""How numbers, counts and names are written, and the sentences that all views of a run share."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from ticketlab.history.recording import RETRIES

NO_TRIALS: Final = "No trial was run: there is nothing to show"
_LISTED: Final = 4
"""Names that a sentence lists before it says "and n more"."""
_ONE_PERCENT: Final = 0.01


def number(value: float, digits: int = 3) -> str:
    """A number as it is read: thousands parted, whole from 100 up, else to 3 digits; a dash where there is none."""
    if not np.isfinite(value):
        return "—"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def exact(value: float) -> str:
    """A number of tickets, not rounded: the median of two repeats may lie between them."""
    return f"{value:,.10g}"


def pluralize(count: float, noun: str) -> str:
    """A count with its noun, in the plural where it must be."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share as a percentage; a small one is not rounded to nothing, nor a large one to all."""
    if not np.isfinite(share):
        return "—"
    if 0 < share < _ONE_PERCENT:
        return "under 1 %"
    return "over 99 %" if 1 - _ONE_PERCENT < share < 1 else f"{share * 100:.0f} %"


def has_multiple(column: pd.Series) -> bool:
    """Whether a column holds more than one value."""
    return len(column.unique()) > 1


def join_names(names: Sequence[str], most: int = _LISTED) -> str:
    """Names as a sentence lists them."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def display_name(strategy: str, safe: bool) -> str:
    """A strategy's name, with a control marked as one."""
    return strategy if safe else f"{strategy} (control)"


def capital(text: str) -> str:
    """A text as a heading or a sentence begins."""
    return text[:1].upper() + text[1:]


def format_id(value: object) -> str:
    """A buyer or an event by its number, or as a file of others calls it; a column with holes holds floats."""
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def retries_by_cause(measures: pd.DataFrame) -> list[str]:
    """For each strategy that tried again how often, and why, the commonest cause first."""
    sentences = []
    for name, trials in measures.groupby("strategy", sort=False):
        counts = trials[list(RETRIES.values())].sum().set_axis(list(RETRIES))
        causes = [
            f"{count:,} {cause}" for cause, count in counts.sort_values(ascending=False, kind="stable").items() if count
        ]
        if causes:
            times = f"{counts.sum():,} time{'s' if counts.sum() > 1 else ''}"
            sentences.append(f"{name} tried again {times}: {', '.join(causes)}.")
    return sentences


def oversold_text(trial: pd.Series) -> str:
    """What a trial sold beyond its seats; with several events, tickets and seats alone might not show it."""
    if trial["tickets"] - trial["seats"] == trial["oversold"]:
        return f"{number(trial['tickets'])} tickets for {pluralize(trial['seats'], 'seat')}"
    return f"{pluralize(trial['oversold'], 'ticket')} too many"
