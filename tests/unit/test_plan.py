from collections import Counter
from itertools import islice

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.load import Plan


def wishes(plan, buyer=0, count=5_000):
    return list(islice(plan.wishes(buyer), count))


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
    assert {wish.quantity for wish in wishes(Plan(quantity=(2, 5)))} == {2, 3, 4, 5}


def test_events_are_drawn_evenly_unless_one_is_hot():
    """Without a hot event all are as likely; with one, it gets its share and the others the rest."""
    even = Counter(wish.event for wish in wishes(Plan(events=4)))
    assert all(1_100 < count < 1_400 for count in even.values())
    hot = Counter(wish.event for wish in wishes(Plan(events=4, hot=0.7)))
    assert 3_350 < hot[0] < 3_650
    assert set(hot) == {0, 1, 2, 3}


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
        ({"hot": 1.5}, "hot must be a share"),
        ({"warm_up_s": -1}, "warm_up_s must not be negative"),
        ({"warm_up_s": float("nan")}, "warm_up_s must not be negative"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_a_load_that_can_not_be_made_is_refused(wrong, words):
    """Each wrong value is named before anything is started."""
    with pytest.raises(InvalidInputError, match=words):
        Plan(**wrong)
