"""The folder of a new run: under a name that no other has, with what is known before the first trial. Runs nothing."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from ticketlab import environment, mutants, servers
from ticketlab.errors import InvalidInputError, OwnCodeError, TerminatedError, TicketlabError
from ticketlab.history.live_counts import LiveCounts
from ticketlab.load import Fault
from ticketlab.runs.experiment import Experiment, TrialPlan
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import Trial
from ticketlab.runs.trial_runner import run_trial
from ticketlab.servers import Server
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations, strategies
from ticketlab.tickets.user_code import PurchaseFunction, adopt


def of_experiment(experiment: Experiment, chosen: Mapping[str, Strategy], server: Server, out: Path) -> Path:
    """A new folder for the run, holding what is known before its first trial."""
    own = {name: each for name, each in chosen.items() if mutants.is_external(name)}
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


_DEFAULT_MAX_CONNECTIONS: Final = 100
SPARE_CONNECTIONS: Final = 10
"""Connections beside the pool's: those that PostgreSQL keeps for superusers, and the lab's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run is."""

    trial: int
    """The trial under way, from 1; 0 while the server is brought up."""
    trials: int
    doing: str
    """What is being done, in a few words."""
    plan: TrialPlan | None = None
    """The trial under way, of an experiment; None before the first and after the last, and in a bench."""
    so_far: LiveCounts = field(default_factory=LiveCounts)
    """How the trial under way stands."""
    finished: int = 0
    """Trials that are over."""


def run(
    experiment: Experiment,
    *,
    own: Sequence[Strategy | PurchaseFunction] = (),
    out: Path = Path("runs"),
    url: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Run:
    """Run an experiment on a server of its own, save what was observed, and judge it.

    Ctrl-C ends it cleanly: the server is stopped, and the trials made so far are judged and kept. A second one, or
    SIGTERM, does so at once: it is raised as a TerminatedError, whose notes say where they are.

    Args:
        experiment: what to run.
        own: strategies of your own that the experiment names, or functions that buy, by their names: see
            `ticketlab.adopt`. What their source says is kept with the run.
        out: the folder in which the run's own folder is made.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and several times a second while buyers buy.

    Raises:
        NotFoundError: a strategy that the experiment names does not exist; nothing was started.
        OwnCodeError: a strategy of your own could not be imported, and nothing was started; or it raised what is no
            error of a database, or did not return, and the trials made so far are judged and kept.
        ServerError: no server could be brought up; nothing was written.
        InvalidInputError: the server kind and the URL do not go together, a strategy sells no baskets where the
            experiment has them, or one of your own has a name that is taken; nothing was started. The server that
            was chosen can not be crashed, and the experiment wants it to be; nothing was written.
    """
    chosen = _resolve_strategies(experiment, own)
    on_progress(Progress(trial=0, trials=len(experiment.trials()), doing=f"starting a server ({experiment.server})"))
    settings = {**settings_for(max(experiment.pool_sizes), server=experiment.server), **experiment.server_settings}
    with servers.open(experiment.server, settings=settings, url=url) as server:
        folder = _run_trials(experiment, chosen, server, out, on_progress)
    return _judge(folder)


def run_on(
    server: servers.Server,
    experiment: Experiment,
    *,
    own: Sequence[Strategy | PurchaseFunction] = (),
    out: Path = Path("runs"),
    template: str = "template0",
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Run:
    """Run an experiment as `run` does, on a server that is there: in a database of its own, which is dropped again.

    Args:
        server: where; its settings stay as they are.
        experiment: what to run; which kind of server it asks for is not looked at, and the one it got is kept with it.
        own: as for `run`.
        out: as for `run`.
        template: what the database is a copy of: one that is migrated already, in which nobody is, saves the time.
        on_progress: as for `run`.

    Raises:
        NotFoundError, OwnCodeError, InvalidInputError: as for `run`; or the experiment has settings for its server.
        ServerError: the server does not answer, or its role may not create databases; nothing was written.
    """
    chosen = _resolve_strategies(experiment, own)
    if experiment.server_settings:
        raise InvalidInputError(
            f"This server runs already: {', '.join(experiment.server_settings)} can not be set. Leave it out, or give "
            "the experiment a server of its own with `ticketlab.run`."
        )
    with servers.scratch_database(server.url, template=template) as url:
        asked, here = replace(experiment, server=server.kind), replace(server, url=url)
        folder = _run_trials(asked, chosen, here, out, on_progress)
    return _judge(folder)


def _run_trials(
    experiment: Experiment,
    chosen: Mapping[str, Strategy],
    server: servers.Server,
    out: Path,
    on_progress: Callable[[Progress], None],
) -> Path:
    """Make the trials in the server's database; returns the run's folder, which holds at least one of them."""
    if experiment.crashes and not server.can_crash:
        raise InvalidInputError(
            f"Only a server of kind embedded can be crashed, and the one chosen is {server.why}. Ask for one by "
            "name: --server embedded."
        )
    folder = of_experiment(experiment, chosen, server, out)
    try:
        with Database(Settings.from_url(server.url)) as database:
            migrations.upgrade(database)
            _run_each(experiment, chosen, database, folder / "trials", server=server, on_progress=on_progress)
    except KeyboardInterrupt as error:
        if not _has_trials(folder):
            raise
        if isinstance(error, TerminatedError):
            _judge(folder)
            error.add_note(f"What was measured is kept in {folder}.")
            raise
    except TicketlabError as error:
        if _has_trials(folder):
            _judge(folder)
        error.add_note(f"What was measured before is kept in {folder}.")
        attach_server_log(error, server)
        raise
    trials = len(experiment.trials())
    on_progress(Progress(trial=trials, trials=trials, doing="judging", finished=trials))
    return folder


def _resolve_strategies(experiment: Experiment, own: Sequence[Strategy | PurchaseFunction]) -> dict[str, Strategy]:
    adopted = [adopt(each) for each in own]
    named = {each.name: each for each in adopted}
    taken = [name for name in named if not mutants.is_external(name)]
    if taken or len(named) < len(own):
        raise InvalidInputError(f"A strategy of your own needs a name of its own: {', '.join(taken or named)}.")
    chosen = {name: named.get(name) or mutants.get(name) for name in experiment.strategies}
    without = [name for name, each in chosen.items() if each.basket is None]
    if experiment.sells_baskets and without:
        able = ", ".join(name for name, each in strategies.registry().items() if each.basket is not None)
        raise InvalidInputError(f"No baskets are sold by {', '.join(without)}. Strategies that sell them: {able}.")
    keeping = [name for name, each in chosen.items() if each.schema is not None]
    if experiment.refunds and keeping:
        raise InvalidInputError(f"Nothing can be given back to tables of one's own: leave out {', '.join(keeping)}.")
    return chosen


def _judge(folder: Path) -> Run:
    try:
        made = Run(folder)
        made.save_judgement()
    except KeyboardInterrupt as error:
        error.add_note(f"What was measured is kept in {folder}; `ticketlab check` judges it.")
        raise
    return made


def _has_trials(folder: Path) -> bool:
    return any(folder.glob("trials/*/trial.json"))


def _run_each(
    experiment: Experiment,
    chosen: Mapping[str, Strategy],
    database: Database,
    folder: Path,
    *,
    server: servers.Server,
    on_progress: Callable[[Progress], None],
) -> None:
    """Run and save trial after trial, until one was interrupted."""
    trials = experiment.trials()
    for done, trial in enumerate(trials):
        pool = f", pool of {trial.pool_size}" if len({each.pool_size for each in trials}) > 1 else ""
        doing = f"{trial.strategy}, {trial.plan.buyers} buyers{pool}, repeat {trial.repeat}"
        settings = database.settings.model_copy(update={"pool_size": trial.pool_size})
        step = Progress(trial=trial.number, trials=len(trials), doing=doing, plan=trial, finished=done)
        on_progress(step)
        # A pool of the trial's own: one that another has filled hands out its connections in turn, cold ones too.
        with _database_of(chosen[trial.strategy], settings) as own:
            saved = _run_and_save(
                trial,
                chosen[trial.strategy],
                own,
                folder,
                faults=experiment.faults,
                server=server,
                on_tick=progress_callback(step, on_progress),
            )
        if saved.interrupted:
            return


@contextmanager
def _database_of(strategy: Strategy, settings: Settings) -> Iterator[Database]:
    """The database that a trial sells in: for tables of one's own an empty one, as ours may have the same names."""
    with ExitStack() as held:
        if strategy.schema is not None:
            url = held.enter_context(servers.scratch_database(settings.url))
            settings = Settings.from_url(url, pool_size=settings.pool_size)
        yield held.enter_context(Database(settings))


