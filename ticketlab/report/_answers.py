"""The five questions that a run answers, each in sentences from its numbers, and the limits of the run. Pure.

Which strategy is safe, which is the fastest, what was lost, how certain that is, and how to repeat the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ticketlab.checks.verdict import Status, worst
from ticketlab.history.arrays import LoadPart, words_of
from ticketlab.report.headline import ConcernKind, fastest, held_sentence, no_control_text
from ticketlab.report.limits import evidence_texts, method_texts
from ticketlab.report.phrases import display_name, join_names, number, pluralize

if TYPE_CHECKING:
    from ticketlab.report.explain import TrialVerdict
    from ticketlab.report.model import RunResults


_REPEATED: Final = (
    "The seed reproduces the same purchase requests and the same order of trials.",
    "Expect the same verdicts on any machine, but the same speeds only on a similar one.",
)
_OVERSELL: Final = "no_oversell"
_UNSOLD: Final = {
    "conflicts": "given up after conflicts",
    "failed": "failed",
    "unavailable": "without a connection",
    "unknown": "of unknown outcome",
}
"""The outcomes of purchases that were neither sold nor answered 'sold out', by their column of measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAnswer:
    """A question, and the sentences that answer it."""

    key: str
    question: str
    sentences: Sequence[str]
    details: Sequence[str] = ()
    """How the answer is worked out: folded, where the format can fold."""
    command: str = ""
    """The command to repeat the run, if that is the answer."""


def answers(run: RunResults) -> tuple[ReportAnswer, ...]:
    """The answers of a run."""
    return (
        _answer("safe", "Which strategy is safe?", _safe(run)),
        _answer("fastest", "Which strategy is the fastest, and with how many buyers?", fastest(run.measures)),
        _answer("lost", "What was lost?", _lost(run)),
        _answer("sure", "How sure is it?", _sure(run), details=_method(run)),
        _answer("repeat", "How is it repeated?", _REPEATED, command=run.command),
    )


def _answer(
    key: str, question: str, sentences: Iterable[str], *, details: Iterable[str] = (), command: str = ""
) -> ReportAnswer:
    return ReportAnswer(key=key, question=question, sentences=tuple(sentences), details=tuple(details), command=command)


def _safe(run: RunResults) -> Iterator[str]:
    held, wrong, undecided = (_claiming(run, status) for status in (Status.VALID, Status.INVALID, Status.UNKNOWN))
    if held:
        yield held_sentence(run.measures, held, most=len(held))
    for name in wrong:
        yield f"{name} is not safe: {_first_violation(run.verdicts_of(name, Status.INVALID))}."
    yield from _concerns(run, ConcernKind.NO_PROGRESS)
    if undecided:
        yield f"Undecided, and so not shown to be safe: {_all(undecided)}."
    if run.measures["safe"].sum() == 0:
        yield "Only controls were run: no strategy that claims to be safe."
    if controls := _controls(run):
        yield f"Controls, known to be unsafe and run to show that the checks detect it: {_all(controls)}."


def _lost(run: RunResults) -> Iterator[str]:
    yield from _oversold(run)
    for name, trials in run.measures.groupby("strategy", sort=False):
        if lost := [f"{number(count)} {words}" for column, words in _UNSOLD.items() if (count := trials[column].sum())]:
            purchases = trials[["sales", "sold_out", *_UNSOLD]].to_numpy().sum()
            yield f"{_named(run, name)}: of {pluralize(purchases, 'purchase')}, {join_names(lost)}."
    if not run.measures[list(_UNSOLD)].to_numpy().any():
        yield "Every purchase was answered: none failed or was given up after conflicts."
    for name in run.measures["strategy"].unique():
        for violations in _by_check(run.verdicts_of(name, Status.INVALID)):
            if violations[0].verdict.check != _OVERSELL:
                yield f"{_named(run, name)}: {_first_violation(violations)}."


