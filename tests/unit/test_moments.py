"""What a reader saw while buyers bought, and what the checks make of it."""

import threading
import time

import pytest

from ticketlab.checks import atomic, no_oversell
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.recording import collect
from ticketlab.runs import trial_runner as sampler_module
from ticketlab.runs.trial_runner import Sampler

OWNER = b"0123456789abcdef"


def ledger(*samples, available=3, tickets=2, **facts):
    """An event of five seats, as it is at the end and as it was at some moments: (ns, event, stock, tickets)."""
    made = Ledger.of(events=[(0, 5, available, 3)], tickets=[(0, OWNER)] * tickets)
    return made.knowing(Facts(seats=(5,), **facts)).with_samples(samples)


def verdict(check, made):
    found = check(collect([], start_ns=0), made)
    return found.status, found.anomaly


def test_stock_and_tickets_apart_for_a_moment_are_a_half_purchase():
    apart = ledger((412_000_000, 0, 4, 2))
    assert verdict(atomic, apart) == (Status.INVALID, Anomaly.HALF_PURCHASE)
    assert "at 0.412 s event 0 had 4 left and 2 tickets, of 5 seats" in atomic(collect([], start_ns=0), apart).summary
    assert verdict(atomic, ledger()) == (Status.VALID, None)


def test_books_that_do_not_add_up_at_the_end_either_are_no_matter_of_a_moment():
    assert verdict(atomic, ledger((0, 0, 4, 2), available=4)) == (Status.VALID, None)
    assert verdict(no_oversell, ledger((0, 0, 4, 2), available=4)) == (Status.INVALID, Anomaly.LOST_UPDATE)


def test_a_stock_that_is_counted_elsewhere_may_differ():
    assert verdict(atomic, ledger((0, 0, 1, 2), stock_elsewhere=True)) == (Status.VALID, None)
    assert verdict(atomic, ledger((0, 0, None, 2))) == (Status.VALID, None)


def test_more_tickets_than_seats_for_a_moment_are_an_oversell():
    assert verdict(no_oversell, ledger((0, 0, 0, 6))) == (Status.INVALID, Anomaly.OVERSELL)
    assert verdict(no_oversell, ledger((0, 0, 0, 5))) == (Status.VALID, None)


def test_the_first_such_moment_is_the_evidence():
    made = ledger((1_000, 0, 3, 2), (2_000, 0, 0, 6), (3_000, 0, 0, 7))
    (row,) = no_oversell(collect([], start_ns=0), made).evidence
    assert row == {"event": 0, "total": 5, "tickets": 6, "available": 0, "at_ns": 2_000}


@pytest.mark.parametrize(("row", "kept"), [((0, 3, 2), 0), ((0, 4, 2), 3), ((0, 0, 6), 3), ((0, None, 5), 0)])
def test_a_sampler_keeps_a_few_readings_that_do_not_add_up(row, kept):
    readings = []

    def read():
        readings.append(row)
        return [row]

    sampler = Sampler(read, (5,))
    with sampler.running():
        deadline_s = time.monotonic() + 30
        while len(readings) < 6:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
    assert sampler.count >= 5
    assert [each[1:] for each in sampler.kept] == [row] * kept


def test_a_reading_that_fails_is_not_counted():
    readings = []

    def read():
        readings.append(1)
        return []

    sampler = Sampler(read, (5,))
    with sampler.running():
        deadline_s = time.monotonic() + 30
        while len(readings) < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
    assert sampler.count == 0


def test_a_reading_that_does_not_end_keeps_no_trial_from_ending(monkeypatch):
    monkeypatch.setattr(sampler_module, "_LAST_READING_S", 0.05)
    began, end = threading.Event(), threading.Event()

    def read():
        began.set()
        end.wait(60)
        return [(0, 9, 9)]

    sampler = Sampler(read, (5,))
    began_s = time.monotonic()
    with sampler.running():
        assert began.wait(30)
    assert time.monotonic() - began_s < 30
    assert sampler.count == 0
    end.set()
