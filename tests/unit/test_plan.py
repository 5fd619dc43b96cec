from collections import Counter
from itertools import islice
from uuid import UUID

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.load import Plan
from ticketlab.load.plan import PurchaseIntent, Second, When


def wishes(plan, buyer=0, count=5_000):
    return list(islice(plan.intents(buyer, plan.event_numbers), count))


def test_the_same_seed_gives_the_same_wishes():
    """Events, quantities and purchase ids all come from the seed."""
    plan = Plan(seed=7, events=3, quantity=(1, 4))
    assert wishes(plan) == wishes(plan)
    assert wishes(plan) != wishes(Plan(seed=8, events=3, quantity=(1, 4)))


def test_no_two_purchases_share_an_id():
    """Purchase ids are version 4 UUIDs, different within a buyer and between buyers."""
    ids = [wish.purchase_id for buyer in range(3) for wish in wishes(Plan(), buyer)]
    assert len(set(ids)) == len(ids)
    assert {each.version for each in ids} == {4}


def test_quantities_cover_their_range():
    """Every quantity of the range is drawn, and no other."""
    assert {quantity for wish in wishes(Plan(quantity=(2, 5))) for _, quantity in wish.lines} == {2, 3, 4, 5}


def test_events_are_drawn_evenly_unless_one_is_hot():
    """Without a hot event all are as likely; with one, it gets its share and the others the rest."""
    even = Counter(event for wish in wishes(Plan(events=4)) for event, _ in wish.lines)
    assert all(1_100 < count < 1_400 for count in even.values())
    hot = Counter(event for wish in wishes(Plan(events=4, hot=0.7)) for event, _ in wish.lines)
    assert 3_350 < hot[0] < 3_650
    assert set(hot) == {0, 1, 2, 3}


def baskets(plan, count=5_000):
    """The events of each basket, in the buyer's order."""
    return [tuple(event for event, _ in wish.lines) for wish in wishes(plan, count=count)]


def test_a_purchase_is_of_one_event_unless_baskets_are_asked_for():
    """Every wish has one line, and one who asks for baskets of one event makes them all the same."""
    assert {len(wish.lines) for wish in wishes(Plan(events=4))} == {1}
    assert {len(wish.lines) for wish in wishes(Plan(events=4, basket=(1, 2)))} == {1, 2}


def test_baskets_come_from_the_seed():
    """The same events in the same order, quantities and purchase ids; another buyer has others."""
    plan = Plan(seed=7, events=9, basket=(2, 4), quantity=(1, 3))
    assert wishes(plan) == wishes(plan)
    assert wishes(plan)[:10] != wishes(plan, buyer=1)[:10]
    assert wishes(plan)[:10] != wishes(Plan(seed=8, events=9, basket=(2, 4), quantity=(1, 3)))[:10]
    ids = {wish.purchase_id for buyer in range(3) for wish in wishes(plan, buyer)}
    assert (len(ids), {each.version for each in ids}) == (15_000, {4})


def test_a_basket_has_distinct_events_and_every_size_is_as_likely():
    """Two to four of nine events, none of them twice, each with a quantity of its own."""
    drawn = wishes(Plan(events=9, basket=(2, 4), quantity=(1, 3)))
    assert all(len(dict(wish.lines)) == len(wish.lines) for wish in drawn)
    sizes = Counter(len(wish.lines) for wish in drawn)
    assert set(sizes) == {2, 3, 4}
    assert all(1_550 < count < 1_800 for count in sizes.values())
    assert {quantity for wish in drawn for _, quantity in wish.lines} == {1, 2, 3}
    assert any(len({quantity for _, quantity in wish.lines}) > 1 for wish in drawn)


@pytest.mark.parametrize("hot", [None, 0.6])
def test_the_events_of_a_basket_stand_in_random_order(hot):
    """Each order of two events is as likely: it is what a strategy without a lock order stumbles over."""
    orders = Counter(baskets(Plan(events=2, basket=(2, 2), hot=hot)))
    assert set(orders) == {(0, 1), (1, 0)}
    assert all(2_350 < count < 2_650 for count in orders.values())


