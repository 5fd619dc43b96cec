"""Two runs against each other as plain data, for those who go on computing with it."""

from typing import Any, Final

from ticketlab.report.jsonable import jsonable
from ticketlab.report.side_by_side import DRIFT
from ticketlab.report.versus.news import news_of
from ticketlab.report.versus.pairs import Versus
from ticketlab.report.versus.speed import word

VERSION: Final = 1
"""Counted up where a field goes or changes its meaning; new ones may come at any time."""


def as_json(both: Versus) -> dict[str, Any]:
    """What the terminal shows, by name; what there is none of is null."""
    rows = both.rows.assign(speed=[word(row) for _, row in both.rows.iterrows()])
    told = {
        "ticketlab_compare": VERSION,
        "first": both.first.run,
        "second": both.second.run,
        "verdicts_changed": [
            {"strategy": each.strategy, "safe": each.safe, "alarming": each.alarming, "sentence": each.sentence}
            for each in news_of(both)
        ],
        "strategies": rows.to_dict("records"),
        "only_first": both.only_first,
        "only_second": both.only_second,
        "differences": both.differences,
        "warning": DRIFT,
    }
    plain: dict[str, Any] = jsonable(told)
    return plain
