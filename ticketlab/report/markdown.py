"""Renders a report as markdown for a pull request: the sentences and tables of the page, with charts as files."""

import html
import re
from pathlib import PurePath
from typing import Final

import jinja2

from ticketlab.report import Format
from ticketlab.report._answers import answers, limits
from ticketlab.report.model import (
    DRIFT_WARNING,
    SECTIONS,
    Report,
    comparison_rows,
    differences,
    found,
    pools_differ,
    strategy_rows,
)
from ticketlab.report.page import TEMPLATES, ReportImage, comparison_of, pictures, timeline_of
from ticketlab.report.phrases import capital, display_name, exact, number

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


def markdown(report: Report, figures: PurePath | None) -> str:
    """The text. `figures` is the folder of its `files`, relative to the text; None omits the figures."""
    return _TEMPLATE.render(
        report=report,
        mark=Format.MD.mark,
        figures=figures,
        differences=differences(report) if report.several else [],
        compared=comparison_rows(report) if report.several else [],
    )


def files(report: Report) -> dict[str, bytes]:
    """The pictures of the text by file name."""
    shown = {picture_name(0, each): each for each in ([comparison_of(report)] if report.several else [])}
    for place, run in enumerate(report.runs, start=1):
        timelines = [timeline_of(each, run.conditions) for each in found(run)["violations"] if each.unfolded]
        shown |= {picture_name(place, each): each for each in [*pictures(run), *filter(None, timelines)]}
    return {name: picture.png for name, picture in shown.items()}


def picture_name(place: int, picture: ReportImage) -> str:
    """The file name of a picture of a run, numbered from 1, or of all runs, numbered 0."""
    return f"{place}-{picture.name}.png"


def escaped(value: object) -> str:
    """Escape a text, so that nothing in it is read as markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", _one_line(value))


def _one_line(value: object) -> str:
    """Replace line breaks, which would end the surrounding element."""
    return " ".join(str(value).split())


def _html(value: object) -> str:
    """Escape a text for HTML within markdown."""
    return html.escape(_one_line(value))


def fenced(text: str) -> str:
    """A text in a code fence that is longer than any fence in the text."""
    longest = max((len(each) for each in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _template() -> jinja2.Template:
    # Not escaped as HTML: whatever comes from a run goes through `md` or `html`.
    loader = jinja2.FileSystemLoader(TEMPLATES)
    templates = jinja2.Environment(  # noqa: S701
        loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {
        "md": escaped,
        "html": _html,
        "fenced": fenced,
        "capital": capital,
        "number": number,
        "exact": exact,
        "shown_name": display_name,
    }
    functions = (
        answers, comparison_of, found, limits, picture_name, pictures, pools_differ, strategy_rows, timeline_of
    )  # fmt: skip
    templates.globals |= {each.__name__: each for each in functions}
    templates.globals |= {"DRIFT": DRIFT_WARNING, "SECTIONS": SECTIONS}
    return templates.get_template("report.md.j2")


_TEMPLATE: Final = _template()
