"""The chart of a run in progress: the stock left, the speed, and how purchases end. Samples in, figure out."""

from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from ticketlab.outcomes import OUTCOMES, Outcome
from ticketlab.report.bars import OUTCOME_LOOKS
from ticketlab.report.style import (
    INK,
    MUTED,
    PALE_RED,
    THOUSANDS,
    Chart,
    new_chart,
    style_for,
    truncate_middle,
    with_style,
)

_LEAST_IN: Final = 1.9
_ROW_IN: Final = 0.24
_AXIS_IN: Final = 0.75
_NAME_LENGTH: Final = 18
_BAR: Final = 0.62


@with_style
def live(samples: pd.DataFrame, title: str) -> Chart:
    """The trials so far, including the current one.

    Args:
        samples: one row per reading in order of time: `trial`, `strategy`, `seconds` since the start of the trial,
            seats `left`, and for each Outcome a column with the number of purchases.
        title: the title of the chart.
    """
    last = samples.groupby("trial", sort=False).tail(1)
    names = list(dict.fromkeys(samples["strategy"]))
    body_in = max(_LEAST_IN, _AXIS_IN + _ROW_IN * len(names))
    chart = new_chart(
        title=title,
        subtitle="As reported to the buyers, one curve and one mark per trial.",
        conditions="",
        body_in=body_in,
    )
    stock, speed, ends = chart.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _stock(stock, samples)
    _speed(speed, last, names)
    _ends(ends, last, names)
    for axes in (speed, ends):
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(names)), labels=[truncate_middle(each, _NAME_LENGTH) for each in names])
    ends.tick_params(labelleft=False)
    return chart


def _stock(axes: Axes, samples: pd.DataFrame) -> None:
    for _, curve in samples.groupby("trial", sort=False):
        look = style_for(curve["strategy"].iloc[0])
        axes.plot(curve["seconds"], curve["left"], color=look.color, linestyle=look.line, linewidth=1.3, gid="stock")
    bottom = min(samples["left"].min(), 0) - 0.05 * samples["left"].max()
    axes.axhspan(bottom, 0, color=PALE_RED, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=2)
    axes.set_ylim(bottom=bottom)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.set_title("seats left")
    axes.set_xlabel("seconds")


def _speed(axes: Axes, last: pd.DataFrame, names: list[str]) -> None:
    for row in last[last["seconds"] > 0].to_dict("records"):
        look = style_for(row["strategy"])
        axes.plot(
            row[Outcome.SOLD] / row["seconds"], names.index(row["strategy"]), marker=look.marker, color=look.color,
            markersize=7, markeredgecolor="white", gid="speed",
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_title("speed")
    axes.set_xlabel("sales/s")


def _ends(axes: Axes, last: pd.DataFrame, names: list[str]) -> None:
    counts = last.groupby("strategy")[list(OUTCOMES)].sum().reindex(names)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0) * 100
    left = pd.Series(0.0, index=names)
    for outcome in OUTCOMES:
        if not counts[outcome].any():
            continue
        label = outcome.replace("_", " ")
        axes.barh(
            range(len(names)), shares[outcome], _BAR, left=left, edgecolor=MUTED, linewidth=0.5, label=label,
            **OUTCOME_LOOKS[outcome],
        )  # fmt: skip
        left += shares[outcome]
    axes.set_xlim(0, 100)
    axes.set_title("how purchases ended")
    axes.set_xlabel("share, %")
    if counts.to_numpy().any():
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=3, fontsize=7.5, handlelength=1.2)
