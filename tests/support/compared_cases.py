"""The verdicts of the checks on small cases beside those of the brute force, and small cases on which they disagree.

In a shell, with `tests/support` on the path: `python -c "import compared_cases; compared_cases.report(range(2000))"`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import brute_force
import pandas as pd
from generated_cases import generated
from small_cases import Event, Line, Operation, SmallCase

from ticketlab import checks
from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.formats import imports
from ticketlab.history import parquet
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import NOT_SEEN

WRONGLY_VALID: Final = "VALID, though it is impossible"
WRONGLY_INVALID: Final = "INVALID, though it is possible"
VALID_WITHOUT_ANSWERS: Final = "VALID, though nothing was answered"
UNDECIDED: Final = "UNKNOWN, though something was answered"
MOST_UNDECIDED: Final = 0.01
"""Of the cases in which something was answered, the share that the checks may leave open."""
_NUMBER: Final = re.compile(r"\d[\d,]*\d|\d")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A case, what the brute force says of it, and what the checks say."""

    case: SmallCase
    possible: bool
    verdicts: tuple[Verdict, ...]

    @property
    def status(self) -> Status:
        """What the checks say together."""
        return overall(self.verdicts)

    @property
    def disagreement(self) -> str | None:
        """What is wrong with the verdict, if anything is; to leave a case undecided is not wrong."""
        if self.status is Status.VALID and not self.possible:
            return WRONGLY_VALID
        if self.status is Status.INVALID and self.possible:
            return WRONGLY_INVALID
        if self.status is Status.VALID and not self.case.answered:
            return VALID_WITHOUT_ANSWERS
        return None

    @property
    def undecided(self) -> bool:
        """Whether the checks leave a case open in which something was answered."""
        return self.status is Status.UNKNOWN and self.case.answered

    def __str__(self) -> str:
        """The case, both verdicts, and the line of each check."""
        word = "possible" if self.possible else "impossible"
        lines = [f"  {each.check}: {each.status} - {each.summary}" for each in self.verdicts]
        return "\n".join([str(self.case), f"brute force: {word}; checks: {self.status}", *lines])


def compared(case: SmallCase) -> Compared:
    """Both verdicts on a case."""
    return Compared(case=case, possible=brute_force.possible(case), verdicts=checks.judge(*frames(case)))


def compared_without_tickets(case: SmallCase) -> Compared:
    """Both verdicts on a case of whose tickets nothing is known."""
    history, ledger = frames(replace(case, tickets=()))
    possible = brute_force.possible(case, tickets_known=False)
    return Compared(case=case, possible=possible, verdicts=imports.judge_answers(history, ledger))


