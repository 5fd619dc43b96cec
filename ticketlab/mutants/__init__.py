"""Mutants: copies of the safe strategies, each with one mistake that people make. They measure what the checks detect.

This module holds the record of a mutant and the registry; each other module holds the mutants of one kind of mistake.
A mutant differs from its safe strategy in the mistake alone. Writing back a stock computed in the application is no
mistake in itself: it is right under a lock or a compared version. Mutants do so where the table's CHECK constraint
would refuse a relative decrement. Depends on the strategies; knows the checks by name only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from ticketlab.tickets import strategies
from ticketlab.tickets.purchase import PurchaseResult
from ticketlab.tickets.strategy import Strategy

PAUSE_S: Final = 0.002
"""How long some of them wait between two statements, as an application would that has something to think about."""


class Trigger(StrEnum):
    """What brings a mistake to light."""

    LOAD = "load"
    """Many buyers of several events at once, until the stock runs out."""
    BASKETS = "baskets"
    """The same, with several events in a purchase."""
    CRASH = "crash"
    """The server is killed and started again while they buy."""
    DISCONNECT = "disconnect"
    """Every connection is cut while they buy, several times."""
    LOSE_REPLY = "lose-reply"
    """Connections break while the server works, several times: it may commit, and the answer is lost."""
    DOUBLE_CALLS = "double-calls"
    """Many purchase ids are called twice, by two buyers at once or later, some for another quantity or event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A strategy with a known mistake."""

    strategy: Strategy
    """Under the mutant's own name; not safe."""
    base: str
    """The safe strategy of which it is a copy, but for the mistake."""
    expected_check: str
    """The check, by its name, whose claim does not hold of it; others may fail as well."""
    trigger: Trigger = Trigger.LOAD
    needs_quantity: bool = False
    """Whether the mistake cannot show where every purchase is of one ticket of an event."""


def mutant(
    base: Strategy,
    *,
    mistake: str,
    expected_check: str,
    trigger: Trigger = Trigger.LOAD,
    needs_quantity: bool = False,
    **changes: Any,  # noqa: ANN401 - each field of a Strategy has a type of its own
) -> Callable[[Callable[[Any, Any], PurchaseResult]], Mutant]:
    """Make a function a mutant of the function's name: its purchase, or, for a mistake in baskets, its basket.

    Args:
        base: the safe strategy that it would be without its mistake.
        mistake: what is wrong, in a line; it becomes the summary.
        expected_check: the check whose claim does not hold.
        trigger: what brings the mistake to light.
        needs_quantity: whether it cannot show where every purchase is of one ticket of an event.
        changes: what else differs from the base's record, by field.
    """

    def record(sell: Callable[[Any, Any], PurchaseResult]) -> Mutant:
        of_baskets = trigger is Trigger.BASKETS
        broken = replace(
            base,
            name=getattr(sell, "__name__", repr(sell)),
            summary=f"mutant: {mistake}",
            cost="wrong answers, or wrong books",
            when="never: it shows what the checks can see",
            safe=False,
            purchase=base.purchase if of_baskets else sell,
            basket=sell if of_baskets else None,
            basket_only=of_baskets,
            **changes,
        )
        return Mutant(
            strategy=broken,
            base=base.name,
            expected_check=expected_check,
            trigger=trigger,
            needs_quantity=needs_quantity,
        )

    return record


@cache
def registry() -> dict[str, Mutant]:
    """Every mutant by its name, in alphabetical order: so the mutants of one strategy stand together."""
    found = [
        each
        for module in iter_modules(__path__, prefix=f"{__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, Mutant)
    ]
    return {each.strategy.name: each for each in sorted(found, key=lambda each: each.strategy.name)}


def get(name: str) -> Strategy:
    """The strategy of this name, a mutant's included.

    Raises:
        TicketlabError: as `strategies.get` does; its text lists the strategies, not the mutants.
    """
    return registry()[name].strategy if name in registry() else strategies.get(name)


def is_external(name: str) -> bool:
    """Whether the strategy of this name comes from an installed package or from user code."""
    return name not in registry() and strategies.is_external(name)
