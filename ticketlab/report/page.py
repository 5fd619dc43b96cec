"""Renders a report as HTML: fragments, which the report notebook shows one by one, and the page of all of them.

Templates and charts in, text out: nothing is executed, and nothing of Jupyter is imported.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2
import numpy as np
import pandas as pd

from ticketlab.environment import DURABILITY
from ticketlab.report import captions, charts
from ticketlab.report._answers import answers as answers_of
from ticketlab.report._answers import limits
from ticketlab.report.model import (
    DRIFT_WARNING,
    SECTIONS,
    Report,
    RunResults,
    causes_of,
    comparison_rows,
    differences,
    found,
    labelled_measures,
    pools_differ,
    strategy_rows,
)
from ticketlab.report.phrases import capital, display_name, exact, number

if TYPE_CHECKING:
    from ticketlab.report._style import Chart
    from ticketlab.report.captions import Caption
    from ticketlab.report.model import ShownVerdict

_SVG_LIMIT: Final = 64_000
"""Bytes. A larger chart is embedded as a PNG, which is smaller then."""

_POINTS_LIMIT: Final = _SVG_LIMIT // 16
"""Points of a line whose SVG would exceed the limit: a point takes at least 16 bytes."""

_DPI: Final = 200
"""Dots per inch of a PNG."""

_SHORTER: Final = (
    (re.compile(rb"<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL), b""),
    (re.compile(rb"\s*\n\s*"), b"\n"),
    (re.compile(rb"DejaVuSans-"), b"g"),
    (re.compile(rb"xlink:href"), b"href"),
    (re.compile(rb'<g id="[^"]*"'), b"<g"),
    (re.compile(rb'(<use href="[^"]*") transform="translate\(([\d.-]+) 0\)"'), rb'\1 x="\2"'),
)
"""Patterns in the SVG of Matplotlib with shorter replacements: comments, indents, group names, positions of letters."""
_LONG_NUMBER: Final = re.compile(rb"\d+\.\d{3,}")
_PART: Final = " · "
"""The separator between the parts of a run's conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportImage:
    """A chart with its caption. It is drawn only where a format shows it."""

    name: str
    draw: Callable[[], Chart]
    finding: Caption

    @property
    def address(self) -> str:
        """The chart as a data URL: SVG, or PNG if the SVG would be too large."""
        chart = self.draw()
        svg = b"" if _is_crowded(chart) else _compact(chart.svg())
        fits = 0 < len(svg) <= _SVG_LIMIT
        return _data_uri("image/svg+xml", svg) if fits else _data_uri("image/png", chart.png(dpi=_DPI))

    @property
    def png(self) -> bytes:
        """The content of a PNG file."""
        return self.draw().png(dpi=_DPI)


def _is_crowded(chart: Chart) -> bool:
    """Whether a chart has so many points that its SVG would be too large."""
    lines = [line for axes in chart.axes for line in axes.lines]
    return sum(np.size(line.get_xdata()) for line in lines) > _POINTS_LIMIT


def pictures(run: RunResults) -> list[ReportImage]:
    """Every chart of a run, in the order of the report."""
    found = charts.captions_of(run.measures, run.stock)
    figures = charts.drawings(run.measures, run.stock, run.conditions)
    return [ReportImage(name=name, draw=draw, finding=found[name]) for name, draw in figures.items()]


def comparison_of(report: Report) -> ReportImage:
    """The chart of the speed of the strategies in several runs."""
    measures = labelled_measures(report)
    draw = partial(charts.comparison, measures, _shared(report))
    return ReportImage(name="comparison", draw=draw, finding=captions.comparison(measures))


def timeline_of(violation: ShownVerdict, conditions: str) -> ReportImage | None:
    """The chart of the operations in the `story` of a violation; None if it has none."""
    story = violation.story
    operations = pd.DataFrame([dict(each) for each in story.operations])
    if not charts.has_timeline(operations):
        return None
    finding = captions.story(story.name, story.short, operations)
    draw = partial(charts.timeline, operations, conditions, title=finding.title, crashes_ns=story.crashes_ns)
    return ReportImage(name=f"timeline-{violation.trial}-{violation.verdict.check}", draw=draw, finding=finding)


