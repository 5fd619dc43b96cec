"""What a load may have beside single tickets of one event: many mistakes show only under one of these. Data only."""

from collections.abc import Iterable
from enum import StrEnum


class LoadPart(StrEnum):
    """A part of a load that a run may have tried or not; faults have the names of their kinds."""

    QUANTITIES = "quantities"
    EVENTS = "events"
    BASKETS = "baskets"
    REFUNDS = "refunds"
    DOUBLE_CALLS = "double-calls"
    CRASH = "crash"
    DISCONNECT = "disconnect"
    LOSE_REQUEST = "lose-request"
    LOSE_REPLY = "lose-reply"

    @property
    def words(self) -> str:
        """The part as sentences name it."""
        return _WORDS[self]


def words_of(parts: Iterable[LoadPart]) -> list[str]:
    """The parts in words, in the order of the enum."""
    wanted = set(parts)
    return [each.words for each in LoadPart if each in wanted]


_WORDS = {
    LoadPart.QUANTITIES: "quantities above 1",
    LoadPart.EVENTS: "several events",
    LoadPart.BASKETS: "baskets",
    LoadPart.REFUNDS: "refunds",
    LoadPart.DOUBLE_CALLS: "double calls",
    LoadPart.CRASH: "crashes",
    LoadPart.DISCONNECT: "disconnects",
    LoadPart.LOSE_REQUEST: "lost requests",
    LoadPart.LOSE_REPLY: "lost replies",
}
