"""The verdicts on a history made by others, in the names that its file has. Knows what can be judged without tickets.

Without tickets three claims are left: no deadlock, no oversell as far as the answers show one, and strict
serializability. The last one is judged by the only tickets that the answers can leave. Where the answers can leave
different ones (an answer was lost, a row reports an earlier purchase that the file does not have, the calls of one id
can end in several ways), only the tickets could say what happened.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from ticketlab import checks
from ticketlab.checks.capacity import no_oversell, oversold_by_answers
from ticketlab.checks.verdict import Check, Status, Verdict, unknown
from ticketlab.formats.imports.loader import MOST_TICKETS, ImportedHistory
from ticketlab.history.effects import MOST_CALLS, IdCall, explanations
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import TICKET_COLUMNS, Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted, verb
from ticketlab.outcomes import Outcome

NEEDS_NO_TICKETS: Final = frozenset({"no_deadlock", "strict_serializability"})
"""The checks that judge a history without its tickets, by name."""
NO_LEDGER: Final = "no ledger was given (--tickets)"
_STRICT: Final = "strict_serializability"
_EVENTS: Final = re.compile(r"\b(events?) (\d+(?:, \d+)*)\b")


def judge(foreign: ImportedHistory, chosen: Iterable[Check] = checks.CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check. Its evidence has `in_file`, the place of each operation in the file."""
    history = foreign.history.assign(in_file=foreign.places)
    if foreign.tickets_known:
        found = checks.judge(history, foreign.ledger, chosen)
    else:
        found = judge_answers(history, foreign.ledger, chosen)
    return tuple(_translate(each, foreign) for each in found)


def judge_answers(
    history: pd.DataFrame, ledger: Ledger, chosen: Iterable[Check] = checks.CHECKS
) -> tuple[Verdict, ...]:
    """The verdict of each check on a history of whose tickets nothing is known; `ledger` has the seats."""
    case = IndexedHistory(history, ledger)
    oversold = oversold_by_answers(case, no_oversell.name)
    final, open_question = _final_ledger(case)
    found = checks.judge(history, ledger if final is None else final, chosen)
    if oversold is None and final is not None:  # the stock that the events ended with does not agree with it
        oversold = next((each for each in found if each.check == no_oversell.name and _is_invalid(each)), None)
    return tuple(_without_tickets(each, open_question, oversold) for each in found)


def _is_invalid(verdict: Verdict) -> bool:
    return verdict.status is Status.INVALID


def is_decided(verdicts: Iterable[Verdict]) -> bool:
    """Whether any check decided something of a history: deadlocks alone say nothing of its tickets."""
    return any(each.status is not Status.UNKNOWN and each.check != "no_deadlock" for each in verdicts)


def _without_tickets(verdict: Verdict, open_question: str | None, oversold: Verdict | None) -> Verdict:
    if oversold is not None and verdict.check == oversold.check:
        return oversold
    if verdict.check not in NEEDS_NO_TICKETS:
        return unknown(verdict.check, NO_LEDGER)
    if verdict.check == _STRICT and open_question:
        return replace(oversold, check=_STRICT) if oversold else unknown(_STRICT, open_question)
    return verdict


def _final_ledger(case: IndexedHistory) -> tuple[Ledger | None, str | None]:
    """The only ledger that the answers leave, or why there is none or more than one."""
    lost = int((case.history["outcome"] == Outcome.UNKNOWN).sum())
    if lost:
        return None, f"{NO_LEDGER}, and of {counted(lost, 'row')} the outcome is unknown"
    sold = case.sold & ~case.repeated
    earlier = int((case.sold & case.repeated & (case.count_by_id(sold) == 0)[case.id]).sum())
    if earlier:
        rows_report = f"{counted(earlier, 'row')} {verb(earlier, 'reports')}"
        return None, f"{NO_LEDGER}, and {rows_report} an earlier purchase that is not there"
    if case.quantity[sold].sum() > MOST_TICKETS:
        return None, f"{NO_LEDGER}, and more than {MOST_TICKETS:,} were sold"
    of_irregular, several = _tickets_of_irregular_ids(case)
    if several:
        what = counted(several, "purchase id")
        return (
            None,
            f"{NO_LEDGER}, and what {what} {verb(several, 'owns')} in the end depends on the order of the calls",
        )
    kept = sold & ((case.count_by_id(case.refunded) == 0) & ~case.effects.irregular)[case.id]
    rows = np.repeat(np.flatnonzero(kept), case.quantity[kept])
    of_regular = case.history[["event", "purchase_id"]].iloc[rows].assign(ticket=NOT_SEEN).astype(TICKET_COLUMNS)
    tickets = pd.concat([of_regular, of_irregular], ignore_index=True) if len(of_irregular) else of_regular
    return replace(case.ledger, tickets=tickets.reset_index(drop=True)), None


def _tickets_of_irregular_ids(case: IndexedHistory) -> tuple[pd.DataFrame, int]:
    """The tickets of ids with several purchases or refunds, and how many of these ids could own different ones."""
    owned: list[tuple[int, bytes]] = []
    several = 0
    for number, calls, _ in case.irregular_ids():
        ends = _possible_ends(calls)
        several += len(ends) > 1
        purchase_id = case.history["purchase_id"].iloc[int(np.argmax(case.id == number))]
        owned += [(event, purchase_id) for event, count in ends[0].items() for _ in range(count)]
    return Ledger.of(events=[], tickets=owned).tickets, several


def _possible_ends(calls: Sequence[IdCall]) -> list[Mapping[int, int]]:
    """What an id can own in the end; what its last sale bought where no order of its calls is possible."""
    bought = [each.lines for each in calls if each.is_purchase and not each.is_repeated]
    ends: list[Mapping[int, int]] = [{}, *(each for place, each in enumerate(bought) if each not in bought[:place])]
    if len(calls) > MOST_CALLS:
        return ends
    return [each for each in ends if explanations(calls, each)] or ends[-1:]


def _translate(verdict: Verdict, foreign: ImportedHistory) -> Verdict:
    summary = _EVENTS.sub(lambda found: f"{found[1]} {_names(found[2], foreign)}", verdict.summary)
    return replace(verdict, summary=summary, evidence=tuple(_named(row, foreign) for row in verdict.evidence))


def _names(numbers: str, foreign: ImportedHistory) -> str:
    return ", ".join(str(foreign.events[int(each)]) for each in numbers.split(", "))


def _named(row: Mapping[str, Any], foreign: ImportedHistory) -> dict[str, Any]:
    """A row of evidence with the names of the file; a number that is its own name stays one."""
    named = dict(row)
    for column, names in (("event", foreign.events), ("buyer", foreign.buyers)):
        if column in named and not names.is_identity:
            named[column] = names[named[column]]
    if "purchase_id" in named:
        named["purchase_id"] = foreign.ids.text_of(named["purchase_id"])
    return named
