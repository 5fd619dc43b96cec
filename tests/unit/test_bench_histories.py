"""Histories that nobody lived are right, played again one operation after another; violated, they are not."""

from collections import Counter

import numpy as np
import pytest

from ticketlab import checks
from ticketlab.bench._checking_worker import VIOLATIONS, with_violation
from ticketlab.bench._synthetic import Shape, generate
from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.history.ledger import EVENT_COLUMNS, TICKET_COLUMNS
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import Kind, Outcome

SHAPES = {
    "one event": Shape(operations=1_000),
    "few operations": Shape(operations=200, refunds=True),
    "refunds": Shape(operations=1_000, refunds=True),
    "several events": Shape(operations=1_000, events=7, refunds=True),
    "baskets": Shape(operations=1_000, events=5, baskets=True),
    "baskets given back": Shape(operations=1_000, events=3, baskets=True, refunds=True),
    "many events": Shape(operations=1_000, events=500, baskets=True, refunds=True),
    "unanswered": Shape(operations=1_000, refunds=True, unknown=0.01),
}


@pytest.fixture(params=SHAPES.values(), ids=list(SHAPES), scope="module")
def shape(request):
    return request.param


@pytest.fixture(scope="module")
def made(shape):
    return generate(shape)


def operations(history):
    """The rows of each operation, in the order of their invocation."""
    found = []
    for row in history.to_dict("records"):
        if row["line"] == 0:
            found.append([])
        found[-1].append(row)
    return found


def took_effect(operation, owners):
    """Of those without an answer the ledger tells."""
    first = operation[0]
    return first["outcome"] != Outcome.UNKNOWN or first["purchase_id"] in owners


def replay(made):
    """Play the operations in an order that versions and times allow; return what is left, and who owns what.

    Nobody goes on who was called after an answer that is still to come, and no stock is changed while a refusal that
    saw it waits. So whoever fits may go; those who tell of no version go where nobody else makes the next one, and
    where they leave what the one after it found.
    """
    stock = dict(zip(made.ledger.events["event"], made.ledger.events["total"], strict=True))
    version, owned = dict.fromkeys(stock, 1), {}
    owners = set(made.ledger.tickets["purchase_id"])
    waiting = [each for each in operations(made.history) if took_effect(each, owners)]
    seen = Counter(place(row) for each in waiting if is_refused(each) for row in each)
    found = {
        place(row): row["available"] - sign(row) * row["quantity"]
        for each in waiting
        if not is_refused(each)
        for row in each
    }
    while waiting:
        until = min((each[0]["completed_ns"] for each in waiting if is_told(each)), default=float("inf"))
        called = [each for each in waiting if each[0]["invoked_ns"] <= until]
        free = [
            each
            for each in called
            if is_refused(each) or not any(seen[row["event"], version[row["event"]]] for row in each)
        ]
        silent = (each for each in free if not is_told(each) and all(fills(row, stock, version, found) for row in each))
        turn = next((each for each in free if is_told(each) and fits(each, stock, version)), None) or next(silent)
        waiting.remove(turn)
        if is_refused(turn):
            seen.subtract(place(row) for row in turn)
        else:
            play(turn, stock, version, owned)
    return stock, version, owned


def fills(row, stock, version, found):
    """Whether the next version is nobody else's, and the one after it found what this row leaves."""
    event = row["event"]
    left = stock[event] + sign(row) * row["quantity"]
    return (event, version[event] + 1) not in found and found.get((event, version[event] + 2), left) == left


def place(row):
    return row["event"], row["version"]


def is_refused(operation):
    return operation[0]["outcome"] == Outcome.SOLD_OUT


def is_told(operation):
    return operation[0]["outcome"] != Outcome.UNKNOWN


def sign(row):
    return 1 if row["kind"] == Kind.REFUND else -1


def fits(operation, stock, version):
    """Whether each row tells of what would be there if the operation took effect now."""
    step = 0 if is_refused(operation) else 1
    return all(
        row["version"] == version[row["event"]] + step
        and row["available"] == stock[row["event"]] + step * sign(row) * row["quantity"]
        for row in operation
    )


def play(operation, stock, version, owned):
    first = operation[0]
    tickets = Counter({row["event"]: row["quantity"] for row in operation})
    if first["kind"] == Kind.REFUND:
        assert owned.pop(first["purchase_id"]) == tickets
    else:
        assert first["purchase_id"] not in owned
        owned[first["purchase_id"]] = tickets
    for row in operation:
        stock[row["event"]] += sign(row) * row["quantity"]
        version[row["event"]] += 1
        assert stock[row["event"]] >= 0


def test_the_columns_are_those_of_a_history_and_a_ledger(made):
    """In their order and of their types, as they would be read from a file."""
    assert list(made.history) == list(COLUMNS)
    for frame, columns in (
        (made.history, COLUMNS),
        (made.ledger.events, EVENT_COLUMNS),
        (made.ledger.tickets, TICKET_COLUMNS),
    ):
        assert frame.dtypes.to_dict() == frame.astype(columns).dtypes.to_dict()


def test_there_are_as_many_operations_as_asked_for(made, shape):
    """Each begins with its line 0, in the order of their calls; a basket is of two or three events, each once."""
    found = operations(made.history)
    assert len(found) == shape.operations
    assert made.history["invoked_ns"].is_monotonic_increasing
    for rows in found:
        assert [row["line"] for row in rows] == list(range(len(rows)))
        assert len({row["event"] for row in rows}) == len(rows) <= (3 if shape.baskets else 1)
        assert len({(row["purchase_id"], row["invoked_ns"], row["completed_ns"], row["buyer"]) for row in rows}) == 1
    assert max(map(len, found)) == (3 if shape.baskets else 1)


