"""Buyers make the purchases of their plan, start together, and end, whatever becomes of the others."""

import os
import sys
import threading
import time
from concurrent.futures import ALL_COMPLETED, ThreadPoolExecutor, thread, wait
from itertools import islice
from types import SimpleNamespace
from uuid import UUID

import pytest

from ticketlab.errors import TicketlabError
from ticketlab.history.recording import COLUMNS, Recorder, collect
from ticketlab.load import Plan, _buyers, driver
from ticketlab.load.driver import run_load
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome
from ticketlab.tickets import PurchaseResult

EVENTS = (UUID(int=1), UUID(int=2), UUID(int=3))
WARM_UP = UUID(int=99)
TOO_LONG_S = 10.0
"""Nothing here takes a second: what is not over by then would never be."""
LONG_S = 60.0
"""A plan's time that no test may use up."""

FIRST_WANTS_THREE = 0
"""A seed whose first wish of one to three tickets is for three."""

SOLD, SOLD_OUT, UNKNOWN = Outcome.SOLD, Outcome.SOLD_OUT, Outcome.UNKNOWN


class Shop:
    """Stands in for a repository: answers each purchase with `answer`, and keeps what was asked."""

    def __init__(self, answer):
        self._answer = answer
        self.asked = []
        self.severed = threading.Event()
        self.database = SimpleNamespace(terminate_connections=self.severed.set)

    def purchase_tickets(self, event_id, quantity, purchase_id):
        self.asked.append((event_id, quantity, purchase_id))
        return self._answer(event_id, quantity)

    def asked_of(self, *event_ids):
        return [each for each in list(self.asked) if each[0] in event_ids]


def sold(_event_id, quantity):
    return PurchaseResult(outcome=SOLD, quantity=quantity)


def refused(_event_id, quantity):
    return PurchaseResult(outcome=SOLD_OUT, quantity=quantity, cause=Cause.INSUFFICIENT, available_tickets=0)


def seats(*stock):
    """An answer from a stock of so many seats an event."""
    left = dict(zip(EVENTS, stock, strict=False))

    def answer(event_id, quantity):
        if quantity > left[event_id]:
            return PurchaseResult(outcome=SOLD_OUT, quantity=quantity, available_tickets=left[event_id])
        left[event_id] -= quantity
        return PurchaseResult(outcome=SOLD, quantity=quantity, available_tickets=left[event_id])

    return answer


def in_time(call):
    """What `call` returns or raises; a failure, not a test that hangs, where it does neither."""
    ended = {}

    def run():
        try:
            ended["value"] = call()
        except BaseException as error:  # raised below, where the test can see it
            ended["error"] = error

    # The threads that a daemon starts are daemons too: none of them can hold up the end of the test run ...
    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    runner.join(TOO_LONG_S)
    if runner.is_alive():
        thread._threads_queues.clear()  # ... and no executor waits for its own
        pytest.fail(f"not over after {TOO_LONG_S:g} s")
    if "error" in ended:
        raise ended["error"]
    return ended["value"]


def bought(shop, plan, *, buyer=0, within_s=LONG_S, stopped=lambda: False):
    """The history of one buyer of the plan."""
    recorder = Recorder(buyer)
    until_ns = time.perf_counter_ns() + int(within_s * 1e9)
    in_time(lambda: _buyers.buy(shop, plan, recorder, EVENTS, until_ns=until_ns, stopped=stopped))
    return collect([recorder], start_ns=0)


def driven(shop, plan, **options):
    """What came of driving the plan; none of its buyers is left behind."""
    before = set(threading.enumerate())

    def call():
        try:
            return run_load(shop, plan, EVENTS, warm_up_event=WARM_UP, **options)
        finally:
            left_behind = set(threading.enumerate()) - before - {threading.current_thread()}
            assert not left_behind

    return in_time(call)


def press(_so_far):
    raise KeyboardInterrupt


def press_after_the_first_purchase(so_far):
    if so_far.purchases:
        raise KeyboardInterrupt


