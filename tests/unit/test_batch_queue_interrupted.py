"""Ctrl-C in the queue before a hot event: nobody else is harmed by it, and nobody waits for one who is gone."""

from threading import Event

import pytest

from ticketlab.tickets import batch_queue
from ticketlab.tickets.strategy import CommitUnknownError

DEADLINE_S = 30


@pytest.fixture
def interrupt(monkeypatch):
    """Ctrl-C for those who wait: the purchase of that quantity is interrupted when the event is set.

    With `after` once it has been woken, just before it could have gone on.
    """
    due = {}

    class Interruptible(batch_queue._Waiter):
        __slots__ = ()

        def __init__(self, request):
            super().__init__(request)
            if request.quantity in due:
                event, after = due[request.quantity]
                woken = self.wait

                def wait():
                    if after:
                        woken()
                    assert event.wait(DEADLINE_S)
                    raise KeyboardInterrupt

                self.wait = wait

    monkeypatch.setattr(batch_queue, "_Waiter", Interruptible)

    def arrange(quantity, *, after=False):
        due[quantity] = Event(), after
        return due[quantity][0]

    return arrange


def answer(purchase):
    return purchase.result(timeout=DEADLINE_S)


def error(purchase):
    return purchase.exception(timeout=DEADLINE_S)


def test_a_buyer_interrupted_in_the_queue_leaves_it(office, interrupt):
    """Ctrl-C while he waits: nothing is bought for him, and those behind him move up."""
    leave = interrupt(2)
    office.buys(1)
    office.batch()
    gone, stays = office.buys(2), office.buys(3)
    leave.set()
    assert isinstance(error(gone), KeyboardInterrupt)
    office.tell()
    assert office.batch() == [3]
    office.tell()
    assert answer(stays).success


def test_a_buyer_interrupted_as_he_gets_the_lead_passes_it_on(office, interrupt):
    """The one who was to lead is gone: the next one leads, with all who wait."""
    leave = interrupt(2, after=True)
    office.buys(1)
    office.batch()
    gone = office.buys(2)
    others = [office.buys(3), office.buys(4)]
    office.tell()
    leave.set()
    assert isinstance(error(gone), KeyboardInterrupt)
    assert office.batch() == [3, 4]
    office.tell()
    assert [answer(each).quantity for each in others] == [3, 4]


def test_a_buyer_interrupted_while_he_is_served_harms_nobody(office, interrupt):
    """His purchase is in a batch that is under way: it stays there, and the others have their answers."""
    leave = interrupt(3)
    office.buys(1)
    office.batch()
    leads, gone, other = (office.buys(quantity) for quantity in (2, 3, 4))
    office.tell()
    assert office.batch() == [2, 3, 4]
    leave.set()
    assert isinstance(error(gone), KeyboardInterrupt)
    office.tell()
    assert (answer(leads).quantity, answer(other).quantity) == (2, 4)


def test_a_leader_interrupted_in_his_batch_leaves_it_unknown_and_the_next_goes_on(office):
    """Ctrl-C while the batch is under way: who was in it can not know what became of it, who came later buys."""
    office.buys(1)
    office.batch()
    leads, member = office.buys(2), office.buys(3)
    office.tell()
    assert office.batch() == [2, 3]
    later = office.buys(4)
    office.tell(KeyboardInterrupt())
    assert isinstance(error(leads), KeyboardInterrupt)
    assert isinstance(error(member), CommitUnknownError)
    assert office.batch() == [4]
    office.tell()
    assert answer(later).success


def test_a_leader_interrupted_while_he_waits_for_a_connection_harms_nobody(office):
    """Nothing was sent: those behind him are not told of a batch that never was, but served."""
    office.free.clear()
    purchases = [office.buys(quantity) for quantity in (1, 2, 3)]
    office.asked.get(timeout=DEADLINE_S)
    office.refusal = KeyboardInterrupt()
    give = office.gatherer._leave

    def leave(event_id, place):
        office.refusal = None
        give(event_id, place)

    office.gatherer._leave = leave
    office.free.set()
    assert isinstance(error(purchases[0]), KeyboardInterrupt)
    assert office.batch() == [2, 3]
    office.tell()
    assert [answer(each).quantity for each in purchases[1:]] == [2, 3]


@pytest.mark.parametrize("woken", [False, True], ids=["while the batch is under way", "as he is woken"])
def test_those_who_are_answered_after_a_buyer_who_was_interrupted_are_not_left_waiting(office, interrupt, woken):
    """Who was answered wakes the next one: whoever is gone by then is passed over, or does it as he goes."""
    leave = interrupt(3, after=woken)
    office.buys(1)
    office.batch()
    leader = office.buys(2)
    purchases = [office.buys(quantity) for quantity in range(3, 12)]
    office.tell()
    assert office.batch() == list(range(2, 12))
    if not woken:
        leave.set()
        assert isinstance(error(purchases[0]), KeyboardInterrupt)
    office.tell()
    leave.set()
    assert answer(leader).success
    assert isinstance(error(purchases[0]), KeyboardInterrupt)
    assert all(answer(each).success for each in purchases[1:])