def test_a_hot_event_is_in_its_share_of_the_baskets():
    """Seven of ten baskets hold it, and the others are as likely as one another."""
    drawn = baskets(Plan(events=5, basket=(2, 2), hot=0.7))
    held = Counter(event for basket in drawn for event in basket)
    assert 3_350 < held[0] < 3_650
    assert all(1_500 < held[event] < 1_750 for event in (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("hot", "sets"),
    [(0.0, {(1, 2)}), (1.0, {(0, 1), (0, 2)}), (0.5, {(0, 1), (0, 2), (1, 2)})],
    ids=str,
)
def test_a_share_of_nothing_or_all_holds_for_baskets_too(hot, sets):
    """An event that nobody wants is in no basket, one that all want is in every one."""
    assert {tuple(sorted(each)) for each in baskets(Plan(events=3, basket=(2, 2), hot=hot))} == sets


def test_baskets_are_drawn_from_what_is_left():
    """Events that are gone are wanted no more; with fewer left than a basket needs, there are no more wishes."""
    left = {0, 1, 2, 3}
    drawn = Plan(events=4, basket=(2, 3), hot=0.9).intents(0, left)
    assert {event for wish in islice(drawn, 500) for event, _ in wish.lines} == {0, 1, 2, 3}
    left -= {0, 2}
    assert {tuple(sorted(dict(wish.lines))) for wish in islice(drawn, 500)} == {(1, 3)}
    left -= {1}
    assert list(islice(drawn, 500)) == []


def given_back(plan, buyer=0, count=5_000):
    return list(islice(plan.refund_flags(buyer), count))


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 430, 570), (1.0, 5_000, 5_000)])
def test_a_share_of_the_wishes_is_given_back(share, least, most):
    """One in ten where a tenth is asked for; none or all where that is."""
    assert least <= sum(given_back(Plan(refunds=share))) <= most


def test_what_is_given_back_comes_from_the_seed_and_is_another_buyer_s_own():
    """The same for the same seed, another for another buyer; and of a larger share all that is of a smaller one."""
    few, many = given_back(Plan(refunds=0.2)), given_back(Plan(refunds=0.4))
    assert few == given_back(Plan(refunds=0.2))
    assert few != given_back(Plan(refunds=0.2), buyer=1)
    assert few != given_back(Plan(refunds=0.2, seed=1))
    assert {place for place, each in enumerate(few) if each} < {place for place, each in enumerate(many) if each}


@pytest.mark.parametrize("basket", [(1, 1), (2, 3)])
def test_wishes_are_the_same_with_refunds_or_without(basket):
    """What is given back is drawn apart from what is wanted, and has nothing to do with it."""
    plans = [Plan(events=4, quantity=(1, 2), basket=basket, refunds=share) for share in (0.0, 0.5)]
    assert wishes(plans[0]) == wishes(plans[1])
    drawn = zip(wishes(plans[1]), given_back(plans[1]), strict=True)
    tickets = [
        sum(quantity for _, quantity in wish.lines) / len(wish.lines) for wish, is_given_back in drawn if is_given_back
    ]
    assert 1.45 < sum(tickets) / len(tickets) < 1.55


def seconds(plan, buyer=0, count=6_000):
    return list(islice(plan.second_calls(buyer), count))


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 530, 670), (1.0, 6_000, 6_000)])
def test_a_share_of_the_ids_is_called_twice(share, least, most):
    """One in ten where a tenth is asked for; none or all where that is."""
    assert least <= sum(each is not None for each in seconds(Plan(double_calls=share))) <= most


def test_second_calls_come_from_the_seed():
    """The same for the same seed, others for another buyer; of a larger share all that are of a smaller one."""
    few, many = seconds(Plan(double_calls=0.2)), seconds(Plan(double_calls=0.4))
    assert few == seconds(Plan(double_calls=0.2))
    assert few != seconds(Plan(double_calls=0.2), buyer=1)
    assert few != seconds(Plan(double_calls=0.2, seed=1))
    assert all(each in (None, other) for each, other in zip(few, many, strict=True))


def test_half_of_the_second_calls_are_made_at_once_and_a_third_differ():
    """A sixth is for another quantity or event while the first call is under way, a sixth is so later."""
    counts = Counter((each.when, each.differs) for each in seconds(Plan(double_calls=1.0)))
    assert {kind: round(count / 1_000) for kind, count in counts.items()} == {
        (When.AT_ONCE, False): 2,
        (When.AT_ONCE, True): 1,
        (When.LATER, False): 1,
        (When.LATER_BY_ANOTHER, False): 1,
        (When.LATER_BY_ANOTHER, True): 1,
    }


