"""The strategies, one file a mechanism. A file put here is found by its being here; nothing else names it."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ticketlab.errors import NotFoundError
from ticketlab.tickets.strategies import mutants
from ticketlab.tickets.strategy import Strategy


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


def get(name: str) -> Strategy:
    """The strategy of that name; a mutant's too, though no list has it.

    Raises:
        NotFoundError: there is none; the text lists those that there are.
    """
    if name in registry():
        return registry()[name]
    if name in mutants.registry():
        return mutants.registry()[name].strategy
    raise NotFoundError(f"There is no strategy {name!r}. There are: {', '.join(registry())}.")
