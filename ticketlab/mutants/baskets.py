"""Mutants of baskets: no common lock order, partial purchases, mixed-up quantities."""

import time
from typing import Any

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.mutants._sql import edited
from ticketlab.tickets.purchase import Basket, PurchaseResult
from ticketlab.tickets.sql import (
    READ_ALL,
    SELL_ALL,
    SELL_LINE,
    basket_parameters,
    basket_refusal,
    basket_sold,
    sell_basket_if_enough,
    stock_of,
)
from ticketlab.tickets.strategies.atomic import SELL_ALL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.atomic import basket as sell_all_if_enough
from ticketlab.tickets.strategies.no_key_update import no_key_update
from ticketlab.tickets.strategies.pessimistic import LOCK_ALL, pessimistic
from ticketlab.tickets.strategies.serializable import serializable
from ticketlab.tickets.strategy import Connection, commit_guard, roll_back, transaction

_LARGEST_FIRST = edited(SELL_ALL_IF_ENOUGH, ("ORDER BY id FOR", "ORDER BY quantity DESC FOR"))


@mutant(
    atomic,
    mistake="the rows of a basket are locked in the order of its quantities",
    expected_check="no_deadlock",
    trigger=Trigger.BASKETS,
)
def atomic_largest_first(connection: Connection, wanted: Basket) -> PurchaseResult:
    """There is a lock order, but it differs between buyers."""
    with commit_guard():
        rows = connection.execute(_LARGEST_FIRST, basket_parameters(wanted)).fetchall()
    return basket_sold(wanted, rows) if rows else sell_all_if_enough(connection, wanted)


@mutant(
    no_key_update,
    mistake="the rows of a basket are not locked before one UPDATE changes all",
    expected_check="no_deadlock",
    trigger=Trigger.BASKETS,
)
def no_key_update_no_order(connection: Connection, wanted: Basket) -> PurchaseResult:
    """An UPDATE locks rows in the order in which it reads them: here the buyer's."""
    with transaction(connection):
        events = connection.execute(READ_ALL, [list(wanted.quantities)]).fetchall()
        return sell_basket_if_enough(connection, wanted, events)


@mutant(
    serializable,
    mistake="each line of a basket is sold in its own transaction",
    expected_check="atomic",
    trigger=Trigger.BASKETS,
)
def serializable_line_by_line(connection: Connection, wanted: Basket) -> PurchaseResult:
    """All stocks suffice when they are read; a line whose stock is then sold to another buyer fails alone."""
    events = connection.execute(READ_ALL, [list(wanted.quantities)]).fetchall()
    refusal = basket_refusal(wanted, stock_of(events))
    if refusal is not None:
        return refusal
    rows: list[tuple[Any, ...]] = []
    for event_id, quantity in wanted.quantities.items():
        line = {"event_id": event_id, "quantity": quantity, "purchase_id": wanted.purchase_id}
        with commit_guard():
            rows += connection.execute(SELL_LINE, line | {"sold_before": len(rows)}).fetchall()
        time.sleep(PAUSE_S)
    return basket_sold(wanted, rows)


@mutant(
    atomic,
    mistake="a basket's events are sorted and its quantities are not",
    expected_check="sales_in_ledger",
    trigger=Trigger.BASKETS,
    needs_quantity=True,
)
def atomic_mixed_up(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Each event may be sold in the quantity that was requested for another."""
    mixed = dict(zip(sorted(wanted.quantities), wanted.quantities.values(), strict=True))
    return sell_all_if_enough(connection, Basket(quantities=mixed, purchase_id=wanted.purchase_id))


_CHARGE_THE_FIRST_QUANTITY = edited(
    SELL_ALL, ("available_tickets - quantity", "available_tickets - (SELECT quantity FROM wanted LIMIT 1)")
)


@mutant(
    pessimistic,
    mistake="every event's stock goes down by the first event's quantity",
    expected_check="no_oversell",
    trigger=Trigger.BASKETS,
    needs_quantity=True,
)
def pessimistic_first_quantity(connection: Connection, wanted: Basket) -> PurchaseResult:
    """The tickets are right, the stocks are not."""
    with transaction(connection):
        events = connection.execute(LOCK_ALL, [list(wanted.quantities)]).fetchall()
        refusal = basket_refusal(wanted, stock_of(events))
        if refusal is not None:
            roll_back(connection)
            return refusal
        rows = connection.execute(_CHARGE_THE_FIRST_QUANTITY, basket_parameters(wanted)).fetchall()
        return basket_sold(wanted, rows)
