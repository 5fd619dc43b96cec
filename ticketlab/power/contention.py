"""How a mutant is pressed: more and more buyers in trial after trial, with the faults that its mistake needs.

Data only. The first trials are short, so that what is easily caught is told to be so.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from ticketlab.load import Fault, FaultKind, Plan
from ticketlab.tickets.strategies.mutants import Setting

BUYERS: Final = (2, 4, 8, 16, 32)
"""At once, in one trial after the other, and then from the beginning again."""
POOL_SIZE: Final = 20
QUANTITY: Final = (1, 3)
_FIRST: Final = 100
_LARGEST: Final = 2_000
_SHORTAGE: Final = 0.7
"""Seats, as a share of the tickets that will be wanted: the last ones are where many mistakes show."""
_PLENTY: Final = 1_000_000
_BASKET: Final = (2, 3)
_EVENTS: Final = {Setting.BASKETS: 3, Setting.CRASH: 5, Setting.DOUBLE_CALLS: 3}
"""Elsewhere all want one. A crash is to find a sale under way of as many events as there may be."""
_DOUBLE_CALLS: Final = 0.5
"""The share of purchases whose id is called twice, for mutants that only this shows."""
_SECONDS: Final = 30.0
_CUT_BY: Final = {Setting.DISCONNECT: FaultKind.DISCONNECT, Setting.LOSE_REPLY: FaultKind.LOSE_REPLY}
_CUTS: Final = 10
_FEWEST_BETWEEN_CUTS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One trial of a chase."""

    plan: Plan
    faults: tuple[Fault, ...] = ()


def step(setting: Setting, number: int, *, most: int, chance: Random) -> Step:
    """The trial of this number, from 0, with `most` purchases at most; its wishes are drawn by `chance`."""
    buyers = BUYERS[number % len(BUYERS)]
    purchases = min(_FIRST * 2**number, _LARGEST, most)
    sells_baskets = setting is Setting.BASKETS
    events = _EVENTS.get(setting, 1)
    plan = Plan(
        buyers=min(buyers, purchases),
        purchases=purchases,
        seconds=_SECONDS,
        warm_up_s=0,
        events=events,
        stock=_stock(setting, purchases, events),
        quantity=QUANTITY,
        basket=_BASKET if sells_baskets else (1, 1),
        double_calls=_DOUBLE_CALLS if setting is Setting.DOUBLE_CALLS else 0.0,
        seed=chance.getrandbits(31),
    )
    return Step(plan=plan, faults=_faults(setting, purchases))


def _stock(setting: Setting, purchases: int, events: int) -> int:
    if setting is Setting.CRASH or setting in _CUT_BY:
        return _PLENTY  # who is told "sold out" writes nothing that could be lost
    wanted = purchases * sum(QUANTITY) / 2 * (sum(_BASKET) / 2 if setting is Setting.BASKETS else 1)
    return max(1, int(_SHORTAGE * wanted / events))


def _faults(setting: Setting, purchases: int) -> tuple[Fault, ...]:
    """A crash in mid-run, or a cut of all connections every now and then; the last purchases have none."""
    if setting is Setting.CRASH:
        return (Fault(kind=FaultKind.CRASH, after=max(1, purchases // 2)),)
    if setting in _CUT_BY:
        every = max(_FEWEST_BETWEEN_CUTS, purchases // _CUTS)
        return tuple(Fault(kind=_CUT_BY[setting], after=after) for after in range(every, purchases, every))
    return ()
