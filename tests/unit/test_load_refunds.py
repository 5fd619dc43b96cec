"""Buyers who give back: which sales, what of it is recorded, and that they end."""

import time
from uuid import UUID

import pytest

from ticketlab.history.recording import Recorder, collect, purchases_of
from ticketlab.load import Plan, _buyers
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome
from ticketlab.tickets import PurchaseResult
from ticketlab.tickets.purchase import BasketLine

EVENTS = (UUID(int=1), UUID(int=2), UUID(int=3))
WARM_UP = UUID(int=99)
EACH = ["kind", "event", "line", "quantity", "outcome", "cause", "attempts", "version", "available"]


class Shop:
    """Stands in for a repository: sells from a stock and takes back, or answers refunds with `told`."""

    def __init__(self, *stock, told=None):
        self.left = dict(zip(EVENTS, stock, strict=False)) | {WARM_UP: 10**6}
        self.owned = {}
        self.cancelled = []
        self._told = told

    def purchase_tickets(self, event_id, quantity, purchase_id):
        return self.purchase_basket({event_id: quantity}, purchase_id)

    def purchase_basket(self, quantities, purchase_id):
        short = {event: quantity for event, quantity in quantities.items() if self.left[event] < quantity}
        if not short:
            self.left |= {event: self.left[event] - quantity for event, quantity in quantities.items()}
            self.owned[purchase_id] = quantities
        return self._result(Outcome.SOLD_OUT if short else Outcome.SOLD, short or quantities, version=5)

    def cancel_purchase(self, purchase_id):
        self.cancelled.append(purchase_id)
        if self._told is not None:
            return PurchaseResult(quantity=0, **self._told)
        back = self.owned.pop(purchase_id)
        self.left |= {event: self.left[event] + quantity for event, quantity in back.items()}
        return self._result(Outcome.REFUNDED, dict(sorted(back.items())), version=6)

    def _result(self, outcome, quantities, *, version):
        lines = [BasketLine(event, quantity, version, self.left[event]) for event, quantity in quantities.items()]
        of_one = {"version": version, "available_tickets": lines[0].available_tickets} if len(lines) == 1 else {}
        return PurchaseResult(outcome=outcome, quantity=sum(quantities.values()), lines=lines, **of_one)


def bought(shop, plan, *, within_s=60.0):
    """The history of one buyer of the plan."""
    recorder = Recorder(0)
    until_ns = time.perf_counter_ns() + int(within_s * 1e9)
    _buyers.buy(shop, plan, recorder, EVENTS, until_ns=until_ns, stopped=lambda: False)
    return collect([recorder], start_ns=0)


def test_a_sale_is_given_back_right_after_it():
    """The refund has the purchase's id, and a row of its own, with the version and the stock that it made."""
    shop = Shop(10)
    history = bought(shop, Plan(buyers=1, purchases=1, quantity=(3, 3), refunds=1.0))
    assert history[EACH].to_numpy().tolist() == [
        ["purchase", 0, 0, 3, "sold", "none", 1, 5, 7],
        ["refund", 0, 0, 3, "refunded", "none", 1, 6, 10],
    ]
    assert [UUID(bytes=each) for each in history["purchase_id"]] == shop.cancelled * 2
    assert history["invoked_ns"][1] >= history["completed_ns"][0]
    assert (history["scheduled_ns"] == history["invoked_ns"]).all()


def test_a_basket_is_given_back_line_by_line():
    """A row an event, in the order in which it was told, with one id and one time."""
    history = bought(Shop(10, 10), Plan(buyers=1, purchases=1, events=2, basket=(2, 2), quantity=(2, 2), refunds=1.0))
    refund = history[history["kind"] == "refund"]
    assert refund[EACH].to_numpy().tolist() == [
        ["refund", 0, 0, 2, "refunded", "none", 1, 6, 10],
        ["refund", 1, 1, 2, "refunded", "none", 1, 6, 10],
    ]
    for column in ("purchase_id", "invoked_ns", "completed_ns"):
        assert refund[column].nunique() == 1
    assert history["purchase_id"].nunique() == 1


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": Outcome.CONFLICT, "cause": Cause.DEADLOCK, "retries": (Cause.DEADLOCK,) * 4},
        {"outcome": Outcome.UNKNOWN, "cause": Cause.CONNECTION},
        {"outcome": Outcome.REFUNDED, "cause": Cause.REPEATED},
    ],
    ids=["conflict", "unknown", "repeated"],
)
def test_a_refund_that_gave_nothing_back_has_a_row_for_each_event_of_its_purchase(told):
    """What it was to give back, with neither version nor stock made up; it is asked for once."""
    shop = Shop(10, 10, told=told)
    history = bought(shop, Plan(buyers=1, purchases=1, events=2, basket=(2, 2), quantity=(2, 2), refunds=1.0))
    purchase, refund = history[history["kind"] == "purchase"], history[history["kind"] == "refund"]
    attempts = 1 + len(told.get("retries", ()))
    assert refund[EACH].to_numpy().tolist() == [
        ["refund", event, line, 2, told["outcome"], told["cause"], attempts, NOT_SEEN, NOT_SEEN]
        for line, event in enumerate(purchase["event"])
    ]
    assert refund["retries_deadlock"].tolist() == [attempts - 1] * 2
    assert len(shop.cancelled) == 1


def test_only_what_was_sold_is_given_back():
    """A refusal leaves nothing to give back."""
    shop = Shop(0)
    history = bought(shop, Plan(buyers=1, refunds=1.0))
    assert (history["outcome"].tolist(), shop.cancelled) == (["sold_out"], [])


def test_purchases_are_limited_whatever_was_given_back():
    """Refunds count for nothing: each buyer makes his share of purchases, and what came back is sold again."""
    shop = Shop(4)
    history = bought(shop, Plan(buyers=1, purchases=50, refunds=1.0))
    assert (len(history), len(purchases_of(history)), shop.left[EVENTS[0]]) == (100, 50, 4)


def test_a_buyer_who_gives_all_back_ends_with_his_time():
    """Nobody tells him that it is sold out: he buys the same ticket to the end of his time, and gives it back."""
    shop = Shop(1)
    history = bought(shop, Plan(buyers=1, refunds=1.0), within_s=0.05)
    assert len(purchases_of(history)) > 1
    assert (history["outcome"].iloc[-1], shop.left[EVENTS[0]]) == ("refunded", 1)


def test_a_buyer_ends_when_what_he_kept_is_all_there_was():
    """Half of it comes back and is bought again, until he is told that it is gone; what he kept is all of it."""
    shop = Shop(20)
    history = bought(shop, Plan(buyers=1, refunds=0.5))
    sold, back = (int(history.loc[history["outcome"] == each, "quantity"].sum()) for each in ("sold", "refunded"))
    assert history["outcome"].iloc[-1] == "sold_out"
    assert (sold - back, shop.left[EVENTS[0]], back > 0) == (20, 0, True)


def test_who_warms_up_gives_back_too():
    """The statement of a refund is prepared by then, where refunds are part of the load, and else not asked for."""
    for share, cancelled in ((1.0, 1), (0.0, 0)):
        shop = Shop()
        _buyers.warm_up(shop, Plan(warm_up_s=0.0, refunds=share), 0, WARM_UP, stopped=lambda: False)
        assert len(shop.cancelled) == cancelled
