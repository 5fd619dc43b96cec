"""What became of the verdicts from one run to another, the worst first: what a reader must know before any number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.report.compare.pairs import RunComparison
from ticketlab.report.findings.caption import strategy_label
from ticketlab.report.phrases import join_names, matching_rows
from ticketlab.report.summary import summarise


class ChangeKind(IntEnum):
    """What a verdict turned into, the worst first."""

    WRONG = 0
    """Found INVALID, and was not before."""
    WORSE = 1
    """INVALID as before, with an anomaly that is new."""
    UNDECIDED = 2
    """UNKNOWN, and was VALID before."""
    NOT_SEEN = 3
    """No longer INVALID, which is no proof that nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """A verdict that changed, in a sentence."""

    strategy: str
    """Whose verdict it is."""
    safe: bool
    """Whether the strategy claims to be."""
    turn: ChangeKind
    """What became of it."""
    sentence: str
    """What the runs found, and where it is to be seen."""

    @property
    def is_regression(self) -> bool:
        """Whether a strategy that claims to be safe has become less so; a control is meant to be caught."""
        return self.safe and self.turn is not ChangeKind.NOT_SEEN


def news_of(both: RunComparison) -> list[VerdictChange]:
    """Every verdict of the second run that the first had otherwise, or not at all; those that alarm first."""
    before, after = summarise(both.first.measures), summarise(both.second.measures)
    everywhere = pd.concat([before, after])
    found = [
        _news(both, strategy_label(row, everywhere), row, matching_rows(before, row)) for _, row in after.iterrows()
    ]
    return sorted((each for each in found if each), key=lambda each: (not each.is_regression, each.turn))


def _news(both: RunComparison, name: str, row: pd.Series, before: pd.DataFrame) -> VerdictChange | None:
    was = Status(before["verdict"].iloc[0]) if len(before) else None
    now = Status(row["verdict"])
    faults = _not_valid(both.second.verdicts, row, now)
    new = [each for each in faults if _kind(each) not in map(_kind, _not_valid(both.first.verdicts, row, now))]
    turn = _turn(was, now, new)
    if turn is None:
        return None
    called = name if row["safe"] else f"{name}, a control"
    sentence = f"{called}: {_from_to(was, now)}{_because(new if turn is ChangeKind.WORSE else faults)}."
    return VerdictChange(strategy=row["strategy"], safe=bool(row["safe"]), turn=turn, sentence=sentence)


def _turn(was: Status | None, now: Status, new: Sequence[Mapping[str, Any]]) -> ChangeKind | None:
    if now is Status.INVALID:
        return ChangeKind.WRONG if was is not Status.INVALID else ChangeKind.WORSE if new else None
    if was is Status.INVALID:
        return ChangeKind.NOT_SEEN
    return ChangeKind.UNDECIDED if now is Status.UNKNOWN and was is not Status.UNKNOWN else None


def _not_valid(verdicts: Sequence[Mapping[str, Any]], row: pd.Series, status: Status) -> list[Mapping[str, Any]]:
    """The verdicts of a strategy and setting that say so; none where that is VALID."""
    wanted = {name: row[name] for name in ("strategy", "buyers", "pool_size")} | {"status": status}
    if status is Status.VALID:
        return []
    return [each for each in verdicts if all(each[name] == value for name, value in wanted.items())]


def _kind(verdict: Mapping[str, Any]) -> str:
    """What is called the same anomaly in two runs: by its name, or by the check that found it."""
    return str(verdict.get("anomaly") or verdict["check"])


def _from_to(was: Status | None, now: Status) -> str:
    if was is None:
        return f"only in the second run, and {now} there"
    return f"{now} as before, with a new anomaly" if was is now else f"{was} in the first run, {now} in the second"


def _because(faults: Sequence[Mapping[str, Any]]) -> str:
    """The kinds of what was found, and what the first of it says."""
    if not faults:
        return ""
    first = faults[0]
    kinds = join_names(list(dict.fromkeys(map(_kind, faults))))
    return f": {kinds}. In trial {first['trial']}, {first['check']}: {str(first['summary']).rstrip('.')}"
