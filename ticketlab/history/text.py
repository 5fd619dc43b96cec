"""Counts with their nouns, as in all summaries. Knows no check."""

from typing import Final

_OTHER: Final = {"is": "are", "was": "were", "has": "have", "carries": "carry"}
"""Verbs whose plural is not the singular without its s."""


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 seat", "1,200 seats"."""
    return f"{count:,} {plural(count, noun)}"


def plural(count: int, noun: str) -> str:
    """A noun in singular or plural."""
    return noun if count == 1 else f"{noun}s"


def verb(count: int, singular: str) -> str:
    """A verb in singular or plural: for several "owns" becomes "own", and "is" becomes "are"."""
    return singular if count == 1 else _OTHER.get(singular, singular.removesuffix("s"))


def every(count: int, noun: str) -> str:
    """All of a count: "the only seat", "all 3 seats"."""
    return f"the only {noun}" if count == 1 else f"all {counted(count, noun)}"