@pytest.mark.parametrize("basket", [(1, 1), (2, 3)])
def test_wishes_and_refunds_are_the_same_with_double_calls_or_without(basket):
    """What is called twice is drawn apart from what is wanted and from what is given back."""
    plans = [Plan(events=4, quantity=(1, 2), basket=basket, refunds=0.5, double_calls=share) for share in (0.0, 0.5)]
    assert wishes(plans[0]) == wishes(plans[1])
    assert given_back(plans[0]) == given_back(plans[1])


@pytest.mark.parametrize(
    ("plan", "wanted"),
    [
        ({}, {(0, 1), (0, 3)}),
        ({"quantity": (1, 9)}, {(0, 1), (0, 3)}),
        ({"events": 3}, {(0, 1), (0, 3), (1, 2), (2, 2)}),
        ({"events": 3, "hot": 1.0}, {(0, 1), (0, 3)}),
        ({"events": 3, "basket": (1, 2)}, {(0, 2)}),
    ],
    ids=str,
)
def test_a_call_that_differs_is_for_another_quantity_or_another_event_that_is_wanted(plan, wanted):
    """Of one ticket more or fewer, or of another event under the same id; a basket is called for the same again."""
    plan, wish = Plan(**plan), PurchaseIntent(((0, 2),), UUID(int=7))
    drawn = {plan.second_intent(wish, Second(When.LATER, True, number)) for number in range(12)}
    assert {each.lines for each in drawn} == {(line,) for line in wanted}
    assert {each.purchase_id for each in drawn} == {UUID(int=7)}
    assert plan.second_intent(wish, Second(When.LATER, False, 3)) == wish


@pytest.mark.parametrize(("quantity", "others"), [(1, {2}), (2**31 - 1, {2**31 - 2})])
def test_another_quantity_can_be_sent(quantity, others):
    """Never none, and never more than the column holds."""
    wish = PurchaseIntent(((0, quantity),), UUID(int=7))
    drawn = {Plan().second_intent(wish, Second(When.LATER, True, number)).lines[0][1] for number in range(8)}
    assert drawn == others


@pytest.mark.parametrize(("purchases", "buyers"), [(10, 4), (3, 8), (16, 16)])
def test_purchases_are_shared_out_evenly(purchases, buyers):
    """The buyers' shares add up, and differ by one at most."""
    shares = [Plan(purchases=purchases, buyers=buyers).purchases_of(buyer) for buyer in range(buyers)]
    assert sum(shares) == purchases
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"buyers": 0}, "buyers must be from 1"),
        ({"buyers": 10_001}, "buyers must be from 1"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"seconds": float("nan")}, "seconds must be above 0"),
        ({"seconds": float("inf")}, "seconds must be above 0"),
        ({"purchases": 0}, "purchases must be at least 1"),
        ({"events": 0}, "events must be from 1"),
        ({"events": 10_001}, "events must be from 1"),
        ({"stock": -1}, "stock must be from 0"),
        ({"stock": 2**31}, "stock must be from 0"),
        ({"quantity": (0, 1)}, "quantity must be from 1"),
        ({"quantity": (3, 2)}, "quantity must be from 1"),
        ({"quantity": (1, 2**31)}, "quantity must be from 1"),
        ({"basket": (0, 1)}, "basket must be from 1"),
        ({"basket": (3, 2), "events": 4}, "basket must be from 1"),
        ({"basket": (2, 3), "events": 2}, r"as many events as are sold \(2\)"),
        ({"basket": (2, 3), "events": 3, "hot": 0.0}, r"as many events as are sold \(2\)"),
        ({"hot": 1.5}, "hot must be a share"),
        ({"refunds": -0.1}, "refunds must be a share"),
        ({"refunds": 1.1}, "refunds must be a share"),
        ({"refunds": float("nan")}, "refunds must be a share"),
        ({"double_calls": -0.1}, "double_calls must be a share"),
        ({"double_calls": 1.1}, "double_calls must be a share"),
        ({"double_calls": float("nan")}, "double_calls must be a share"),
        ({"warm_up_s": -1}, "warm_up_s must not be negative"),
        ({"warm_up_s": float("nan")}, "warm_up_s must not be negative"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_a_load_that_can_not_be_made_is_refused(wrong, words):
    """Each wrong value is named before anything is started."""
    with pytest.raises(InvalidInputError, match=words):
        Plan(**wrong)
