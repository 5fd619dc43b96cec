"""Small random histories with their ledgers: right ones, and about as many in which a mistake was made.

All follows from the seed. A mistake is made in what was recorded, or in the ledger; it may well leave a history right,
for another order may explain it.
"""

import random
from copy import deepcopy
from dataclasses import dataclass
from uuid import UUID

import pandas as pd
from played_histories import Play

from ticketlab.history import parquet
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import NOT_SEEN, Cause, Kind, Outcome

NOBODY = 999
TOTAL, AVAILABLE, VERSION = range(3)


@dataclass
class Recorded:
    """What was recorded, before it is made frames of."""

    operations: list[list[dict]]
    """Each with its rows."""
    events: list[list[int]]
    """Total, available and version in the end."""
    tickets: list[tuple[int, int]]
    """The event and the number of the purchase of each."""

    def rows(self, *outcomes, told=False):
        """The rows that ended so, or all; with `told` only those that carry a version."""
        rows = [row for rows in self.operations for row in rows]
        return [row for row in rows if row["outcome"] in (outcomes or Outcome) and (not told or row["version"] > 0)]

    def ended(self, *outcomes):
        """The operations that ended so."""
        return [rows for rows in self.operations if rows[0]["outcome"] in outcomes]

    def take(self, ticket):
        self.tickets.remove(ticket)

    def take_all(self, operation):
        """Take the tickets of its purchase away."""
        mine = [each for each in self.tickets if each[1] == operation[0]["number"]]
        self.tickets = [each for each in self.tickets if each not in mine]
        return mine


def random_case(seed, *, operations=(3, 14), mistakes=None):
    """A history of so many operations and its ledger, with so many mistakes; in half of the seeds there are none."""
    rng = random.Random(seed)
    recorded = right(rng, rng.randint(*operations))
    count = rng.choice([0, 0, 0, 0, 1, 1, 1, 2])
    for _ in range(count if mistakes is None else mistakes):
        make_a_mistake(rng, recorded)
    return frames(recorded)


def right(rng, operations):
    """A history without a mistake."""
    play = Play(rng, operations)
    play.play()
    owned = [(number, *line) for number, lines in play.owned.items() for line in lines.items()]
    return Recorded(
        operations=play.recorded,
        events=[[each.total, each.available, each.version] for each in play.events],
        tickets=[(event, number) for number, event, quantity in owned for _ in range(quantity)],
    )


def make_a_mistake(rng, recorded):
    """One of the mistakes that can be made here."""
    before = deepcopy(recorded)
    while recorded == before:
        rng.choice(MISTAKES)(rng, recorded)


def frames(recorded):
    """The history and the ledger, with the ids of purchases for their numbers."""
    whole = sorted(recorded.operations, key=lambda rows: rows[0]["invoked_ns"])
    rows = [row for rows in whole for row in rows]
    told = {name: [row.get(name, 0) for row in rows] for name in COLUMNS}
    told |= {"scheduled_ns": told["invoked_ns"], "attempts": [1] * len(rows)}
    columns = {name: pd.array(told[name], dtype=kind) for name, kind in COLUMNS.items() if name != "purchase_id"}
    columns["purchase_id"] = parquet.purchase_ids(b"".join(purchase_id(row["number"]) for row in rows))
    return pd.DataFrame({name: columns[name] for name in COLUMNS}), Ledger.of(
        events=[(number, *event) for number, event in enumerate(recorded.events)],
        tickets=[(event, purchase_id(number)) for event, number in recorded.tickets],
    )


def purchase_id(number):
    return UUID(int=number + 1).bytes


# Each mistake does nothing where there is nothing that it can be made with.


def swap_what_two_were_told(rng, recorded):
    """Two operations exchange their versions, and perhaps the stock that they were told."""
    rows = recorded.rows(told=True)
    if rows:
        one = rng.choice(rows)
        other = rng.choice([row for row in rows if row["event"] == one["event"]])
        for name in ["version", "available"][: rng.randint(1, 2)]:
            one[name], other[name] = other[name], one[name]


def repeat_a_version(rng, recorded):
    """One operation is told the version of another."""
    rows = recorded.rows(told=True)
    if rows:
        one = rng.choice(rows)
        one["version"] = rng.choice([row["version"] for row in rows if row["event"] == one["event"]])


def tell_a_little_else(rng, recorded):
    """A version, a stock or a quantity is one more or less."""
    rows = recorded.rows(told=True)
    if rows:
        row = rng.choice(rows)
        name = rng.choice(["version", "available", "quantity"])
        row[name] = max(row[name] + rng.choice([-1, 1]), 0 if name == "available" else 1)


