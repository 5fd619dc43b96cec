"""What a contender is: a name, and a function that sells on a ground and returns its claim. Plain records."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import pandas as pd

from ticketlab.history.live_counts import LiveCounts
from ticketlab.load import Plan
from ticketlab.tickets import Database


class Kind(StrEnum):
    """What a contender is measured for."""

    STRATEGY = "strategy"
    """A strategy through the repository, as an application calls it."""
    PEER = "peer"
    """PostgreSQL's own bench tool with the documented sale: no Python at all."""
    BARE = "bare"
    """A strategy's SQL in a loop of psycopg's, and nothing else: what the repository adds to."""
    LIMIT = "limit"
    """What the server can write at most, with nobody waiting for anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchContext:
    """Where a contender sells: a database whose tables hold two new events, one of them for warming up."""

    database: Database
    event: UUID
    warm_up_event: UUID
    plan: Plan
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None
    """To be called with how the trial stands, where the contender knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a contender says it did. Only the ledger can prove it."""

    sold: int
    """Tickets of the event, those of an uncounted first part included."""
    per_s: float
    """Purchases per second of the counted part; of the limit, tickets."""
    purchases: int
    """Purchases of the event that were made, whatever came of them."""
    conflicts: int = 0
    """Of these, those that gave up after conflicts."""
    unanswered: int = 0
    """Of these, those that failed, got no connection, or whose outcome is unknown."""
    history: pd.DataFrame | None = None
    """Every purchase as its buyer saw it, where the contender keeps that: for the checks."""


Sell: TypeAlias = Callable[[BenchContext], Claim]
"""Sells for as long as the plan says.

Raises:
    KeyboardInterrupt: it was interrupted; there is no claim.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to sell a hot event."""

    name: str
    kind: Kind
    sell: Sell
    cost: str = ""
    """Of a strategy, what it costs by its nature."""
