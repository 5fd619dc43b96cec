"""The strategies, one file a mechanism. A file put here is found by its being here; nothing else names it.

Others come from outside: packages announce theirs as entry points of the group `ticketlab.strategies`, and any function
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
from ticketlab.tickets import user_code
from ticketlab.tickets.strategy import Strategy

GROUP: Final = "ticketlab.strategies"
"""The entry points by which a package brings strategies, or functions that buy."""


@cache
def registry() -> dict[str, Strategy]:
    """Every strategy by its name: the controls first, then the safe ones, each group in alphabetical order."""
    found = [
        each
        for module in iter_modules(__path__, prefix=f"{__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, Strategy)
    ]
    return {each.name: each for each in sorted(found, key=lambda each: (each.safe, each.name))}


@cache
def entry_point_strategies() -> Mapping[str, EntryPoint]:
    """What installed packages bring, by its name; it is imported when it is asked for. No name of ours is taken."""
    found = {each.name: each for each in entry_points(group=GROUP)}
    return {name: found[name] for name in sorted(found.keys() - registry().keys())}


def get(name: str) -> Strategy:
    """The strategy of that name: one of this package, one of an installed package, or by "module:name" any function.

    Raises:
        NotFoundError: there is none; the text lists those that there are.
        OwnCodeError: it could not be imported.
        InvalidInputError: what has that name is no way to buy.
    """
    if name in registry():
        return registry()[name]
    if name in entry_point_strategies():
        return user_code.adopt(entry_point_strategies()[name].value, name=name)
    if ":" in name:
        return user_code.adopt(name)
    raise NotFoundError(
        f"There is no strategy {name!r}. There are: {', '.join([*registry(), *entry_point_strategies()])}. One of your "
        "own is named as module:name or folder/file.py:name."
    )


def is_external(name: str) -> bool:
    """Whether it is none of ours: a package's, or one that was named as module:name."""
    return name not in registry()


def blaming(name: str) -> AbstractContextManager[None]:
    """Around what a strategy does: what one of a user's own raises, and no database, is told as his; see `blame`."""
    return user_code.wrap_user_errors(
        name, when=lambda error: is_external(name) and user_code.raised_in_user_code(error)
    )
