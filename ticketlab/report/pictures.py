"""Charts as pictures: within a page, or as files beside a text."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from ticketlab.report import charts, findings
from ticketlab.report.findings import Finding
from ticketlab.report.model import DURABILITY, Report, RunResults
from ticketlab.report.side_by_side import differences, labelled_measures
from ticketlab.report.style import Chart, settings

_SVG_LIMIT: Final = 64_000
"""Bytes. A chart of more is a PNG, which is smaller then: a page has a dozen charts, and travels to phones."""

_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_INDENT: Final = re.compile(rb"\s*\n\s*")
_LONG_NUMBER: Final = re.compile(rb"\d+\.\d{3,}")
_PART: Final = " · "
"""What stands between the parts of a run's conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A chart, and what it shows in words."""

    name: str
    chart: Chart
    finding: Finding

    @property
    def address(self) -> str:
        """The address of a picture that holds the picture itself: SVG, or PNG where SVG would be too large."""
        svg = _compact(_saved(self.chart, format="svg", metadata={"Date": None}))  # the same run is the same page
        return _data_uri("image/svg+xml", svg) if len(svg) <= _SVG_LIMIT else _data_uri("image/png", self.png)

    @property
    def png(self) -> bytes:
        """The content of a PNG file."""
        return self.chart.png(dpi=200)


def pictures(run: RunResults) -> list[Picture]:
    """Every chart of a run, in the order of the report."""
    found = charts.captions(run.measures, run.stock)
    figures = charts.figures(run.measures, run.stock, run.conditions)
    return [Picture(name=name, chart=chart, finding=found[name]) for name, chart in figures.items()]


def comparison_of(report: Report) -> Picture:
    """How fast the strategies of several runs were, side by side."""
    measures = labelled_measures(report)
    chart = charts.comparison(measures, _shared(report))
    return Picture(name="comparison", chart=chart, finding=findings.comparison(measures))


def timeline_of(violation: Mapping[str, Any], conditions: str) -> Picture | None:
    """The operations that the `story` of a violation tells of, and no others; None where it tells of none."""
    story = violation["story"]
    operations = pd.DataFrame([dict(each) for each in story.operations])
    if not charts.has_timeline(operations):
        return None
    finding = findings.story(story.name, story.short, operations)
    chart = charts.timeline(operations, conditions, title=finding.title, crashes_ns=story.crashes_ns)
    return Picture(name=f"timeline-{violation['trial']}-{violation['check']}", chart=chart, finding=finding)


def _shared(report: Report) -> str:
    """What holds of all runs, and how durable each is where that differs; what else does is in a table of its own."""
    first, *others = [each.conditions.split(_PART) for each in report.runs]
    shared = [part for part in first if all(part in other for other in others)]
    if len(shared) == len(first):
        return _PART.join(shared)
    return _PART.join([*shared, *_differing_durability(report), "the rest differs from run to run"])


def _differing_durability(report: Report) -> list[str]:
    """As in "synchronous_commit on in a, off in b": no chart leaves out that a run was less durable."""
    values = {row["what"].removeprefix("server.settings."): row["values"] for row in differences(report)}
    return [
        f"{name} {', '.join(f'{value} in {run.run}' for value, run in zip(values[name], report.runs, strict=True))}"
        for name in DURABILITY
        if name in values
    ]


def _saved(chart: Chart, **how: object) -> bytes:
    with settings():
        picture = io.BytesIO()
        chart.savefig(picture, **how)  # type: ignore[arg-type]  # passed through
    return picture.getvalue()


def _compact(svg: bytes) -> bytes:
    """The same picture in fewer bytes: short names of letters, five digits, neither comments nor indentation."""
    bare = _INDENT.sub(b"\n", _COMMENT.sub(b"", svg)).replace(b"DejaVuSans-", b"g").replace(b"xlink:href", b"href")
    return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.5g}".encode(), bare)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