def cut_off(shop, quantity):
    """The answer to a purchase that hangs until its connection is cut."""
    assert shop.severed.wait(TOO_LONG_S * 2), "nobody cut the connection"
    return PurchaseResult(outcome=UNKNOWN, quantity=quantity, cause=Cause.CONNECTION)


def hanging(event):
    """A shop in which two purchases of the event hang, and a Ctrl-C for when both do."""
    both = threading.Semaphore(0)

    def answer(event_id, quantity):
        if event_id != event:
            return sold(event_id, quantity)
        both.release()
        return cut_off(shop, quantity)

    def on_tick(_so_far):
        assert both.acquire(timeout=TOO_LONG_S / 2)
        assert both.acquire(timeout=TOO_LONG_S / 2)
        raise KeyboardInterrupt

    shop = Shop(answer)
    return shop, on_tick


class TestBuy:
    def test_a_buyer_stops_when_every_event_is_gone(self):
        """Each event is bought until it is refused once, and asked for no more while the others go on."""
        history = bought(Shop(seats(2, 5, 3)), Plan(events=3, seconds=LONG_S))
        outcomes = {event: list(rows["outcome"]) for event, rows in history.groupby("event")}
        assert outcomes == {
            0: [SOLD] * 2 + [SOLD_OUT],
            1: [SOLD] * 5 + [SOLD_OUT],
            2: [SOLD] * 3 + [SOLD_OUT],
        }

    def test_a_buyer_still_asks_for_what_is_left(self):
        """Refused three with one left, he goes on until the one is bought and nothing is left."""
        history = bought(Shop(seats(1)), Plan(quantity=(1, 3), seed=FIRST_WANTS_THREE))
        assert history.loc[0, ["quantity", "outcome", "available"]].tolist() == [3, SOLD_OUT, 1]
        assert history.loc[history["outcome"] == SOLD, "quantity"].tolist() == [1]
        assert history["available"].tolist() == sorted(history["available"], reverse=True)
        assert history["available"].iloc[-2:].tolist() == [0, 0]

    def test_a_refusal_without_a_number_ends_only_the_smallest_wish(self):
        """Where nobody said what is left, a refusal of three says nothing of one; a refusal of one says all."""
        shop = Shop(lambda _event_id, quantity: PurchaseResult(outcome=SOLD_OUT, quantity=quantity))
        quantities = bought(shop, Plan(quantity=(1, 3), seed=FIRST_WANTS_THREE))["quantity"].tolist()
        assert quantities[0] == 3
        assert quantities.index(1) == len(quantities) - 1

    def test_a_remainder_below_the_smallest_purchase_is_nothing_left(self):
        """One seat is no stock for a buyer who wants two at least."""
        history = bought(Shop(seats(5)), Plan(quantity=(2, 2)))
        assert history["outcome"].tolist() == [SOLD, SOLD, SOLD_OUT]

    def test_only_a_refusal_as_sold_out_ends_an_event(self):
        """A purchase that failed, with no stock seen, is no reason to give up."""
        shop = Shop(lambda _event_id, quantity: PurchaseResult(outcome=Outcome.FAILED, quantity=quantity))
        assert len(bought(shop, Plan(buyers=1, purchases=20))) == 20

    @pytest.mark.parametrize(
        ("hot", "wanted"), [(None, {0, 1, 2}), (0.5, {0, 1, 2}), (0.0, {1, 2}), (1.0, {0})], ids=str
    )
    def test_a_buyer_ends_when_what_he_may_want_is_gone(self, hot, wanted):
        """An event that no wish is for need not be refused: each other one is, once."""
        history = bought(Shop(refused), Plan(events=3, hot=hot))
        assert sorted(history["event"]) == sorted(wanted)

    def test_a_buyer_ends_when_time_is_up_though_all_he_wants_is_gone(self):
        """Wishes for an event that is gone are passed over, but not the clock."""
        history = bought(Shop(refused), Plan(events=2, hot=1e-12), within_s=0.05)
        assert history["event"].tolist() == [1]

    def test_nobody_buys_after_the_end(self):
        """A buyer whose time is up before he begins buys nothing."""
        assert bought(Shop(sold), Plan(), within_s=0).empty

    @pytest.mark.parametrize(("buyer", "share"), [(0, 3), (1, 3), (2, 2)])
    def test_a_buyer_makes_his_share_and_no_more(self, buyer, share):
        """Eight purchases of three buyers are three, three and two."""
        shop = Shop(sold)
        assert len(bought(shop, Plan(buyers=3, purchases=8), buyer=buyer)) == share
        assert len(shop.asked) == share

    def test_a_buyer_without_a_share_buys_nothing(self):
        """One purchase of two buyers leaves none for the second."""
        shop = Shop(sold)
        assert bought(shop, Plan(buyers=2, purchases=1), buyer=1).empty
        assert shop.asked == []

    @pytest.mark.parametrize("purchases", [0, 1, 7])
    def test_stopped_ends_a_buyer_before_his_next_purchase(self, purchases):
        """Told to stop, a buyer asks nothing more, and what he had bought is kept."""
        shop = Shop(sold)
        history = bought(shop, Plan(), stopped=lambda: len(shop.asked) >= purchases)
        assert len(history) == len(shop.asked) == purchases

    @pytest.mark.parametrize(
        ("told", "kept"),
        [
            (
                {
                    "outcome": SOLD,
                    "retries": (Cause.STALE_VERSION,) * 2,
                    "version": 8,
                    "available_tickets": 5,
                    "cause": Cause.STALE_VERSION,
                },
                [SOLD, "stale_version", 3, 8, 5],
            ),
            (
                {"outcome": SOLD_OUT, "version": 9, "available_tickets": 0, "cause": Cause.INSUFFICIENT},
                [SOLD_OUT, "insufficient", 1, 9, 0],
            ),
            (
                {"outcome": Outcome.CONFLICT, "retries": (Cause.SERIALIZATION,) * 19, "cause": Cause.SERIALIZATION},
                [Outcome.CONFLICT, "serialization", 20, NOT_SEEN, NOT_SEEN],
            ),
            ({"outcome": UNKNOWN, "cause": Cause.CONNECTION}, [UNKNOWN, "connection", 1, NOT_SEEN, NOT_SEEN]),
        ],
        ids=["sold", "sold_out", "conflict", "unknown"],
    )
    def test_what_a_buyer_was_told_is_recorded(self, told, kept):
        """Outcome, cause, attempts, version and stock are those of the result; what it did not see is NOT_SEEN."""
        shop = Shop(lambda _event_id, quantity: PurchaseResult(quantity=quantity, **told))
        history = bought(shop, Plan(buyers=3, purchases=3), buyer=2)
        columns = ["outcome", "cause", "attempts", "version", "available"]
        assert history[columns].to_numpy().tolist() == [kept]
        assert history["buyer"].tolist() == [2]

    def test_what_a_buyer_asked_for_is_recorded(self):
        """Event numbers, quantities and purchase ids are those that the shop was asked for, in their order."""
        shop = Shop(sold)
        plan = Plan(events=3, quantity=(1, 4), buyers=1, purchases=50)
        history = bought(shop, plan)
        rows = zip(history["event"], history["quantity"], history["purchase_id"], strict=True)
        assert [(EVENTS[event], quantity, UUID(bytes=each)) for event, quantity, each in rows] == shop.asked
        assert [wish.purchase_id for wish in islice(plan.intents(0, plan.event_numbers), 50)] == [
            each for *_, each in shop.asked
        ]

    def test_a_purchase_is_due_when_its_buyer_is_free(self):
        """In a closed loop a purchase is due when it is called, and nobody calls before his last one was answered."""
        history = bought(Shop(sold), Plan(buyers=1, purchases=50))
        assert (history["scheduled_ns"] == history["invoked_ns"]).all()
        assert (history["invoked_ns"] <= history["completed_ns"]).all()
        assert (history["completed_ns"] <= history["invoked_ns"].shift(-1, fill_value=2**62)).all()


