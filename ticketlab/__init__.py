"""A lab that sells tickets concurrently on PostgreSQL, checks the history for violations, and measures the speed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketlab.outcomes import Cause, Outcome
    from ticketlab.runs.experiment import Experiment
    from ticketlab.runs.lab import run
    from ticketlab.runs.run import Run
    from ticketlab.settings import Settings
    from ticketlab.tickets import (
        Database,
        Event,
        EventRepository,
        PurchaseRequest,
        PurchaseResult,
        RetryPolicy,
        Strategy,
    )
    from ticketlab.tickets.strategy import Schema
    from ticketlab.tickets.user_code import adopt

__all__ = [
    "Cause",
    "Database",
    "Event",
    "EventRepository",
    "Experiment",
    "Outcome",
    "PurchaseRequest",
    "PurchaseResult",
    "RetryPolicy",
    "Run",
    "Schema",
    "Settings",
    "Strategy",
    "adopt",
    "run",
]

_HOME: Final = {
    "Cause": "outcomes",
    "Database": "tickets",
    "Event": "tickets",
    "EventRepository": "tickets",
    "Experiment": "runs.experiment",
    "Outcome": "outcomes",
    "PurchaseRequest": "tickets",
    "PurchaseResult": "tickets",
    "RetryPolicy": "tickets",
    "Run": "runs.run",
    "Schema": "tickets.strategy",
    "Settings": "settings",
    "Strategy": "tickets",
    "adopt": "tickets.user_code",
    "run": "runs.lab",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes are of any type
    """Import a public name on first use, so that `import ticketlab` alone is fast."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
