"""What a run says of purchase ids that were called twice, and of strategies of which none was. Pure: sentences."""

from collections.abc import Iterable, Iterator, Mapping


def condition(shares: Iterable[float]) -> list[str]:
    """The largest share of purchases that were called twice, as a part of a run's conditions; empty where none was."""
    largest = max(shares, default=0.0)
    return [f"{_percent(largest)} of the purchases called twice"] if largest else []


def unclaimed(shares: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each strategy of which no id was called twice, because it does not claim to allow it.

    Args:
        shares: by strategy the share of purchases whose id was called twice. Where it is above 0 for some of them, it
            costs these a part of their speed, which is said.
    """
    largest = max(shares.values(), default=0.0)
    price = f" The others called {_percent(largest)} of theirs twice, which lowers their sales/s." if largest else ""
    for name in (name for name, share in shares.items() if not share):
        yield f"{name} does not claim that a purchase id buys once: no id was called twice.{price}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
