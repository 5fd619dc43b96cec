"""The registry of strategies: every module of this package, one mechanism each, is imported and searched.

More come from outside: packages declare theirs as entry points of the group `ticketlab.strategies`, and any function
can be named as module:name.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Final

from ticketlab.errors import NotFoundError
from ticketlab.tickets.strategy import Strategy

GROUP: Final = "ticketlab.strategies"
"""The entry point group in which a package declares strategies or purchase functions."""


@cache
def registry() -> dict[str, Strategy]:
    """Every strategy by name: the controls first, then the safe ones, each in alphabetical order."""
    defined = [
        each
        for module in iter_modules(__path__, prefix=f"{__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, Strategy)
    ]
    return {each.name: each for each in sorted(defined, key=lambda each: (each.safe, each.name))}


@cache
def entry_point_strategies() -> Mapping[str, EntryPoint]:
    """The entry points of installed packages by name, not imported yet. The registry's names take precedence."""
    declared = {each.name: each for each in entry_points(group=GROUP)}
    return {name: declared[name] for name in sorted(declared.keys() - registry().keys())}


def get(name: str) -> Strategy:
    """Return a strategy by name: one of this package, of an installed package, or "module:name" for any function.

    Raises:
        NotFoundError: there is none; the message lists the strategies.
        OwnCodeError: it could not be imported.
        InvalidInputError: the name is not that of a purchase function or strategy.
    """
    if name in registry():
        return registry()[name]
    from ticketlab.tickets import user_code

    if name in entry_point_strategies():
        return user_code.adopt(entry_point_strategies()[name].value, name=name)
    if ":" in name:
        return user_code.adopt(name)
    raise NotFoundError(
        f"There is no strategy {name!r}. There are: {', '.join([*registry(), *entry_point_strategies()])}. Name "
        "one of your own as module:name or folder/file.py:name."
    )


def is_external(name: str) -> bool:
    """Whether the name is not in the registry: a package's strategy, or module:name."""
    return name not in registry()


def blaming(name: str) -> AbstractContextManager[None]:
    """Wrap calls of this strategy: errors raised in the user's own code become OwnCodeError."""
    from ticketlab.tickets import user_code

    return user_code.wrap_user_errors(
        name, when=lambda error: is_external(name) and user_code.raised_in_user_code(error)
    )
