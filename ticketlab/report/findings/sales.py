"""How much was sold, and how fast, as the captions of figures."""

import pandas as pd

from ticketlab.report.findings.caption import (
    Caption,
    at_most_buyers,
    each_row,
    settings_of,
    strategy_label,
    without_violation,
)
from ticketlab.report.grouping import GROUP, in_setting
from ticketlab.report.phrases import (
    NO_TRIALS,
    exact,
    has_multiple,
    join_names,
    number,
    oversold_text,
    percent,
    pluralize,
)
from ticketlab.report.summary import summarise


def tickets_sold(measures: pd.DataFrame) -> Caption:
    """Who sold more tickets than there are seats, and by how many at worst."""
    kind = "Bars of tickets sold against the seats, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    worst_trial = measures.nlargest(1, "oversold").iloc[0]
    oversellers = measures.loc[measures["oversold"] > 0, "strategy"].unique()
    if not len(oversellers):
        title = "No strategy sold more tickets than there are seats"
    else:
        up_to = (
            "up to " if has_multiple(measures.loc[measures["strategy"] == worst_trial["strategy"], "tickets"]) else ""
        )
        title = f"{worst_trial['strategy']} sold {up_to}{oversold_text(worst_trial)}"
        if others := len(oversellers) - 1:
            title += f", and {pluralize(others, 'other')} oversold too"
    detail = each_row(summarise(measures), lambda row: f"{exact(row['sold'])} of {exact(row['seats'])}")
    return Caption(kind=kind, title=title, detail=f"Tickets in the database, median of the repeats: {detail}")


def stock_over_time(stock: pd.DataFrame) -> Caption:
    """Who sold out first, or who went on selling after the last seat."""
    kind = "Curves of the tickets left over time, one per trial"
    if stock.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    ends = stock_ends(stock)
    detail = "As the buyers were told; a curve a repeat."
    lowest = ends.nsmallest(1, "left").iloc[0]
    if lowest["left"] < 0:
        title = (
            f"{lowest['strategy']} went on selling after the last seat: {pluralize(-lowest['left'], 'ticket')} too many"
        )
        return Caption(kind=kind, title=title, detail=detail)
    medians = ends.groupby(list(GROUP), sort=False, as_index=False)[["gone_s"]].median().dropna()
    if medians.empty:
        return Caption(kind=kind, title="No strategy sold its last seat", detail=detail)
    first = medians.sort_values("gone_s").iloc[0]
    who = first["strategy"] + in_setting(first, ends)
    title = f"{who} sold its last seat after {number(first['gone_s'])} s"
    if has_multiple(ends["strategy"]):
        title = f"{who} was the first to sell its last seat, after {number(first['gone_s'])} s"
    return Caption(kind=kind, title=title, detail=detail)


def outcomes(measures: pd.DataFrame) -> Caption:
    """Who gave up most of its purchases to conflicts."""
    kind = "Stacked bars of how purchases ended, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows = summarise(measures)
    rows["conflict_share"] = conflict_share(rows)
    detail = "Retries per sale: " + each_row(rows, lambda row: number(row["retries_per_sale"]))
    if not rows["conflicts"].any():
        return Caption(kind=kind, title="No purchase was given up because of a conflict", detail=detail)
    row = rows.nlargest(1, "conflict_share").iloc[0]
    who = row["strategy"] + in_setting(row, rows)
    title = f"{who} gave up {percent(row['conflict_share'])} of its purchases after conflicts"
    return Caption(kind=kind, title=title, detail=f"Refusals as sold out are not counted in that share. {detail}")


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


def throughput(measures: pd.DataFrame) -> Caption:
    """Who sells fastest among those that were not proven wrong, if the repeats tell them apart."""
    kind = "Sales per second with the interval over the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    at_most, prefix = at_most_buyers(summarise(measures))
    held = without_violation(at_most, measures)
    among = " without a violation" if len(held) < len(at_most) else ""
    held = held.assign(name=held["strategy"] + settings_of(held)).sort_values("per_s", ascending=False)
    ranked = held
    if has_multiple(held["strategy"]) and has_multiple(held["pool_size"]):
        prefix += "each with its best pool, "
        ranked = held.drop_duplicates("strategy")
    title = prefix + (_alone(ranked.iloc[0]) if len(ranked) == 1 else _fastest(ranked, among))
    detail = "Sales per second, median (least to most): " + each_row(at_most, rate_text)
    return Caption(kind=kind, title=title[0].upper() + title[1:] if prefix else title, detail=detail)


def latency(measures: pd.DataFrame) -> Caption:
    """Whose slowest purchases wait longest, against whose wait least."""
    kind = "Latency percentiles p50, p95 and p99, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows, prefix = at_most_buyers(summarise(measures))
    known = without_violation(rows, measures).dropna(subset=["p50_ms", "p99_ms"]).sort_values("p99_ms")
    if known.empty:
        return Caption(kind=kind, title="No purchase was worked on, so there is no latency")
    least, most = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        title = (
            f"{least['strategy']}: half of the purchases took at most {number(least['p50_ms'])} ms, "
            f"99 of 100 at most {number(least['p99_ms'])} ms"
        )
    else:
        title = (
            f"{prefix}one purchase in a hundred takes longer than {number(least['p99_ms'])} ms with "
            f"{strategy_label(least, known)}, {number(most['p99_ms'])} ms with {strategy_label(most, known)}"
        )
    percentiles = ["p50_ms", "p95_ms", "p99_ms"]
    detail = each_row(rows, lambda row: " / ".join(map(number, row[percentiles])) + " ms")
    text = f"Of purchases that were sold, or given up after conflicts. Medians of p50 / p95 / p99: {detail}"
    return Caption(kind=kind, title=title[0].upper() + title[1:] if len(known) > 1 else title, detail=text)


def rate_text(row: pd.Series) -> str:
    """The median of the purchases per second, with the interval over the repeats."""
    if row["repeats"] == 1:
        return f"{number(row['per_s'])} (one repeat)"
    return f"{number(row['per_s'])} ({number(row['per_s_min'])} to {number(row['per_s_max'])})"


def _alone(row: pd.Series) -> str:
    return f"{row['name']} made {pluralize(row['per_s'], 'sale')}/s"


def _fastest(ranked: pd.DataFrame, among: str) -> str:
    best = ranked.iloc[0]
    if best["per_s"] == 0:
        return "No strategy sold anything"
    others = ranked.iloc[1:]
    rivals = others[others["per_s_max"] >= best["per_s_min"]]
    if len(rivals):
        names = join_names([best["name"], *rivals["name"]])
        return f"{names} are too close to call, at about {number(best['per_s'])} sales/s"
    only = " (one repeat)" if best["repeats"] == 1 else ""
    if others.iloc[0]["per_s"] == 0:
        return f"{best['name']} alone sold anything: {number(best['per_s'])} sales/s{only}"
    ratio = best["per_s"] / others.iloc[0]["per_s"]
    return (
        f"{best['name']} is the fastest{among}{only}: {number(best['per_s'])} sales/s, "
        f"{number(ratio, 2)} times the next, {others.iloc[0]['name']}"
    )
