"""Purchase ids that are called twice: by whom, when, for what, and what is recorded of it."""

import threading
import time
from collections import Counter
from types import SimpleNamespace
from uuid import UUID

import pytest

from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Ledger
from ticketlab.history.measures import double_called, second_calls
from ticketlab.history.recording import Recorder, collect
from ticketlab.load import Plan, _buyers
from ticketlab.load.driver import run_load
from ticketlab.load.plan import Offers, Once, PurchaseIntent, Second, SecondCall, SecondCalls, When
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import PurchaseResult

EVENTS = (UUID(int=1), UUID(int=2), UUID(int=3))
WARM_UP = UUID(int=99)
DEADLINE_S = 10.0
WISH = PurchaseIntent(((0, 2),), UUID(int=7))
AT_ONCE, LATER, BY_ANOTHER = (Second(when, False, 0) for when in When)


class Shop:
    """Stands in for a repository: an id buys once, from stock without end; or `answer` says what becomes of a call."""

    def __init__(self, answer=None, *, derives_ticket_ids=True):
        self.asked = []
        self.strategy = SimpleNamespace(derives_ticket_ids=derives_ticket_ids)
        self.database = SimpleNamespace(terminate_connections=lambda: None)
        self._answer = answer
        self._owned = {}

    def purchase_tickets(self, event_id, quantity, purchase_id):
        self.asked.append((event_id, quantity, purchase_id))
        if self._answer is not None:
            return self._answer(purchase_id, quantity)
        owned = self._owned.setdefault(purchase_id, (event_id, quantity, threading.get_ident()))
        first = len([each for each in self.asked if each[2] == purchase_id]) == 1
        same = owned[:2] == (event_id, quantity)
        return PurchaseResult(
            outcome=Outcome.SOLD if same else Outcome.FAILED,
            quantity=quantity,
            cause=Cause.NONE if first else Cause.REPEATED,
        )

    def purchase_basket(self, quantities, purchase_id):
        return self.purchase_tickets(tuple(quantities), sum(quantities.values()), purchase_id)

    def cancel_purchase(self, purchase_id):
        self.asked.append(("refund", 0, purchase_id))
        return PurchaseResult(outcome=Outcome.REFUNDED, quantity=1)


def unknown(_purchase_id, quantity):
    return PurchaseResult(outcome=Outcome.UNKNOWN, quantity=quantity, cause=Cause.CONNECTION)


def bought(shop, plan, *, within_s=60.0, stopped=lambda: False):
    """The history of the plan's first buyer, who is alone."""
    recorder = Recorder(0)
    until_ns = time.perf_counter_ns() + int(within_s * 1e9)
    _buyers.buy(shop, plan, recorder, EVENTS, until_ns=until_ns, stopped=stopped)
    return collect([recorder], start_ns=0), recorder


def calls_of(offers, buyer, *, may_differ=True, plan=None):
    return SecondCalls(plan or Plan(double_calls=1.0), buyer, offers, may_differ=may_differ)


def call_of(buyer):
    return SecondCall(WISH, buyer=buyer, sold=Once())


class TestOffers:
    def test_a_call_is_taken_once_and_never_by_the_buyer_that_offers_it(self):
        """The oldest first; what a buyer offers itself stays for the others."""
        offers, first, second = Offers(), call_of(buyer=1), call_of(buyer=2)
        offers.put(first)
        offers.put(second)
        assert offers.take(1) is second
        assert offers.take(1) is None
        assert offers.take(2) is first
        assert offers.take(2) is None

    def test_a_call_that_its_buyer_has_made_is_on_offer_no_more(self):
        """It was claimed meanwhile."""
        offers, call = Offers(), call_of(buyer=1)
        offers.put(call)
        assert call.claim.first()
        assert offers.take(2) is None

    def test_of_many_threads_one_is_the_first(self):
        """All of them ask at the same moment."""
        once, barrier, said = Once(), threading.Barrier(8), []

        def ask():
            barrier.wait(timeout=DEADLINE_S)
            said.append(once.first())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(timeout=DEADLINE_S)
        assert Counter(said) == {True: 1, False: 7}


