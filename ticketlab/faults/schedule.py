"""Faults as data, and the trigger that makes each of them once. Knows neither servers nor connections, only calls."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeAlias

from ticketlab.errors import InvalidInputError


class FaultKind(StrEnum):
    """What goes wrong."""

    CRASH = "crash"
    """The server is killed and started again."""
    DISCONNECT = "disconnect"
    """The server ends every connection of the buyers; what is not committed is rolled back."""
    LOSE_REQUEST = "lose-request"
    """Connections break before the server gets the next statement."""
    LOSE_REPLY = "lose-reply"
    """Connections break while the server works; it finishes, perhaps commits, and its answer is lost."""


CUTS: Final = (FaultKind.DISCONNECT, FaultKind.LOSE_REQUEST, FaultKind.LOSE_REPLY)
"""The kinds that break connections and leave the server running."""

Actions: TypeAlias = Mapping[FaultKind, Callable[[], int | None]]
"""What makes a fault of each kind, and returns when it is over: where it took effect later than it was called, the
instant of that, as a reading of `time.perf_counter_ns`."""

_FORM: Final = f"A fault reads KIND@N, such as crash@500: one of {', '.join(FaultKind)}, after so many purchases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong once in a trial, when `after` of its purchases have been answered.

    Raises:
        InvalidInputError: a trial has no such number of purchases.
    """

    kind: FaultKind
    """What goes wrong."""
    after: int
    """Purchases of all buyers together, however they ended; at least 1."""

    def __post_init__(self) -> None:
        if self.after < 1:
            raise InvalidInputError(f"{_FORM}; at least 1, not {self.after}.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """A fault from its text, such as "crash@500".

        Raises:
            InvalidInputError: the text has another form.
        """
        kind, _, after = text.partition("@")
        if kind not in set(FaultKind) or not (after.isascii() and after.isdecimal()):
            raise InvalidInputError(f"{_FORM}; not {text!r}.")
        return cls(kind=FaultKind(kind), after=int(after))

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return f"{self.kind}@{self.after}"

    @property
    def words(self) -> str:
        """As a reader is told of it."""
        return f"{self.kind} after {self.after:,} purchase{'s' if self.after > 1 else ''}"


class Trigger:
    """The faults of one trial: those to come, and the instants of those that were made."""

    def __init__(self, faults: Sequence[Fault], actions: Actions) -> None:
        missing = {each.kind for each in faults} - set(actions)
        if missing:
            raise InvalidInputError(f"Nothing was given that makes a fault of kind {', '.join(sorted(missing))}.")
        self._to_come = sorted(faults, key=lambda each: each.after)
        self._actions = actions
        self._made: list[_Made] = []

    @property
    def has_pending(self) -> bool:
        """Whether faults are still to come."""
        return bool(self._to_come)

    def fire_due(self, purchases: int) -> None:
        """Make the faults that are due when so many purchases were answered, one after another.

        Raises whatever an action raises.
        """
        while self._to_come and self._to_come[0].after <= purchases:
            kind = self._to_come.pop(0).kind
            # Noted before it is made: a fault that fails, or is interrupted, has begun all the same.
            began_ns = time.perf_counter_ns()
            made = _Made(kind, began_ns, began_ns)
            self._made.append(made)
            try:
                took_effect_ns = self._actions[kind]()
                if took_effect_ns is not None:
                    made.instant_ns = took_effect_ns
            finally:
                made.over_ns = time.perf_counter_ns()

    def instants_ns(self, kind: FaultKind) -> tuple[int, ...]:
        """When faults of this kind took effect or were begun, in order, as readings of `time.perf_counter_ns`."""
        return tuple(made.instant_ns for made in self._made if made.kind is kind)

    def began_ns(self, kind: FaultKind) -> tuple[int, ...]:
        """When each of them was begun: the server takes a while to die, and loses what is under way meanwhile."""
        return tuple(made.began_ns for made in self._made if made.kind is kind)

    def over_ns(self, kind: FaultKind) -> tuple[int, ...]:
        """When each of them was over: the server was up again, or the last connection broken and replaced."""
        return tuple(made.over_ns for made in self._made if made.kind is kind)


@dataclass(slots=True)
class _Made:
    """A fault that was made, or is being made."""

    kind: FaultKind
    began_ns: int
    instant_ns: int
    over_ns: int = 0
