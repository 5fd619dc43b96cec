"""Why a thing is wrong, in words, and at which rows of the evidence it shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ticketlab.report.stories.scene import Call, Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What one anomaly comes to, in this evidence."""

    short: str
    """In a few words, as a title goes on with it."""
    why: str
    """In a sentence or several; it is read after what happened was told."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """What is wrong with a row, in a few words, by its place in the evidence."""
    calls: Sequence[Call] = ()
    """Those that it speaks of; none where it speaks of all."""


def marked(lines: Iterable[Line], text: str) -> dict[int, str]:
    """The same words at each of these."""
    return dict.fromkeys((line.place for line in lines), text)


def lines_of(calls: Iterable[Call]) -> list[Line]:
    """Every line of these calls."""
    return [line for call in calls for line in call.lines]
