"""An order for the operations of one event that report no version."""

import random

import pytest

from ticketlab.checks.serializability._unversioned import Item, ItemKind, search

NEVER = 10**18


def sale(row, since, until, quantity=1, **more):
    return Item(row=row, kind=ItemKind.SALE, quantity=quantity, since=since, until=until, **more)


def refund(row, since, until, quantity=1, **more):
    return Item(row=row, kind=ItemKind.REFUND, quantity=quantity, since=since, until=until, **more)


def refusal(row, since, until, quantity=1, **more):
    return Item(row=row, kind=ItemKind.REFUSAL, quantity=quantity, since=since, until=until, **more)


def test_the_example_of_the_module():
    items = [
        sale(0, 0, 9),
        sale(1, 0, 9),
        refund(2, 10, 12, stock=1, rank=2, follows=0),
        refusal(3, 8, 11),
    ]
    assert search(items, 2).found


def test_a_refusal_needs_a_moment_of_too_small_a_stock():
    items = [sale(0, 0, 1), refusal(1, 2, 3)]
    assert search(items, 1).found
    assert search(items, 2) == (False, True, (1,))


def test_a_sale_before_the_refund_that_would_make_room_for_it_is_an_oversell():
    items = [sale(0, 0, 5), sale(1, 6, 8), refund(2, 10, 15, follows=1)]
    answer = search(items, 1)
    assert (answer.found, answer.exhausted, answer.blocked) == (False, True, (1,))


def test_a_reported_stock_decides_which_sales_came_before_a_refund():
    items = [
        sale(0, 0, 50, quantity=2),
        sale(1, 0, 50, quantity=3),
        sale(2, 0, 5),
        refund(3, 10, 60, stock=7, rank=1, follows=2),
    ]
    assert search(items, 10).found  # 3 were sold, 1 was sold and came back
    impossible = [*items[:3], refund(3, 10, 60, stock=6, rank=1, follows=2)]
    assert search(impossible, 10) == (False, True, search(impossible, 10).blocked)


def test_refunds_come_in_the_order_of_their_versions():
    first, second = refund(2, 10, 20, stock=9, rank=1, follows=0), refund(3, 10, 20, stock=10, rank=2, follows=1)
    sales = [sale(0, 0, 5), sale(1, 0, 5)]
    assert search([*sales, first, second], 10).found
    swapped = [refund(2, 10, 12, stock=9, rank=2, follows=0), refund(3, 14, 20, stock=10, rank=1, follows=1)]
    assert not search([*sales, *swapped], 10).found


def test_a_stock_above_all_seats_is_never_reached():
    answer = search([sale(0, 0, 5, quantity=2), refund(1, 6, 8, quantity=2, stock=9, rank=2, follows=0)], 5)
    assert (answer.found, answer.exhausted) == (False, True)


def test_a_lost_sale_that_took_effect_may_come_late():
    assert search([sale(0, 0, NEVER), refusal(1, 2, 3), sale(2, 10, 12)], 2).exhausted
    assert search([sale(0, 0, NEVER), sale(1, 0, 1), refusal(2, 2, 3)], 2).found


@pytest.mark.parametrize("seed", range(6))
def test_what_was_played_in_some_order_is_found(seed):
    """3,000 operations of 32 buyers: sales of 1 to 4, refunds that report their stock, refusals."""
    items = played(random.Random(seed), total=400, buyers=32, operations=3_000)
    assert len(items) == 3_000
    assert search(items, 400).found


def played(rng, *, total, buyers, operations):
    """Operations as buyers in a closed loop see them: each takes effect at a tick inside its window."""
    free_at = [(rng.random(), buyer) for buyer in range(buyers)]
    calls = []
    owned = {}
    for _ in range(operations):
        at, buyer = min(free_at)
        free_at.remove((at, buyer))
        effect, end = at + rng.random(), at + 1 + rng.random()
        gives_back = buyer in owned and rng.random() < 0.6
        calls.append((effect, at, end, buyer, rng.randint(1, 4), owned.pop(buyer, None) if gives_back else None))
        if not gives_back:
            owned[buyer] = len(calls) - 1
        free_at.append((end + 0.01 * rng.random(), buyer))
    return items_of(calls, total)


def items_of(calls, total):
    """The calls as items, answered in the order of their effects."""
    stock, rank, items, sold = total, 0, [], {}
    for row, (_, since, until, _, quantity, gives_back) in sorted(enumerate(calls), key=lambda each: each[1][0]):
        window = {"since": int(since * 1e6), "until": int(until * 1e6)}
        if gives_back in sold:
            back = sold.pop(gives_back)
            stock, rank = stock + back, rank + 1
            items.append(refund(row, quantity=back, stock=stock, rank=rank, follows=gives_back, **window))
        elif stock >= quantity:
            stock -= quantity
            sold[row] = quantity
            items.append(sale(row, quantity=quantity, **window))
        else:
            items.append(refusal(row, quantity=quantity, **window))
    return items
