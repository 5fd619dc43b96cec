"""Baskets that are locked in no common order, sold by halves, or mixed up."""

import time
from typing import Any

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.tickets import baskets
from ticketlab.tickets.baskets import SELL_ALL, SELL_LINE
from ticketlab.tickets.purchase import Basket, PurchaseResult
from ticketlab.tickets.strategies.atomic import SELL_ALL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.atomic import basket as sell_all_if_enough
from ticketlab.tickets.strategies.no_key_update import no_key_update
from ticketlab.tickets.strategies.pessimistic import LOCK_ALL, pessimistic
from ticketlab.tickets.strategies.serializable import serializable
from ticketlab.tickets.strategy import Connection, commit_guard, roll_back, transaction

_LARGEST_FIRST = SELL_ALL_IF_ENOUGH.replace("ORDER BY id FOR", "ORDER BY quantity DESC FOR")


@mutant(
    atomic,
    mistake="the rows of a basket are locked in the order of its quantities",
    expected_check="no_deadlock",
    trigger=Trigger.BASKETS,
)
def atomic_largest_first(connection: Connection, wanted: Basket) -> PurchaseResult:
    """There is an order, but each buyer has his own."""
    with commit_guard():
        rows = connection.execute(_LARGEST_FIRST, baskets.parameters(wanted)).fetchall()
    return baskets.sold(wanted, rows) if rows else sell_all_if_enough(connection, wanted)


@mutant(
    no_key_update,
    mistake="the rows of a basket are not locked before one UPDATE changes them all",
    expected_check="no_deadlock",
    trigger=Trigger.BASKETS,
)
def no_key_update_no_order(connection: Connection, wanted: Basket) -> PurchaseResult:
    """An UPDATE of several rows locks them in the order in which it meets them: here the buyer's."""
    with transaction(connection):
        events = connection.execute(baskets.READ_ALL, [list(wanted.quantities)]).fetchall()
        return baskets.sell_basket_if_enough(connection, wanted, events)


@mutant(
    serializable,
    mistake="the lines of a basket are sold in a transaction each",
    expected_check="atomic",
    trigger=Trigger.BASKETS,
)
def serializable_line_by_line(connection: Connection, wanted: Basket) -> PurchaseResult:
    """All stocks suffice when they are read; a line that somebody else took in the pause before it fails alone."""
    events = connection.execute(baskets.READ_ALL, [list(wanted.quantities)]).fetchall()
    refusal = baskets.refused(wanted, baskets.stock_of(events))
    if refusal is not None:
        return refusal
    rows: list[tuple[Any, ...]] = []
    for event_id, quantity in wanted.quantities.items():
        line = {"event_id": event_id, "quantity": quantity, "purchase_id": wanted.purchase_id}
        with commit_guard():
            rows += connection.execute(SELL_LINE, line | {"sold_before": len(rows)}).fetchall()
        time.sleep(PAUSE_S)
    return baskets.sold(wanted, rows)


@mutant(
    atomic,
    mistake="a basket's events are sorted and its quantities are not",
    expected_check="sales_in_ledger",
    trigger=Trigger.BASKETS,
    needs_quantity=True,
)
def atomic_mixed_up(connection: Connection, wanted: Basket) -> PurchaseResult:
    """What is wanted of one event is charged to another."""
    mixed = dict(zip(sorted(wanted.quantities), wanted.quantities.values(), strict=True))
    return sell_all_if_enough(connection, Basket(quantities=mixed, purchase_id=wanted.purchase_id))


_CHARGE_THE_FIRST_QUANTITY = SELL_ALL.replace(
    "available_tickets - quantity", "available_tickets - (SELECT quantity FROM wanted LIMIT 1)"
)


@mutant(
    pessimistic,
    mistake="every event of a basket is charged what was wanted of the first one",
    expected_check="no_oversell",
    trigger=Trigger.BASKETS,
    needs_quantity=True,
)
def pessimistic_first_quantity(connection: Connection, wanted: Basket) -> PurchaseResult:
    """The tickets are those that were wanted, the stock goes down by another number."""
    with transaction(connection):
        events = connection.execute(LOCK_ALL, [list(wanted.quantities)]).fetchall()
        refusal = baskets.refused(wanted, baskets.stock_of(events))
        if refusal is not None:
            roll_back(connection)
            return refusal
        rows = connection.execute(_CHARGE_THE_FIRST_QUANTITY, baskets.parameters(wanted)).fetchall()
        return baskets.sold(wanted, rows)
