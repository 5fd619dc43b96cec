"""The stress mark: which load a test is under, and which strategy it judges. Imports no part of the lab.

Without keywords the mark is a mere label, by which tests are chosen with -m.
"""

import re
from typing import Any, Final

import pytest

from ticketlab.pytest_plugin import options

NAME: Final = "stress"
STRATEGY: Final = "strategy"
HELP: Final = (
    "stress(buyers=32, seconds=5, repeats=3, strategy=...): the load under which the test's ticketlab_run buys. With "
    "a strategy (its name, module:name, a function that buys, a Strategy) the test is a run, made and judged before "
    "its body. Without keywords a label and no more."
)
_AS_DECORATOR: Final = re.compile(rf"@.*\bmark\.{NAME}\(\s*[\w.]+\s*\)")
_KEYWORD: Final = "The mark takes keywords alone: write @pytest.mark.stress(strategy=…)."


def load_of(item: pytest.Item) -> dict[str, Any]:
    """What the marks of a test, its class and its module say, the nearest first; `strategy` as it was given.

    Raises:
        CollectError: a mark says what it can not; the text names what it can.
    """
    said: dict[str, Any] = {}
    for mark in item.iter_markers(NAME):
        if mark.args:
            raise pytest.Collector.CollectError(f"{item.nodeid}: {_KEYWORD} It was given {mark.args[0]!r}.")
        said = {**mark.kwargs, **said}
    strategy = {STRATEGY: said.pop(STRATEGY)} if STRATEGY in said else {}
    try:
        return options.load(said, f"@pytest.mark.{NAME}") | strategy
    except ValueError as error:
        takes = f"{error} And {STRATEGY}." if "takes no" in str(error) else str(error)
        raise pytest.Collector.CollectError(f"{item.nodeid}: {takes}") from None


def explain(report: pytest.CollectReport) -> None:
    """Say why a module fails that has @pytest.mark.stress(buy): pytest marks buy then, and calls it with the test.

    That is pytest's rule for every mark that is given a function and nothing else.
    """
    if report.failed and _AS_DECORATOR.search(str(report.longrepr)):
        report.sections.append(("ticketlab", f"{_KEYWORD} Given a function alone, it marks that function."))
