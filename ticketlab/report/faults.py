"""Sentences about the injected faults and the double calls of a run, for every view of it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ticketlab.history.measures import FaultMet, Met
from ticketlab.report.phrases import join_names, pluralize


def untested(faults: Sequence[FaultMet]) -> list[str]:
    """The faults that were not injected in any trial, or hit no operation."""
    return [name for name, met in _by_fault(faults).items() if met is None or not met.operations]


def sentences(faults: Sequence[FaultMet]) -> Iterator[str]:
    """What each fault hit in all trials together; nothing about a fault that was never injected."""
    for name, met in _by_fault(faults).items():
        if met is not None:
            yield _sentence(name, met)
            if met.operations:
                yield from _strategies_without(name, faults)


def _by_fault(faults: Sequence[FaultMet]) -> dict[str, Met | None]:
    totals: dict[str, Met | None] = {}
    for each in faults:
        before = totals.setdefault(each.fault, None)
        totals[each.fault] = before if each.met is None else (before or Met()) + each.met
    return totals


def _sentence(name: str, met: Met) -> str:
    counts = {"purchase": (met.purchases, met.committed), "refund": (met.refunds, met.refunded)}
    parts = [
        f"{pluralize(count, noun)}, of which {f'{committed:,}' if committed else 'none'} had committed"
        for noun, (count, committed) in counts.items()
        if count
    ]
    return f"{name} hit {'; and '.join(parts)}." if parts else f"{name} hit no purchase: this fault was not tested."


def _strategies_without(name: str, faults: Sequence[FaultMet]) -> Iterator[str]:
    strategies = dict.fromkeys(each.strategy for each in faults if each.fault == name)
    without = [
        each for each in strategies if untested([met for met in faults if (met.fault, met.strategy) == (name, each)])
    ]
    if without:
        yield f"{name} hit no purchase of {join_names(without)}: it was not tested there."


def double_calls_condition(shares: Iterable[float]) -> list[str]:
    """The largest share of purchases that were called twice, as a part of a run's conditions; empty if it is 0."""
    largest = max(shares, default=0.0)
    return [f"{100 * largest:g} % of the purchases called twice"] if largest else []


def without_double_calls(shares: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each strategy without double calls, because it does not claim to allow them.

    Args:
        shares: by strategy the share of purchases that were called twice.
    """
    largest = max(shares.values(), default=0.0)
    cost = f" The others called {100 * largest:g} % of theirs twice, which lowers their sales/s." if largest else ""
    for name, share in shares.items():
        if not share:
            yield f"{name} does not claim that a purchase id is sold only once, so no id was called twice.{cost}"