def _oversold(run: RunResults) -> Iterator[str]:
    """The strategies that oversold, with the number of tickets and the worst trial."""
    over = run.measures[run.measures["oversold"] > 0]
    for name, trials in over.groupby("strategy", sort=False):
        worst_trial = trials.nlargest(1, "oversold").iloc[0]
        yield (
            f"{_named(run, name)} oversold {pluralize(trials['oversold'].sum(), 'ticket')} in "
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
    if detected := [_detected(run, name) for name in _controls(run, Status.INVALID)]:
        yield f"Under the same load the checks detected {join_names(detected, len(detected))}."
    yield from _concerns(run, ConcernKind.LITTLE_EVIDENCE)
    if not _controls(run):
        yield from _concerns(run, ConcernKind.NO_CONTROL) or [no_control_text()]
    if undecided := [each for each in run.verdicts if each.verdict.status is Status.UNKNOWN]:
        yield f"Undecided: {pluralize(len(undecided), 'verdict')} of {number(len(run.verdicts))}."


def _method(run: RunResults) -> list[str]:
    held = _claiming(run, Status.VALID)
    return method_texts(run.measures, held, run.power, run.tried) if held else []


def _concerns(run: RunResults, kind: ConcernKind) -> list[str]:
    return [each.text for each in run.concerns if each.kind is kind]


def _detected(run: RunResults, control: str) -> str:
    """A control, and the number of its trials in which it was detected."""
    verdicts = run.measures.loc[run.measures["strategy"] == control, "verdict"]
    count = int((verdicts == Status.INVALID).sum())
    return f"the control {control} in {count} of {pluralize(len(verdicts), 'trial')}"


def _claiming(run: RunResults, status: Status) -> list[str]:
    """The strategies that claim to be safe and have this verdict over all their trials."""
    return _with_verdict(run.measures[run.measures["safe"].astype(bool)], status)


def _controls(run: RunResults, status: Status | None = None) -> list[str]:
    """The controls; with a status those that have this verdict over all their trials."""
    return _with_verdict(run.measures[~run.measures["safe"].astype(bool)], status)


def _with_verdict(measures: pd.DataFrame, status: Status | None) -> list[str]:
    found = {str(name): worst(each) for name, each in measures.groupby("strategy", sort=False)["verdict"]}
    return [name for name, verdict in found.items() if status in (None, verdict)]


def _by_check(violations: Sequence[TrialVerdict]) -> list[list[TrialVerdict]]:
    checks = dict.fromkeys(each.verdict.check for each in violations)
    return [[each for each in violations if each.verdict.check == check] for check in checks]


def _first_violation(violations: Sequence[TrialVerdict]) -> str:
    """The summary of the first violation, its check and trial, and the number of further ones."""
    if not violations:
        return "found INVALID"
    first = violations[0]
    more = f", and {number(len(violations) - 1)} more" if len(violations) > 1 else ""
    return f"{first.verdict.summary} ({first.verdict.check}, trial {first.trial}{more})"


def _named(run: RunResults, strategy: object) -> str:
    return display_name(str(strategy), strategy not in _controls(run))


def _all(names: Sequence[str]) -> str:
    """Every name, however many there are."""
    return join_names(names, most=len(names))


_CLOSED: Final = (
    "Each buyer makes its next request when the last one is answered (closed loop), so a slow strategy gets fewer "
    "requests; a real crowd does not wait."
)
_NO_PROOF: Final = (
    "Flaws that only show there were not looked for: no violation found does not prove that there is none."
)
_MACHINE: Final = "the loss of the machine (what a killed server has written stays written)"


def limits(run: RunResults) -> list[str]:
    """The limits of a run: its machine, the closed loop, and what it did not try."""
    return [_shared(run.environment), _CLOSED, _untried(run)]


def _shared(environment: Mapping[str, Any]) -> str:
    server, machine = (_part(environment, name) for name in ("server", "machine"))
    if server.get("kind") == "external":
        return "The server is external: the network and its other users affect every number."
    cpus = machine.get("cpus")
    processors = f"the {pluralize(cpus, 'processor')} of one machine" if isinstance(cpus, int) else "one machine"
    return f"Buyers and server shared {processors}: compare speeds between strategies, not with other machines."


def _untried(run: RunResults) -> str:
    """The parts of a load that the run did not have; a fault is named by its option, such as "crash@500"."""
    faults = [str(each) for each in run.experiment.get("faults", ())]
    parts = words_of(set(LoadPart) - set(run.tried))
    moments = [f"faults at other moments than {join_names(faults)}"] if faults else []
    machine = [_MACHINE] if LoadPart.CRASH in run.tried else []
    return f"Not tried: {', '.join([*parts, *moments, *machine])}, and any other load. {_NO_PROOF}"


def _part(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = environment.get(name)
    return part if isinstance(part, Mapping) else {}
