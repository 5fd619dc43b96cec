"""How much a run proves: the rate that a VALID verdict leaves possible, and what its injected faults hit. Pure.

A purchase is counted where it may have gone wrong: whatever came of it, but for those to which no connection was given,
so that nothing was sent. The bound itself is `ticketlab.history.statistics.upper_bound`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from ticketlab.history.arrays import LoadPart, words_of
from ticketlab.history.measures import FaultMet, Met, met_by_fault, untested
from ticketlab.history.statistics import CONFIDENCE, upper_bound
from ticketlab.report.phrases import join_names, number, pluralize

if TYPE_CHECKING:
    from ticketlab.checks.mutation_baseline import MutationBaseline

MADE: Final = ("sales", "sold_out", "conflicts", "failed", "unknown")
"""The columns of measures that together count the purchases that were sent."""
_THOROUGH: Final = "ticketlab run --thorough tries what strategies and server can do."
_MEANING: Final = (
    "If more went wrong, fewer than 5 of 100 such runs would find nothing.",
    "The bound holds for this load only. It treats purchases as independent of one another.",
    "Purchases that compete for an event are not independent, so the true bound may be wider.",
)
_EXACT: Final = "exact (Clopper and Pearson, one-sided)"
CONFIDENT: Final = f"at {CONFIDENCE * 100:.0f} % confidence"


def purchases_by(measures: pd.DataFrame, strategies: Sequence[str]) -> pd.Series[int]:
    """How many purchases each of these strategies made, all its trials together; in their order."""
    made = measures[list(MADE)].sum(axis="columns").groupby(measures["strategy"]).sum()
    return made.reindex(list(strategies), fill_value=0).astype("int64")


def detection_sentence(
    power: MutationBaseline, measures: pd.DataFrame, strategies: Sequence[str], tried: Collection[LoadPart] = ()
) -> str:
    """What the checks detect with the buyers of these strategies, the fewest purchases of any, and what was tried."""
    buyers = int(measures.loc[measures["strategy"].isin(strategies), "buyers"].max())
    return power.detected_text(purchases=int(purchases_by(measures, strategies).min()), buyers=buyers, tried=tried)


def evidence_texts(
    measures: pd.DataFrame, strategies: Sequence[str], power: MutationBaseline | None, tried: Collection[LoadPart]
) -> list[str]:
    """How sure a VALID verdict on these strategies is: their bound, and how many mutants the checks detect."""
    found = [bound(measures, strategies)]
    return [*found, detection_sentence(power, measures, strategies, tried)] if power else found


def method_texts(
    measures: pd.DataFrame, strategies: Sequence[str], power: MutationBaseline | None, tried: Collection[LoadPart]
) -> list[str]:
    """How the numbers of `evidence_texts` are worked out, and what they leave open."""
    return [
        each_bound(measures, strategies),
        *_MEANING,
        *([*power.limit_texts(tried), f"The calibration: {power.conditions}."] if power else []),
        *filter(None, [untried(tried)]),
    ]


def untried(tried: Collection[LoadPart]) -> str:
    """The parts of a load that a run did not try, in a sentence; empty where it tried all."""
    parts = words_of(set(LoadPart) - set(tried))
    if not parts:
        return ""
    return f"Not tried: {join_names(parts, most=len(parts))}. {_THOROUGH}"


def at_most(purchases: int) -> str:
    """The highest rate of violations that goes with none in so many purchases, as "at most 0.299 % (1 in 334)"."""
    if purchases < 1:
        return "at most all of them"
    rate = upper_bound(0, purchases)
    return f"at most {number(rate * 100)} % (1 in {number(int(1 / rate))})"


def bound(measures: pd.DataFrame, strategies: Sequence[str]) -> str:
    """The bound of strategies that were found VALID, in a sentence: that of the one with the fewest purchases."""
    purchases = purchases_by(measures, strategies)
    fewest = int(purchases.min())
    if len(purchases) == 1:
        return f"0 violations in {pluralize(fewest, 'purchase')}: {at_most(fewest)} go wrong, {CONFIDENT}."
    return (
        f"0 violations in {pluralize(purchases.sum(), 'purchase')}, at least {number(fewest)} by each strategy: "
        f"{at_most(fewest)} of a strategy's purchases go wrong, {CONFIDENT}."
    )


def each_bound(measures: pd.DataFrame, strategies: Sequence[str]) -> str:
    """The bound of each of them, in one sentence; `bound` has that of a single one."""
    if len(strategies) == 1:
        return f"The bound is {_EXACT}."
    bounds = [
        f"{name} 0 in {pluralize(count, 'purchase')}, {at_most(count)}"
        for name, count in purchases_by(measures, strategies).items()
    ]
    return f"By strategy, {_EXACT}: {'; '.join(bounds)}."


def sentences(faults: Sequence[FaultMet]) -> Iterator[str]:
    """What each fault hit in all trials together; nothing about a fault that was never injected."""
    for name, met in met_by_fault(faults).items():
        if met is not None:
            yield _sentence(name, met)
            if met.operations:
                yield from _strategies_without(name, faults)


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
