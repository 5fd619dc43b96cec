"""What became of the speed of each strategy, in a word and in sentences that claim no more than the repeats show."""

from math import isnan
from typing import Final

import pandas as pd

from ticketlab.report.findings.finding import named
from ticketlab.report.words import listed, number

_SAID: Final = {
    "faster": "Clearly faster",
    "slower": "Clearly slower",
    "unclear": "Not clearly faster or slower",
    "unknown": "Without a ratio, since the first run sold nothing",
}
MOST_UNCLEAR: Final = 6
"""Names that are listed of what is not clear; the table has them all."""


def word(row: pd.Series) -> str:
    """What became of it: "faster" or "slower" where that is clear, "unclear", or "unknown" where there is no ratio."""
    if isnan(row["purchases_per_s_ratio"]):
        return "unknown"
    if not row["purchases_per_s_clear"]:
        return "unclear"
    return "faster" if row["purchases_per_s_ratio"] > 1 else "slower"


def sentences(rows: pd.DataFrame) -> list[str]:
    """Who is clearly faster and slower, and by how much; of whom that is not clear."""
    clear = ("faster", "slower")
    told: dict[str, list[str]] = {each: [] for each in _SAID}
    for _, row in rows.iterrows():
        name = named(row, rows)
        times = f" (× {number(row['purchases_per_s_ratio'])})" if word(row) in clear else ""
        told[word(row)].append(f"{name}{times}")
    most = {what: len(names) if what in clear else MOST_UNCLEAR for what, names in told.items()}
    return [f"{_SAID[what]}: {listed(names, most=most[what])}." for what, names in told.items() if names]
