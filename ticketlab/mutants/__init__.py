"""Mutants: copies of the safe strategies with one realistic bug each, to measure what the checks detect.

This module holds the record and the registry; each other module holds the mutants of one kind of mistake. A mutant
differs from its base strategy only in the mistake. Some write back a stock that was computed in the application, where
the CHECK constraint would refuse a relative decrement; this alone is correct under a lock or a version check. Depends
on the strategies; knows the checks by name only.
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
"""A pause between two statements of some mutants, as an application may need for other work."""


class Trigger(StrEnum):
    """The load or fault under which a mistake shows."""

    LOAD = "load"
    """Many concurrent buyers of several events, until the stock runs out."""
    BASKETS = "baskets"
    """The same with baskets of several events."""
    CRASH = "crash"
    """The server is crashed and restarted during the load."""
    DISCONNECT = "disconnect"
    """Every connection is terminated during the load, several times."""
    LOSE_REPLY = "lose-reply"
    """Connections break while the server works, several times: a commit may happen and its answer be lost."""
    DOUBLE_CALLS = "double-calls"
    """Many purchase ids are used twice, concurrently or later, some for another quantity or event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A strategy with a known bug."""

    strategy: Strategy
    """Named as the mutant, with `safe=False`."""
    base: str
    """The name of the safe strategy that it copies, except for the mistake."""
    expected_check: str
    """The name of the check that must detect it; others may detect it too."""
    trigger: Trigger = Trigger.LOAD
    needs_quantity: bool = False
    """Whether the mistake shows only with purchases of more than one ticket."""


def mutant(
    base: Strategy,
    *,
    mistake: str,
    expected_check: str,
    trigger: Trigger = Trigger.LOAD,
    needs_quantity: bool = False,
    **changes: Any,  # noqa: ANN401 - each field of a Strategy has a type of its own
) -> Callable[[Callable[[Any, Any], PurchaseResult]], Mutant]:
    """Decorator: make a purchase function, or with `Trigger.BASKETS` a basket function, a mutant of the same name.

    Args:
        base: the safe strategy without the mistake.
        mistake: the mistake in one line, which becomes the summary.
        expected_check: the name of the check that must detect it.
        trigger: the load or fault under which the mistake shows.
        needs_quantity: whether it shows only with purchases of more than one ticket.
        changes: further fields of Strategy that differ from the base.
    """

    def record(sell: Callable[[Any, Any], PurchaseResult]) -> Mutant:
        of_baskets = trigger is Trigger.BASKETS
        broken = replace(
            base,
            name=getattr(sell, "__name__", repr(sell)),
            summary=f"mutant: {mistake}",
            cost="wrong answers or wrong data",
            when="never: it measures what the checks detect",
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
    """Every mutant by name, in alphabetical order, so that the mutants of one strategy are adjacent."""
    defined = [
        each
        for module in iter_modules(__path__, prefix=f"{__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, Mutant)
    ]
    return {each.strategy.name: each for each in sorted(defined, key=lambda each: each.strategy.name)}


def get(name: str) -> Strategy:
    """Return a strategy by name, including mutants.

    Raises:
        TicketlabError: as `strategies.get`; the message lists the strategies, not the mutants.
    """
    return registry()[name].strategy if name in registry() else strategies.get(name)


def is_external(name: str) -> bool:
    """Whether the named strategy comes from an installed package or from user code."""
    return name not in registry() and strategies.is_external(name)
