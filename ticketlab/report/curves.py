"""Charts over time: the stock left of each trial, and a run in progress with its speed and how purchases end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ticketlab.outcomes import OUTCOMES, Outcome
from ticketlab.report import captions
from ticketlab.report._bars import OUTCOME_LOOKS
from ticketlab.report._layout import FEW, GREY, label, line_name, name_panel, panels
from ticketlab.report._style import (
    INK,
    MUTED,
    PALE_RED,
    RED,
    THOUSANDS,
    Chart,
    new_chart,
    shades,
    style_for,
    truncate_middle,
    with_style,
)
from ticketlab.report.phrases import GROUP, SETTING, has_multiple, matching_rows, number, setting_parts, varying_columns

_TALL: Final = 4
"""Up to so many settings are stacked, each with its own key; more are in a grid with one key."""
_AXES_IN: Final = 2.9
_KEY_IN: Final = 0.46
_GRID_IN: Final = 1.45
_COLUMNS: Final = 3
_FIRST_SHARE: Final = 1 / 30
"""A log axis begins at this share of the time of the fastest curve: before that little was sold."""
_GREY_POINTS: Final = 60
_ONE_A_REPEAT: Final = "One curve per repeat, as reported to the buyers."
_DARKER: Final = {"buyers": "more buyers", "pool_size": "a larger pool"}
_LOG_FROM: Final = 20.0
"""If the slowest curve ends so many times later than the fastest, the time axis is a log axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _StockChart:
    """The curves to draw, and the words around them."""

    stock: pd.DataFrame
    ends: pd.DataFrame
    controls: Collection[str]
    title: str
    conditions: str

    @property
    def names(self) -> list[str]:
        """The strategies in order of appearance."""
        return list(self.ends["strategy"].unique())

    @property
    def settings(self) -> pd.DataFrame:
        """Every setting once, sorted."""
        return self.ends[list(SETTING)].drop_duplicates().sort_values(list(SETTING))

    def named(self, strategy: str) -> str:
        """A strategy's name; a control is marked as such."""
        return line_name(strategy, safe=strategy not in self.controls)

    def panels(
        self, count: int, *, columns: int, panel_in: float, subtitle: str, key: Sequence[Line2D] = ()
    ) -> tuple[Chart, list[Axes]]:
        """An empty chart with these words and its axes."""
        return panels(
            count, columns=columns, panel_in=panel_in, key=key,
            title=self.title, subtitle=subtitle, conditions=self.conditions,
        )  # fmt: skip


def stock_over_time(stock: pd.DataFrame, *, conditions: str, controls: Collection[str]) -> Chart:
    """The tickets left over time, one curve per trial; below zero is oversold."""
    ends = captions.stock_ends(stock)
    logarithmic = bool(ends["seconds"].max() > _LOG_FROM * ends["seconds"].min() > 0)
    begin_s = ends["seconds"].min() * _FIRST_SHARE if logarithmic else 0.0
    drawn = _StockChart(
        stock=stock[stock["seconds"] >= begin_s], ends=ends, controls=controls,
        title=captions.stock_over_time(stock).title, conditions=conditions,
    )  # fmt: skip
    if len(drawn.names) > FEW:
        chart, all_axes = _by_strategy(drawn)
    else:
        chart, all_axes = (_in_a_grid if len(drawn.settings) > _TALL else _by_setting)(drawn)
    _scale(all_axes, stock, logarithmic=logarithmic, begin_s=begin_s)
    below = "seconds" if len(all_axes) > _TALL else "seconds since the start"
    label(all_axes, f"{below} (log scale)" if logarithmic else below, "tickets left")
    return chart


def _by_setting(drawn: _StockChart) -> tuple[Chart, list[Axes]]:
    """One panel per setting with the curves of all strategies; its key says how each ended."""
    panel_in = max(_AXES_IN if len(drawn.settings) == 1 else _AXES_IN * 0.75, _KEY_IN * len(drawn.names))
    chart, all_axes = drawn.panels(len(drawn.settings), columns=1, panel_in=panel_in, subtitle=_ONE_A_REPEAT)
    for axes, (_, setting) in zip(all_axes, drawn.settings.iterrows(), strict=True):
        _curves(axes, matching_rows(drawn.stock, setting, SETTING))
        _key_beside(axes, matching_rows(drawn.ends, setting, SETTING), drawn)
        axes.set_title(", ".join(setting_parts(setting, drawn.settings)))
    return chart, all_axes


def _in_a_grid(drawn: _StockChart) -> tuple[Chart, list[Axes]]:
    """One small panel per setting under one key; if both settings vary, one row of panels per number of buyers."""
    pools = drawn.settings["pool_size"].nunique()
    columns = pools if 1 < pools <= _COLUMNS and has_multiple(drawn.settings["buyers"]) else _COLUMNS
    key = [_key(name, drawn.named(name)) for name in drawn.names]
    chart, all_axes = drawn.panels(
        len(drawn.settings), columns=columns, panel_in=_GRID_IN, subtitle=_ONE_A_REPEAT, key=key
    )
    for axes, (_, setting) in zip(all_axes, drawn.settings.iterrows(), strict=True):
        _curves(axes, matching_rows(drawn.stock, setting, SETTING))
        name_panel(axes, ", ".join(setting_parts(setting, drawn.settings)))
    return chart, all_axes


