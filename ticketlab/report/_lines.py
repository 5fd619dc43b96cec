"""Charts of lines over the number of buyers or the size of the pool. Judges nothing.

If one of them varies: lines over it, of up to FEW strategies in one panel, else one panel per strategy. If both vary:
one panel per strategy, with a line over the size of the pool for each number of buyers, so that the highest point of a
line is the best pool for that number of buyers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ticketlab.report import captions, summary
from ticketlab.report._layout import (
    FEW,
    GREY,
    LineLabel,
    count_axis,
    label,
    line_name,
    name_lines,
    name_panel,
    panels,
    wide,
)
from ticketlab.report._style import (
    INK,
    THOUSANDS,
    WIDTH_IN,
    Chart,
    SeriesStyle,
    log_axis,
    needs_log_scale,
    shades,
    style_for,
)
from ticketlab.report.phrases import GROUP, SETTING, number, varying_columns

_AXES_IN: Final = 2.9
_NAME_IN: Final = 0.33
_PANEL_IN: Final = {1: 2.2, 2: 1.9, 3: 1.5}
"""The height of a panel, by the number of columns of panels."""
_DRAWN_SHARE: Final = {1: 0.65, 2: 0.36, 3: 0.22}
"""The share of the chart's width that is drawn on, by the number of columns of panels."""
_NARROW: Final = 20
"""The most letters of a name over a panel with its own scale."""
_MARGIN: Final = 1.08
"""The factor by which the scale exceeds the values."""
_BELOW: Final = {"buyers": ("concurrent buyers", "buyers"), "pool_size": ("connections in the pool", "connections")}
"""The label of the x axis, and its short form for small panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """The quantity on the y axis."""

    columns: Mapping[str, str]
    """Columns of measures with their labels; only the last is drawn if there is room for one."""
    label: str
    short_label: str
    """For small panels."""
    last_label: str
    """For panels of the last column only."""
    note: str = ""
    """An explanation, as a sentence."""
    most: float | None = None
    """The largest possible value; every scale then reaches from 0 to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _MedianLine:
    """Medians with the range of the repeats, and the repeats themselves."""

    name: str
    """The label at its end."""
    look: SeriesStyle
    points: pd.DataFrame
    """As `summary.spread` gives them."""
    trials: pd.DataFrame
    column: str
    """The column of the trials to draw."""
    gid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """The lines of one panel, and the medians of the other strategies to draw in grey behind them."""

    name: str
    lines: Sequence[_MedianLine]
    behind: Sequence[pd.DataFrame] = ()