def is_wrong_without_tickets(found: Compared) -> bool:
    """Whether a possible history is called wrong, or an impossible one has a valid order and no check objects."""
    if found.possible:
        return found.status is Status.INVALID
    order = next(each.status for each in found.verdicts if each.check == "strict_serializability")
    return order is Status.VALID and found.status is not Status.INVALID


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A seed on whose case brute force and checks disagree, and the smallest case found that still shows it."""

    seed: int
    what: str
    smallest: Compared

    def __str__(self) -> str:
        """What is wrong, and the smallest case with all verdicts."""
        return f"seed {self.seed}: {self.what}\n{self.smallest}"


def disagreements(seeds: Iterable[int], *, undecided: bool = False) -> Iterator[Disagreement]:
    """Those of the generated cases of these seeds, each made small; with `undecided` those left open too."""
    for seed in seeds:
        found = compared(generated(seed))
        what = found.disagreement or (UNDECIDED if undecided and found.undecided else None)
        if what is not None:
            yield Disagreement(seed=seed, what=what, smallest=smallest(found, what))


def report(seeds: Iterable[int], *, undecided: bool = False, shown: int = 1) -> None:
    """Print the disagreements by class, the most frequent first, and the smallest `shown` of each."""
    seeds = list(seeds)
    classes: dict[tuple[str, str], list[Disagreement]] = defaultdict(list)
    for each in disagreements(seeds, undecided=undecided):
        classes[each.what, _class(each.smallest)].append(each)
    count = sum(map(len, classes.values()))
    print(f"{count:,} of {len(seeds):,} cases")  # noqa: T201
    for (what, name), found in sorted(classes.items(), key=lambda item: -len(item[1])):
        print(f"\n== {len(found)} x {what}: {name}")  # noqa: T201
        for each in sorted(found, key=lambda each: len(str(each.smallest.case)))[:shown]:
            print(each, end="\n\n")  # noqa: T201


def _class(found: Compared) -> str:
    """What the checks say of a wrong case, or what a case has that they let pass: without its numbers."""
    said = [
        f"{each.check}: {_NUMBER.sub('N', each.summary)}"
        for each in found.verdicts
        if each.status is found.status and found.status is not Status.VALID
    ]
    operations = sorted(
        f"{each.kind} {each.outcome}{' again' if each.repeated else ''}" for each in found.case.operations
    )
    return "; ".join(said) or ", ".join(operations)


# Frames of a case.


def frames(case: SmallCase) -> tuple[pd.DataFrame, Ledger]:
    """The history in order of invocation, and the ledger, as the checks take them; each operation has its own buyer."""
    operations = sorted(enumerate(case.operations), key=lambda pair: pair[1].invoked)
    rows = [row for buyer, operation in operations for row in _rows(buyer, operation)]
    columns: dict[str, Any] = {name: [row.get(name, 0) for row in rows] for name in COLUMNS}
    ids = parquet.purchase_ids(b"".join(columns.pop("purchase_id")))
    typed = {name: pd.array(values, dtype=COLUMNS[name]) for name, values in columns.items()} | {"purchase_id": ids}
    ledger = Ledger.of(
        events=[(number, each.total, each.available, each.version) for number, each in enumerate(case.events)],
        tickets=[(event, _id(purchase)) for event, purchase in case.tickets],
    )
    history = pd.DataFrame({name: typed[name] for name in COLUMNS})
    return history, replace(ledger, facts=Facts(stock_elsewhere=case.stock_elsewhere))


def _rows(buyer: int, operation: Operation) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(operation.lines):
        yield {
            "buyer": buyer, "event": line.event, "line": number, "kind": operation.kind, "quantity": line.quantity,
            "purchase_id": _id(operation.purchase), "scheduled_ns": operation.invoked,
            "invoked_ns": operation.invoked, "completed_ns": operation.completed, "outcome": operation.outcome,
            "cause": operation.cause, "attempts": 1,
            "version": NOT_SEEN if line.version is None else line.version,
            "available": NOT_SEEN if line.available is None else line.available,
        }  # fmt: skip


def _id(purchase: int) -> bytes:
    return UUID(int=purchase).bytes


# The smallest case that still shows something.


def smallest(found: Compared, what: str) -> Compared:
    """Take away from a case for as long as its verdict is wrong in the same way, and by no other check."""
    checks_that_object = _objecting(found)

    def shows(other: Compared) -> bool:
        same = other.disagreement == what or (what == UNDECIDED and other.undecided)
        return same and _objecting(other) <= checks_that_object

    return _shrunk(found, shows)


def _objecting(found: Compared) -> set[str]:
    return {each.check for each in found.verdicts if each.status is not Status.VALID}


def _shrunk(found: Compared, shows: Callable[[Compared], bool]) -> Compared:
    for case in _smaller(found.case):
        if brute_force.possible(case) is not found.possible:  # asked first: the checks take a hundred times as long
            continue
        other = compared(case)
        if shows(other):
            return _shrunk(other, shows)
    return found


def _smaller(case: SmallCase) -> Iterator[SmallCase]:
    """Cases with a little less in them, those with much less first."""
    for purchase in sorted({each.purchase for each in case.operations}):
        yield from _without_id(case, purchase)
    for place in range(len(case.operations)):
        yield from _without_operation(case, place)
    yield from _with_one_event_less(case)
    for number in range(len(case.tickets)):
        yield replace(case, tickets=case.tickets[:number] + case.tickets[number + 1 :])
    for place, event in enumerate(case.events):
        for less in _less_known(event):
            yield replace(case, events=(*case.events[:place], less, *case.events[place + 1 :]))
    for place, operation in enumerate(case.operations):
        for less in _less_said(operation):
            yield replace(case, operations=(*case.operations[:place], less, *case.operations[place + 1 :]))
    if case.stock_elsewhere:
        yield replace(case, stock_elsewhere=False)
    yield from _earlier(case)


def _without_id(case: SmallCase, purchase: int) -> Iterator[SmallCase]:
    """Without all that an id did and owns, its seats returned or not."""
    operations = tuple(each for each in case.operations if each.purchase != purchase)
    if not operations:
        return
    gone = [event for event, owner in case.tickets if owner == purchase]
    tickets = tuple(each for each in case.tickets if each[1] != purchase)
    fewer = tuple(replace(each, total=each.total - gone.count(at)) for at, each in enumerate(case.events))
    if all(each.total >= 0 for each in fewer):
        yield replace(case, operations=operations, tickets=tickets, events=fewer)
    more = tuple(
        each if each.available is None else replace(each, available=each.available + gone.count(at))
        for at, each in enumerate(case.events)
    )
    yield replace(case, operations=operations, tickets=tickets, events=more)


def _without_operation(case: SmallCase, place: int) -> Iterator[SmallCase]:
    if len(case.operations) > 1:
        yield replace(case, operations=case.operations[:place] + case.operations[place + 1 :])


def _with_one_event_less(case: SmallCase) -> Iterator[SmallCase]:
    """Of two events only one, in baskets too."""
    for gone in range(len(case.events) if len(case.events) > 1 else 0):
        operations = tuple(
            replace(each, lines=tuple(replace(line, event=0) for line in each.lines if line.event != gone))
            for each in case.operations
        )
        yield replace(
            case,
            operations=tuple(each for each in operations if each.lines) or operations[:0],
            events=case.events[:gone] + case.events[gone + 1 :],
            tickets=tuple((0, owner) for event, owner in case.tickets if event != gone),
        )


def _less_known(event: Event) -> Iterator[Event]:
    if event.version is not None:
        yield replace(event, version=None)
    if event.available is not None:
        yield replace(event, available=None)
    if event.total > 0:
        yield replace(event, total=event.total - 1)
        if event.available is not None and event.available > 0:
            yield replace(event, total=event.total - 1, available=event.available - 1)


def _less_said(operation: Operation) -> Iterator[Operation]:
    for place, line in enumerate(operation.lines):
        for less in _less_reported(line):
            yield replace(operation, lines=(*operation.lines[:place], less, *operation.lines[place + 1 :]))


def _less_reported(line: Line) -> Iterator[Line]:
    if line.version is not None:
        yield replace(line, version=None)
    if line.available is not None:
        yield replace(line, available=None)


def _earlier(case: SmallCase) -> Iterator[SmallCase]:
    """Times as small numbers in the same order."""
    ticks = sorted({tick for each in case.operations for tick in (each.invoked, each.completed)})
    place = {tick: number for number, tick in enumerate(ticks)}
    operations = tuple(
        replace(each, invoked=place[each.invoked], completed=place[each.completed]) for each in case.operations
    )
    if operations != case.operations:
        yield replace(case, operations=operations)
