"""The claim of strict serializability: the versions are the database's own order, and everything told goes with it."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.check import check
from ticketlab.evidence.checks.answers import oversold_by_answers
from ticketlab.evidence.order import ownership, silence, told, unordered
from ticketlab.evidence.order.finding import Finding, Undecided
from ticketlab.evidence.order.told import Told
from ticketlab.evidence.verdict import Anomaly, Verdict, invalid, unknown, valid
from ticketlab.evidence.words import counted

Stage: TypeAlias = Callable[[Told], Finding | None]


@check
def strict_serializability(case: Case) -> Verdict:
    """All purchases and refunds go one after another, in the order of the versions, and as time has it.

    That is: every change made a version of its own, none is missing, and each left the stock of the one before it plus
    or less its own tickets; what was answered before another was called comes before it; and whoever was sent away saw
    a version that was current while he waited, and too small a stock. Where the order of several events, each right by
    itself, can not be that of all together, that is found too. A purchase of unknown outcome may have happened or not:
    the claim holds if it does for some choice.
    """
    name = "strict_serializability"
    facts = Told.of(case)
    try:
        finding = _first_finding(facts)
    except Undecided as open_question:
        if oversold := oversold_by_answers(case, name):
            return oversold
        return _valid_as_answered(case, name) or unknown(name, str(open_question))
    if finding is not None and finding.anomaly is Anomaly.STALE_READ and (oversold := oversold_by_answers(case, name)):
        return oversold  # the plainer reason why there is no order
    if finding is not None:
        return invalid(name, finding.text, case.rows(np.array(finding.rows, np.int64)), finding.anomaly)
    return valid(name, _summary(facts))


def _first_finding(facts: Told) -> Finding | None:
    return next(filter(None, (stage(facts) for stage in STAGES)), None)


def _valid_as_answered(case: Case, name: str) -> Verdict | None:
    """The verdict where every call that was answered as sold has sold; None where that explains nothing.

    Of two calls of one id, of which one was lost, either can have made the sale. One order is enough to be right.
    """
    if not case.undecided.any():
        return None
    facts = Told.of(Case(case.history, case.ledger, trusting=True))
    try:
        return None if _first_finding(facts) else valid(name, _summary(facts))
    except Undecided:
        return None


STAGES: Final[Sequence[Stage]] = (
    told.versions,
    told.stocks,
    told.refusals,
    told.times,
    ownership.impossible_ids,
    ownership.refunds,
    silence.gaps,
    unordered.refusals,
)


def _summary(facts: Told) -> str:
    count = int(facts.case.leads.sum())
    text = f"{counted(count, 'operation')}, one after another"
    if len(facts.makers):
        text += f" in the order of {counted(len(facts.makers), 'version')}"
    if facts.case.versionless and facts.case.sold.any():
        text += "; the sales carry no version, and some order of them explains every answer"
    return text