class TestWarmUp:
    def test_a_buyer_warms_up_once_at_least(self):
        """No time to warm up still opens the connection."""
        shop = Shop(sold)
        in_time(lambda: _buyers.warm_up(shop, Plan(warm_up_s=0), 0, WARM_UP, stopped=lambda: False))
        assert len(shop.asked_of(WARM_UP)) == len(shop.asked) == 1

    def test_a_buyer_warms_up_for_as_long_as_was_asked(self):
        """Not one purchase but as many as the time holds."""
        began = time.perf_counter()
        in_time(lambda: _buyers.warm_up(Shop(sold), Plan(warm_up_s=0.05), 0, WARM_UP, stopped=lambda: False))
        assert time.perf_counter() - began >= 0.05

    def test_a_warm_up_ends_when_stopped(self):
        """A minute's warm-up is over with the purchase in which it was stopped."""
        shop = Shop(sold)
        stopped = lambda: len(shop.asked) >= 3  # noqa: E731 - the condition is the test
        in_time(lambda: _buyers.warm_up(shop, Plan(warm_up_s=LONG_S), 0, WARM_UP, stopped=stopped))
        assert len(shop.asked) == 3

    def test_a_warm_up_buys_few_tickets_at_a_time(self):
        """Four at most, of the warm-up's event, and less where less is wanted."""
        shop = Shop(sold)
        plan = Plan(quantity=(2, 50), warm_up_s=LONG_S)
        in_time(lambda: _buyers.warm_up(shop, plan, 0, WARM_UP, stopped=lambda: len(shop.asked) >= 300))
        assert {(event, quantity) for event, quantity, _ in shop.asked} == {(WARM_UP, 2), (WARM_UP, 3), (WARM_UP, 4)}

    def test_a_warm_up_is_no_part_of_the_trial(self):
        """Each buyer warms up, under purchase ids of his own, and the history holds the trial's purchases alone."""
        shop = Shop(sold)
        history = driven(shop, Plan(buyers=3, events=3, purchases=30, warm_up_s=0, seconds=LONG_S)).history
        warmed_up = {each for *_, each in shop.asked_of(WARM_UP)}
        recorded = {UUID(bytes=each) for each in history["purchase_id"]}
        assert (len(warmed_up), len(history), len(recorded)) == (3, 30, 30)
        assert recorded == {each for *_, each in shop.asked_of(*EVENTS)}
        assert not recorded & warmed_up