class TestWhoMakesASecondCall:
    def test_one_at_once_is_on_offer_while_the_first_call_is_under_way(self):
        """Another buyer that is free takes it; then its own buyer has nothing left to make."""
        offers = Offers()
        own, other = calls_of(offers, 0), calls_of(offers, 1)
        call = own.purchase_starts(WISH, AT_ONCE)
        assert list(other.due()) == [call]
        assert own.purchase_answered(WISH, AT_ONCE, call, Outcome.SOLD) is None
        assert [*own.due(), *own.rest()] == []

    def test_one_by_another_is_on_offer_when_the_first_call_was_answered(self):
        """Not before."""
        offers = Offers()
        own, other = calls_of(offers, 0), calls_of(offers, 1)
        call = own.purchase_starts(WISH, BY_ANOTHER)
        assert list(other.due()) == []
        own.purchase_answered(WISH, BY_ANOTHER, call, Outcome.SOLD)
        assert list(other.due()) == [call]

    @pytest.mark.parametrize("second", [AT_ONCE, BY_ANOTHER])
    def test_one_that_nobody_takes_is_made_by_its_own_buyer_after_its_next_purchase(self, second):
        """It becomes a later call: no buyer waits for another one."""
        own = calls_of(Offers(), 0)
        call = own.purchase_starts(WISH, second)
        own.purchase_answered(WISH, second, call, Outcome.SOLD)
        assert list(own.due()) == []
        own.purchase_starts(WISH, None)
        own.purchase_answered(WISH, None, None, Outcome.SOLD)
        assert list(own.due()) == [call]
        assert [*own.due(), *own.rest()] == []

    @pytest.mark.parametrize("delay", [0, 3, 7])
    def test_a_later_one_is_made_by_its_own_buyer_after_some_purchases(self, delay):
        """As many as were drawn, up to seven; it is never on offer."""
        offers = Offers()
        own, second = calls_of(offers, 0), Second(When.LATER, False, 8 + delay)
        call = own.purchase_starts(WISH, second)
        own.purchase_answered(WISH, second, call, Outcome.SOLD)
        for _ in range(delay):
            assert list(own.due()) == []
            own.purchase_answered(WISH, None, None, Outcome.SOLD)
        assert offers.take(1) is None
        assert list(own.due()) == [call]

    def test_what_is_left_is_made_after_the_last_purchase(self):
        """A buyer's own calls, and all that others offer."""
        offers = Offers()
        own, other = calls_of(offers, 0), calls_of(offers, 1)
        mine = own.purchase_starts(WISH, Second(When.LATER, False, 7))
        own.purchase_answered(WISH, LATER, mine, Outcome.SOLD)
        theirs = [other.purchase_starts(WISH, AT_ONCE), other.purchase_starts(WISH, AT_ONCE)]
        assert list(own.rest()) == [mine, *theirs]

    def test_a_purchase_without_an_answer_is_called_again_at_once(self):
        """Whether its id was to be called twice or not; one that was answered is not."""
        own = calls_of(Offers(), 0)
        for second in (None, LATER):
            call = own.purchase_starts(WISH, second)
            again = own.purchase_answered(WISH, second, call, Outcome.UNKNOWN)
            assert again.intent == WISH
            assert call is None or again.sold is call.sold
        for outcome in (Outcome.SOLD, Outcome.SOLD_OUT, Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE):
            assert own.purchase_answered(WISH, None, None, outcome) is None

    def test_a_call_for_something_else_is_made_only_where_ticket_ids_carry_the_guarantee(self):
        """Elsewhere nobody says what it would mean."""
        differing = Second(When.AT_ONCE, True, 0)
        assert calls_of(Offers(), 0).purchase_starts(WISH, differing).intent.lines == ((0, 3),)
        assert calls_of(Offers(), 0, may_differ=False).purchase_starts(WISH, differing).intent == WISH


