"""Charts of curves: stock over time, throughput over buyers. Knows the columns of its frames; judges nothing.

Up to FEW strategies share one pair of axes. More would be a tangle: then each has axes of its own, all of one scale,
with the others in grey behind it.
"""

from collections.abc import Collection, Sequence
from math import ceil
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ticketlab.report import findings
from ticketlab.report.style import INK, PALE_RED, RED, THOUSANDS, Chart, elided, look_of, sheet
from ticketlab.report.summary import summarise
from ticketlab.report.words import counted, number, shown_name

FEW: Final = 6
_COLUMNS: Final = 3
_PANEL_IN: Final = 1.45
_AXES_IN: Final = 2.9
_NAME_IN: Final = 0.46
_LOG_FROM: Final = 20.0
"""Where the slowest curve ends so many times later than the fastest, time is drawn on a log axis."""
_WIDE: Final = 4
"""Numbers of buyers that are so many times apart stand on a log axis."""
_NAME_LENGTH: Final = 26
_GREY: Final = "#c3c9cf"


def stock_over_time(stock: pd.DataFrame, *, conditions: str, controls: Collection[str]) -> Chart:
    """What was left over time, a curve a trial; below zero is oversold."""
    names = list(stock["strategy"].unique())
    ends = findings.stock_ends(stock)
    logarithmic = bool(ends["seconds"].max() > _LOG_FROM * ends["seconds"].min() > 0)
    few = len(names) <= FEW
    buyers = sorted(stock["buyers"].unique())
    subtitle = (
        f"One curve a repeat{'' if few or len(buyers) == 1 else ' and number of buyers'}, as the buyers were told."
    )
    subtitle += "" if few else " In grey: all the others."
    title = findings.stock_over_time(stock).title
    panels = [(each, names) for each in buyers] if few else [(None, [name]) for name in names]
    chart, all_axes = _panels(len(panels), len(names), few=few, title=title, subtitle=subtitle, conditions=conditions)
    for axes, (count, shown) in zip(all_axes, panels, strict=True):
        part = stock if count is None else stock[stock["buyers"] == count]
        _stock_curves(axes, part, shown, logarithmic=logarithmic)
        if few:
            here = ends[ends["buyers"] == count]
            _stock_legend(axes, here, [each for each in names if each in set(here["strategy"])], controls)
            axes.set_title(counted(count, "buyer") if len(buyers) > 1 else "")
        else:
            _panel_name(axes, shown[0], controls)
    _stock_axes(all_axes, stock, logarithmic=logarithmic)
    scale = " (log scale)" if logarithmic else ""
    _label(all_axes, f"seconds since the start{scale}" if few else f"seconds{scale}", "tickets left")
    return chart


