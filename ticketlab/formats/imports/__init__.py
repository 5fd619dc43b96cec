"""Reads and judges histories of other systems, from CSV or Parquet. Opens files, no connection.

A file has one row per operation; a basket and its refund have one row per event. The columns, in any order:

| column | contents | if the column or a cell is missing |
|---|---|---|
| buyer | a name or a number | required |
| event | a name or a number | required |
| quantity | tickets, from 1; with the cause repeated those that the id had bought | required |
| purchase_id | a UUID (in Parquet also its 16 bytes), or any other text, from which a UUID is made | required |
| invoked_ns, completed_ns | when it was called and answered: whole ns of one clock, from 0 | required |
| outcome | one of `ticketlab.outcomes.Outcome`, in upper or lower case | required |
| kind | purchase or refund | purchase |
| line | the index of the row in its operation, from 0 | by order of the rows |
| cause | one of `ticketlab.outcomes.Cause`; repeated if the id had bought before | none, or insufficient |
| scheduled_ns | when it was due | invoked_ns |
| attempts, retries_… | the number of attempts, and of retries by cause | 1, 0 |
| version | the version of the event after it, or at which it was refused: from 0 | unknown |
| available | the stock of the event at that version; below 0 if the system reports that | unknown |
| handed | the number of tickets in the answer | the answer has none |
| handed_digest | the digest of their ids: see `ticketlab.history.ids` | unknown |
| handed_elsewhere | how many of them name another purchase or event | 0 |

The rows with one purchase_id, invoked_ns and kind are one operation. An event begins at version 1 with all its seats.
Other columns are not read. All errors of a file are reported, and nothing is guessed.

The verdicts name the operations as their file does. Without tickets three claims can be judged: no deadlock, no
oversell as far as the answers show one, and strict serializability. The last is judged with the only tickets that the
answers allow. If they allow several (an answer was lost, a row reports an earlier purchase that the file lacks, the
calls of one id can end in several ways), it is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ticketlab import checks
from ticketlab.checks.base import unknown
from ticketlab.checks.capacity import no_oversell, oversold_by_answers
from ticketlab.checks.diagnosis import diagnose
from ticketlab.checks.evidence import evidence_of
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.formats.imports._loader import MOST_TICKETS, ImportedHistory, read
from ticketlab.formats.imports._table import Table
from ticketlab.history.effects import MOST_CALLS, IdCall, explanations
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import TICKET_COLUMNS, Ledger
from ticketlab.history.text import counted, verb
from ticketlab.outcomes import NOT_SEEN, Outcome

if TYPE_CHECKING:
    from ticketlab.checks.base import Check

NEEDS_NO_TICKETS: Final = frozenset({"no_deadlock", "strict_serializability"})
"""The checks that judge a history without its tickets, by name."""
NO_LEDGER: Final = "no ledger was given (--tickets)"
_STRICT: Final = "strict_serializability"
_EVENTS: Final = re.compile(r"\b(events?) (\d+(?:, \d+)*)\b")


def judge(foreign: ImportedHistory, chosen: Iterable[Check] = checks.CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check. The column `in_file` of its evidence is the place of each operation in the file."""
    history = foreign.history.assign(in_file=foreign.places)
    judge_history = checks.judge if foreign.tickets_known else judge_answers
    return tuple(_translate(verdict, foreign) for verdict in judge_history(history, foreign.ledger, chosen))


def judge_answers(
    history: pd.DataFrame, ledger: Ledger, chosen: Iterable[Check] = checks.CHECKS
) -> tuple[Verdict, ...]:
    """The verdict of each check on a history without tickets; `ledger` has the seats."""
    case = IndexedHistory(history, ledger)
    oversold = oversold_by_answers(case, no_oversell.name)
    final, open_question = _final_ledger(case)
    verdicts = checks.decide(case if final is None else IndexedHistory(history, final), chosen)
    if oversold is None and final is not None:  # the final stock in the file may disagree with the answers
        by_stock = (each for each in verdicts if each.check == no_oversell.name and each.status is Status.INVALID)
        oversold = next(by_stock, None)
    return tuple(_without_tickets(each, open_question, oversold) for each in verdicts)


