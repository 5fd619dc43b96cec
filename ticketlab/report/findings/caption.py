"""A finding, and what the sentences of all findings are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.report.grouping import in_setting, setting_parts
from ticketlab.report.phrases import has_multiple, pluralize

_IN_DETAIL: Final = 6
"""Rows that a caption tells one by one; beyond, the table does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What a chart shows, and how it looks for those who can not see it."""

    kind: str
    """What is drawn, and by what."""
    title: str
    """What it shows, in a sentence without its full stop."""
    detail: str = ""
    """The numbers behind it, in sentences."""

    @property
    def caption(self) -> str:
        """The finding and its details, as sentences."""
        return f"{self.title}. {self.detail}".strip()

    @property
    def alt(self) -> str:
        """The text in place of the picture."""
        return f"{self.kind}. {self.title}."


def without_violation(rows: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """The rows of strategies that claim to be safe and were not proven wrong anywhere; all rows where there is none."""
    wrong = measures.loc[measures["verdict"] == Status.INVALID, "strategy"]
    held = rows[rows["safe"].astype(bool) & ~rows["strategy"].isin(wrong)]
    return rows if held.empty else held


def at_most_buyers(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows with the most buyers, and how a sentence about them begins where there are others."""
    most = rows["buyers"].max()
    return rows[rows["buyers"] == most], f"with {pluralize(most, 'buyer')}, " if has_multiple(rows["buyers"]) else ""


def settings_of(rows: pd.DataFrame) -> list[str]:
    """For each row " with 16 buyers and a pool of 5", as far as these differ among the rows."""
    return [in_setting(row, rows) for _, row in rows.iterrows()]


def strategy_label(row: pd.Series, among: pd.DataFrame) -> str:
    """A strategy with its setting in brackets, for a sentence that has its "with" already."""
    parts = setting_parts(row, among)
    return f"{row['strategy']} ({', '.join(parts)})" if parts else str(row["strategy"])


def each_row(rows: pd.DataFrame, text: Callable[[pd.Series], str]) -> str:
    """What is to be told of each row; of many rows nothing but where it stands."""
    if len(rows) > _IN_DETAIL:
        return "see the table."
    told = zip(rows["strategy"], settings_of(rows), (text(row) for _, row in rows.iterrows()), strict=True)
    return "; ".join(f"{strategy}{setting} {each}" for strategy, setting, each in told) + "."
