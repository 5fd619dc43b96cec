"""A report as HTML: each part is a fragment that a notebook shows by itself, and all of them make the page.

Knows frames and words; opens no file but its own templates, and does not know where the page will be kept. Whatever
comes from a run is escaped: what a strategy is called is shown, not obeyed.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jinja2

from ticketlab.report.answers import answers as answers_of
from ticketlab.report.limits import limits
from ticketlab.report.model import Report
from ticketlab.report.pictures import comparison_of, pictures, timeline_of
from ticketlab.report.side_by_side import DRIFT, differences
from ticketlab.report.tables import SECTIONS, causes_of, comparison_rows, found, pools_differ, strategy_rows
from ticketlab.report.words import capital, exact, number, shown_name

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a report as HTML."""

    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


def style() -> Fragment:
    """How the other fragments look. A notebook shows it once, before them; a page has it in its head."""
    return Fragment(f"<style>\n{css()}</style>")


def css() -> str:
    """The style sheet of all fragments."""
    return (TEMPLATES / "page.css").read_text()


def head(report: Report) -> Fragment:
    """What was run, the verdict in words, and the way to every section."""
    return _fragment("head", report)


def answers(report: Report) -> Fragment:
    """The five answers of each run."""
    return _fragment("answers", report)


def comparison(report: Report) -> Fragment | None:
    """What differs between several runs, and how each strategy did in them; None where there is only one."""
    return _fragment("comparison", report) if report.several else None


def strategies(report: Report) -> Fragment:
    """A row a strategy and setting, and why purchases were tried again."""
    return _fragment("strategies", report)


def figures(report: Report) -> Fragment:
    """The charts of each run, with captions that state what they show."""
    return _fragment("figures", report)


def violations(report: Report) -> Fragment:
    """What the checks found wrong, and what they could not decide, with the operations that prove it."""
    return _fragment("violations", report)


def conditions(report: Report) -> Fragment:
    """What the runs were made on and under which promises to the disk, and how far their numbers reach."""
    return _fragment("conditions", report)


def trace(report: Report) -> Fragment:
    """Every trial with its verdict, its numbers and the hash of its history."""
    return _fragment("trace", report)


def repeat(report: Report) -> Fragment:
    """The exact commands."""
    return _fragment("repeat", report)


def _fragment(name: str, report: Report) -> Fragment:
    """A fragment from its template."""
    return Fragment(_TEMPLATES.get_template(f"{name}.html.j2").render(report=report, title=SECTIONS.get(name)))


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"capital": capital, "number": number, "exact": exact, "shown_name": shown_name}
    functions = (
        causes_of, comparison_of, comparison_rows, differences, found, limits, pictures, pools_differ, strategy_rows,
        timeline_of,
    )  # fmt: skip
    templates.globals |= {each.__name__: each for each in functions}
    templates.globals |= {"answers_of": answers_of, "DRIFT": DRIFT, "SECTIONS": SECTIONS}
    return templates


_TEMPLATES: Final = _templates()