def is_decided(verdicts: Iterable[Verdict]) -> bool:
    """Whether any check but that for deadlocks, which says nothing of tickets, was decided."""
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
    """The only ledger that the answers allow, or the reason why there is not exactly one."""
    lost = int((case.history["outcome"] == Outcome.UNKNOWN).sum())
    if lost:
        return None, f"{NO_LEDGER}, and the outcome of {counted(lost, 'row')} is unknown"
    sold = case.sold & ~case.repeated
    earlier = int((case.sold & case.repeated & (case.count_by_id(sold) == 0)[case.id]).sum())
    if earlier:
        rows_report = f"{counted(earlier, 'row')} {verb(earlier, 'reports')}"
        return None, f"{NO_LEDGER}, and {rows_report} an earlier purchase that is not in the file"
    if case.quantity[sold].sum() > MOST_TICKETS:
        return None, f"{NO_LEDGER}, and more than {MOST_TICKETS:,} tickets were sold"
    of_irregular, several = _tickets_of_irregular_ids(case)
    if several:
        ids_own = f"{counted(several, 'purchase id')} {verb(several, 'owns')}"
        return None, f"{NO_LEDGER}, and what {ids_own} at the end depends on the order of the calls"
    kept = sold & ((case.count_by_id(case.refunded) == 0) & ~case.effects.irregular)[case.id]
    rows = np.repeat(np.flatnonzero(kept), case.quantity[kept])
    of_regular = case.history[["event", "purchase_id"]].iloc[rows].assign(ticket=NOT_SEEN).astype(TICKET_COLUMNS)
    tickets = pd.concat([of_regular, of_irregular], ignore_index=True) if len(of_irregular) else of_regular
    return replace(case.ledger, tickets=tickets.reset_index(drop=True)), None


def _tickets_of_irregular_ids(case: IndexedHistory) -> tuple[pd.DataFrame, int]:
    """The tickets of irregular ids, and how many of these ids could own different ones."""
    owned: list[tuple[int, bytes]] = []
    several = 0
    for number, calls, _ in case.irregular_ids():
        ends = _possible_ends(calls)
        several += len(ends) > 1
        purchase_id = case.history["purchase_id"].iloc[int(np.argmax(case.id == number))]
        owned += [(event, purchase_id) for event, count in ends[0].items() for _ in range(count)]
    return Ledger.of(events=[], tickets=owned).tickets, several


def _possible_ends(calls: Sequence[IdCall]) -> list[Mapping[int, int]]:
    """What an id can own at the end; what its last sale bought if no order of its calls is possible."""
    bought = [each.lines for each in calls if each.is_purchase and not each.is_repeated]
    ends: list[Mapping[int, int]] = [{}, *(each for place, each in enumerate(bought) if each not in bought[:place])]
    if len(calls) > MOST_CALLS:
        return ends
    return [each for each in ends if explanations(calls, each)] or ends[-1:]


def _translate(verdict: Verdict, foreign: ImportedHistory) -> Verdict:
    summary = _EVENTS.sub(lambda found: f"{found[1]} {_names(found[2], foreign)}", verdict.summary)
    named = evidence_of([_named(row, foreign) for row in verdict.evidence])
    return replace(verdict, summary=summary, operations=named, diagnosis=diagnose(verdict.anomaly, named))


def _names(numbers: str, foreign: ImportedHistory) -> str:
    return ", ".join(str(foreign.events[int(each)]) for each in numbers.split(", "))


def _named(row: Mapping[str, Any], foreign: ImportedHistory) -> dict[str, Any]:
    """A row of evidence with the names of the file; a number that is its own name stays a number."""
    named = dict(row)
    for column, names in (("event", foreign.events), ("buyer", foreign.buyers)):
        if column in named and not names.is_identity:
            named[column] = names[named[column]]
    if "purchase_id" in named:
        named["purchase_id"] = foreign.ids.text_of(named["purchase_id"])
    return named


__all__ = ["NEEDS_NO_TICKETS", "ImportedHistory", "Table", "is_decided", "judge", "read"]
