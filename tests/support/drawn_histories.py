"""Small histories that Hypothesis draws: right by the way they are made, and perhaps with a mistake or two.

A history is a list of operations, each a list of rows; to change one is to change plain Python. What is drawn is an
order of operations, played by the model one after another, each at its instant; the calls are opened before it and
answered after it, so that they overlap.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from uuid import UUID

import pandas as pd
from hypothesis import strategies as st

from ticketlab.history import parquet
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import NOT_SEEN, Cause, Kind, Outcome

SHOWN = ("version", "available")
TICK = 10


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A history and its ledger, before they are made frames of."""

    operations: list[list[dict]]
    events: dict[int, dict]
    """Of each its total, available and version in the end."""
    tickets: list[tuple[int, int]]
    """The event and the number of the purchase of each."""
    crashes: tuple[int, ...] = ()

    def rows(self):
        """The rows of all operations."""
        return [row for rows in self.operations for row in rows]

    def with_rows(self, change):
        """Every row changed: `change` returns the fields that are others."""
        return replace(self, operations=[[row | change(row) for row in rows] for rows in self.operations])

    def with_events(self, change):
        """Every event of the ledger changed."""
        return replace(self, events={number: event | change(event) for number, event in self.events.items()})

    def frames(self):
        """A history in order of invocation, and a ledger."""
        rows = [row for rows in sorted(self.operations, key=lambda rows: rows[0]["invoked_ns"]) for row in rows]
        told = {name: [row.get(name, 0) for row in rows] for name in COLUMNS if name != "purchase_id"}
        columns = {name: pd.array(told[name], dtype=COLUMNS[name]) for name in told}
        columns["purchase_id"] = parquet.purchase_ids(b"".join(id_of(row["number"]) for row in rows))
        books = Ledger.of(
            events=[
                (number, *(event[name] for name in ("total", *SHOWN[::-1]))) for number, event in self.events.items()
            ],
            tickets=[(event, id_of(number)) for event, number in self.tickets],
        )
        return pd.DataFrame({name: columns[name] for name in COLUMNS}), replace(books, crashes_ns=self.crashes)


def id_of(number):
    return UUID(int=number).bytes


@dataclass
class Sale:
    """The model: what the database holds, operation by operation."""

    events: dict[int, dict]
    untold: set[int]
    owned: dict[int, dict[int, int]] = field(default_factory=dict)

    def purchase(self, number, lines):
        """The outcome, the cause, and the lines that say something."""
        short = {event: wanted for event, wanted in lines.items() if self.events[event]["available"] < wanted}
        if number in self.owned:
            return Outcome.SOLD, Cause.REPEATED, lines
        if short:
            return Outcome.SOLD_OUT, Cause.INSUFFICIENT, short
        self.owned[number] = lines
        self._move(lines, -1)
        return Outcome.SOLD, Cause.NONE, lines

    def refund(self, number, lines):
        """The same for a refund; `lines` where nothing is owned."""
        if number not in self.owned:
            return Outcome.REFUNDED, Cause.REPEATED, lines
        back = self.owned.pop(number)
        self._move(back, +1)
        return Outcome.REFUNDED, Cause.NONE, back

    def _move(self, lines, sign):
        for event, quantity in lines.items():
            self.events[event]["available"] += sign * quantity
            self.events[event]["version"] += 1

    def shown(self, event, outcome, cause):
        """What the buyer is told of the event."""
        if cause is Cause.REPEATED or (event in self.untold and outcome is not Outcome.SOLD_OUT):
            return dict.fromkeys(SHOWN, NOT_SEEN)
        return {name: self.events[event][name] for name in SHOWN}


@st.composite
def right(draw, *, most=8):
    """A history that the model plays; of the first event the sales may tell no version."""
    events = {
        number: {"total": total, "available": total, "version": 1}
        for number, total in enumerate(draw(st.lists(st.integers(0, 5), min_size=1, max_size=2)))
    }
    sale = Sale(events, untold={0} if draw(st.integers(0, 4)) == 4 else set())
    lines_of, refunded, operations = {}, set(), []
    for place in range(draw(st.integers(1, most))):
        number = draw(st.sampled_from([*lines_of, len(lines_of) + 1, len(lines_of) + 1]))
        kind = Kind.REFUND if number in lines_of and draw(st.booleans()) else Kind.PURCHASE
        if kind is Kind.PURCHASE and number in refunded:
            continue
        refunded |= {number} if kind is Kind.REFUND else set()
        lines = lines_of.setdefault(number, draw(_lines(len(events))))
        rows = _play(sale, kind, number, lines, draw(st.sampled_from(["answered"] * 5 + ["lost", "gone", "failed"])))
        call = _call(draw, place)
        operations.append([row | call | {"line": line} for line, row in enumerate(rows)])
    tickets = [(event, number) for number, held in sale.owned.items() for event in held for _ in range(held[event])]
    crashes = draw(st.lists(st.integers(0, TICK * most), max_size=1))
    return Drawn(operations=operations, events=events, tickets=tickets, crashes=tuple(crashes))


@st.composite
def _lines(draw, events):
    """How many are wanted of which events: mostly of one."""
    first = draw(st.integers(0, events - 1))
    lines = {first: draw(st.integers(1, 3))}
    if events > 1 and draw(st.integers(0, 3)) == 3:
        lines[1 - first] = draw(st.integers(1, 2))
    return lines


