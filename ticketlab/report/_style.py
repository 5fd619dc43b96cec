"""The style of every chart: sizes, colours, and the places of title and conditions. Independent of the data.

Does not use pyplot, and restores Matplotlib's settings. The colours are those of Okabe and Ito
(https://jfly.uni-koeln.de/color/) and of Petroff (https://arxiv.org/abs/2107.02270), without their reds: red is
reserved for what is wrong, such as oversold tickets.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar
from zlib import crc32

import matplotlib as mpl
import numpy as np
from matplotlib.axis import XAxis, YAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

WIDTH_IN: Final = 7.0
INK: Final = "#1f2328"
MUTED: Final = "#5c636b"
FAINT: Final = "#d8dce0"
RED: Final = "#c1121f"
PALE_RED: Final = "#fbe3e4"

_LIGHTEST: Final = 0.6
"""The share of white in the lightest shade of a colour."""
_PNG_COLORS: Final = 128
"""Enough for a chart with anti-aliased edges; the file is a third as large."""
_MARGIN_IN: Final = 0.12
_TEXTS_KNOWN: Final = 200
"""The size of the cache of wrapped texts: the conditions of a run are wrapped the same way for every chart."""
_LINE_SPACING: Final = 1.3
_TITLE_PT: Final = 12.0
_SUBTITLE_PT: Final = 8.5
_FOOT_PT: Final = 7.0
THOUSANDS: Final = FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "\N{MINUS SIGN}"))
_NO_BREAK: Final = "\u00a0"
_KEPT_TOGETHER: Final = (re.compile(r"\d (?=\w|%)"), re.compile(r"(?<=· )[^·]{1,60}(?= ·|$)"), re.compile(r" ·"))

_LOG_FROM: Final = 15.0
"""A larger ratio of the extreme values is drawn on a log axis."""
_LOG_TICKS: Final = ((100.0, (1, 2, 5)), (1000.0, (1, 3)), (float("inf"), (1,)))
"""By ratio of the extreme values: the multiples of each power of ten that are labelled, so that no labels overlap."""

SETTINGS: Final[dict[str, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.sans-serif": ["DejaVu Sans"],  # it ships with Matplotlib; no search for others
    "font.size": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "svg.hashsalt": "ticketlab",  # the same figure gives the same file
    "text.color": INK,
    "text.parse_math": False,  # the name of a strategy is not a formula
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 9,
    "ytick.left": False,
}


LinePattern: TypeAlias = Literal["-", "--", "-.", ":"] | tuple[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStyle:
    """The look of one strategy in every chart of every run."""

    color: str
    marker: str
    hatch: str
    line: LinePattern


_KNOWN: Final = {
    "naive": SeriesStyle(color="#6e7781", marker="X", hatch="", line="-"),
    "pessimistic": SeriesStyle(color="#0072b2", marker="o", hatch="", line="-"),
    "optimistic": SeriesStyle(color="#e69f00", marker="s", hatch="", line="-"),
    "atomic": SeriesStyle(color="#009e73", marker="D", hatch="", line="-"),
    "serializable": SeriesStyle(color="#b3589a", marker="^", hatch="", line="-"),
    "coalesced": SeriesStyle(color="#56b4e9", marker="v", hatch="", line="-"),
}
_COLORS: Final = ("#832db6", "#a96b59", "#8f8440", "#27408b", "#1b8a9a", "#4b7a1e", "#3d4f4f")
_MARKERS: Final = ("P", "p", "h", "<", ">", "d", "*")
_HATCHES: Final = ("///", "...", "\\\\\\", "xxx", "---")
_LINES: Final[tuple[LinePattern, ...]] = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Chart(Figure):
    """A figure that a notebook displays without pyplot."""

    _drawn_by: RendererBase | None = None

    def draw(self, renderer: RendererBase) -> None:
        """Draw with a renderer. The layout measures with the same one, so that each text is measured once."""
        self._drawn_by = renderer
        try:
            super().draw(renderer)
        finally:
            self._drawn_by = None

    def _get_renderer(self) -> RendererBase:
        return self._drawn_by or super()._get_renderer()  # type: ignore[misc]

    # Both draw directly on the canvas: savefig would draw everything twice, the first time only for the layout.
    def png(self, dpi: int = 160) -> bytes:
        """The content of a PNG file."""
        picture = io.BytesIO()
        with settings(), self._at(dpi):
            canvas = FigureCanvasAgg(self)
            canvas.draw()
            drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # Not optimized: that takes six times as long for a file that is 8 % smaller.
        drawn.quantize(_PNG_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(picture, "PNG")
        return picture.getvalue()

    def svg(self) -> bytes:
        """The content of an SVG file, without a date, so that the same run gives the same page."""
        picture = io.StringIO()
        with settings():
            FigureCanvasSVG(self).print_svg(picture, metadata={"Date": None})
        return picture.getvalue().encode()

    @contextmanager
    def _at(self, dpi: int) -> Iterator[None]:
        usual = self.dpi
        self.set_dpi(dpi)
        yield
        self.set_dpi(usual)

    def _repr_png_(self) -> bytes:
        return self.png()


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's defaults with SETTINGS, whatever a notebook or a matplotlibrc has set; restored at the end."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)  # type: ignore[arg-type]  # keys are a Literal of 300 names
        yield


def with_style(chart: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a chart function so that it draws with these settings."""

    @wraps(chart)
    def draw(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with settings():
            return chart(*args, **kwargs)

    return draw


def style_for(strategy: str) -> SeriesStyle:
    """The look of a strategy. It depends only on the name, so that a new strategy changes no other."""
    if strategy in _KNOWN:
        return _KNOWN[strategy]
    rest, color = divmod(crc32(strategy.encode()), len(_COLORS))
    rest, marker = divmod(rest, len(_MARKERS))
    rest, hatch = divmod(rest, len(_HATCHES))
    return SeriesStyle(
        color=_COLORS[color], marker=_MARKERS[marker], hatch=_HATCHES[hatch], line=_LINES[rest % len(_LINES)]
    )


def shades(color: str, count: int) -> list[str]:
    """Distinguishable shades of a colour from light to dark; the last is the colour itself."""
    lightest = 0.0 if count == 1 else _LIGHTEST
    red, green, blue = to_rgb(color)
    whites = np.linspace(lightest, 0, count)
    return [to_hex((red + (1 - red) * w, green + (1 - green) * w, blue + (1 - blue) * w)) for w in whites]


def new_chart(*, title: str, subtitle: str, conditions: str, body_in: float) -> Chart:
    """An empty chart with its title, subtitle and conditions; `body_in` is the height of its axes in inches.

    The texts are wrapped to the width, and the height of the chart grows with them, so that none is cut off.
    """
    title = _wrap(title, _TITLE_PT, "bold")
    subtitle, conditions = _wrap(subtitle, _SUBTITLE_PT), _wrap(conditions, _FOOT_PT)
    title_in, subtitle_in, foot_in = (
        _height_in(text, size) for text, size in ((title, _TITLE_PT), (subtitle, _SUBTITLE_PT), (conditions, _FOOT_PT))
    )
    top_in, bottom_in = title_in + subtitle_in + 1.5 * _MARGIN_IN, foot_in + 1.5 * _MARGIN_IN
    height_in = top_in + body_in + bottom_in
    chart = Chart(figsize=(WIDTH_IN, height_in))
    left, down = _MARGIN_IN / WIDTH_IN, _MARGIN_IN / height_in
    rect = (left / 2, bottom_in / height_in, 1 - left, body_in / height_in)
    chart.set_layout_engine("constrained", rect=rect, h_pad=0.06, w_pad=0.06)
    chart.text(left, 1 - down, title, fontsize=_TITLE_PT, fontweight="bold", va="top")
    chart.text(left, 1 - down - title_in / height_in, subtitle, fontsize=_SUBTITLE_PT, color=MUTED, va="top")
    chart.text(left, down, conditions, fontsize=_FOOT_PT, color=MUTED, va="bottom")
    return chart


def needs_log_scale(values: Iterable[float]) -> bool:
    """Whether an axis from 0 would hide the small values; never with a 0, which a log axis cannot show."""
    known = [value for value in values if not np.isnan(value)]
    return bool(known) and 0 < min(known) * _LOG_FROM < max(known)


def log_axis(axis: XAxis | YAxis, values: Iterable[float]) -> None:
    """Set a log axis for values above 0, with as many numbers as fit."""
    known = [value for value in values if not np.isnan(value)]
    if isinstance(axis, XAxis):
        axis.axes.set_xscale("log")
    else:
        axis.axes.set_yscale("log")
    times = max(known) / min(known)
    axis.set_major_locator(LogLocator(subs=next(subs for most, subs in _LOG_TICKS if times < most)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(THOUSANDS)


def truncate_middle(text: str, most: int) -> str:
    """A text of at most so many characters; the middle of a longer one is omitted."""
    tail = (most - 1) // 3
    return text if len(text) <= most else f"{text[: most - 1 - tail]}…{text[-tail:]}"


@lru_cache(_TEXTS_KNOWN)
def _wrap(text: str, size_pt: float, weight: str = "normal") -> str:
    """The text in lines that fit the width; a number stays with its unit, and a short condition on one line."""
    for pattern in _KEPT_TOGETHER:
        text = pattern.sub(lambda kept: kept[0].replace(" ", _NO_BREAK), text)
    room_pt = (WIDTH_IN - 2.5 * _MARGIN_IN) * 72
    lines = [text]
    for letters in range(max(len(text), 1), 8, -2):
        lines = textwrap.wrap(text, letters)
        if all(_width_pt(line, size_pt, weight) <= room_pt for line in lines):
            break
    return "\n".join(lines).replace(_NO_BREAK, " ")


def _width_pt(line: str, size_pt: float, weight: str) -> float:
    """The width of a line, without kerning: that is a few thousandths of it."""
    return size_pt * sum(_letter_em(letter, weight) for letter in line)


@cache
def _letter_em(letter: str, weight: str) -> float:
    """The width of a letter as a share of the font's size. A letter is measured once: to measure lines takes long."""
    font = FontProperties(size=_TITLE_PT, weight=weight)
    width_pt: float = text_to_path.get_text_width_height_descent(letter, font, ismath=False)[0]
    return width_pt / _TITLE_PT


def _height_in(text: str, size_pt: float) -> float:
    lines = text.count("\n") + 1 if text else 0
    return lines * size_pt * _LINE_SPACING / 72
