"""The limits of a run, in sentences for every view of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from ticketlab.history.arrays import LoadPart, words_of
from ticketlab.report.model import RunResults
from ticketlab.report.phrases import join_names, pluralize

_CLOSED: Final = (
    "Each buyer makes its next request when the last one is answered (closed loop), so a slow strategy gets fewer "
    "requests; a real crowd does not wait."
)
_NO_PROOF: Final = (
    "Flaws that only show there were not looked for: no violation found does not prove that there is none."
)
_MACHINE: Final = "the loss of the machine (what a killed server has written stays written)"


def limits(run: RunResults) -> list[str]:
    """The limits of a run: its machine, the closed loop, and what it did not try."""
    return [_shared(run.environment), _CLOSED, _untried(run)]


def _shared(environment: Mapping[str, Any]) -> str:
    server, machine = (_part(environment, name) for name in ("server", "machine"))
    if server.get("kind") == "external":
        return "The server is external: the network and its other users affect every number."
    cpus = machine.get("cpus")
    processors = f"the {pluralize(cpus, 'processor')} of one machine" if isinstance(cpus, int) else "one machine"
    return f"Buyers and server shared {processors}: compare speeds between strategies, not with other machines."


def _untried(run: RunResults) -> str:
    """The parts of a load that the run did not have; a fault is named by its option, such as "crash@500"."""
    faults = [str(each) for each in run.experiment.get("faults", ())]
    parts = words_of(set(LoadPart) - set(run.tried))
    moments = [f"faults at other moments than {join_names(faults)}"] if faults else []
    machine = [_MACHINE] if LoadPart.CRASH in run.tried else []
    return f"Not tried: {', '.join([*parts, *moments, *machine])}, and any other load. {_NO_PROOF}"


def _part(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = environment.get(name)
    return part if isinstance(part, Mapping) else {}