def _by_strategy(drawn: _StockChart) -> tuple[Chart, list[Axes]]:
    """One panel per strategy with its curves, and all other curves in grey behind them."""
    by = ", then ".join(_DARKER[column] for column in varying_columns(drawn.ends))
    subtitle = "One curve per trial, as reported to the buyers. Grey: all other strategies." + (
        f" Darker: {by}." if by else ""
    )
    chart, all_axes = drawn.panels(len(drawn.names), columns=_COLUMNS, panel_in=_GRID_IN, subtitle=subtitle)
    behind = pd.concat(_thinned(curve) for _, curve in drawn.stock.groupby([*GROUP, "repeat"], sort=False))
    for axes, name in zip(all_axes, drawn.names, strict=True):
        axes.plot(behind["seconds"], behind["left"], drawstyle="steps-post", color=GREY, linewidth=0.5, zorder=1)
        _curves(axes, drawn.stock[drawn.stock["strategy"] == name])
        name_panel(axes, drawn.named(name))
    return chart, all_axes


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """As many points as a small panel can show, then a gap, so that many curves can be drawn as one line."""
    places = np.unique(np.linspace(0, len(curve) - 1, _GREY_POINTS).astype(int))
    points: pd.DataFrame = curve.iloc[places][["seconds", "left"]].astype(float)
    return pd.concat([points, pd.DataFrame({"seconds": [np.nan], "left": [np.nan]})])


def _curves(axes: Axes, stock: pd.DataFrame) -> None:
    """Draw the curves; for one strategy a later setting is darker."""
    for name, curves in stock.groupby("strategy", sort=False):
        look = style_for(str(name))
        by_setting = curves.groupby(list(SETTING))
        for color, (_, repeats) in zip(shades(look.color, by_setting.ngroups), by_setting, strict=True):
            for _, curve in repeats.groupby("repeat"):
                axes.plot(
                    curve["seconds"], curve["left"], drawstyle="steps-post", color=color, linestyle=look.line,
                    linewidth=1.3, marker=look.marker, markevery=[-1], markersize=5, markeredgecolor="white",
                    markeredgewidth=0.6, gid=name, zorder=3, clip_on=False,
                )  # fmt: skip


def _scale(all_axes: Sequence[Axes], stock: pd.DataFrame, *, logarithmic: bool, begin_s: float) -> None:
    """One scale for all panels, from the oversold tickets (red) to all seats."""
    seats, lowest = stock["left"].max(), min(stock["left"].min(), 0)
    bottom = min(lowest * 1.08, -0.1 * seats)
    _name_below_zero(all_axes[0], "oversold" if lowest < 0 else "oversold: none")
    for axes in all_axes:
        axes.axhspan(bottom, 0, color=PALE_RED, linewidth=0, zorder=0, gid="oversold")
        axes.axhline(0, color=INK, linewidth=0.9, zorder=2)
        axes.set_ylim(bottom, seats * 1.04)
        axes.yaxis.set_major_formatter(THOUSANDS)
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(THOUSANDS)
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(left=begin_s)


def _name_below_zero(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (1, 0), xycoords=("axes fraction", "data"), xytext=(-4, -3), textcoords="offset points", ha="right",
        va="top", color=RED, fontsize=8,
    )  # fmt: skip


def _key_beside(axes: Axes, ends: pd.DataFrame, drawn: _StockChart) -> None:
    """The key beside the curves, with how each ended."""
    by_strategy = dict(iter(ends.groupby("strategy", sort=False)))
    legend = axes.legend(
        handles=[
            _key(str(name), f"{drawn.named(str(name))}\n{_ending(curves)}") for name, curves in by_strategy.items()
        ],
        loc="upper left", bbox_to_anchor=(1.0, 1.03), labelspacing=0.7,
    )  # fmt: skip
    for text, curves in zip(legend.get_texts(), by_strategy.values(), strict=True):
        if (curves["left"] < 0).any():
            text.set_color(RED)


def _ending(ends: pd.DataFrame) -> str:
    """How the curves of one strategy ended."""
    if (ends["left"] < 0).any():
        return f"oversold {number(-ends['left'].min())} at worst"
    if ends["gone_s"].notna().all():
        return f"sold out after {number(ends['gone_s'].median())} s"
    return "sold nothing" if ends["seconds"].max() == 0 else f"{number(ends['left'].max())} left after the last sale"


def _key(strategy: str, text: str) -> Line2D:
    look = style_for(strategy)
    return Line2D([], [], color=look.color, linestyle=look.line, marker=look.marker, markersize=5, label=text)


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