def throughput(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Sales per second."""
    quantity = _Quantity(columns={"purchases_per_s": ""}, label="sales/s", short_label="sales/s", last_label="sales/s")
    return _chart(measures, quantity, captions.throughput(measures).title, conditions)


def latency(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The percentiles p50 and p99; only p99 if there is room for one."""
    quantity = _Quantity(
        columns={"p50_ms": "p50", "p99_ms": "p99"}, label="latency, ms", short_label="ms", last_label="p99, ms"
    )
    return _chart(measures, quantity, captions.latency(measures).title, conditions)


def wasted(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The share of wasted attempts, in percent."""
    quantity = _Quantity(
        columns={"wasted": ""}, label="wasted attempts, %", short_label="wasted, %", last_label="wasted, %",
        note=captions.WASTED, most=100,
    )  # fmt: skip
    title = captions.wasted(measures).title
    return _chart(measures.assign(wasted=summary.wasted(measures)), quantity, title, conditions)


def _chart(measures: pd.DataFrame, quantity: _Quantity, title: str, conditions: str) -> Chart:
    few = measures["strategy"].nunique() <= FEW
    both = len(varying_columns(measures)) == len(SETTING)
    shown = (_both_varied if both else _together if few else _apart)(measures, quantity)
    columns = min(len(shown), 2 if few else 3) if both or not few else 1
    longest = max(len(panel.lines) for panel in shown)
    panel_in = max(_AXES_IN if len(shown) == 1 else _PANEL_IN[columns], _NAME_IN * longest)
    one_scale = not both or quantity.most is not None
    subtitle = f"{_key_text(measures, shown, both=both, one_scale=one_scale)} {quantity.note}".strip()
    chart, all_axes = panels(
        len(shown), columns=columns, panel_in=panel_in, title=title, subtitle=subtitle, conditions=conditions,
        one_scale=one_scale,
    )  # fmt: skip
    logarithmic = _scale(all_axes, shown, one_scale=one_scale, most=quantity.most)
    across = _across(measures)
    for axes, panel in zip(all_axes, shown, strict=True):
        _draw_panel(axes, panel, across, panel_in=panel_in)
    count_axis(all_axes[0], measures[across], width_in=_DRAWN_SHARE[columns] * WIDTH_IN)
    small = columns > 1
    name = quantity.last_label if both else quantity.short_label if small else quantity.label
    named_log = " (log scale)"
    label(
        all_axes,
        _BELOW[across][small] + (named_log if wide(measures[across]) else ""),
        name + (named_log if logarithmic else ""),
    )
    return chart


def _draw_panel(axes: Axes, panel: _Panel, across: str, *, panel_in: float) -> None:
    for points in panel.behind:
        axes.plot(points[across], points["median"], color=GREY, linewidth=0.7, zorder=1)
    drawn = [line for line in panel.lines if len(line.points)]
    for line in drawn:
        _draw(axes, line, across)
    name_panel(axes, panel.name)
    name_lines(axes, [_end(line, across) for line in drawn if line.name], panel_in=panel_in)


def _across(measures: pd.DataFrame) -> str:
    """The column of the x axis: the pool if both vary, because its size is what a reader chooses."""
    return varying_columns(measures)[-1]


def _together(measures: pd.DataFrame, quantity: _Quantity) -> list[_Panel]:
    """One panel per column with the lines of all strategies."""
    return [
        _Panel(name=name, lines=[_line(points, measures, column) for points in _by_strategy(measures, column)])
        for column, name in quantity.columns.items()
    ]


def _apart(measures: pd.DataFrame, quantity: _Quantity) -> list[_Panel]:
    """One panel per strategy with a line per column; with only one column the other strategies are grey behind it."""
    by_column = {column: _by_strategy(measures, column) for column in quantity.columns}
    behind = next(iter(by_column.values())) if len(by_column) == 1 else []
    return [
        _Panel(
            name=_name(lines[0]),
            lines=[
                replace(_line(points, measures, column), name=quantity.columns[column])
                for column, points in zip(by_column, lines, strict=True)
            ],
            behind=behind,
        )
        for lines in zip(*by_column.values(), strict=True)
    ]


def _both_varied(measures: pd.DataFrame, quantity: _Quantity) -> list[_Panel]:
    """One panel per strategy with a line over the size of the pool for each number of buyers, darker for more."""
    column = list(quantity.columns)[-1]
    return [
        _Panel(name=_name(points, most=_NARROW), lines=_lines_by_buyers(points, measures, column))
        for points in _by_strategy(measures, column)
    ]


def _lines_by_buyers(points: pd.DataFrame, measures: pd.DataFrame, column: str) -> list[_MedianLine]:
    by_buyers = points.groupby("buyers")
    look = style_for(str(points["strategy"].iloc[0]))
    return [
        replace(
            _line(part, measures, column),
            name=number(part["buyers"].iloc[0]),
            look=replace(look, color=color, line="-"),
        )
        for color, (_, part) in zip(shades(look.color, by_buyers.ngroups), by_buyers, strict=True)
    ]


def _by_strategy(measures: pd.DataFrame, column: str) -> list[pd.DataFrame]:
    return [points for _, points in summary.spread(measures, column).groupby("strategy", sort=False)]


def _line(points: pd.DataFrame, measures: pd.DataFrame, column: str) -> _MedianLine:
    strategy = str(points["strategy"].iloc[0])
    trials = measures[(measures["strategy"] == strategy) & measures["buyers"].isin(points["buyers"])]
    return _MedianLine(
        name=_name(points), look=style_for(strategy), points=points.dropna(), trials=trials, column=column, gid=strategy
    )


def _name(points: pd.DataFrame, **limit: int) -> str:
    return line_name(str(points["strategy"].iloc[0]), safe=bool(points["safe"].iloc[0]), **limit)


def _end(line: _MedianLine, across: str) -> LineLabel:
    last = line.points.iloc[-1]
    return LineLabel(x=last[across], y=last["median"], name=line.name, color=line.look.color)


def _draw(axes: Axes, line: _MedianLine, across: str) -> None:
    points, look = line.points, line.look
    axes.fill_between(points[across], points["least"], points["most"], color=look.color, alpha=0.2, linewidth=0)
    axes.plot(
        points[across], points["median"], color=look.color, linestyle=look.line, linewidth=1.6, marker=look.marker,
        markersize=7, markeredgecolor="white", markeredgewidth=0.7, zorder=3, clip_on=False, gid=line.gid,
    )  # fmt: skip
    axes.plot(
        line.trials[across], line.trials[line.column], linestyle="", marker="o", markersize=3.4, color=INK,
        markeredgecolor="white", markeredgewidth=0.5, zorder=2.5, gid="repeats",
    )  # fmt: skip


def _scale(all_axes: Sequence[Axes], shown: Sequence[_Panel], *, one_scale: bool, most: float | None) -> bool:
    """Set scales from 0, or log scales if all of them need one; returns whether they are log scales."""
    own = [_values(panel) for panel in shown]
    # A shared scale is set on the first axes.
    scaled = [(all_axes[0], np.concatenate(own))] if one_scale else list(zip(all_axes, own, strict=True))
    known = [values for _, values in scaled if len(values)]
    logarithmic = most is None and bool(known) and all(map(needs_log_scale, known))
    for axes, values in scaled:
        if logarithmic and len(values):
            log_axis(axes.yaxis, values)
            axes.set_ylim(values.min() / _MARGIN, values.max() * _MARGIN)
        else:
            axes.set_ylim(0, most or values.max(initial=0) * _MARGIN or 1)
            axes.yaxis.set_major_formatter(THOUSANDS)
    return logarithmic


def _values(panel: _Panel) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.concatenate([line.trials[line.column].dropna().to_numpy(dtype=float) for line in panel.lines])


def _key_text(measures: pd.DataFrame, shown: Sequence[_Panel], *, both: bool, one_scale: bool) -> str:
    """What a line, its band and the dots mean."""
    text = "Line: median of the repeats. Band: least to most. Dot: one repeat."
    if measures.groupby(list(GROUP)).size().max() == 1:
        text = "Line: the only repeat, which shows no spread."
    if both:
        text += " One line per number of buyers, written at its end; darker: more."
    if not one_scale:
        text += " Each panel has its own scale."
    return text + (" Grey: all other strategies." if any(panel.behind for panel in shown) else "")
