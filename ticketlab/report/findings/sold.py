"""What was sold, when it was gone, and how purchases ended."""

import pandas as pd

from ticketlab.report.findings.finding import Finding, each_row
from ticketlab.report.setting import GROUP, in_setting
from ticketlab.report.summary import summarise
from ticketlab.report.words import NO_TRIALS, counted, exact, number, oversold_text, percent, several


def tickets_sold(measures: pd.DataFrame) -> Finding:
    """Who sold more tickets than there are seats, and by how many at worst."""
    kind = "Bars of tickets sold against the seats, one per strategy"
    if measures.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    worst_trial = measures.nlargest(1, "oversold").iloc[0]
    oversellers = measures.loc[measures["oversold"] > 0, "strategy"].unique()
    if not len(oversellers):
        title = "No strategy sold more tickets than there are seats"
    else:
        up_to = "up to " if several(measures.loc[measures["strategy"] == worst_trial["strategy"], "tickets"]) else ""
        title = f"{worst_trial['strategy']} sold {up_to}{oversold_text(worst_trial)}"
        if others := len(oversellers) - 1:
            title += f", and {counted(others, 'other')} oversold too"
    detail = each_row(summarise(measures), lambda row: f"{exact(row['sold'])} of {exact(row['seats'])}")
    return Finding(kind=kind, title=title, detail=f"Tickets in the database, median of the repeats: {detail}")


def stock_over_time(stock: pd.DataFrame) -> Finding:
    """Who sold out first, or who went on selling after the last seat."""
    kind = "Curves of the tickets left over time, one per trial"
    if stock.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    ends = stock_ends(stock)
    detail = "As the buyers were told; a curve a repeat."
    lowest = ends.nsmallest(1, "left").iloc[0]
    if lowest["left"] < 0:
        title = (
            f"{lowest['strategy']} went on selling after the last seat: {counted(-lowest['left'], 'ticket')} too many"
        )
        return Finding(kind=kind, title=title, detail=detail)
    medians = ends.groupby(list(GROUP), sort=False, as_index=False)[["gone_s"]].median().dropna()
    if medians.empty:
        return Finding(kind=kind, title="No strategy sold its last seat", detail=detail)
    first = medians.sort_values("gone_s").iloc[0]
    who = first["strategy"] + in_setting(first, ends)
    title = f"{who} sold its last seat after {number(first['gone_s'])} s"
    if several(ends["strategy"]):
        title = f"{who} was the first to sell its last seat, after {number(first['gone_s'])} s"
    return Finding(kind=kind, title=title, detail=detail)


def outcomes(measures: pd.DataFrame) -> Finding:
    """Who gave up most of its purchases to conflicts."""
    kind = "Stacked bars of how purchases ended, one per strategy"
    if measures.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    rows = summarise(measures)
    rows["conflict_share"] = conflict_share(rows)
    detail = "Retries per sale: " + each_row(rows, lambda row: number(row["retries_per_sale"]))
    if not rows["conflicts"].any():
        return Finding(kind=kind, title="No purchase was given up because of a conflict", detail=detail)
    row = rows.nlargest(1, "conflict_share").iloc[0]
    who = row["strategy"] + in_setting(row, rows)
    title = f"{who} gave up {percent(row['conflict_share'])} of its purchases after conflicts"
    return Finding(kind=kind, title=title, detail=f"Refusals as sold out are not counted in that share. {detail}")


def stock_ends(stock: pd.DataFrame) -> pd.DataFrame:
    """One row a curve: the columns of GROUP, `repeat`, `gone_s` (NaN if seats were left), `seconds`, `left`."""
    curves = stock.groupby([*GROUP, "repeat"], sort=False)
    ends = curves.agg(seconds=("seconds", "max"), left=("left", "min"))
    gone = stock[stock["left"] <= 0].groupby([*GROUP, "repeat"], sort=False)["seconds"].min()
    ends["gone_s"] = gone.reindex(ends.index)
    return ends.reset_index()


def conflict_share(rows: pd.DataFrame) -> "pd.Series[float]":
    """The purchases given up to conflicts among all that were not refused as sold out; NaN where there were none."""
    worked_on = rows[["sales", "conflicts", "failed", "unavailable", "unknown"]].sum(axis=1)
    return rows["conflicts"] / worked_on.where(worked_on > 0)