def ask_for_a_little_else(rng, recorded):
    """A quantity is one more or less, whatever became of it; the final stock may say so, too."""
    row, offset = rng.choice(recorded.rows()), rng.choice([-1, 1])
    if row["quantity"] + offset > 0:
        row["quantity"] += offset
        if row["outcome"] in {Outcome.SOLD, Outcome.REFUNDED} and rng.random() < 0.5:
            recorded.events[row["event"]][AVAILABLE] += offset if row["kind"] == Kind.REFUND else -offset


def tell_nothing(rng, recorded):
    """A version and its stock are not told."""
    rows = recorded.rows(told=True)
    if rows:
        rng.choice(rows).update(version=NOT_SEEN, available=NOT_SEEN)


def shift(rng, recorded):
    """An operation comes before its time, or after it."""
    offset = rng.choice([-1, 1]) * rng.randint(1, 15)
    for row in rng.choice(recorded.operations):
        row["invoked_ns"] += offset
        row["completed_ns"] += offset


def make_brief(rng, recorded):
    """An operation that took its time is said to have begun and ended at one tick of it."""
    operation = max(
        recorded.operations, key=lambda rows: (rows[0]["completed_ns"] - rows[0]["invoked_ns"], rng.random())
    )
    tick = rng.randint(operation[0]["invoked_ns"], operation[0]["completed_ns"])
    for row in operation:
        row["invoked_ns"] = row["completed_ns"] = tick


def hurry_all(_rng, recorded):
    """Every operation is said to have begun only when it was answered: the order of answers is that of effects."""
    for row in recorded.rows():
        row["invoked_ns"] = row["completed_ns"]


def drop_a_ticket(rng, recorded):
    """A ticket is missing; the stock may say so, too."""
    if recorded.tickets:
        ticket = rng.choice(recorded.tickets)
        recorded.take(ticket)
        recorded.events[ticket[0]][AVAILABLE] += rng.randint(0, 1)


def drop_tickets_of_one(rng, recorded):
    """The tickets of a purchase are missing, of all its events or of one; the stock may say so, too."""
    if recorded.tickets:
        event, number = rng.choice(recorded.tickets)
        gone = [each for each in recorded.tickets if each[1] == number and (each[0] == event or rng.random() < 0.5)]
        kept = rng.random() < 0.5
        for ticket in gone:
            recorded.take(ticket)
            recorded.events[ticket[0]][AVAILABLE] += kept


def add_a_ticket(rng, recorded):
    """There is a ticket of nobody, or one more of a purchase; the stock may say so, too."""
    event = rng.randrange(len(recorded.events))
    number = rng.choice([NOBODY, *(row["number"] for row in recorded.rows())])
    recorded.tickets.append((event, number))
    recorded.events[event][AVAILABLE] -= rng.randint(0, 1)


def miscount(rng, recorded):
    """The final stock or version is one more or less."""
    recorded.events[rng.randrange(len(recorded.events))][rng.choice([AVAILABLE, VERSION])] += rng.choice([-1, 1])


def skip_the_count(rng, recorded):
    """A sale is there and its buyer was told of it, but the final stock and version are those of before."""
    sales = recorded.rows(Outcome.SOLD)
    if sales:
        row = rng.choice(sales)
        recorded.events[row["event"]][AVAILABLE] += row["quantity"]
        recorded.events[row["event"]][VERSION] -= 1


def settle_unknown_otherwise(rng, recorded):
    """Of a purchase of unknown outcome tickets are there, or not, the other way round; the stock may say so, too."""
    lost = [rows for rows in recorded.ended(Outcome.UNKNOWN) if rows[0]["kind"] == Kind.PURCHASE]
    if lost:
        operation, counted = rng.choice(lost), rng.random() < 0.7
        before = recorded.take_all(operation)
        if not before:
            recorded.tickets += [(row["event"], row["number"]) for row in operation for _ in range(row["quantity"])]
        for row in operation if counted else ():
            recorded.events[row["event"]][AVAILABLE] += row["quantity"] if before else -row["quantity"]
            recorded.events[row["event"]][VERSION] += -1 if before else 1


def forget_the_answer(rng, recorded):
    """What was answered becomes unknown: with its effect still there, most histories stay right."""
    for row in rng.choice(recorded.operations):
        row.update(outcome=Outcome.UNKNOWN, cause=Cause.CONNECTION, version=NOT_SEEN, available=NOT_SEEN)


