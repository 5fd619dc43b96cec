"""What a run can not show, in sentences: they stand beside its numbers, in every view of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from ticketlab.history.arrays import LoadPart, words_of
from ticketlab.report.model import RunResults
from ticketlab.report.phrases import join_names, pluralize

_CLOSED: Final = (
    "Each buyer asks again as soon as it was answered: the load follows the strategy, and is not that of a crowd that "
    "comes at its own pace."
)
_NO_PROOF: Final = (
    "A flaw that shows only there was not looked for, and no violation found is no proof that there is none."
)
_KINDS: Final = {
    "crash": "crashes",
    "disconnect": "connections that the server ends",
    "lose-request": "requests that are lost",
    "lose-reply": "replies that are lost",
}
"""The kinds of faults by the names in their options, in words."""
_MACHINE: Final = "the loss of the machine itself (what a killed server has written is still written)"


def limits(run: RunResults) -> list[str]:
    """How far the numbers of a run reach."""
    return [_shared(run.environment), _CLOSED, _untried(run)]


def _shared(environment: Mapping[str, Any]) -> str:
    server, machine = (_part(environment, name) for name in ("server", "machine"))
    if server.get("kind") == "external":
        return "The server is an external one: the way to it, and whoever else uses it, is in every number."
    cpus = machine.get("cpus")
    processors = f"the {pluralize(cpus, 'processor')} of one machine" if isinstance(cpus, int) else "one machine"
    return (
        f"Buyers and server shared {processors}: speeds compare strategies with one another, not with other machines."
    )


def _untried(run: RunResults) -> str:
    """What the load did not have; a fault is named by the text of its option, such as "crash@500"."""
    faults = [str(each) for each in run.experiment.get("faults", ())]
    parts = words_of(set(LoadPart) - set(run.tried))
    moments = [f"faults at any other moment than {join_names(faults)}"] if faults else []
    machine = [_MACHINE] if LoadPart.CRASH in run.tried else []
    return f"Not tried: {', '.join([*parts, *moments, *machine])}, and any other load than this one. {_NO_PROOF}"


def _part(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = environment.get(name)
    return part if isinstance(part, Mapping) else {}
