"""What is to be checked, how often and in which order. Data only."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Self

from ticketlab import checks
from ticketlab.bench.synthetic import Shape
from ticketlab.checks.check import Check
from ticketlab.errors import InvalidInputError, NotFoundError

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
ALL_CHECKS: Final = "judge"
"""All checks in one call, as a trial is judged: what they share is worked out once."""
_MILLION: Final = 1_000_000
_ENOUGH: Final = 25
_MOST_REPEATS: Final = 1_000
_BASKET_EVENTS: Final = 10


def named_checks() -> dict[str, Check]:
    """All checks by their names."""
    return {each.name: each for each in checks.CHECKS}


class Turn(NamedTuple):
    """One child process: a history of a size, right or violated."""

    operations: int
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksBench:
    """The sizes of histories, each judged by every check alone and by all together.

    Raises:
        InvalidInputError: a value can not be used.
        NotFoundError: there is no check of a name.
    """

    sizes: tuple[int, ...] = SIZES
    """Operations, the fewest first."""
    repeats: int = 3
    """Of a million operations; of fewer there are more, up to 25, and of more fewer, at least one."""
    checks: tuple[str, ...] = field(default_factory=lambda: tuple(named_checks()))
    """Their names."""
    events: int = 1
    """Of baskets there are at least ten."""
    baskets: bool = False
    """Whether two or three events are sold at once."""
    refunds: bool = False
    """Whether some seats are given back."""
    seed: int = 1
    """What the histories are made from."""

    def __post_init__(self) -> None:
        for name in self.checks:
            if name not in named_checks():
                raise NotFoundError(f"There is no check {name!r}. There are: {', '.join(named_checks())}.")
        faults = {
            "sizes must be at least one, each once, the fewest first": list(self.sizes) != sorted({*self.sizes})
            or not self.sizes,
            f"repeats must be from 1 to {_MOST_REPEATS:,}": not 1 <= self.repeats <= _MOST_REPEATS,
            "each check once, and at least one": len({*self.checks}) != len(self.checks) or not self.checks,
        }
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"This bench can not be made: {'; '.join(wrong)}.")
        for size in self.sizes:
            self.shape(size)

    @property
    def subjects(self) -> tuple[str, ...]:
        """What is timed: each check alone, and where there are several all of them together."""
        return (*self.checks, ALL_CHECKS) if len(self.checks) > 1 else self.checks

    def turns(self) -> Iterator[Turn]:
        """A child process each, the small histories first."""
        for size in self.sizes:
            for valid in (True, False):
                yield Turn(size, valid)

    def shape(self, operations: int) -> Shape:
        """The history of this size.

        Raises:
            InvalidInputError: there is none.
        """
        return Shape(
            operations=operations,
            events=max(self.events, _BASKET_EVENTS) if self.baskets else self.events,
            baskets=self.baskets,
            refunds=self.refunds,
            seed=self.seed,
        )

    def repeats_of(self, operations: int) -> int:
        """How often each subject is timed at a size: short times need more of them."""
        return max(1, min(max(_ENOUGH, self.repeats), self.repeats * _MILLION // operations))

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, as `from_dict` takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The same bench again, from what JSON made of it."""
        return cls(**(fields | {name: tuple(fields[name]) for name in ("sizes", "checks")}))
