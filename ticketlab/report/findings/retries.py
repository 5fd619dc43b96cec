"""Work that was done again, and work that was done for nothing."""

from typing import Final

import pandas as pd

from ticketlab.history.recording import RETRIES
from ticketlab.report import summary
from ticketlab.report.findings.caption import Caption, each_row
from ticketlab.report.grouping import in_setting
from ticketlab.report.phrases import NO_TRIALS, has_multiple, join_names, number, percent, pluralize

WASTED: Final = "For nothing: tried again, or given up after a conflict; refusals as sold out do not count."


def retries(measures: pd.DataFrame) -> Caption:
    """Who tried again most often for a sale, and why."""
    kind = "Stacked bars of retries per sale by their cause, one per strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    rows = summary.summarise(measures)
    again = measures.groupby("strategy")["retries"].sum()
    if not again.any():
        return Caption(kind=kind, title="No purchase was tried again")
    # Who tried again and sold nothing tried infinitely often for a sale.
    often = rows["retries_per_sale"].where(rows["sales"] > 0, rows[list(RETRIES.values())].sum(axis=1) * float("inf"))
    most = rows.iloc[int(often.astype(float).fillna(0).argmax())]
    title = f"{most['strategy']}{in_setting(most, rows)} tried again {_how_often(most)}{_why(most)}"
    detail = each_row(rows, lambda row: f"{number(row['retries_per_sale'])}{_why(row)}")
    return Caption(kind=kind, title=title, detail=f"Retries per sale: {detail}")


def retries_text(row: pd.Series, trials: pd.DataFrame) -> str:
    """The retries per sale, or where nothing was sold all of them."""
    again = trials["retries"].sum()
    if row["sales"] or not again:
        return number(row["retries_per_sale"])
    return f"{number(again)}, and no sale"


def wasted(measures: pd.DataFrame) -> Caption:
    """Whose attempts were for nothing most often, if the repeats tell them apart."""
    kind = "The share of attempts made for nothing with the interval over the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    shares = summary.spread(measures.assign(wasted=summary.wasted(measures)), "wasted")
    known = shares.dropna(subset="median").sort_values("median", ascending=False)
    detail = f"{WASTED} Median (least to most): {each_row(shares, share_text)}"
    if not known["most"].any():
        return Caption(kind=kind, title="No attempt was made for nothing", detail=detail)
    worst, others = known.iloc[0], known[known["strategy"] != known["strategy"].iloc[0]]
    who = f"{worst['strategy']}{in_setting(worst, shares)}"
    title = f"{who} made {percent(worst['median'] / 100)} of its attempts for nothing"
    rivals = others.loc[others["most"] >= worst["least"], "strategy"].unique()
    if len(rivals):
        title += f"; {join_names(list(rivals))} can not be told from it"
    elif has_multiple(known["strategy"]):
        title += ", more than any other strategy"
    return Caption(kind=kind, title=title, detail=detail)


def share_text(share: pd.Series) -> str:
    """The median of a percentage, with its interval over the repeats where there is one."""
    median, least, most = (percent(share[name] / 100) for name in ("median", "least", "most"))
    return median if least == most else f"{median} ({least} to {most})"


def _how_often(row: pd.Series) -> str:
    if row["sales"]:
        return f"{number(row['retries_per_sale'])} times a sale"
    return f"{pluralize(row[list(RETRIES.values())].sum(), 'time')} and sold nothing"


def _why(row: pd.Series) -> str:
    """The commonest cause of the retries of a row, if there were any."""
    counts = row[list(RETRIES.values())].astype(int).set_axis(list(RETRIES))
    if not counts.any():
        return ""
    cause = str(counts.idxmax()).replace("_", " ")
    return f", {'always' if counts.max() == counts.sum() else 'mostly'} for {cause}"