class TestDrive:
    def test_nobody_buys_before_the_last_has_warmed_up(self, monkeypatch):
        """One buyer is slow to warm up: the others wait, and all start at the instant that they agree on then."""
        starts = []

        class Watched(driver._Start):
            def __init__(self, buyers):
                super().__init__(buyers)
                starts.append(self)

        def answer(event_id, quantity):
            if event_id == WARM_UP and next(turns) == 0:
                # Slow: until all the others wait for him, or one does not.
                deadline = time.monotonic() + TOO_LONG_S / 2
                while starts[0]._barrier.n_waiting < 3 and not shop.asked_of(*EVENTS) and time.monotonic() < deadline:
                    threading.Event().wait(0.001)
                early.extend(shop.asked_of(*EVENTS))
                warmed_up_ns.append(time.perf_counter_ns())
            return sold(event_id, quantity)

        monkeypatch.setattr(driver, "_Start", Watched)
        turns, early, warmed_up_ns = iter(range(4)), [], []
        shop = Shop(answer)
        history = driven(shop, Plan(buyers=4, purchases=40, warm_up_s=0, seconds=LONG_S)).history
        assert early == []
        assert starts[0].instant_ns > warmed_up_ns[0]
        assert (history["invoked_ns"] >= 0).all()
        assert history.groupby("buyer").size().to_dict() == {0: 10, 1: 10, 2: 10, 3: 10}

    def test_the_same_seed_gives_the_same_purchases(self):
        """Whoever comes first, the same events, quantities and purchase ids are asked for."""

        def asked(seed):
            plan = Plan(buyers=4, events=3, quantity=(1, 3), purchases=200, warm_up_s=0, seconds=LONG_S, seed=seed)
            history = driven(Shop(sold), plan).history
            return sorted(zip(history["event"], history["quantity"], history["purchase_id"], strict=True))

        first = asked(7)
        assert len(first) == 200
        assert asked(7) == first
        assert asked(8) != first

    def test_a_trial_ends_when_its_time_is_up(self):
        """Stock without end and no number of purchases: the clock ends it, nobody is cut off."""
        shop = Shop(sold)
        result = driven(shop, Plan(buyers=2, warm_up_s=0, seconds=0.1))
        assert len(result.history) > 0
        assert result.history["invoked_ns"].between(0, 0.1e9, inclusive="left").all()
        assert (result.interrupted, shop.severed.is_set()) == (False, False)

    def test_whoever_watches_sees_the_purchases_grow(self):
        """Each tick is told how many purchases were made so far."""
        ticks, allowed, sixth = [], threading.Semaphore(0), threading.Event()

        def answer(event_id, quantity):
            if event_id != WARM_UP:
                if len(shop.asked_of(*EVENTS)) == 6:
                    sixth.set()
                assert allowed.acquire(timeout=TOO_LONG_S / 2)
            return sold(event_id, quantity)

        def on_tick(so_far):
            ticks.append(so_far.purchases)
            allowed.release(5)
            sixth.wait(TOO_LONG_S / 2)  # asked for only when the first five were recorded

        shop = Shop(answer)
        driven(shop, Plan(buyers=1, purchases=10, warm_up_s=0, seconds=LONG_S), on_tick=on_tick)
        assert ticks[:2] == [0, 5]
        assert ticks == sorted(ticks)

    @pytest.mark.parametrize("event", [WARM_UP, EVENTS[0]], ids=["warm-up", "trial"])
    def test_an_error_of_one_buyer_ends_all_and_is_raised(self, event):
        """A defect in a strategy is told as it is, not waited for until the time is up."""

        def answer(event_id, quantity):
            if event_id == event and next(turns) == 1:
                raise ZeroDivisionError("a defect")
            return sold(event_id, quantity)

        turns = iter(range(2**30))
        with pytest.raises(ZeroDivisionError, match="a defect"):
            driven(Shop(answer), Plan(buyers=4, warm_up_s=0, seconds=LONG_S))

    def test_an_error_of_one_buyer_cuts_off_those_who_hang(self, monkeypatch):
        """The error is raised though another purchase would never have been answered."""
        monkeypatch.setattr(driver, "GRACE_S", 0.05)

        def answer(event_id, quantity):
            if event_id == WARM_UP:
                return sold(event_id, quantity)
            if next(turns) == 0:
                hung.set()
                return cut_off(shop, quantity)
            assert hung.wait(TOO_LONG_S / 2)
            raise ZeroDivisionError("a defect")

        turns, hung = iter(range(2**30)), threading.Event()
        shop = Shop(answer)
        with pytest.raises(ZeroDivisionError, match="a defect"):
            driven(shop, Plan(buyers=2, warm_up_s=0, seconds=LONG_S))
        assert shop.severed.is_set()

    def test_an_error_of_whoever_watches_is_told_as_it_is(self):
        """What a display fails with ends the trial, and is not taken for a thread that could not be started."""

        def on_tick(_so_far):
            raise RuntimeError("a defect of the display")

        with pytest.raises(RuntimeError, match=r"^a defect of the display$"):
            driven(Shop(sold), Plan(buyers=2, warm_up_s=0, seconds=LONG_S), on_tick=on_tick)

    def test_too_many_buyers_to_start_are_told(self, monkeypatch):
        """A thread that the system refuses is an error that says what to do; nobody buys, nobody waits for it."""
        start, started = threading.Thread.start, []

        def refuse_the_third(self):
            if self.name.startswith("buyer"):
                if len(started) == 2:
                    raise RuntimeError("can't start new thread")
                started.append(self)
            start(self)

        monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
        shop = Shop(sold)
        with pytest.raises(TicketlabError, match=r"Only 2 of 4 buyers .*can't start new thread.* fewer buyers"):
            driven(shop, Plan(buyers=4, warm_up_s=0, seconds=LONG_S))
        assert shop.asked_of(*EVENTS) == []