class TestBuy:
    @pytest.mark.parametrize("plan", [{}, {"events": 3, "basket": (1, 2)}], ids=["one event", "baskets"])
    def test_a_buyer_that_is_alone_calls_each_id_twice(self, plan):
        """Its purchases are as many as without; second calls come on top, and count as no purchase."""
        shop = Shop(derives_ticket_ids=False)
        history, recorder = bought(shop, Plan(buyers=1, purchases=30, double_calls=1.0, **plan))
        assert set(Counter(each for *_, each in shop.asked).values()) == {2}
        case = IndexedHistory(history, Ledger.of(events=[], tickets=[]))
        assert (len(shop.asked), len(recorder), double_called(case)) == (60, 30, 30)
        calls = history[history["line"] == 0]
        assert Counter(calls["cause"]) == {"none": 30, "repeated": 30}
        assert (calls["cause"] == "repeated").to_numpy().tolist() == second_calls(case)[calls.index].tolist()
        assert (calls["invoked_ns"] <= calls["completed_ns"]).all()

    def test_the_same_seed_makes_the_same_calls(self):
        """For the same tickets and for others; another seed makes others."""

        def asked(seed):
            shop = Shop()
            bought(shop, Plan(buyers=1, purchases=40, events=3, double_calls=0.5, seed=seed))
            return shop.asked

        first = asked(3)
        assert 40 < len(first) < 80
        assert asked(3) == first
        assert asked(4) != first

    def test_first_calls_are_the_same_with_double_calls_or_without(self):
        """The same requests in the same order, and the same number of them."""
        plain, doubled = Shop(), Shop()
        bought(plain, Plan(buyers=1, purchases=40, quantity=(1, 3)))
        bought(doubled, Plan(buyers=1, purchases=40, quantity=(1, 3), double_calls=0.5))
        ids = dict.fromkeys(each[2] for each in doubled.asked)
        firsts = [next(each for each in doubled.asked if each[2] == number) for number in ids]
        assert firsts == plain.asked

    def test_an_id_that_is_called_twice_is_not_given_back(self):
        """All others are, where all are to be."""
        shop = Shop()
        bought(shop, Plan(buyers=1, purchases=50, refunds=1.0, double_calls=0.5))
        calls = Counter(each for what, _, each in shop.asked if what != "refund")
        given_back = {each for what, _, each in shop.asked if what == "refund"}
        assert given_back == {each for each, count in calls.items() if count == 1}
        assert 10 < len(given_back) < 40

    def test_a_lost_answer_is_asked_for_once_more(self):
        """Every one of them, by whatever share ids are called twice; without double calls none is."""
        for share, count in ((0.001, 2), (0.0, 1)):
            shop = Shop(unknown)
            history, recorder = bought(shop, Plan(buyers=1, purchases=10, double_calls=share))
            assert set(Counter(each for *_, each in shop.asked).values()) == {count}
            assert (len(history), len(recorder)) == (10 * count, 10)

    def test_of_a_sale_that_only_the_second_call_is_told_of_one_call_more_counts(self):
        """The first answer was lost: the second call tells of the sale first."""
        calls = Counter()

        def answer(purchase_id, quantity):
            calls[purchase_id] += 1
            if calls[purchase_id] == 1:
                return unknown(purchase_id, quantity)
            return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity)

        history, recorder = bought(Shop(answer), Plan(buyers=1, purchases=5, double_calls=0.001))
        assert (Counter(history["outcome"]), len(recorder)) == ({"unknown": 5, "sold": 5}, 10)

    def test_what_a_second_call_fails_with_is_not_told_as_an_open_answer(self):
        """That an id owns other tickets is the right answer, not a failure of the database."""
        shop = Shop()
        history, recorder = bought(shop, Plan(buyers=1, purchases=60, double_calls=1.0))
        assert "failed" in set(history["outcome"])
        assert recorder.said == {}

    def test_nobody_calls_again_after_the_end(self):
        """Neither when time is up nor when the trial is stopped; the purchase under way was the last call."""
        shop = Shop(unknown)
        bought(shop, Plan(buyers=1, double_calls=1.0), stopped=lambda: len(shop.asked) >= 1)
        assert len(shop.asked) == 1


def test_another_buyer_calls_the_id_while_the_first_call_is_under_way():
    """The first call is not answered before the second one has come: no time passes by itself, nobody waits in vain."""
    first, met = threading.Event(), threading.Event()
    seen = Counter()
    lock = threading.Lock()

    def answer(purchase_id, quantity):
        with lock:
            seen[purchase_id] += 1
            again = seen[purchase_id] == 2
            leads = not first.is_set() and not again and purchase_id in at_once
            if leads:
                first.set()
                leader.append(purchase_id)
        if again and leader and purchase_id == leader[0]:
            met.set()
        if leads:
            assert met.wait(DEADLINE_S), "no other buyer called the id"
        return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity)

    plan = Plan(buyers=2, purchases=60, warm_up_s=0, seconds=60.0, double_calls=1.0)
    at_once = {
        wish.purchase_id
        for buyer in range(2)
        for wish, second, _ in zip(
            plan.intents(buyer, plan.event_numbers), plan.second_calls(buyer), range(30), strict=False
        )
        if second.when is When.AT_ONCE
    }
    leader = []
    shop = Shop(answer, derives_ticket_ids=False)
    history = run_load(shop, plan, EVENTS, warm_up_event=WARM_UP).history
    rows = history[[UUID(bytes=each) == leader[0] for each in history["purchase_id"]]].sort_values("invoked_ns")
    (one, two) = rows.to_dict("records")
    assert one["buyer"] != two["buyer"]
    assert one["invoked_ns"] <= two["invoked_ns"] <= one["completed_ns"]
    assert two["completed_ns"] <= one["completed_ns"]
    assert len(history) == 120
