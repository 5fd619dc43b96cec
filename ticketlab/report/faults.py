"""What the faults of a run met, in sentences: they stand beside its numbers, in every view of it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ticketlab.history.measures import Met
from ticketlab.report.phrases import join_names, pluralize


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMet:
    """One fault in one trial."""

    fault: str
    """By the text of its option, such as "lose-reply@500"."""
    strategy: str
    met: Met | None
    """What it met; None where the trial was over before it came."""

    def as_json(self) -> dict[str, Any]:
        """The fault as plain data: `met` and `committed` count purchases, the last two refunds."""
        met = self.met or Met()
        return {
            "fault": self.fault,
            "came": self.met is not None,
            "met": met.purchases,
            "committed": met.committed,
            "refunds_met": met.refunds,
            "refunds_made": met.refunded,
        }


def untested(faults: Sequence[FaultMet]) -> list[str]:
    """The faults that no trial tested: they did not come, or met nothing."""
    return [name for name, met in _by_fault(faults).items() if met is None or not met.operations]


def sentences(faults: Sequence[FaultMet]) -> Iterator[str]:
    """What each fault met in all trials together; one that did not come at all is left out."""
    for name, met in _by_fault(faults).items():
        if met is not None:
            yield _sentence(name, met)
            if met.operations:
                yield from _where_untested(name, faults)


def _by_fault(faults: Sequence[FaultMet]) -> dict[str, Met | None]:
    """What each fault met in all trials; None where it came in none."""
    found: dict[str, Met | None] = {}
    for each in faults:
        before = found.setdefault(each.fault, None)
        found[each.fault] = before if each.met is None else (before or Met()) + each.met
    return found


def _sentence(name: str, met: Met) -> str:
    counts = {"purchase": (met.purchases, met.committed), "refund": (met.refunds, met.refunded)}
    parts = [
        f"{pluralize(count, noun)}; {_number(committed)} of them had committed"
        for noun, (count, committed) in counts.items()
        if count
    ]
    return f"{name} met {'; and '.join(parts)}." if parts else f"{name} met no purchase: this fault was not tested."


def _where_untested(name: str, faults: Sequence[FaultMet]) -> Iterator[str]:
    strategies = dict.fromkeys(each.strategy for each in faults if each.fault == name)
    without = [
        each for each in strategies if untested([met for met in faults if (met.fault, met.strategy) == (name, each)])
    ]
    if without:
        yield f"{name} met no purchase of {join_names(without)}: there it was not tested."


def _number(count: int) -> str:
    return f"{count:,}" if count else "none"