def _run_and_save(
    trial: TrialPlan,
    strategy: Strategy,
    database: Database,
    folder: Path,
    *,
    faults: Sequence[Fault],
    server: servers.Server,
    on_tick: Callable[[LiveCounts], None],
) -> Trial:
    """Run one trial on empty tables, and save it."""
    plan = trial.plan_for(idempotent=strategy.idempotent)
    with strategies.blaming(trial.strategy):
        observed = run_trial(strategy, plan, database, server=server, faults=faults, on_tick=on_tick)
    driven = observed.driven
    saved = Trial(
        folder=folder / str(trial.number),
        number=trial.number,
        strategy=trial.strategy,
        safe=strategy.safe,
        buyers=trial.plan.buyers,
        pool_size=trial.pool_size,
        repeat=trial.repeat,
        interrupted=driven.ended_early,
        double_calls=plan.double_calls,
        faults_ns=driven.faults_ns,
        faults_began_ns=driven.faults_began_ns,
        faults_over_ns=driven.faults_over_ns,
        said=dict(driven.said),
    )
    saved.write_history(driven.history)
    at_once = driven.at_once
    try:
        ledger = observed.ledger()
    except KeyboardInterrupt:  # the first ended the load, or this one is as urgent: what was measured is kept
        at_once, ledger = True, observed.ledger(at_once=True)
    saved.write_ledger(ledger)
    if at_once:
        raise TerminatedError(*map(str, observed.errors))
    observed.raise_error()
    return saved


def progress_callback(step: Progress, on_progress: Callable[[Progress], None]) -> Callable[[LiveCounts], None]:
    """What a trial's ticks are told to: the step of its run, with how the trial stands."""
    return lambda so_far: on_progress(replace(step, so_far=so_far))


def attach_server_log(error: TicketlabError, server: servers.Server) -> None:
    """Add the last line of the server's log to an error, unless it came of the user's code: no server knows of that."""
    if not isinstance(error, OwnCodeError):
        error.add_note(f"Last in the server's log: {server.log().strip().rpartition(chr(10))[2]}")


def settings_for(connections: int, *, server: str) -> dict[str, str | int]:
    """The settings that let so many connections in at once, where the default of 100 and the server's kind ask for any.

    An external server's are its owner's.
    """
    needed = connections + SPARE_CONNECTIONS
    too_few = needed > _DEFAULT_MAX_CONNECTIONS and server != "external"
    return {"max_connections": needed} if too_few else {}
