"""Who buys, when, and from where: the load of one trial. Knows strategies only by their call."""

from ticketlab.load.executors import Driven, drive
from ticketlab.load.plan import Plan

__all__ = ["Driven", "Plan", "drive"]
