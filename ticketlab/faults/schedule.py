"""Faults as data, and the trigger that injects each of them once. Knows neither servers nor connections, only calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeAlias

from ticketlab.errors import InvalidInputError


class FaultKind(StrEnum):
    """What is broken on purpose."""

    CRASH = "crash"
    """The server is killed and restarted."""
    DISCONNECT = "disconnect"
    """The server ends every connection of the buyers; what is not committed is rolled back."""
    LOSE_REQUEST = "lose-request"
    """Connections break before the server gets the next statement."""
    LOSE_REPLY = "lose-reply"
    """Connections break while the server works; it finishes, perhaps commits, and its answer is lost."""


CUTS: Final = (FaultKind.DISCONNECT, FaultKind.LOSE_REQUEST, FaultKind.LOSE_REPLY)
"""The kinds that break connections and leave the server running."""

Actions: TypeAlias = Mapping[FaultKind, Callable[[], int | None]]
"""The action that injects each kind of fault. It blocks until the fault is over and returns when it took effect, as a
reading of `time.perf_counter_ns`; None if it took effect when it was called."""

_FORM: Final = f"A fault reads KIND@N, such as crash@500: one of {', '.join(FaultKind)}, after N purchases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault to inject once in a trial, when `after` of its purchases have been answered.

    Raises:
        InvalidInputError: `after` is below 1.
    """

    kind: FaultKind
    """What breaks."""
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
        """The fault in a report's words."""
        return f"{self.kind} after {self.after:,} purchase{'s' if self.after > 1 else ''}"


@dataclass(slots=True, kw_only=True)
class InjectedFault:
    """A fault that was injected, or is being injected. Instants are in ns, all on one clock."""

    kind: FaultKind
    began_ns: int
    """When its action was called: a server takes a while to die, and loses what is in progress meanwhile."""
    effect_ns: int
    """When it took effect: a server was dead by then, and a connection was cut just after."""
    over_ns: int
    """When its action returned: the server was up again, or the last broken connection replaced."""

    def since(self, start_ns: int) -> InjectedFault:
        """The same fault on a clock that starts at `start_ns`."""
        return InjectedFault(
            kind=self.kind,
            began_ns=self.began_ns - start_ns,
            effect_ns=self.effect_ns - start_ns,
            over_ns=self.over_ns - start_ns,
        )


class FaultTrigger:
    """The faults of one trial: those still to come, and those that were injected."""

    def __init__(self, faults: Sequence[Fault], actions: Actions) -> None:
        missing = {fault.kind for fault in faults} - set(actions)
        if missing:
            raise InvalidInputError(f"No action was given for faults of kind {', '.join(sorted(missing))}.")
        self._pending = sorted(faults, key=lambda fault: fault.after)
        self._actions = actions
        self.injected: list[InjectedFault] = []
        """In order, on the clock of `time.perf_counter_ns`."""

    @property
    def has_pending(self) -> bool:
        """Whether faults are still to come."""
        return bool(self._pending)

    def fire_due(self, purchases: int) -> None:
        """Inject the faults that are due after this number of answered purchases, one after another.

        Raises whatever an action raises.
        """
        while self._pending and self._pending[0].after <= purchases:
            kind = self._pending.pop(0).kind
            # Recorded before the call: a fault that fails, or is interrupted, has begun all the same.
            began_ns = time.perf_counter_ns()
            fault = InjectedFault(kind=kind, began_ns=began_ns, effect_ns=began_ns, over_ns=began_ns)
            self.injected.append(fault)
            try:
                effect_ns = self._actions[kind]()
                if effect_ns is not None:
                    fault.effect_ns = effect_ns
            finally:
                fault.over_ns = time.perf_counter_ns()