class TestCtrlC:
    def test_what_was_bought_until_then_is_kept(self):
        """Every purchase that was begun is finished and recorded, and the result says that it was cut short."""
        shop = Shop(sold)
        result = driven(shop, Plan(buyers=2, warm_up_s=0, seconds=LONG_S), on_tick=press_after_the_first_purchase)
        assert result.interrupted
        assert len(result.history) == len(shop.asked_of(*EVENTS)) > 0
        assert not shop.severed.is_set()

    def test_in_the_warm_up_nothing_was_bought(self):
        """A history without a row is a history all the same."""
        shop = Shop(sold)
        result = driven(shop, Plan(buyers=2, warm_up_s=LONG_S, seconds=LONG_S), on_tick=press)
        assert result.interrupted
        assert result.history.empty
        assert list(result.history) == list(COLUMNS)
        assert shop.asked_of(*EVENTS) == []

    @pytest.mark.parametrize("event", [WARM_UP, EVENTS[0]], ids=["warm-up", "trial"])
    def test_a_second_cuts_off_what_hangs(self, monkeypatch, event):
        """One Ctrl-C waits for the purchase under way, a second one does not: its outcome is unknown."""
        presses = ["second"]

        def pressed(lives, timeout, return_when=ALL_COMPLETED):
            if timeout == driver.GRACE_S and presses:  # in waiting for those under way
                severed_before.append(shop.severed.is_set())
                presses.pop()
                raise KeyboardInterrupt
            return wait(lives, timeout=timeout, return_when=return_when)

        monkeypatch.setattr(driver, "wait", pressed)
        monkeypatch.setattr(driver, "GRACE_S", LONG_S)
        shop, on_tick = hanging(event)
        severed_before = []
        result = driven(shop, Plan(buyers=2, warm_up_s=0, seconds=LONG_S), on_tick=on_tick)
        assert severed_before == [False]
        assert result.interrupted
        assert result.history["outcome"].tolist() == ([] if event == WARM_UP else [UNKNOWN] * 2)

    def test_a_purchase_has_its_grace_and_no_more(self, monkeypatch):
        """Whoever presses only once gets rid of a purchase that hangs too."""
        monkeypatch.setattr(driver, "GRACE_S", 0.05)
        shop, on_tick = hanging(EVENTS[0])
        result = driven(shop, Plan(buyers=2, warm_up_s=0, seconds=LONG_S), on_tick=on_tick)
        assert result.interrupted
        assert result.history["outcome"].tolist() == [UNKNOWN] * 2