def throughput_over_buyers(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Lines of purchases per second over the number of buyers, each in its band of the repeats."""
    rows = summarise(measures)
    names = list(rows["strategy"].unique())
    controls = set(rows.loc[~rows["safe"].astype(bool), "strategy"])
    few = len(names) <= FEW
    subtitle = "Line: median of the repeats. Band: least to most of them. Dot: one repeat."
    subtitle += "" if few else " In grey: all the others."
    panels = [names] if few else [[name] for name in names]
    title = findings.throughput(measures).title
    chart, all_axes = _panels(len(panels), len(names), few=few, title=title, subtitle=subtitle, conditions=conditions)
    top = (measures["purchases_per_s"].max() or 1) * 1.06
    for axes, shown in zip(all_axes, panels, strict=True):
        for name, line in rows.groupby("strategy", sort=False):
            if name in shown:
                _rate_line(axes, line, measures[measures["strategy"] == name])
            else:
                axes.plot(line["buyers"], line["per_s"], color=_GREY, linewidth=0.7, zorder=1)
        if not few:
            _panel_name(axes, shown[0], controls)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_formatter(THOUSANDS)
        _buyers_axis(axes, rows["buyers"])
    if few:
        _name_lines(all_axes[0], rows, controls, top)
    below, beside = ("buyers at once", "purchases sold per second") if few else ("buyers", "per second")
    _label(all_axes, below + (" (log scale)" if _wide(rows["buyers"]) else ""), beside)
    return chart


def _panels(
    count: int, names: int, *, few: bool, title: str, subtitle: str, conditions: str
) -> tuple[Chart, list[Axes]]:
    """An empty chart with its axes: for few strategies one below the other, as high as their names, else in a grid."""
    columns = 1 if few else _COLUMNS
    lines = ceil(count / columns)
    panel_in = max(_AXES_IN if count == 1 else _AXES_IN * 0.75, _NAME_IN * names) if few else _PANEL_IN
    body_in = 0.35 + lines * panel_in
    chart = sheet(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    grid = chart.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for unused in grid[count:]:
        unused.remove()
    for place, axes in enumerate(grid[:count]):
        # The last of a column has nothing below it that could carry the numbers of the axis.
        axes.tick_params(labelbottom=place + columns >= count)
    return chart, list(grid[:count])


def _label(all_axes: Sequence[Axes], below: str, beside: str) -> None:
    """Both labels once a row and a column, as the numbers of the axes stand."""
    for axes in all_axes:
        spec = axes.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axes.set_ylabel(beside)
        if axes.xaxis.get_tick_params()["labelbottom"]:
            axes.set_xlabel(below)


def _panel_name(axes: Axes, name: str, controls: Collection[str]) -> None:
    axes.set_title(elided(shown_name(name, name not in controls), _NAME_LENGTH), fontsize=8.5)


def _stock_curves(axes: Axes, stock: pd.DataFrame, shown: Collection[str], *, logarithmic: bool) -> None:
    for (name, *_), curve in stock.groupby(["strategy", "buyers", "repeat"], sort=False):
        look = look_of(str(name))
        drawn = curve[curve["seconds"] > 0] if logarithmic else curve
        if name in shown:
            axes.plot(
                drawn["seconds"], drawn["left"], drawstyle="steps-post", color=look.color, linestyle=look.line,
                linewidth=1.3, marker=look.marker, markevery=[-1] if len(drawn) else None, markersize=5,
                markeredgecolor="white", markeredgewidth=0.6, gid=name, zorder=3, clip_on=False,
            )  # fmt: skip
        else:
            axes.plot(drawn["seconds"], drawn["left"], drawstyle="steps-post", color=_GREY, linewidth=0.5, zorder=1)


def _stock_axes(all_axes: Sequence[Axes], stock: pd.DataFrame, *, logarithmic: bool) -> None:
    """One scale for all, from what is oversold, in red, to all the seats."""
    seats, lowest = stock["left"].max(), min(stock["left"].min(), 0)
    bottom = min(lowest * 1.08, -0.1 * seats)
    _name_below_zero(all_axes[0], "oversold" if lowest < 0 else "oversold: none")
    for axes in all_axes:
        axes.axhspan(bottom, 0, color=PALE_RED, linewidth=0, zorder=0, gid="oversold")
        axes.axhline(0, color=INK, linewidth=0.9, zorder=2)
        axes.set_ylim(bottom, seats * 1.04)
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(THOUSANDS)
        else:
            axes.set_xlim(left=0)


def _name_below_zero(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (1, 0), xycoords=("axes fraction", "data"), xytext=(-4, -3), textcoords="offset points", ha="right",
        va="top", color=RED, fontsize=8,
    )  # fmt: skip


def _stock_legend(axes: Axes, ends: pd.DataFrame, names: Sequence[str], controls: Collection[str]) -> None:
    """Beside the curves: who they are, and how each ended."""
    labels = [
        elided(shown_name(name, name not in controls), _NAME_LENGTH) + "\n" + _ending(ends[ends["strategy"] == name])
        for name in names
    ]
    legend = axes.legend(
        handles=[_key(name) for name in names], labels=labels, loc="upper left", bbox_to_anchor=(1.0, 1.03),
        labelspacing=0.7,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):
        if (ends.loc[ends["strategy"] == name, "left"] < 0).any():
            text.set_color(RED)


def _ending(ends: pd.DataFrame) -> str:
    """How the curves of one strategy ended."""
    if (ends["left"] < 0).any():
        return f"oversold {number(-ends['left'].min())} at worst"
    if ends["gone_s"].notna().all():
        return f"sold out after {number(ends['gone_s'].median())} s"
    return "sold nothing" if ends["seconds"].max() == 0 else f"{number(ends['left'].max())} left after its last sale"


def _key(name: str) -> Line2D:
    look = look_of(name)
    return Line2D([], [], color=look.color, linestyle=look.line, marker=look.marker, markersize=5)


def _rate_line(axes: Axes, line: pd.DataFrame, trials: pd.DataFrame) -> None:
    look = look_of(str(line["strategy"].iloc[0]))
    axes.fill_between(line["buyers"], line["per_s_min"], line["per_s_max"], color=look.color, alpha=0.2, linewidth=0)
    axes.plot(
        line["buyers"], line["per_s"], color=look.color, linestyle=look.line, linewidth=1.6, marker=look.marker,
        markersize=7, markeredgecolor="white", markeredgewidth=0.7, zorder=3, clip_on=False,
        gid=line["strategy"].iloc[0],
    )  # fmt: skip
    axes.plot(
        trials["buyers"], trials["purchases_per_s"], linestyle="", marker="o", markersize=3.4, color=INK,
        markeredgecolor="white", markeredgewidth=0.5, zorder=2.5, gid="repeats",
    )  # fmt: skip


def _name_lines(axes: Axes, rows: pd.DataFrame, controls: Collection[str], top: float) -> None:
    """The name of each line at its end; names that would touch are moved apart, and tied to their ends."""
    ends = rows.groupby("strategy", sort=False).tail(1).sort_values("per_s")
    heights = spread(ends["per_s"].tolist(), gap=top * 0.075, top=top)
    for (_, end), height in zip(ends.iterrows(), heights, strict=True):
        color = look_of(end["strategy"]).color
        axes.annotate(
            elided(shown_name(end["strategy"], end["strategy"] not in controls), _NAME_LENGTH),
            (end["buyers"], end["per_s"]), xytext=(1.05, height), textcoords=axes.get_yaxis_transform(),
            color=INK, fontsize=9, va="center",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5},
        )  # fmt: skip


def spread(wanted: Sequence[float], *, gap: float, top: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, as little as need be, and none above `top`."""
    heights: list[float] = []
    for height in wanted:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    for place in range(len(heights) - 1, -1, -1):
        ceiling = top if place == len(heights) - 1 else heights[place + 1] - gap
        heights[place] = min(heights[place], ceiling)
    return heights


def _buyers_axis(axes: Axes, buyers: pd.Series) -> None:
    """A tick at each number of buyers that was run, and nowhere else."""
    if _wide(buyers):
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(buyers.unique())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(THOUSANDS)


def _wide(buyers: pd.Series) -> bool:
    return bool(buyers.max() > _WIDE * buyers.min())
