"""A report as HTML: each part is a fragment that a notebook shows by itself, and all of them make the page.

Knows frames and words; opens no file but its own templates, and does not know where the page will be kept. Whatever
comes from a run is escaped: what a strategy is called is shown, not obeyed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2

from ticketlab.report.answers import answers as answers_of
from ticketlab.report.comparison import DRIFT, differences
from ticketlab.report.limits import limits
from ticketlab.report.model import Report
from ticketlab.report.pictures import pictures
from ticketlab.report.tables import SECTIONS, causes_of, comparison_rows, found, strategy_rows
from ticketlab.report.words import IN_WORDS, exact, number, shown_name

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a report as HTML."""

    html: str

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
    sections = {key: title for key, title in SECTIONS.items() if report.several or key != "comparison"}
    return _fragment("head", report, sections=sections)


def answers(report: Report) -> Fragment:
    """The five answers of each run."""
    return _fragment("answers", report, answers_of=answers_of)


def comparison(report: Report) -> Fragment:
    """What differs between several runs, and how each strategy did in them; nothing where there is only one."""
    if not report.several:
        return Fragment("")
    rows = comparison_rows(report)
    return _fragment("comparison", report, differences=differences(report), rows=rows, drift=DRIFT)


def strategies(report: Report) -> Fragment:
    """A row a strategy and number of buyers, and why purchases were tried again."""
    return _fragment("strategies", report, strategy_rows=strategy_rows, causes_of=causes_of)


def figures(report: Report) -> Fragment:
    """The charts of each run, with captions that state what they show."""
    return _fragment("figures", report, pictures=pictures)


def violations(report: Report) -> Fragment:
    """What the checks found wrong, and what they could not decide, with the operations that prove it."""
    return _fragment("violations", report, found=found)


def conditions(report: Report) -> Fragment:
    """What the runs were made on and under which promises to the disk, and how far their numbers reach."""
    return _fragment("conditions", report, limits=limits)


def trace(report: Report) -> Fragment:
    """Every trial with its verdict, its numbers and the hash of its history."""
    return _fragment("trace", report)


def repeat(report: Report) -> Fragment:
    """The exact commands."""
    return _fragment("repeat", report)


def _fragment(name: str, report: Report, **values: object) -> Fragment:
    """A fragment from its template, which knows every section by its title."""
    template = _TEMPLATES.get_template(f"{name}.html.j2")
    return Fragment(template.render(report=report, title=SECTIONS.get(name), **values))


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number, "exact": exact, "shown_name": shown_name}
    templates.globals |= {"IN_WORDS": IN_WORDS}
    return templates


_TEMPLATES: Final = _templates()
