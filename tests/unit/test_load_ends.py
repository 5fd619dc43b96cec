"""A load ends, whatever its purchase function does: what hangs is named by its line, and recorded as unknown."""

import threading
import time
from types import SimpleNamespace
from uuid import UUID

import pytest

from ticketlab import EventRepository, Settings, adopt
from ticketlab.errors import OwnCodeError, TerminatedError, TicketlabError
from ticketlab.history.recording import Recorder, collect
from ticketlab.load import Plan, driver
from ticketlab.load.driver import run_load
from ticketlab.outcomes import Cause, Kind, Outcome
from ticketlab.tickets import PurchaseResult

EVENT, WARM_UP = UUID(int=1), UUID(int=99)
DEADLINE_S = 30.0
"""Nothing here takes a second."""
LONG_S = 3600.0
PLAN = {"buyers": 2, "warm_up_s": 0.0, "seconds": LONG_S}


class Lost:
    """A lock that nobody gives back before the test is over."""

    def __init__(self):
        self.given_back = threading.Event()
        self.waiting = threading.Semaphore(0)

    def wait(self):
        self.waiting.release()
        self.given_back.wait(DEADLINE_S)


@pytest.fixture
def lost():
    made = Lost()
    yield made
    made.given_back.set()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """After so long a purchase is cut, and given up."""
    for name in ("GRACE_S", "CUT_S", "LAST_MOMENT_S"):
        monkeypatch.setattr(driver, name, 0.05)


@pytest.fixture
def cuts():
    return []


@pytest.fixture
def shop(lost, cuts):
    """A repository whose purchase function, a user's, waits for the lost lock; it needs no server."""

    def buy(settings: Settings, event_id, quantity, purchase_id):
        return settings is not None and quantity > 0 and purchase_id is not None and holds(event_id)

    def holds(event_id):
        if event_id == EVENT:
            lost.wait()
        return True

    database = SimpleNamespace(settings=object(), terminate_connections=lambda: cuts.append(time.monotonic()))
    return EventRepository(database, adopt(buy))


