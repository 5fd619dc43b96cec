"""Buyers of baskets: what they ask for, what of it is recorded, and that they end."""

import time
from uuid import UUID

import pytest

from ticketlab.history.recording import Recorder, collect
from ticketlab.load import Plan, _buyers
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome
from ticketlab.tickets import PurchaseResult
from ticketlab.tickets.purchase import BasketLine

EVENTS = (UUID(int=1), UUID(int=2), UUID(int=3))
WARM_UP = UUID(int=99)
SOLD, SOLD_OUT = Outcome.SOLD, Outcome.SOLD_OUT
BOTH = Plan(events=2, basket=(2, 2), quantity=(2, 2), buyers=1, purchases=1)
"""One purchase of both events, two tickets each."""


class Shop:
    """Stands in for a repository: sells baskets from a stock, or answers them with `told`."""

    def __init__(self, *stock, told=None):
        self.left = dict(zip(EVENTS, stock, strict=False))
        self._told = told
        self.asked = []

    def purchase_basket(self, quantities, purchase_id):
        self.asked.append((dict(quantities), purchase_id))
        if self._told is not None:
            return PurchaseResult(quantity=sum(quantities.values()), **self._told)
        short = {event: quantity for event, quantity in quantities.items() if self.left[event] < quantity}
        if not short:
            self.left |= {event: self.left[event] - quantity for event, quantity in quantities.items()}
        lines = [BasketLine(event, quantity, 7, self.left[event]) for event, quantity in (short or quantities).items()]
        outcome = SOLD_OUT if short else SOLD
        return PurchaseResult(outcome=outcome, quantity=sum(quantities.values()), lines=lines)


def bought(shop, plan, *, within_s=60.0):
    """The history of one buyer of the plan."""
    recorder = Recorder(0)
    until_ns = time.perf_counter_ns() + int(within_s * 1e9)
    _buyers.buy(shop, plan, recorder, EVENTS, until_ns=until_ns, stopped=lambda: False)
    return collect([recorder], start_ns=0)


def rows(history, *columns):
    return history[list(columns)].to_numpy().tolist()


def test_baskets_are_asked_for_in_the_order_of_the_wish():
    """Events, quantities, purchase ids and the order of the events are those of the plan, and of the history."""
    plan = Plan(events=3, basket=(1, 3), quantity=(1, 4), buyers=1, purchases=50)
    shop = Shop(10_000, 10_000, 10_000)
    history = bought(shop, plan)
    wanted = [([(EVENTS[event], quantity) for event, quantity in wish.lines], wish.purchase_id) for wish, _ in
              zip(plan.intents(0, plan.event_numbers), range(50), strict=False)]  # fmt: skip
    assert [(list(quantities.items()), purchase_id) for quantities, purchase_id in shop.asked] == wanted
    told = [(EVENTS[event], quantity, UUID(bytes=each)) for event, quantity, each in
            zip(history["event"], history["quantity"], history["purchase_id"], strict=True)]  # fmt: skip
    assert told == [(*line, purchase_id) for lines, purchase_id in wanted for line in lines]


def test_a_sold_basket_is_recorded_line_by_line():
    """Each event with its own version and stock, the lines numbered from 0, the retries in each."""
    lines = (BasketLine(EVENTS[1], 2, 11, 5), BasketLine(EVENTS[0], 2, 12, 6))
    shop = Shop(told={"outcome": SOLD, "lines": lines, "retries": (Cause.DEADLOCK,), "cause": Cause.DEADLOCK})
    history = bought(shop, BOTH)
    assert sorted(rows(history, "event", "quantity", "version", "available")) == [[0, 2, 12, 6], [1, 2, 11, 5]]
    assert rows(history, "line", "outcome", "cause", "attempts", "retries_deadlock") == [
        [0, "sold", "deadlock", 2, 1],
        [1, "sold", "deadlock", 2, 1],
    ]
    for column in ("purchase_id", "invoked_ns", "completed_ns"):
        assert history[column].nunique() == 1


