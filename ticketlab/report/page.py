"""A run as one HTML file that needs nothing else: no network, no script, no file beside it.

Knows frames and words; opens no file but its own template, and does not know where the page will be kept.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jinja2
import pandas as pd

from ticketlab.evidence.checks import Status
from ticketlab.evidence.history import RETRIES
from ticketlab.report import charts
from ticketlab.report.findings import rate_text
from ticketlab.report.style import Chart, settings
from ticketlab.report.summary import summarise
from ticketlab.report.words import exact, headline, number, several, shown_name

EVIDENCE_SHOWN: Final = 10
"""Rows of evidence that the page shows for one violation; the run keeps more."""
_SVG_LIMIT: Final = 400_000
"""Bytes. A chart of more is a PNG: so many paths load slowly, and most would fall on one pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page is made of."""

    title: str
    run: str
    """The name of the run's folder."""
    command: str
    """What to type to repeat the run."""
    conditions: str
    """Server, durability, buyers, duration and repeats, in one line."""
    measures: pd.DataFrame
    stock: pd.DataFrame
    """Both as `ticketlab.report.charts` describes them."""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """Each with `trial`, `strategy`, `buyers`, `repeat`, `check`, `status`, `summary` and `evidence` (rows)."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Settings and versions: texts, or sections of texts by name."""
    notes: Sequence[str] = ()


def render(page: Page) -> str:
    """The page as HTML."""
    found = charts.captions(page.measures, page.stock)
    figures = charts.figures(page.measures, page.stock, page.conditions)
    controls = charts.controls_of(page.measures)
    verdicts = [
        {**each, "name": shown_name(each["strategy"], each["strategy"] not in controls)} for each in page.verdicts
    ]
    template = _templates().get_template("report.html.j2")
    return template.render(
        page=page,
        headline=headline(page.measures),
        rows=_rows(page.measures),
        causes=_causes(page.measures),
        figures=[(name, data_uri(figure), found[name]) for name, figure in figures.items()],
        violations=[_with_evidence(each) for each in verdicts if each["status"] == Status.INVALID],
        undecided=[each for each in verdicts if each["status"] == Status.UNKNOWN],
        sections=_sections(page.environment),
        several_buyers=not page.measures.empty and several(page.measures["buyers"]),
    )


def data_uri(figure: Chart) -> str:
    """A chart as the address of a picture that holds the picture itself: SVG, or PNG where SVG would be too large."""
    with settings():
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})  # the same run is the same page
        if picture.tell() <= _SVG_LIMIT:
            return _data_uri("image/svg+xml", picture.getvalue())
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=200)
        return _data_uri("image/png", picture.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("ticketlab.report", package_path=""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number, "exact": exact}
    return templates


def _rows(measures: pd.DataFrame) -> list[dict[str, Any]]:
    rows = summarise(measures)
    names = [shown_name(*each) for each in zip(rows["strategy"], rows["safe"], strict=True)]
    rates = [rate_text(row) for _, row in rows.iterrows()]
    shown = rows.assign(name=names, rate=rates)
    return [{str(key): value for key, value in row.items()} for row in shown.to_dict("records")]


def _causes(measures: pd.DataFrame) -> dict[str, str]:
    """The causes of retries that occurred, each with the column that counts it."""
    return {str(cause): column for cause, column in RETRIES.items() if not measures.empty and measures[column].any()}


def _with_evidence(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict with the columns and the rows of its evidence that are shown."""
    evidence = list(verdict.get("evidence", ()))
    shown = evidence[:EVIDENCE_SHOWN]
    columns = list(dict.fromkeys(column for row in shown for column in row))
    return {
        **verdict,
        "columns": columns,
        "cells": [[row.get(column, "") for column in columns] for row in shown],
        "kept": len(evidence),
    }


def _sections(environment: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Settings and versions by section; single ones stand in the first, and deeper ones under the names above them."""
    single = {name: value for name, value in environment.items() if not isinstance(value, Mapping)}
    sections = {name: _flat(value) for name, value in environment.items() if isinstance(value, Mapping)}
    return {"general": _flat(single), **sections} if single else sections


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": str(value)}
    return flat
