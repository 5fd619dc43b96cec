import pytest

from ticketlab.checks import no_oversell, setup_unchanged
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.recording import collect

BUYER = b"0123456789abcdef"


def ledger(*, events, tickets=(), **facts):
    return Ledger.of(events=events, tickets=tickets).knowing(Facts(**facts))


def nothing_happened():
    return collect([], start_ns=0)


def test_events_as_they_were_put_on_sale_are_valid():
    verdict = setup_unchanged(nothing_happened(), ledger(events=[(0, 5, 5, 1), (1, 5, 5, 1)], seats=(5, 5)))
    assert verdict.status is Status.VALID
    assert verdict.summary == "all 2 events have the seats that were put on sale, 10 in all"


@pytest.mark.parametrize("found", [4, 6])
def test_another_number_of_seats_is_a_changed_setup(found):
    verdict = setup_unchanged(nothing_happened(), ledger(events=[(0, found, 5, 1)], seats=(5,)))
    assert (verdict.status, verdict.anomaly) == (Status.INVALID, Anomaly.CHANGED_SETUP)
    assert verdict.summary == f"event 0: 5 seats were put on sale, and the database says {found}"


def test_an_event_that_is_gone_is_a_changed_setup():
    verdict = setup_unchanged(nothing_happened(), ledger(events=[(1, 5, 5, 1)], seats=(5, 5)))
    assert verdict.status is Status.INVALID
    assert verdict.summary == "event 0: 5 seats were put on sale, and the event is gone"


def test_an_event_that_was_added_is_a_changed_setup():
    verdict = setup_unchanged(nothing_happened(), ledger(events=[(0, 5, 5, 1)], seats=(5,), events_added=1))
    assert verdict.status is Status.INVALID


def test_seats_that_a_function_adds_do_not_hide_an_oversell():
    raised = ledger(events=[(0, 3, 0, 4)], tickets=[(0, BUYER)] * 3, seats=(2,))
    assert (no_oversell(nothing_happened(), raised).status, raised.events["total"].tolist()) == (Status.INVALID, [2])
    as_given = Ledger.of(events=[(0, 3, 0, 4)], tickets=[(0, BUYER)] * 3)
    assert no_oversell(nothing_happened(), as_given).status is Status.VALID
    assert setup_unchanged(nothing_happened(), as_given).status is Status.VALID
