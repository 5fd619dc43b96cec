"""What does not matter does not change a verdict: names, numbers, clocks, scales, and what stands beside."""

from dataclasses import replace

import pytest
from drawn_histories import NOT_SEEN, drawn, joined, right, wanted
from hypothesis import given
from hypothesis import strategies as st
from repository_story import examples

from ticketlab.checks import CHECKS, judge, no_false_sold_out, strict_serializability
from ticketlab.checks.verdict import Status, worst
from ticketlab.outcomes import Cause, Outcome

TIMES = ("scheduled_ns", "invoked_ns", "completed_ns")
factors = st.integers(2, 5)


def verdicts(case):
    """The word of each check."""
    return {each.check: each.status for each in judge(*case.frames())}


def told(case):
    return Status.UNKNOWN not in verdicts(case).values()


def scaled(fields, factor):
    """These fields of a row or an event, so many times as large; what was not seen was not seen."""
    return lambda row: {name: row[name] if row[name] == NOT_SEEN else row[name] * factor for name in fields}


# The names of things.


@examples(30)
@given(drawn(), st.permutations(range(4)), st.integers(0, 1000))
def test_buyers_may_have_other_numbers(case, numbers, more):
    """Who is who does not matter."""
    assert verdicts(case.with_rows(lambda row: {"buyer": numbers[row["buyer"]] + more})) == verdicts(case)


@examples(30)
@given(drawn(), st.permutations([0, 1, 5, 30]))
def test_events_may_have_other_numbers(case, numbers):
    """Nor does which is which; there may be gaps between them, and none may be the first."""
    renumbered = replace(
        case.with_rows(lambda row: {"event": numbers[row["event"]]}),
        events={numbers[event]: books for event, books in case.events.items()},
        tickets=[(numbers[event], number) for event, number in case.tickets],
    )
    assert verdicts(renumbered) == verdicts(case)


@examples(30)
@given(drawn(), st.permutations(range(20)), st.integers(0, 2**127))
def test_purchases_may_have_other_ids(case, numbers, more):
    """One for one."""
    other = replace(
        case.with_rows(lambda row: {"number": numbers[row["number"]] + more}),
        tickets=[(event, numbers[number] + more) for event, number in case.tickets],
    )
    assert verdicts(other) == verdicts(case)


# The clock.


@examples(30)
@given(drawn(), st.integers(-(10**15), 10**15), factors)
def test_the_clock_may_begin_elsewhere_and_run_at_another_pace(case, start, pace):
    """It is before and after that counts, and not how long."""
    moved = case.with_rows(lambda row: {name: start + pace * row[name] for name in TIMES})
    assert verdicts(replace(moved, crashes=tuple(start + pace * each for each in case.crashes))) == verdicts(case)


@examples(40)
@given(drawn(), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=8, max_size=8))
def test_who_takes_longer_explains_more(case, longer):
    """An earlier call and a later answer leave every order that there was: what was right stays right."""
    operations = [
        [row | {"invoked_ns": row["invoked_ns"] - sooner, "completed_ns": row["completed_ns"] + later} for row in rows]
        for rows, (sooner, later) in zip(case.operations, longer, strict=False)
    ]
    before, after = case.frames(), replace(case, operations=operations).frames()
    for check in (strict_serializability, no_false_sold_out):
        assert (check(*before).status, check(*after).status) != (Status.VALID, Status.INVALID)


# How many there are.


@examples(30)
@given(drawn(), factors)
def test_every_number_of_tickets_may_be_a_multiple(case, factor):
    """Seats, stock, quantities and tickets, all of them as many times as large."""
    grown = case.with_rows(scaled(["quantity", "available"], factor)).with_events(
        lambda event: {name: event[name] * factor for name in ("total", "available")}
    )
    assert verdicts(replace(grown, tickets=case.tickets * factor)) == verdicts(case)


@examples(40)
@given(drawn(), st.integers(1, 9))
def test_where_nobody_was_refused_there_may_be_more_seats(case, more):
    """What was right stays right; and what was wrong is wrong, where there had been seats for all anyway."""
    if any(row["outcome"] == Outcome.SOLD_OUT for row in case.rows()):
        return
    larger = case.with_rows(
        lambda row: {"available": row["available"] + more * (row["available"] != NOT_SEEN)}
    ).with_events(lambda event: {name: event[name] + more for name in ("total", "available")})
    before, after = verdicts(case), verdicts(larger)
    assert [name for name, status in before.items() if (status, after[name]) == (Status.VALID, Status.INVALID)] == []
    if all(case.events[event]["total"] >= count for event, count in wanted(case).items()):
        assert after == before


# What stands beside.


def reports_versions(case):
    """Whether a sale reports a version: then all sales of the history make one, and else it is not known."""
    sales = [row for row in case.rows() if row["outcome"] == Outcome.SOLD and row["cause"] != Cause.REPEATED]
    return any(row["version"] != NOT_SEEN for row in sales)


@examples(30)
@given(drawn(most=5), drawn(most=5))
def test_events_that_have_nothing_to_do_with_each_other_are_judged_as_if_alone(one, other):
    """Of each check the verdict on both is the worse one."""
    one, other = replace(one, crashes=()), replace(other, crashes=())
    if told(one) and told(other) and reports_versions(one) == reports_versions(other):
        first, second = verdicts(one), verdicts(other)
        assert verdicts(joined(one, other)) == {name: worst([first[name], second[name]]) for name in first}


@examples(30)
@given(drawn(), right(most=3))
def test_a_right_event_beside_it_changes_nothing(case, beside):
    """Neither what is right nor what is wrong."""
    if told(case) and told(replace(beside, crashes=case.crashes)):
        assert verdicts(joined(case, beside)) == verdicts(case)


@examples(30)
@given(drawn(), st.randoms(use_true_random=False))
def test_what_was_called_at_one_tick_may_stand_in_any_order(case, random):
    """The rows of one operation stay together; the ledger's stand in any order."""
    operations, events = list(case.operations), list(case.events.items())
    random.shuffle(operations)
    random.shuffle(events)
    tickets = random.sample(case.tickets, len(case.tickets))
    assert verdicts(replace(case, operations=operations, events=dict(events), tickets=tickets)) == verdicts(case)


# Whether all this shows anything.


@examples(60)
@given(right())
def test_what_the_model_plays_is_right(case):
    """No check finds anything wrong with it."""
    assert Status.INVALID not in verdicts(case).values()


NOT_DRAWN = {"no_deadlock", "setup_unchanged", "leaves_connection_clean", "answers_match_tickets"}
"""Checks that go by what no drawn history has: deadlocks, and what the lab knows from outside."""


@pytest.mark.slow
def test_the_drawn_are_of_both_kinds():
    """Or that verdicts stay the same would show little: each check finds some of them wrong, and not all."""
    found = {each.name: set() for each in CHECKS if each.name not in NOT_DRAWN}

    @examples(300)
    @given(drawn())
    def look(case):
        told = verdicts(case)
        for name, statuses in found.items():
            statuses.add(told[name])

    look()
    assert [name for name, statuses in found.items() if not {Status.VALID, Status.INVALID} <= statuses] == []