def _shared(report: Report) -> str:
    """The conditions that all runs share, and the durability of each if it differs. Other differences have a table."""
    first, *others = [each.conditions.split(_PART) for each in report.runs]
    shared = [part for part in first if all(part in other for other in others)]
    if len(shared) == len(first):
        return _PART.join(shared)
    return _PART.join([*shared, *_differing_durability(report), "the rest differs from run to run"])


def _differing_durability(report: Report) -> list[str]:
    """Such as "synchronous_commit on in a, off in b", so that every chart shows that a run was less durable."""
    values = {row["what"].removeprefix("server.settings."): row["values"] for row in differences(report)}
    return [
        f"{name} {', '.join(f'{value} in {run.run}' for value, run in zip(values[name], report.runs, strict=True))}"
        for name in DURABILITY
        if name in values
    ]


def _compact(svg: bytes) -> bytes:
    """The same SVG in fewer bytes: short names, numbers of five digits, no comments or metadata."""
    for pattern, by in _SHORTER:
        svg = pattern.sub(by, svg)
    return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.5g}".encode(), svg)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a report, as HTML."""

    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        """Display the fragment in a notebook."""
        return self.html

    def __html__(self) -> str:
        """Include the fragment in a template without escaping it again."""
        return self.html


def style() -> Fragment:
    """The style of the other fragments: shown once before them in a notebook, and in the head of the page."""
    return Fragment(f"<style>\n{css()}</style>")


def css() -> str:
    """The style sheet of all fragments."""
    return (TEMPLATES / "page.css").read_text()


def render(report: Report, on_progress: Callable[[str], None] = lambda _part: None) -> str:
    """The whole page; it needs no network and no other file. `on_progress` is called with the name of each part."""
    fragments = []
    for part in PARTS:
        on_progress(part.__name__)
        fragments.append(part(report))
    template = _TEMPLATES.get_template("page.html.j2")
    return template.render(title=report.title, style=style(), fragments=[each for each in fragments if each])


def head(report: Report) -> Fragment:
    """The title, the verdict in words, and links to the sections."""
    return _fragment("head", report)


def answers(report: Report) -> Fragment:
    """The five answers of each run."""
    return _fragment("answers", report)


def comparison(report: Report) -> Fragment | None:
    """The differences between several runs, and each strategy's results in them; None if there is one run."""
    return _fragment("comparison", report) if report.several else None


def strategies(report: Report) -> Fragment:
    """A table with a row per strategy and setting, and the causes of retries."""
    return _fragment("strategies", report)


def figures(report: Report) -> Fragment:
    """The charts of each run, with captions that state what they show."""
    return _fragment("figures", report)


def violations(report: Report) -> Fragment:
    """The violations with the operations that prove them, and the undecided checks."""
    return _fragment("violations", report)


def conditions(report: Report) -> Fragment:
    """Server, durability and machine of the runs, and the limits of their results."""
    return _fragment("conditions", report)


def trace(report: Report) -> Fragment:
    """Every trial with its verdict, its numbers and the hash of its history."""
    return _fragment("trace", report)


def repeat(report: Report) -> Fragment:
    """The commands that repeat the runs."""
    return _fragment("repeat", report)


PARTS: Final = (head, answers, comparison, strategies, figures, violations, conditions, trace, repeat)
"""The fragments of the page in their order: functions of a report."""


def _fragment(name: str, report: Report) -> Fragment:
    """Render a fragment from its template."""
    return Fragment(_TEMPLATES.get_template(f"{name}.html.j2").render(report=report, title=SECTIONS.get(name)))


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"capital": capital, "number": number, "exact": exact, "shown_name": display_name}
    functions = (
        causes_of, comparison_of, comparison_rows, differences, found, limits, pictures, pools_differ, strategy_rows,
        timeline_of,
    )  # fmt: skip
    templates.globals |= {each.__name__: each for each in functions}
    templates.globals |= {"answers_of": answers_of, "DRIFT": DRIFT_WARNING, "SECTIONS": SECTIONS}
    return templates


_TEMPLATES: Final = _templates()
