"""Charts of lines over what was varied, the number of buyers or the size of the pool. Judges nothing.

One of them varied: lines over it, of up to FEW strategies in one pair of axes, beyond that a panel a strategy. Both
varied: a panel a strategy with a line over the pool's size for each number of buyers, so that the highest point of a
line is the pool for so many buyers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ticketlab.report import findings, summary
from ticketlab.report.layout import (
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
from ticketlab.report.phrases import GROUP, SETTING, number, varying_columns
from ticketlab.report.style import (
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

_AXES_IN: Final = 2.9
_NAME_IN: Final = 0.33
_PANEL_IN: Final = {1: 2.2, 2: 1.9, 3: 1.5}
"""The height of a panel, by the number of columns of panels."""
_DRAWN_SHARE: Final = {1: 0.65, 2: 0.36, 3: 0.22}
"""The share of the chart's width that is drawn on, by the number of columns of panels."""
_NARROW: Final = 20
"""Letters of a name over a panel that has the numbers of its own scale beside it."""
_MARGIN: Final = 1.08
"""The scale reaches beyond the values by so much."""
_BELOW: Final = {"buyers": ("buyers at once", "buyers"), "pool_size": ("connections of the pool", "connections")}
"""The name of the axis below, and the short one for small panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """What is drawn over the buyers or the pool."""

    columns: Mapping[str, str]
    """Columns of measures, and how each is called; the last is drawn where there is room for one only."""
    beside: str
    short: str
    """For small panels."""
    last: str
    """For panels of the last column only."""
    note: str = ""
    """What a reader has to know of it, as a sentence."""
    most: float | None = None
    """The most there can be; every scale then reaches from 0 to there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Medians with their interval over the repeats, and the repeats themselves."""

    name: str
    """What stands at its end."""
    look: SeriesStyle
    points: pd.DataFrame
    """As `summary.spread` gives them."""
    trials: pd.DataFrame
    column: str
    """The column of the trials that is drawn."""
    gid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """The lines that share a pair of axes, and what stands behind them for comparison."""

    name: str
    lines: Sequence[_Line]
    behind: Sequence[pd.DataFrame] = ()


def throughput(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Purchases per second."""
    quantity = _Quantity(
        columns={"purchases_per_s": ""}, beside="purchases sold per second", short="sales/s", last="sales/s"
    )
    return _chart(measures, quantity, findings.throughput(measures).title, conditions)


def latency(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The percentiles p50 and p99; where there is room for one only, p99."""
    quantity = _Quantity(columns={"p50_ms": "p50", "p99_ms": "p99"}, beside="latency, ms", short="ms", last="p99, ms")
    return _chart(measures, quantity, findings.latency(measures).title, conditions)


def wasted(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The share of attempts made for nothing, in percent."""
    quantity = _Quantity(
        columns={"wasted": ""}, beside="attempts made for nothing, %", short="wasted, %", last="wasted, %",
        note=findings.WASTED, most=100,
    )  # fmt: skip
    title = findings.wasted(measures).title
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
    beside = quantity.last if both else quantity.short if small else quantity.beside
    named_log = " (log scale)"
    label(
        all_axes,
        _BELOW[across][small] + (named_log if wide(measures[across]) else ""),
        beside + (named_log if logarithmic else ""),
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
    """What the axis below counts: where both were varied the pool, for its size is what one chooses."""
    return varying_columns(measures)[-1]


def _together(measures: pd.DataFrame, quantity: _Quantity) -> list[_Panel]:
    """A panel a column with the lines of all strategies."""
    return [
        _Panel(name=name, lines=[_line(points, measures, column) for points in _by_strategy(measures, column)])
        for column, name in quantity.columns.items()
    ]


def _apart(measures: pd.DataFrame, quantity: _Quantity) -> list[_Panel]:
    """A panel a strategy with a line a column; where it is only one, with the others in grey behind it."""
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
    """A panel a strategy with a line over the pool's size for each number of buyers, a darker one for more."""
    column = list(quantity.columns)[-1]
    return [
        _Panel(name=_name(points, most=_NARROW), lines=_a_line_a_number_of_buyers(points, measures, column))
        for points in _by_strategy(measures, column)
    ]


def _a_line_a_number_of_buyers(points: pd.DataFrame, measures: pd.DataFrame, column: str) -> list[_Line]:
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


def _line(points: pd.DataFrame, measures: pd.DataFrame, column: str) -> _Line:
    strategy = str(points["strategy"].iloc[0])
    trials = measures[(measures["strategy"] == strategy) & measures["buyers"].isin(points["buyers"])]
    return _Line(
        name=_name(points), look=style_for(strategy), points=points.dropna(), trials=trials, column=column, gid=strategy
    )


def _name(points: pd.DataFrame, **limit: int) -> str:
    return line_name(str(points["strategy"].iloc[0]), safe=bool(points["safe"].iloc[0]), **limit)


def _end(line: _Line, across: str) -> LineLabel:
    last = line.points.iloc[-1]
    return LineLabel(x=last[across], y=last["median"], name=line.name, color=line.look.color)


def _draw(axes: Axes, line: _Line, across: str) -> None:
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
    """Scales from 0, or log ones where every one of them ranges that far; whether they are log."""
    own = [_values(panel) for panel in shown]
    # Where all have one scale, it is that of the first.
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


def _values(panel: _Panel) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.concatenate([line.trials[line.column].dropna().to_numpy(dtype=float) for line in panel.lines])


def _key_text(measures: pd.DataFrame, shown: Sequence[_Panel], *, both: bool, one_scale: bool) -> str:
    """What a line, its band and the dots stand for."""
    text = "Line: median of the repeats. Band: least to most of them. Dot: one repeat."
    if measures.groupby(list(GROUP)).size().max() == 1:
        text = "Line: the only repeat; it shows no spread."
    if both:
        text += " A line for each number of buyers, which stands at its end; darker: more."
    if not one_scale:
        text += " Each panel has a scale of its own."
    return text + (" In grey: all the others." if any(panel.behind for panel in shown) else "")