@pytest.mark.parametrize("event", [WARM_UP, EVENTS[0]], ids=["warm-up", "trial"])
def test_a_purchase_that_hangs_is_cut_off_when_its_trial_is_overdue(monkeypatch, event):
    """Without a Ctrl-C: when time and grace are over, it is cut off, and is given no second grace."""
    severed_before = []

    def watched(lives, timeout, return_when=ALL_COMPLETED):
        if timeout == driver.GRACE_S:  # in waiting for those under way
            severed_before.append(shop.severed.is_set())
        return wait(lives, timeout=timeout, return_when=return_when)

    monkeypatch.setattr(driver, "wait", watched)
    monkeypatch.setattr(driver, "GRACE_S", 0.05)
    shop, _ = hanging(event)
    result = driven(shop, Plan(buyers=2, warm_up_s=0, seconds=0.2))
    assert shop.severed.is_set()
    assert False not in severed_before
    assert event == WARM_UP or set(result.history["outcome"]) == {UNKNOWN}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say where threads run")
def test_the_buyers_of_a_process_share_one_processor_and_nobody_else_does():
    """A buyer's thread is kept on one processor, the same for all; other threads may run where they might before."""
    before = os.sched_getaffinity(0)

    def settle(_):
        assert driver.pin_to_one_cpu()
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(4) as threads:
        places = list(threads.map(settle, range(8)))
    assert {len(place) for place in places} == {1}
    assert len({frozenset(place) for place in places}) == 1
    assert os.sched_getaffinity(0) == before


def test_without_an_interpreter_lock_buyers_run_wherever_they_may(monkeypatch):
    """Where Python runs threads side by side, they are not kept from it."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert not driver.pin_to_one_cpu()