def drive_in_time(*words, **options):
    """What came of a load; a failure where it does not end."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(_driven(*words, **options)), daemon=True)
    thread.start()
    thread.join(DEADLINE_S / 2)
    assert ended, "the load has not ended"
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def _driven(shop, **options):
    plan = Plan(**PLAN | options.pop("plan", {}))
    try:
        return run_load(shop, plan, [EVENT], warm_up_event=WARM_UP, **options)
    except BaseException as error:
        return error


def test_a_purchase_that_never_returns_is_named_by_the_users_line(shop, cuts):
    driven = drive_in_time(shop, plan={"seconds": 0.1})
    assert isinstance(driven.stuck, OwnCodeError)
    assert "in test_load_ends.py:" in str(driven.stuck)
    assert ", in buy: it did not return when its connection was cut, nor did 1 others" in str(driven.stuck)
    assert "lost.wait()" in driven.stuck.__notes__[0]
    assert "ticketlab/" not in driven.stuck.__notes__[0].replace(__file__, "")
    assert (driven.cut, driven.ended_early, len(cuts)) == (True, True, 2)


def test_the_purchase_under_way_is_recorded_as_unknown(shop):
    history = drive_in_time(shop, plan={"seconds": 0.1, "quantity": (2, 2)}).history
    assert history["outcome"].tolist() == [Outcome.UNKNOWN] * 2
    assert sorted(history["buyer"]) == [0, 1]
    assert history["quantity"].tolist() == [2, 2]
    assert (history["completed_ns"] >= history["invoked_ns"]).all()


def test_what_is_under_way_is_looked_at_before_it_is_cut(shop, cuts):
    seen = []
    drive_in_time(shop, plan={"seconds": 0.1}, before_cut=lambda: seen.append(len(cuts)))
    assert seen == [0]


def test_a_function_that_hangs_in_the_warm_up_ends_too(lost, monkeypatch):
    def buy(settings: Settings, request):
        assert settings
        assert request
        lost.wait()
        return True

    monkeypatch.setattr(driver._Start, "is_overdue", lambda _: lost.waiting.acquire(timeout=DEADLINE_S / 3))
    shop = EventRepository(SimpleNamespace(settings=object(), terminate_connections=lambda: None), adopt(buy))
    driven = drive_in_time(shop)
    assert isinstance(driven.stuck, OwnCodeError)
    assert driven.history.empty


def press_when_both_wait(lost, error):
    def on_tick(_so_far):
        assert lost.waiting.acquire(timeout=DEADLINE_S / 3)
        assert lost.waiting.acquire(timeout=DEADLINE_S / 3)
        raise error

    return on_tick


def test_sigterm_ends_it_at_once(shop, lost, cuts, monkeypatch):
    monkeypatch.setattr(driver, "GRACE_S", LONG_S)
    driven = drive_in_time(shop, on_tick=press_when_both_wait(lost, TerminatedError()))
    assert (driven.interrupted, driven.at_once, len(cuts)) == (True, True, 1)
    assert driven.history["outcome"].tolist() == [Outcome.UNKNOWN] * 2


def test_a_second_ctrl_c_ends_it_at_once(shop, lost, cuts, monkeypatch):
    wait = driver.wait

    def pressed(lives, timeout, **options):
        if timeout == LONG_S:
            raise KeyboardInterrupt
        return wait(lives, timeout=timeout, **options)

    monkeypatch.setattr(driver, "wait", pressed)
    monkeypatch.setattr(driver, "GRACE_S", LONG_S)
    driven = drive_in_time(shop, on_tick=press_when_both_wait(lost, KeyboardInterrupt()))
    assert (driven.interrupted, driven.at_once, len(cuts)) == (True, True, 1)


def test_a_first_ctrl_c_gives_purchases_their_grace(shop, lost):
    driven = drive_in_time(shop, on_tick=press_when_both_wait(lost, KeyboardInterrupt()))
    assert (driven.interrupted, driven.at_once) == (True, False)
    assert driven.stuck is not None


def test_what_waits_in_no_code_of_the_users_is_given_longer(lost, cuts, monkeypatch):
    """A purchase that waits for a connection, as the lab's own code does: it is cut more than twice, then given up."""

    class Waiting:
        database = SimpleNamespace(terminate_connections=lambda: cuts.append(1))

        def purchase_tickets(self, event_id, quantity, purchase_id):
            assert purchase_id
            if event_id == EVENT:
                lost.wait()
            return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity)

    monkeypatch.setattr(driver, "LONGEST_S", 0.3)
    driven = drive_in_time(Waiting(), plan={"seconds": 0.1})
    assert type(driven.stuck) is TicketlabError
    assert len(cuts) > 2


class TestRecorder:
    @staticmethod
    def recorder(**fields):
        made = Recorder(7)
        plain = {"event": 0, "quantity": 1, "purchase_id": bytes(16), "scheduled_ns": 5, "invoked_ns": 5,
                 "completed_ns": 6, "outcome": Outcome.SOLD, "cause": Cause.NONE, "retries": (), "version": 2,
                 "available": 9}  # fmt: skip
        made.record(**plain | fields)
        return made

    def test_what_is_under_way_is_appended_as_unknown(self):
        made = self.recorder(retries=(Cause.DEADLOCK,))
        made.under_way = (Kind.REFUND, ((3, 2), (4, 1)), UUID(int=8), 10)
        history = collect([made.ended(20)], start_ns=0)
        assert history["outcome"].tolist() == ["sold", "unknown", "unknown"]
        assert history["kind"].tolist() == ["purchase", "refund", "refund"]
        assert history[["event", "quantity", "line"]].to_numpy().tolist() == [[0, 1, 0], [3, 2, 0], [4, 1, 1]]
        assert history["completed_ns"].tolist() == [6, 20, 20]
        assert history["retries_deadlock"].tolist() == [1, 0, 0]
        assert len(made) == 1

    def test_what_was_recorded_is_not_under_way_any_more(self):
        made = self.recorder()
        made.under_way = (Kind.PURCHASE, ((0, 1),), UUID(int=0), 5)
        assert len(collect([made.ended(20)], start_ns=0)) == 1

    def test_nothing_under_way_is_nothing_more(self):
        assert len(collect([Recorder(0).ended(20)], start_ns=0)) == 0