def test_of_a_refused_basket_only_the_events_that_refused_are_recorded():
    """The other event had tickets enough: nothing is said of it, and its line has the number 0."""
    lines = (BasketLine(EVENTS[1], 2, 11, 1),)
    history = bought(Shop(told={"outcome": SOLD_OUT, "lines": lines}), BOTH)
    assert rows(history, "event", "line", "quantity", "outcome", "version", "available") == [
        [1, 0, 2, "sold_out", 11, 1]
    ]


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": Outcome.CONFLICT, "cause": Cause.LOCK_TIMEOUT},
        {"outcome": Outcome.UNKNOWN, "cause": Cause.CONNECTION},
        {"outcome": Outcome.SOLD, "cause": Cause.REPEATED},
    ],
    ids=["conflict", "unknown", "repeated"],
)
def test_a_basket_that_saw_nothing_has_a_row_for_each_event_wanted(told):
    """Neither version nor stock is made up."""
    history = bought(Shop(told=told), BOTH)
    assert sorted(history["event"]) == [0, 1]
    assert rows(history, "line", "version", "available") == [[0, NOT_SEEN, NOT_SEEN], [1, NOT_SEEN, NOT_SEEN]]
    assert set(history["cause"]) == {told["cause"]}


def test_a_buyer_of_baskets_makes_his_share_and_no_more():
    """Shares are counted in purchases, not in rows."""
    shop = Shop(100, 100, 100)
    history = bought(shop, Plan(events=3, basket=(2, 3), buyers=1, purchases=8))
    assert len(shop.asked) == (history["line"] == 0).sum() == 8


@pytest.mark.parametrize("hot", [None, 0.0, 0.7, 1.0], ids=str)
def test_a_buyer_of_baskets_ends_when_too_few_events_are_left(hot):
    """He buys until every event but one is gone, and asks for none that he was told is gone."""
    plan = Plan(events=3, basket=(2, 2), hot=hot, seconds=60.0)
    shop = Shop(5, 9, 13)
    history = bought(shop, plan)
    assert sum(left > 0 for left in shop.left.values()) <= (2 if hot == 0 else 1)
    refused = history[history["outcome"] == SOLD_OUT]
    assert refused["event"].is_unique
    for event, row in zip(refused["event"], refused.index, strict=True):
        assert event not in set(history.loc[row + 1 :, "event"])


def test_baskets_of_one_or_more_are_sold_to_the_last_seat():
    """Where a basket may be of one event, no event is left over."""
    shop = Shop(5, 9, 13)
    bought(shop, Plan(events=3, basket=(1, 3), seconds=60.0))
    assert list(shop.left.values()) == [0, 0, 0]


def test_of_many_events_the_last_two_are_found():
    """A buyer does not wait for chance to draw the only basket that can still be had."""
    shop = Shop(0, 40, 40)
    shop.left |= {UUID(int=number): 0 for number in range(4, 1_001)}
    events = tuple(shop.left)
    recorder = Recorder(0)
    plan = Plan(events=1_000, basket=(2, 2), seconds=60.0)
    _buyers.buy(shop, plan, recorder, events, until_ns=time.perf_counter_ns() + 60 * 10**9, stopped=lambda: False)
    assert (shop.left[EVENTS[1]], shop.left[EVENTS[2]]) == (0, 0)


def test_a_trial_of_baskets_warms_up_by_a_basket_of_one():
    """The statements that the trial will use are prepared, on the one event that is there for it."""
    shop = Shop(told={"outcome": SOLD})
    plan = Plan(events=3, basket=(2, 3), quantity=(9, 9), warm_up_s=0.0)
    _buyers.warm_up(shop, plan, 0, WARM_UP, stopped=lambda: False)
    assert [quantities for quantities, _ in shop.asked] == [{WARM_UP: 4}]