def answer_the_unknown(rng, recorded):
    """Who did not know is told that it happened, or that it did not; of a version that may be right, or of none."""
    lost = recorded.ended(Outcome.UNKNOWN)
    if lost:
        operation = rng.choice(lost)
        done = Outcome.SOLD if operation[0]["kind"] == Kind.PURCHASE else Outcome.REFUNDED
        outcome, told = rng.choice([done, done, Outcome.FAILED]), rng.random() < 0.7
        for row in operation:
            total, _, version = recorded.events[row["event"]]
            row.update(outcome=outcome, cause=Cause.NONE)
            if told and outcome is done:
                row.update(version=rng.randint(2, max(2, version)), available=rng.randint(0, total))


def sell_or_refuse(rng, recorded):
    """A sale is told as a refusal, or a refusal as a sale, with the version and the stock that were told."""
    answered = recorded.ended(Outcome.SOLD, Outcome.SOLD_OUT)
    if answered:
        operation = rng.choice(answered)
        outcome = Outcome.SOLD_OUT if operation[0]["outcome"] == Outcome.SOLD else Outcome.SOLD
        cause = Cause.INSUFFICIENT if outcome is Outcome.SOLD_OUT else Cause.NONE
        for row in operation:
            row.update(outcome=outcome, cause=cause)


def fail_what_was_done(rng, recorded):
    """What was sold or given back is told as rolled back."""
    done = recorded.ended(Outcome.SOLD, Outcome.REFUNDED)
    if done:
        for row in rng.choice(done):
            row.update(outcome=Outcome.FAILED, cause=Cause.TRANSACTION, version=NOT_SEEN, available=NOT_SEEN)


def say_it_was_done_before(rng, recorded):
    """A sale or a refund is told to have been made before, or one that was is told as the first."""
    done = recorded.ended(Outcome.SOLD, Outcome.REFUNDED)
    if done:
        for row in rng.choice(done):
            again = row["cause"] != Cause.REPEATED
            row.update(cause=Cause.REPEATED if again else Cause.NONE, version=NOT_SEEN, available=NOT_SEEN)


def drop_an_operation(rng, recorded):
    """Nobody knows of an operation."""
    if len(recorded.operations) > 1:
        recorded.operations.pop(rng.randrange(len(recorded.operations)))


def drop_a_refund(rng, recorded):
    """Nobody knows of a refund."""
    refunds = [rows for rows in recorded.operations if rows[0]["kind"] == Kind.REFUND]
    if refunds:
        recorded.operations.remove(rng.choice(refunds))


def do_it_twice(rng, recorded):
    """An operation is there twice: under its id by another buyer, or as another's purchase, a little later."""
    rows = deepcopy(rng.choice(recorded.operations))
    number = rng.choice([rows[0]["number"], NOBODY])
    for row in rows:
        row.update(buyer=row["buyer"] + 10, number=number, completed_ns=row["completed_ns"] + 1)
    recorded.operations.append(rows)


def refuse_in_vain(rng, recorded):
    """Somebody is sent away at some instant, for all that he saw."""
    event = rng.randrange(len(recorded.events))
    total, _, version = recorded.events[event]
    tick = rng.choice(recorded.rows())["completed_ns"]
    seen = rng.choice([(NOT_SEEN, NOT_SEEN), (rng.randint(1, max(1, version)), rng.randint(0, total))])
    recorded.operations.append(
        [
            {
                "buyer": 20, "event": event, "line": 0, "kind": Kind.PURCHASE, "quantity": rng.randint(1, 3),
                "number": NOBODY, "invoked_ns": tick, "completed_ns": tick + rng.randint(0, 3),
                "outcome": Outcome.SOLD_OUT, "cause": Cause.INSUFFICIENT, "version": seen[0], "available": seen[1],
            }
        ]
    )  # fmt: skip


MISTAKES = [
    swap_what_two_were_told, swap_what_two_were_told, repeat_a_version, tell_a_little_else, ask_for_a_little_else,
    tell_nothing, shift, shift, make_brief, make_brief, hurry_all, drop_a_ticket, drop_tickets_of_one, add_a_ticket,
    miscount, skip_the_count, settle_unknown_otherwise, forget_the_answer, answer_the_unknown, sell_or_refuse,
    fail_what_was_done, say_it_was_done_before, drop_an_operation, drop_a_refund, do_it_twice, refuse_in_vain,
]  # fmt: skip
