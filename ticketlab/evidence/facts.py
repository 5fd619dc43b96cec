"""What the lab knows of a trial beside its history and its tables: what it set up, and what it observed from outside.

Plain data, saved in trial.json. A history from a file has none of it, and its checks then have less to go by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the lab knows of one trial from itself, and not from what is judged."""

    seats: tuple[int, ...] | None = None
    """The seats of each event that the lab put on sale, by the event's number; None for a history from a file."""
    events_added: int = 0
    """Events in the tables at the end that the lab did not put there."""
    idempotent: bool = False
    """Whether the strategy claims that a purchase id buys once, however often it is called."""
    autocommit: bool = False
    """Whether the function got its connection in autocommit mode: each statement is a transaction of its own."""
    stock_elsewhere: bool = False
    """Whether the strategy counts stock apart from the event's row while it sells: stocks and versions that are
    reported meanwhile are then not those of the event."""
    samples: int = 0
    """How often a reader compared stock and tickets while buyers bought."""
    deadlocks: int | None = None
    """Deadlocks that the server counted in the trial's database; None where it was not asked."""
    left_behind: Mapping[str, int] = field(default_factory=dict)
    """What the purchase function left on its connections or in the server, in words, and how often."""
