"""How many purchases are sold per second, and how long buyers wait."""

import pandas as pd

from ticketlab.report.findings.finding import Finding, at_most_buyers, each_row, named, settings_of, without_violation
from ticketlab.report.summary import summarise
from ticketlab.report.words import NO_TRIALS, counted, listed, number, several


def throughput(measures: pd.DataFrame) -> Finding:
    """Who sells fastest among those that were not proven wrong, if the repeats tell them apart."""
    kind = "Sales per second with the interval over the repeats, by strategy"
    if measures.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    at_most, prefix = at_most_buyers(summarise(measures))
    held = without_violation(at_most, measures)
    among = " without a violation" if len(held) < len(at_most) else ""
    held = held.assign(name=held["strategy"] + settings_of(held)).sort_values("per_s", ascending=False)
    ranked = held
    if several(held["strategy"]) and several(held["pool_size"]):
        prefix += "each with its best pool, "
        ranked = held.drop_duplicates("strategy")
    title = prefix + (_alone(ranked.iloc[0]) if len(ranked) == 1 else _fastest(ranked, among))
    detail = "Purchases sold per second, median (least to most): " + each_row(at_most, rate_text)
    return Finding(kind=kind, title=title[0].upper() + title[1:] if prefix else title, detail=detail)


def latency(measures: pd.DataFrame) -> Finding:
    """Whose slowest purchases wait longest, against whose wait least."""
    kind = "Latency percentiles p50, p95 and p99, by strategy"
    if measures.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    rows, prefix = at_most_buyers(summarise(measures))
    known = without_violation(rows, measures).dropna(subset=["p50_ms", "p99_ms"]).sort_values("p99_ms")
    if known.empty:
        return Finding(kind=kind, title="No purchase was worked on, so there is no latency")
    least, most = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        title = (
            f"{least['strategy']}: half of the purchases took at most {number(least['p50_ms'])} ms, "
            f"99 of 100 at most {number(least['p99_ms'])} ms"
        )
    else:
        title = (
            f"{prefix}one purchase in a hundred takes longer than {number(least['p99_ms'])} ms with "
            f"{named(least, known)}, {number(most['p99_ms'])} ms with {named(most, known)}"
        )
    percentiles = ["p50_ms", "p95_ms", "p99_ms"]
    detail = each_row(rows, lambda row: " / ".join(map(number, row[percentiles])) + " ms")
    text = f"Of purchases that were sold, or given up after conflicts. Medians of p50 / p95 / p99: {detail}"
    return Finding(kind=kind, title=title[0].upper() + title[1:] if len(known) > 1 else title, detail=text)


def rate_text(row: pd.Series) -> str:
    """The median of the purchases per second, with the interval over the repeats."""
    if row["repeats"] == 1:
        return f"{number(row['per_s'])} (one repeat)"
    return f"{number(row['per_s'])} ({number(row['per_s_min'])} to {number(row['per_s_max'])})"


def _alone(row: pd.Series) -> str:
    return f"{row['name']} sold {counted(row['per_s'], 'purchase')}/s"


def _fastest(ranked: pd.DataFrame, among: str) -> str:
    best = ranked.iloc[0]
    if best["per_s"] == 0:
        return "No strategy sold anything"
    others = ranked.iloc[1:]
    rivals = others[others["per_s_max"] >= best["per_s_min"]]
    if len(rivals):
        names = listed([best["name"], *rivals["name"]])
        return f"{names} are too close to call, at about {number(best['per_s'])} purchases/s"
    only = " (one repeat)" if best["repeats"] == 1 else ""
    if others.iloc[0]["per_s"] == 0:
        return f"{best['name']} alone sold anything: {number(best['per_s'])} purchases/s{only}"
    ratio = best["per_s"] / others.iloc[0]["per_s"]
    return (
        f"{best['name']} is the fastest{among}{only}: {number(best['per_s'])} purchases/s, "
        f"{number(ratio, 2)} times the next, {others.iloc[0]['name']}"
    )
