"""What is wrong with an order, and with which rows of the history it is shown."""

from collections.abc import Sequence
from typing import NamedTuple

from ticketlab.evidence.verdict import Anomaly


class Finding(NamedTuple):
    """One thing that is wrong."""

    text: str
    rows: Sequence[int]
    """The fewest rows that show it."""
    anomaly: Anomaly


class Undecided(Exception):  # noqa: N818 - no error: the question is open, and the message says which
    """Nothing wrong was found, and no order either."""