def _play(sale, kind, number, lines, fate):
    """The rows of an operation: made and answered, made and not answered, not made and not answered, or failed."""
    if fate in {"gone", "failed"}:
        outcome, cause = (
            (Outcome.FAILED, Cause.TRANSACTION) if fate == "failed" else (Outcome.UNKNOWN, Cause.CONNECTION)
        )
    else:
        outcome, cause, lines = (sale.purchase if kind is Kind.PURCHASE else sale.refund)(number, lines)
    if fate == "lost":
        outcome, cause = Outcome.UNKNOWN, Cause.CONNECTION
    silent = outcome in {Outcome.UNKNOWN, Outcome.FAILED}
    return [
        {"kind": kind, "number": number, "event": event, "quantity": quantity, "outcome": outcome, "cause": cause}
        | (dict.fromkeys(SHOWN, NOT_SEEN) if silent else sale.shown(event, outcome, cause))
        for event, quantity in lines.items()
    ]


def _call(draw, place):
    """Who called, and when, around the instant of the effect; rather often at one tick with others."""
    instant = TICK * place
    invoked, completed = instant - draw(st.integers(0, 3)) * TICK, instant + draw(st.integers(0, 3)) * TICK
    return {
        "buyer": draw(st.integers(0, 3)),
        "scheduled_ns": invoked,
        "invoked_ns": invoked,
        "completed_ns": completed,
        "attempts": 1,
    }


@st.composite
def drawn(draw, *, most=8):
    """A history, perhaps with a mistake or two in what was told, or in the ledger."""
    case = draw(right(most=most))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        case = draw(st.sampled_from(MISTAKES))(draw, case)
    return case


def _other_row(draw, case):
    """A row, to be changed, with all rows of its operation."""
    place = draw(st.integers(0, len(case.operations) - 1))
    line = draw(st.integers(0, len(case.operations[place]) - 1))
    return place, line


def _changed(case, place, change):
    operations = [[dict(row) for row in rows] for rows in case.operations]
    operations[place] = [row | change(row) for row in operations[place]]
    return replace(case, operations=operations)


def tell_something_else(draw, case):
    """A version, a stock or a quantity is one more or less."""
    if not case.operations:
        return case
    place, line = _other_row(draw, case)
    name, by = draw(st.sampled_from([*SHOWN, "quantity"])), draw(st.sampled_from([-1, 1]))
    least = -2 if name == "available" else 1
    return _changed(
        case,
        place,
        lambda row: {name: max(least, row[name] + by)} if row["line"] == line and row[name] != NOT_SEEN else {},
    )


def come_at_another_time(draw, case):
    """An operation is earlier or later, and takes no time."""
    if not case.operations:
        return case
    place, _ = _other_row(draw, case)
    tick = draw(st.integers(-2, 10)) * TICK
    return _changed(case, place, lambda _row: dict.fromkeys(["scheduled_ns", "invoked_ns", "completed_ns"], tick))


def end_otherwise(draw, case):
    """What was sold is told as refused or rolled back, what was refused as sold, and what was lost as made."""
    if not case.operations:
        return case
    place, _ = _other_row(draw, case)
    done = Outcome.REFUNDED if case.operations[place][0]["kind"] is Kind.REFUND else Outcome.SOLD
    outcomes = [done, Outcome.FAILED, Outcome.UNKNOWN]
    outcome = draw(st.sampled_from(outcomes if done is Outcome.REFUNDED else [*outcomes, Outcome.SOLD_OUT]))
    cause = draw(st.sampled_from([Cause.NONE, Cause.REPEATED])) if outcome is done else Cause.TRANSACTION
    shown = (
        {} if outcome in {done, Outcome.SOLD_OUT} and cause is not Cause.REPEATED else dict.fromkeys(SHOWN, NOT_SEEN)
    )
    return _changed(case, place, lambda _row: {"outcome": outcome, "cause": cause} | shown)


def keep_other_books(draw, case):
    """The stock or the version in the end is one more or less."""
    number, name = draw(st.sampled_from(sorted(case.events))), draw(st.sampled_from(SHOWN))
    kept = case.events[number][name] + draw(st.sampled_from([-1, 1]))
    return replace(case, events=case.events | {number: case.events[number] | {name: kept}})


def keep_other_tickets(draw, case):
    """A ticket is missing, or one is there of somebody or of nobody."""
    if case.tickets and draw(st.booleans()):
        gone = draw(st.integers(0, len(case.tickets) - 1))
        return replace(case, tickets=case.tickets[:gone] + case.tickets[gone + 1 :])
    return replace(case, tickets=[*case.tickets, (draw(st.sampled_from(sorted(case.events))), draw(st.integers(1, 9)))])


def forget(draw, case):
    """Nobody knows of an operation."""
    if not case.operations:
        return case
    place, _ = _other_row(draw, case)
    return replace(case, operations=case.operations[:place] + case.operations[place + 1 :])


MISTAKES = [tell_something_else, come_at_another_time, end_otherwise, keep_other_books, keep_other_tickets, forget]


def joined(one, other):
    """Both, one beside the other: events, purchases and buyers of the other are others."""
    events, numbers = 1 + max(one.events), 1000
    moved = other.with_rows(
        lambda row: {
            "event": row["event"] + events, "number": row["number"] + numbers, "buyer": row["buyer"] + numbers,
        }
    )  # fmt: skip
    return Drawn(
        operations=one.operations + moved.operations,
        events=one.events | {number + events: event for number, event in other.events.items()},
        tickets=one.tickets + [(event + events, number + numbers) for event, number in other.tickets],
        crashes=one.crashes,
    )


def wanted(case):
    """Of each event the tickets of all rows and of the ledger together."""
    of_rows = Counter()
    for row in case.rows():
        of_rows[row["event"]] += row["quantity"]
    return of_rows + Counter(event for event, _ in case.tickets)
