"""Versions that nobody was told of, filled with operations that took effect and told no version. Pure search.

A purchase whose answer was lost has made one of the versions that are missing. Which one is not told; but the stock
before and after the gap, and the time at which it was called, leave few of them open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ticketlab.evidence.history import NOT_SEEN

_STEPS: Final = 50_000
"""Places tried before the search gives up."""


class GaveUpError(Exception):
    """The search has tried what it may, and has neither found a way nor shown that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """An operation that changed the stock and told no version."""

    row: int
    change: int
    earliest: int
    """The first version that it can have made."""
    latest: int
    """The last one."""
    stock: int = NOT_SEEN
    """The stock that it reports to have left, or NOT_SEEN."""
    undoes: int | None = None
    """Of a refund the row of its purchase, where that is silent too: it comes before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The versions of one event that nobody told to have made, and what is known of those next to them."""

    missing: Sequence[int]
    """In ascending order."""
    stock: Mapping[int, int]
    """The stock at versions that somebody made or saw: at least that before each gap."""
    made: Mapping[int, int]
    """By how much the versions behind a gap changed the stock."""


def fill(gaps: Gaps, silent: Sequence[Silent]) -> dict[int, int] | None:
    """A version for each row, so that every version is made once and the stock is as told, and never below nothing.

    None where there is no way to do it. Depth first, who must come earliest being tried first.

    Raises:
        GaveUpError: no way was found in time.
    """
    missing = gaps.missing
    if len(missing) != len(silent):
        return None
    order = sorted(silent, key=lambda each: (each.latest, each.earliest, each.row))
    chosen: list[Silent] = []
    tries = [_fitting(gaps, order, chosen)]
    for _ in range(_STEPS):
        if len(chosen) == len(missing):
            return {each.row: version for each, version in zip(chosen, missing, strict=True)}
        found = next(tries[-1], None)
        if found is not None:
            chosen.append(found)
            tries.append(_fitting(gaps, order, chosen))
            continue
        tries.pop()
        if not tries:
            return None
        chosen.pop()
    raise GaveUpError


def _fitting(gaps: Gaps, order: Sequence[Silent], chosen: Sequence[Silent]) -> Iterator[Silent]:
    """Who may have made the next missing version, when those `chosen` made the ones before; of equals the first."""
    if len(chosen) == len(gaps.missing):
        return
    version = gaps.missing[len(chosen)]
    before = _stock_before(gaps, chosen)
    used = {each.row for each in chosen}
    tried = set()
    for each in order:
        alike = (each.change, each.earliest, each.latest, each.stock, each.undoes)
        if each.row in used or alike in tried or not each.earliest <= version <= each.latest:
            continue
        if each.undoes is not None and each.undoes not in used:
            continue
        if each.stock in {NOT_SEEN, before + each.change} and _agrees(gaps, version, before + each.change):
            tried.add(alike)
            yield each


def _stock_before(gaps: Gaps, chosen: Sequence[Silent]) -> int:
    """The stock on which the next missing version was made."""
    place, stock = len(chosen), 0
    while gaps.missing[place] - 1 not in gaps.stock:
        place -= 1  # the version before is missing too, and nobody saw it
        stock += chosen[place].change
    return stock + gaps.stock[gaps.missing[place] - 1]


def _agrees(gaps: Gaps, version: int, stock: int) -> bool:
    """Whether this stock at a version goes with all that was told of it, and of the version after it."""
    following = gaps.stock.get(version + 1)
    change = gaps.made.get(version + 1)
    return (
        stock >= 0
        and gaps.stock.get(version, stock) == stock
        and (following is None or change is None or stock + change == following)
    )
