"""What each chart of trials shows, in a sentence and its details: titles, captions and alt texts. Draws nothing.

A sentence claims no more than the repeats show: "fastest" is said only if the difference is clear.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from ticketlab.outcomes import RETRIES
from ticketlab.report import summary
from ticketlab.report._caption import (
    MOST_OPERATIONS,
    Caption,
    at_most_buyers,
    each_row,
    has_timeline,
    made_twice,
    overwrote,
    story,
    strategy_label,
    timeline,
    without_violation,
)
from ticketlab.report.phrases import (
    GROUP,
    NO_TRIALS,
    capital,
    exact,
    has_multiple,
    in_setting,
    join_names,
    number,
    oversold_text,
    percent,
    pluralize,
)
from ticketlab.report.summary import change_text, changes_of, comparison, crossover, leaders, rates_by_run, summarise

WASTED: Final = "Wasted: retried, or given up after a conflict. 'Sold out' answers do not count."


def tickets_sold(measures: pd.DataFrame) -> Caption:
    """The strategy that oversold the most."""
    kind = "Bars of tickets sold against the seats, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    worst_trial = measures.nlargest(1, "oversold").iloc[0]
    oversellers = measures.loc[measures["oversold"] > 0, "strategy"].unique()
    if not len(oversellers):
        title = "No strategy sold more tickets than there are seats"
    else:
        trials = measures[measures["strategy"] == worst_trial["strategy"]]
        up_to = "up to " if has_multiple(trials["tickets"]) else ""
        title = f"{worst_trial['strategy']} sold {up_to}{oversold_text(worst_trial)}"
        if others := len(oversellers) - 1:
            title += f", and {pluralize(others, 'other')} oversold too"
    detail = each_row(summarise(measures), lambda row: f"{exact(row['sold'])} of {exact(row['seats'])}")
    return Caption(kind=kind, title=title, detail=f"Tickets in the database, median of the repeats: {detail}")


def stock_over_time(stock: pd.DataFrame) -> Caption:
    """The strategy that oversold, or the one that sold out first."""
    kind = "Curves of the tickets left over time, one per trial"
    if stock.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    ends = stock_ends(stock)
    detail = "As reported to the buyers; one curve per repeat."
    lowest = ends.nsmallest(1, "left").iloc[0]
    if lowest["left"] < 0:
        title = f"{lowest['strategy']} sold {pluralize(-lowest['left'], 'ticket')} after the last seat"
        return Caption(kind=kind, title=title, detail=detail)
    medians = ends.groupby(list(GROUP), sort=False, as_index=False)[["gone_s"]].median().dropna()
    if medians.empty:
        return Caption(kind=kind, title="No strategy sold out", detail=detail)
    first = medians.sort_values("gone_s").iloc[0]
    sold_out = "was the first to sell out," if has_multiple(ends["strategy"]) else "sold out"
    title = f"{first['strategy']}{in_setting(first, ends)} {sold_out} after {number(first['gone_s'])} s"
    return Caption(kind=kind, title=title, detail=detail)


def stock_ends(stock: pd.DataFrame) -> pd.DataFrame:
    """One row per curve: the columns of GROUP, `repeat`, `gone_s` (NaN if seats were left), `seconds`, `left`."""
    curves = stock.groupby([*GROUP, "repeat"], sort=False)
    ends = curves.agg(seconds=("seconds", "max"), left=("left", "min"))
    gone = stock[stock["left"] <= 0].groupby([*GROUP, "repeat"], sort=False)["seconds"].min()
    ends["gone_s"] = gone.reindex(ends.index)
    return ends.reset_index()


def outcomes(measures: pd.DataFrame) -> Caption:
    """The strategy that gave up the largest share of its purchases after conflicts."""
    kind = "Stacked bars of how purchases ended, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows = summarise(measures)
    rows["conflict_share"] = conflict_share(rows)
    detail = "Retries per sale: " + each_row(rows, lambda row: number(row["retries_per_sale"]))
    if not rows["conflicts"].any():
        return Caption(kind=kind, title="No purchase was given up after a conflict", detail=detail)
    row = rows.nlargest(1, "conflict_share").iloc[0]
    share = percent(row["conflict_share"])
    title = f"{row['strategy']}{in_setting(row, rows)} gave up {share} of its purchases after conflicts"
    return Caption(kind=kind, title=title, detail=f"'Sold out' answers do not count in this share. {detail}")


def conflict_share(rows: pd.DataFrame) -> pd.Series[float]:
    """Purchases given up after conflicts as a share of all that were not answered 'sold out'; NaN without any."""
    worked_on = rows[["sales", "conflicts", "failed", "unavailable", "unknown"]].sum(axis=1)
    return rows["conflicts"] / worked_on.where(worked_on > 0)


def throughput(measures: pd.DataFrame) -> Caption:
    """The fastest strategy among those without a violation, if it is clearly faster than the others."""
    kind = "Sales per second with the range of the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    at_most, prefix = at_most_buyers(summarise(measures))
    ranked = without_violation(at_most, measures)
    ranked = at_most if ranked.empty else ranked
    among = " without a violation" if len(ranked) < len(at_most) else ""
    names = [f"{row['strategy']}{in_setting(row, ranked)}" for _, row in ranked.iterrows()]
    ranked = ranked.assign(name=names).sort_values("per_s", ascending=False)
    if has_multiple(ranked["strategy"]) and has_multiple(ranked["pool_size"]):
        prefix += "each with its best pool, "
        ranked = ranked.drop_duplicates("strategy")
    title = prefix + _fastest(ranked, measures, among)
    detail = "Sales/s, median (least to most): " + each_row(at_most, rate_text)
    return Caption(kind=kind, title=capital(title) if prefix else title, detail=detail)


def _fastest(ranked: pd.DataFrame, measures: pd.DataFrame, among: str) -> str:
    best = ranked.iloc[0]
    speed = f"{number(best['per_s'])} sales/s"
    once = " (one repeat)" if best["repeats"] == 1 else ""
    if len(ranked) == 1:
        return f"{best['name']} made {speed}{once}"
    if best["per_s"] == 0:
        return "No strategy sold anything"
    following = ranked.iloc[1]
    if following["per_s"] == 0:
        return f"only {best['name']} sold anything: {speed}{once}"
    close = leaders(ranked, measures)
    if len(close) > 1:
        others = join_names(list(close["name"][1:]))
        return f"{best['name']} made the most sales, {speed}, but not clearly more than {others}"
    fastest = f"made the most sales{among} (one repeat)" if once else f"is clearly the fastest{among}"
    times = f"{number(best['per_s'] / following['per_s'], 2)} times the next, {following['name']}"
    return f"{best['name']} {fastest}: {speed}, {times}"


def rate_text(row: pd.Series) -> str:
    """The median of the sales per second, with the range of the repeats."""
    if row["repeats"] == 1:
        return f"{number(row['per_s'])} (one repeat)"
    return f"{number(row['per_s'])} ({number(row['per_s_min'])} to {number(row['per_s_max'])})"


def latency(measures: pd.DataFrame) -> Caption:
    """The lowest and the highest p99 latency."""
    kind = "Latency percentiles p50, p95 and p99, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows, prefix = at_most_buyers(summarise(measures))
    safe = without_violation(rows, measures)
    known = (rows if safe.empty else safe).dropna(subset=["p50_ms", "p99_ms"]).sort_values("p99_ms")
    if known.empty:
        return Caption(kind=kind, title="No purchase was sold or given up, so there is no latency")
    least, most = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        title = (
            f"{least['strategy']}: half of the purchases took at most {number(least['p50_ms'])} ms, "
            f"99 of 100 at most {number(least['p99_ms'])} ms"
        )
    else:
        title = capital(
            f"{prefix}one purchase in a hundred takes longer than {number(least['p99_ms'])} ms with "
            f"{strategy_label(least, known)}, {number(most['p99_ms'])} ms with {strategy_label(most, known)}"
        )
    detail = each_row(rows, lambda row: " / ".join(map(number, row[["p50_ms", "p95_ms", "p99_ms"]])) + " ms")
    text = f"Of purchases that were sold or given up after conflicts. Medians of p50 / p95 / p99: {detail}"
    return Caption(kind=kind, title=title, detail=text)


def retries(measures: pd.DataFrame) -> Caption:
    """The strategy with the most retries per sale, and their cause."""
    kind = "Stacked bars of retries per sale by their cause, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows = summarise(measures)
    if not measures["retries"].any():
        return Caption(kind=kind, title="No purchase was retried")
    total = rows[list(RETRIES.values())].sum(axis=1)
    # Retries without any sale rank above every number of retries per sale.
    per_sale = rows["retries_per_sale"].where(rows["sales"] > 0, total * float("inf"))
    most = rows.iloc[int(per_sale.astype(float).fillna(0).argmax())]
    often = f"{number(most['retries_per_sale'])} times per sale"
    if not most["sales"]:
        often = f"{pluralize(most[list(RETRIES.values())].sum(), 'time')} and sold nothing"
    title = f"{most['strategy']}{in_setting(most, rows)} retried {often}{_cause(most)}"
    detail = each_row(rows, lambda row: f"{number(row['retries_per_sale'])}{_cause(row)}")
    return Caption(kind=kind, title=title, detail=f"Retries per sale: {detail}")


def _cause(row: pd.Series) -> str:
    """The most frequent cause of the retries of a row, if there were any."""
    counts = row[list(RETRIES.values())].astype(int).set_axis(list(RETRIES))
    if not counts.any():
        return ""
    cause = str(counts.idxmax()).replace("_", " ")
    return f" ({'only' if counts.max() == counts.sum() else 'mostly'} {cause})"


def retries_text(row: pd.Series, trials: pd.DataFrame) -> str:
    """The retries per sale; without a sale their number."""
    total = trials["retries"].sum()
    return number(row["retries_per_sale"]) if row["sales"] or not total else f"{number(total)}, and no sale"


def wasted(measures: pd.DataFrame) -> Caption:
    """The strategy that wasted the largest share of its attempts, if the ranges of the repeats do not overlap."""
    kind = "The share of wasted attempts with the range of the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    shares = summary.spread(measures.assign(wasted=summary.wasted(measures)), "wasted")
    known = shares.dropna(subset="median").sort_values("median", ascending=False)
    detail = f"{WASTED} Median (least to most): {each_row(shares, share_text)}"
    if not known["most"].any():
        return Caption(kind=kind, title="No attempt was wasted", detail=detail)
    worst, others = known.iloc[0], known[known["strategy"] != known["strategy"].iloc[0]]
    title = f"{worst['strategy']}{in_setting(worst, shares)} wasted {percent(worst['median'] / 100)} of its attempts"
    overlapping = list(others.loc[others["most"] >= worst["least"], "strategy"].unique())
    if overlapping:
        title += f"; the range of {join_names(overlapping)} overlaps"
    elif has_multiple(known["strategy"]):
        title += ", more than any other strategy"
    return Caption(kind=kind, title=title, detail=detail)


def share_text(share: pd.Series) -> str:
    """The median of a percentage, with the range of the repeats if they differ."""
    median, least, most = (percent(share[name] / 100) for name in ("median", "least", "most"))
    return median if least == most else f"{median} ({least} to {most})"


def captions_of(measures: pd.DataFrame, stock: pd.DataFrame) -> dict[str, Caption]:
    """The caption of each chart, by the names of `charts.figures`."""
    captions = {
        "tickets_sold": tickets_sold(measures),
        "stock_over_time": stock_over_time(stock),
        "outcomes": outcomes(measures),
        "throughput": throughput(measures),
        "latency": latency(measures),
    }
    if measures["retries"].any():
        captions["retries"] = retries(measures)
    if measures[["retries", "conflicts"]].any(axis=None):
        captions["wasted"] = wasted(measures)
    return captions


__all__ = [
    "MOST_OPERATIONS",
    "WASTED",
    "Caption",
    "captions_of",
    "change_text",
    "changes_of",
    "comparison",
    "conflict_share",
    "crossover",
    "has_timeline",
    "latency",
    "leaders",
    "made_twice",
    "outcomes",
    "overwrote",
    "rate_text",
    "rates_by_run",
    "retries",
    "retries_text",
    "share_text",
    "stock_ends",
    "stock_over_time",
    "story",
    "throughput",
    "tickets_sold",
    "timeline",
    "wasted",
    "without_violation",
]
