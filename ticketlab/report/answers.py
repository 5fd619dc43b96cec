"""The five questions that a run must answer, each in sentences from its numbers. Pure; claims no more than they show.

Who reads nothing else knows which strategy is safe, which is the fastest and from how many buyers on, what was lost,
how sure that is, and how to repeat it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from ticketlab.checks.verdict import Status, worst
from ticketlab.report.concerns import ConcernKind, no_control_text
from ticketlab.report.confidence import evidence_texts, method_texts
from ticketlab.report.fastest import fastest
from ticketlab.report.model import RunResults
from ticketlab.report.phrases import display_name, join_names, number, pluralize

_REPEATED: Final = (
    "With this command. The seed reproduces the same purchase requests and the same order of trials.",
    "Verdicts should come out the same anywhere, speeds only on a machine like this one.",
)
_OVERSELL: Final = "no_oversell"
_UNSOLD: Final = {
    "conflicts": "given up after conflicts",
    "failed": "failed",
    "unavailable": "without a connection",
    "unknown": "of unknown outcome",
}
"""How a purchase ends that was neither sold nor refused, by the column of measures that counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question, and what the run says to it."""

    key: str
    question: str
    sentences: Sequence[str]
    details: Sequence[str] = ()
    """How the answer is worked out, for those who ask: folded where that can be."""
    command: str = ""
    """What to type, where that is the answer."""


def answers(run: RunResults) -> tuple[Answer, ...]:
    """The answers of a run, in the order in which they are asked."""
    return (
        _answer("safe", "Which strategy is safe?", _safe(run)),
        _answer("fastest", "Which is the fastest, and from how many buyers on?", fastest(run.measures)),
        _answer("lost", "What was lost?", _lost(run)),
        _answer("sure", "How sure is it?", _sure(run), details=_method(run)),
        _answer("repeat", "How is it repeated?", _REPEATED, command=run.command),
    )


def _answer(
    key: str, question: str, sentences: Iterable[str], *, details: Iterable[str] = (), command: str = ""
) -> Answer:
    return Answer(key=key, question=question, sentences=tuple(sentences), details=tuple(details), command=command)


def _safe(run: RunResults) -> Iterator[str]:
    held, wrong, undecided = (_claiming(run, status) for status in (Status.VALID, Status.INVALID, Status.UNKNOWN))
    if held:
        trials = int(run.measures["strategy"].isin(held).sum())
        yield f"As far as this run can tell: {_all(held)}, without a violation in {pluralize(trials, 'trial')}."
    for name in wrong:
        yield f"Not {name}: {_told(_faults(run, name))}."
    yield from _concerns(run, ConcernKind.NO_PROGRESS)
    if undecided:
        yield f"Undecided: {_all(undecided)}. What the checks could not decide is not taken for safe."
    if run.measures["safe"].sum() == 0:
        yield "None was tried that claims to be: only controls were run."
    if controls := _controls(run):
        yield f"Not {_all(controls)}: known to be unsafe, and run to show that the checks can see it."


def _lost(run: RunResults) -> Iterator[str]:
    yield from _oversold(run)
    for name, trials in run.measures.groupby("strategy", sort=False):
        if lost := [f"{number(count)} {words}" for column, words in _UNSOLD.items() if (count := trials[column].sum())]:
            purchases = trials[["sales", "sold_out", *_UNSOLD]].to_numpy().sum()
            yield f"{_named(run, name)}: of {pluralize(purchases, 'purchase')}, {join_names(lost)}."
    if not run.measures[list(_UNSOLD)].to_numpy().any():
        yield "Every purchase was answered: none was given up after conflicts, none failed."
    for name in run.measures["strategy"].unique():
        for faults in _by_check(_faults(run, name)):
            if faults[0]["check"] != _OVERSELL:
                yield f"{_named(run, name)}: {_told(faults)}."


def _oversold(run: RunResults) -> Iterator[str]:
    """Who sold how many tickets too many; the strategies that claim to be safe are named even where none did."""
    over = run.measures[run.measures["oversold"] > 0]
    for name, trials in over.groupby("strategy", sort=False):
        worst_trial = trials.nlargest(1, "oversold").iloc[0]
        yield (
            f"{_named(run, name)} sold {pluralize(trials['oversold'].sum(), 'ticket')} too many in "
            f"{pluralize(len(trials), 'trial')}, at worst {number(worst_trial['oversold'])} beyond "
            f"{pluralize(worst_trial['seats'], 'seat')} (trial {worst_trial['trial']})."
        )
    if over.empty:
        yield "No ticket was oversold."
    elif run.measures["safe"].any() and not over["safe"].any():
        yield "No ticket was oversold by a strategy that claims to be safe."


def _sure(run: RunResults) -> Iterator[str]:
    if held := _claiming(run, Status.VALID):
        yield from evidence_texts(run.measures, held, run.power, run.tried)
    if caught := [_caught(run, name) for name in _controls(run, Status.INVALID)]:
        yield f"Under the same load the checks caught {join_names(caught, len(caught))}."
    yield from _concerns(run, ConcernKind.LITTLE_EVIDENCE)
    if not _controls(run):
        yield from _concerns(run, ConcernKind.NO_CONTROL) or [no_control_text()]
    if undecided := [each for each in run.verdicts if each["status"] == Status.UNKNOWN]:
        yield f"Undecided: {pluralize(len(undecided), 'verdict')} of {number(len(run.verdicts))}."


def _method(run: RunResults) -> list[str]:
    held = _claiming(run, Status.VALID)
    return method_texts(run.measures, held, run.power, run.tried) if held else []


def _concerns(run: RunResults, kind: ConcernKind) -> list[str]:
    return [each.text for each in run.concerns if each.kind is kind]


def _caught(run: RunResults, control: str) -> str:
    """A control, and in how many of its trials it was caught."""
    verdicts = run.measures.loc[run.measures["strategy"] == control, "verdict"]
    count = int((verdicts == Status.INVALID).sum())
    return f"the control {control} in {count} of {pluralize(len(verdicts), 'trial')}"


def _claiming(run: RunResults, status: Status) -> list[str]:
    """The strategies that claim to be safe, and of which this is the verdict over all their trials."""
    return _with_verdict(run.measures[run.measures["safe"].astype(bool)], status)


def _controls(run: RunResults, status: Status | None = None) -> list[str]:
    """The controls, or those of them of which this is the verdict over all their trials."""
    return _with_verdict(run.measures[~run.measures["safe"].astype(bool)], status)


def _with_verdict(measures: pd.DataFrame, status: Status | None) -> list[str]:
    found = {str(name): worst(each) for name, each in measures.groupby("strategy", sort=False)["verdict"]}
    return [name for name, verdict in found.items() if status in (None, verdict)]


def _faults(run: RunResults, strategy: str) -> list[Mapping[str, Any]]:
    """The verdicts that proved a strategy wrong, in order of execution."""
    return [each for each in run.verdicts if each["strategy"] == strategy and each["status"] == Status.INVALID]


def _by_check(faults: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    checks = dict.fromkeys(each["check"] for each in faults)
    return [[each for each in faults if each["check"] == check] for check in checks]


def _told(faults: Sequence[Mapping[str, Any]]) -> str:
    """What the first of them says, where it is found, and how many more there are."""
    if not faults:
        return "found INVALID"
    more = f", and {number(len(faults) - 1)} more" if len(faults) > 1 else ""
    return f"{faults[0]['summary']} ({faults[0]['check']}, trial {faults[0]['trial']}{more})"


def _named(run: RunResults, strategy: object) -> str:
    return display_name(str(strategy), strategy not in _controls(run))


def _all(names: Sequence[str]) -> str:
    """Every name: who is left out might be the one that is asked about."""
    return join_names(names, most=len(names))
