"""The folder of a new run: under a name that no other has, with what is known before the first trial. Runs nothing."""

import inspect
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from ticketlab import environment
from ticketlab.errors import InvalidInputError
from ticketlab.runs.experiment import Experiment
from ticketlab.servers import Server
from ticketlab.tickets import Strategy, strategies


def of_experiment(experiment: Experiment, chosen: Mapping[str, Strategy], server: Server, out: Path) -> Path:
    """A new folder for the run, holding what is known before its first trial."""
    own = {name: each for name, each in chosen.items() if strategies.is_external(name)}
    began = datetime.now().astimezone()
    folder = new(out, f"{began:%Y%m%d-%H%M%S}-{experiment.name}")
    described = environment_info(server, seed=experiment.seed, began=began) | {
        "own_strategies": {name: _source(each) for name, each in own.items()},
        "own_tables": [name for name, each in own.items() if each.schema is not None],
        "unseen": {name: each.unseen for name, each in own.items() if each.unseen},
    }
    (folder / "environment.json").write_text(json.dumps(described, indent=2) + "\n")
    experiment.write(folder / "experiment.json")  # last: by this file a run is known
    return folder


def environment_info(server: Server, *, seed: int, began: datetime) -> dict[str, Any]:
    """What a run is made with and on: the machine, the versions, the server and its settings, as plain data."""
    return environment.describe() | {
        "began": began.isoformat(timespec="seconds"),
        "seed": seed,
        "server": {
            "kind": server.kind,
            "version": server.version,
            "why": server.why,
            "settings": dict(server.settings),
        },
    }


def new(out: Path, name: str) -> Path:
    """Make a folder of this name in `out`; with a number behind it where another of the same second has it.

    Raises:
        InvalidInputError: it can not be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        return next(each for each in (out / f"{name}{suffix}" for suffix in _suffixes()) if _made(each))
    except OSError as error:
        raise InvalidInputError(
            f"The run can not be saved in {out}: {error.strerror}. Name a folder with --out."
        ) from error


def _source(strategy: Strategy) -> str:
    """The text of a strategy's function: a run of it can be understood later, when the function is no more."""
    try:
        return inspect.getsource(strategy.purchase)
    except (OSError, TypeError):
        return "its source is not at hand"


def _suffixes() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in count(2))


def _made(folder: Path) -> bool:
    """Make a folder; False where another run of the same second has made it."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