def test_a_buyer_makes_one_purchase_after_another(made, shape):
    """None is called before his last one was answered, and those of different buyers overlap."""
    calls = made.history[made.history["line"] == 0]
    assert (calls["invoked_ns"] <= calls["completed_ns"]).all()
    for _, own in calls.groupby("buyer"):
        assert (own["invoked_ns"].to_numpy()[1:] > own["completed_ns"].to_numpy()[:-1]).all()
    begun = np.searchsorted(calls["invoked_ns"], calls["completed_ns"])
    assert (begun - np.arange(len(calls)) > 1).mean() > 0.9
    assert calls["buyer"].nunique() == shape.buyers


def test_it_can_be_played_by_the_model(made):
    """One after another, as versions and times have it: each has his seat, and the ledger is what is left."""
    stock, version, owned = replay(made)
    for event, _, _, available, last in made.ledger.events.itertuples(index=False):
        assert (stock[event], version[event]) == (available, last)
    tickets = Counter(made.ledger.tickets[["event", "purchase_id"]].itertuples(index=False, name=None))
    assert tickets == Counter(
        {(event, purchase_id): count for purchase_id, each in owned.items() for event, count in each.items()}
    )


def test_refusals_saw_a_stock_too_small(made):
    """Each wanted more than was left, and there are some with seats left, too."""
    refused = made.history[made.history["outcome"] == Outcome.SOLD_OUT]
    assert (refused["quantity"] > refused["available"]).all()
    assert refused["quantity"].between(1, 4).all()
    assert (refused["available"] > 0).any()


def test_there_is_what_was_asked_for(made, shape):
    """Refunds, purchases without an answer of which some took effect, events."""
    outcomes = made.history["outcome"].value_counts()
    assert bool(outcomes[Outcome.REFUNDED]) == shape.refunds
    assert bool(outcomes[Outcome.UNKNOWN]) == (shape.unknown > 0)
    owners = set(made.ledger.tickets["purchase_id"])
    unknown = [each for each in operations(made.history) if not is_told(each)]
    assert len({took_effect(each, owners) for each in unknown}) == (2 if unknown else 0)
    assert made.ledger.events["event"].tolist() == list(range(shape.events))


def test_a_seed_makes_one_history(made, shape):
    """The same again, and another seed another one."""
    again = generate(shape)
    assert again.history.equals(made.history)
    assert again.ledger.tickets.equals(made.ledger.tickets)
    other = generate(
        Shape(operations=shape.operations, events=shape.events, baskets=shape.baskets, seed=shape.seed + 1)
    )
    assert not other.history.equals(made.history)


def test_its_end_is_a_sale_and_a_refusal_after_it(made):
    """Of the last two seats of event 0, and by somebody who came after the answer."""
    sale, refusal = made.history.iloc[made.last_sale], made.history.iloc[made.last_refusal]
    assert (sale["outcome"], sale["available"], sale["quantity"], sale["event"]) == (Outcome.SOLD, 0, 2, 0)
    assert (refusal["outcome"], refusal["version"], refusal["event"]) == (Outcome.SOLD_OUT, sale["version"], 0)
    assert sale["completed_ns"] < refusal["invoked_ns"]
    assert set(made.ledger.tickets["purchase_id"].iloc[-2:]) == {sale["purchase_id"]}


def name_of(check):
    return getattr(check, "name", None) or check.__name__


@pytest.mark.parametrize("check", checks.CHECKS, ids=name_of)
@pytest.mark.parametrize("baskets", [False, True], ids=["one event", "baskets"])
def test_each_check_is_content_and_calls_its_violation_invalid(check, baskets):
    """There is a violation for each, which it finds at the end of what it has called right."""
    made = generate(Shape(operations=1_000, events=4 if baskets else 1, baskets=baskets))
    assert check(made.history, made.ledger).status is Status.VALID
    wrong = with_violation(made, name_of(check))
    assert check(wrong.history, wrong.ledger).status is Status.INVALID
    assert check(made.history, made.ledger).status is Status.VALID, "the twin has changed what it is a twin of"


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_a_few_rows_at_the_end(name):
    """The rest of history and ledger is the same, and so are the types."""
    made = generate(Shape(operations=1_000))
    wrong = with_violation(made, name)
    end = min(made.last_sale, made.last_refusal)
    assert wrong.history.iloc[:end].equals(made.history.iloc[:end])
    assert (wrong.history.dtypes == made.history.dtypes).all()
    assert (wrong.ledger.tickets.dtypes == made.ledger.tickets.dtypes).all()
    kept = len(made.ledger.tickets) - 2
    assert wrong.ledger.tickets.iloc[:kept].equals(made.ledger.tickets.iloc[:kept])
    changed = not wrong.history.equals(made.history) or not wrong.ledger.tickets.equals(made.ledger.tickets)
    assert changed or wrong.ledger.facts != made.ledger.facts


def test_an_unknown_check_has_no_violation():
    """It is said which have one."""
    with pytest.raises(NotFoundError, match="no_oversell"):
        with_violation(generate(Shape(operations=200)), "magic")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"operations": 199}, "operations must be from 200"),
        ({"operations": 200_000_000}, "to 100,000,000"),
        ({"operations": 200, "events": 0}, "events must be from 1"),
        ({"operations": 200, "events": 2, "baskets": True}, "baskets need at least 3 events"),
        ({"operations": 200, "unknown": 2}, "a share"),
        ({"operations": 200, "seed": -1}, "seed"),
    ],
    ids=["few", "many", "no event", "two events", "share", "seed"],
)
def test_what_can_not_be_made_is_said(fields, said):
    """Before anything is made."""
    with pytest.raises(InvalidInputError, match=said):
        Shape(**fields)
