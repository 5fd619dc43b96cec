"""Charts as pictures: within a page, or as files beside a text."""

import base64
import io
from dataclasses import dataclass
from typing import Final

from ticketlab.report import charts
from ticketlab.report.findings import Finding
from ticketlab.report.model import RunResults
from ticketlab.report.style import Chart, settings

_SVG_LIMIT: Final = 150_000
"""Bytes. A chart of more is a smaller file as a PNG: so many points fall on one pixel, mostly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A chart, and what it shows in words."""

    name: str
    chart: Chart
    finding: Finding

    @property
    def address(self) -> str:
        """The address of a picture that holds the picture itself: SVG, or PNG where SVG would be too large."""
        svg = _saved(self.chart, format="svg", metadata={"Date": None})  # the same run is the same page
        return _data_uri("image/svg+xml", svg) if len(svg) <= _SVG_LIMIT else _data_uri("image/png", self.png)

    @property
    def png(self) -> bytes:
        """The content of a PNG file."""
        return _saved(self.chart, format="png", dpi=200)


def findings(run: RunResults) -> dict[str, Finding]:
    """What every chart of a run shows, by its name."""
    return charts.captions(run.measures, run.stock)


def pictures(run: RunResults) -> list[Picture]:
    """Every chart of a run, in the order of the report."""
    found = findings(run)
    figures = charts.figures(run.measures, run.stock, run.conditions)
    return [Picture(name=name, chart=chart, finding=found[name]) for name, chart in figures.items()]


def _saved(chart: Chart, **how: object) -> bytes:
    with settings():
        picture = io.BytesIO()
        chart.savefig(picture, **how)  # type: ignore[arg-type]  # passed through
    return picture.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
