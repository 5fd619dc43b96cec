"""Runs an experiment: brings up a server, runs and saves each trial, and judges the run. The only room that does."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ticketlab import mutants, servers
from ticketlab.errors import InvalidInputError, TerminatedError, TicketlabError
from ticketlab.load import Fault, FaultKind
from ticketlab.runs.experiment import Progress
from ticketlab.runs.folders import new
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import Trial
from ticketlab.runs.trial_runner import attach_server_log, environment_info, progress_callback, run_trial, settings_for
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations, strategies
from ticketlab.tickets.user_code import PurchaseFunction, adopt

if TYPE_CHECKING:
    from ticketlab.history.recording import LiveCounts
    from ticketlab.runs.experiment import Experiment, TrialPlan
    from ticketlab.servers import Server


def run(
    experiment: Experiment,
    *,
    own: Sequence[Strategy | PurchaseFunction] = (),
    out: Path = Path("runs"),
    url: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Run:
    """Run an experiment on a server of its own, save what was observed, and judge it.

    Ctrl-C ends it cleanly: the server is stopped, and the trials run so far are judged and kept. A second one, or
    SIGTERM, does so at once: it is raised as a TerminatedError, whose notes say where they are.

    Args:
        experiment: what to run.
        own: strategies of your own that the experiment names, or purchase functions, by their names: see
            `ticketlab.adopt`. Their source is kept with the run.
        out: the folder in which the run's own folder is created.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and several times a second during a trial.

    Raises:
        NotFoundError: a strategy that the experiment names does not exist; nothing was started.
        OwnCodeError: a strategy of your own could not be imported, and nothing was started; or it raised an exception
            that is no database error, or did not return, and the trials run so far are judged and kept.
        ServerError: no server could be started; nothing was written.
        InvalidInputError: the server kind and the URL do not go together, a strategy sells no baskets where the
            experiment has them, or one of your own has a name that is taken; nothing was started. The experiment
            crashes the server, and the chosen one cannot be crashed; nothing was written.
    """
    chosen = _resolve_strategies(experiment, own)
    on_progress(Progress(trial=0, trials=len(experiment.trials()), doing=f"starting a server ({experiment.server})"))
    settings = {**settings_for(max(experiment.pool_sizes), server=experiment.server), **experiment.server_settings}
    with servers.open(experiment.server, settings=settings, url=url) as server:
        folder = _run_trials(experiment, chosen, server, out, on_progress)
    return _judge(folder)


def run_on(
    server: Server,
    experiment: Experiment,
    *,
    own: Sequence[Strategy | PurchaseFunction] = (),
    out: Path = Path("runs"),
    template: str = "template0",
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Run:
    """Run an experiment as `run` does, on a running server: in a database of its own, which is dropped afterwards.

    Args:
        server: where; its settings stay as they are.
        experiment: what to run; its server kind is ignored, and the kind of `server` is saved instead.
        own: as for `run`.
        out: as for `run`.
        template: the database to copy; a migrated one without connections saves time.
        on_progress: as for `run`.

    Raises:
        NotFoundError, OwnCodeError, InvalidInputError: as for `run`; or the experiment has settings for its server.
        ServerError: the server does not answer, or its role may not create databases; nothing was written.
    """
    chosen = _resolve_strategies(experiment, own)
    if experiment.server_settings:
        raise InvalidInputError(
            f"This server is already running: {', '.join(experiment.server_settings)} cannot be set. Leave it out, or "
            "give the experiment a server of its own with `ticketlab.run`."
        )
    with servers.scratch_database(server.url, template=template) as url:
        folder = _run_trials(
            replace(experiment, server=server.kind), chosen, replace(server, url=url), out, on_progress
        )
    return _judge(folder)


def _resolve_strategies(experiment: Experiment, own: Sequence[Strategy | PurchaseFunction]) -> dict[str, Strategy]:
    adopted = [adopt(each) for each in own]
    named = {each.name: each for each in adopted}
    taken = [name for name in named if not mutants.is_external(name)]
    if taken or len(named) < len(own):
        raise InvalidInputError(f"A strategy of your own needs a name of its own: {', '.join(taken or named)}.")
    chosen = {name: named.get(name) or mutants.get(name) for name in experiment.strategies}
    without_baskets = [name for name, strategy in chosen.items() if strategy.basket is None]
    if experiment.sells_baskets and without_baskets:
        able = ", ".join(name for name, strategy in strategies.registry().items() if strategy.basket is not None)
        raise InvalidInputError(f"No baskets are sold by {', '.join(without_baskets)}. Strategies that do: {able}.")
    own_tables = [name for name, strategy in chosen.items() if strategy.schema is not None]
    if experiment.refunds and own_tables:
        raise InvalidInputError(
            f"Tickets in tables of your own cannot be refunded: leave out {', '.join(own_tables)}, or refunds."
        )
    return chosen


def _run_trials(
    experiment: Experiment,
    chosen: Mapping[str, Strategy],
    server: Server,
    out: Path,
    on_progress: Callable[[Progress], None],
) -> Path:
    """Run and save trial after trial, until one is interrupted; returns the run's folder, with at least one of them."""
    if experiment.crashes and not server.can_crash:
        raise InvalidInputError(
            f"Only a server of kind embedded can be crashed, and the one chosen is {server.why}. Ask for one by "
            "name: --server embedded."
        )
    trials = experiment.trials()
    folder = _run_folder(experiment, chosen, server, out)
    try:
        with Database(Settings.from_url(server.url)) as database:
            migrations.upgrade(database)
            for trial in trials:
                step = Progress(
                    trial=trial.number,
                    trials=len(trials),
                    doing=_describe(trial, experiment),
                    plan=trial,
                    finished=trial.number - 1,
                )
                on_progress(step)
                strategy = chosen[trial.strategy]
                # A pool per trial: one that another strategy has filled would hand out cold connections in turn.
                settings = database.settings.model_copy(update={"pool_size": trial.pool_size})
                with _trial_database(strategy, settings) as own:
                    saved = _run_and_save(
                        trial,
                        strategy,
                        own,
                        folder / "trials" / str(trial.number),
                        faults=experiment.faults,
                        server=server,
                        on_tick=progress_callback(step, on_progress),
                    )
                if saved.interrupted:
                    break
    except KeyboardInterrupt as error:
        if not _has_trials(folder):
            raise
        if isinstance(error, TerminatedError):
            _judge(folder)
            error.add_note(f"The results so far are kept in {folder}.")
            raise
    except TicketlabError as error:
        if _has_trials(folder):
            _judge(folder)
        error.add_note(f"The results before it are kept in {folder}.")
        attach_server_log(error, server)
        raise
    on_progress(Progress(trial=len(trials), trials=len(trials), doing="judging", finished=len(trials)))
    return folder


def _describe(trial: TrialPlan, experiment: Experiment) -> str:
    pool = f", pool of {trial.pool_size}" if len(experiment.pool_sizes) > 1 else ""
    return f"{trial.strategy}, {trial.plan.buyers} buyers{pool}, repeat {trial.repeat}"


@contextmanager
def _trial_database(strategy: Strategy, settings: Settings) -> Iterator[Database]:
    """The trial's database; for a user's own tables an empty one, as the lab's may have the same names."""
    with ExitStack() as stack:
        if strategy.schema is not None:
            url = stack.enter_context(servers.scratch_database(settings.url))
            settings = Settings.from_url(url, pool_size=settings.pool_size)
        yield stack.enter_context(Database(settings))


def _run_and_save(
    trial: TrialPlan,
    strategy: Strategy,
    database: Database,
    folder: Path,
    *,
    faults: Sequence[Fault],
    server: Server,
    on_tick: Callable[[LiveCounts], None],
) -> Trial:
    """Run one trial on empty tables, and save it: the history first, as reading the ledger may fail."""
    plan = trial.plan_for(idempotent=strategy.idempotent)
    with strategies.blaming(trial.strategy):
        executed = run_trial(strategy, plan, database, server=server, faults=faults, on_tick=on_tick)
    load = executed.load
    saved = Trial(
        folder=folder,
        number=trial.number,
        strategy=trial.strategy,
        safe=strategy.safe,
        buyers=trial.plan.buyers,
        pool_size=trial.pool_size,
        repeat=trial.repeat,
        interrupted=load.ended_early,
        double_calls=plan.double_calls,
        faults_ns={kind: tuple(fault.effect_ns for fault in load.faults_of(kind)) for kind in FaultKind},
        faults_began_ns={kind: tuple(fault.began_ns for fault in load.faults_of(kind)) for kind in FaultKind},
        faults_over_ns={kind: tuple(fault.over_ns for fault in load.faults_of(kind)) for kind in FaultKind},
        said=dict(load.said),
    )
    saved.write_history(load.history)
    at_once = load.at_once
    try:
        ledger = executed.ledger()
    except KeyboardInterrupt:  # the first one ended the load, or this one is as urgent: keep what was measured
        at_once, ledger = True, executed.ledger(at_once=True)
    saved.write_ledger(ledger)
    if at_once:
        raise TerminatedError(*map(str, executed.errors))
    executed.raise_error()
    return saved


def _judge(folder: Path) -> Run:
    try:
        finished = Run(folder)
        finished.save_judgement()
    except KeyboardInterrupt as error:
        error.add_note(f"The results are kept in {folder}; `ticketlab check` judges them.")
        raise
    return finished


def _has_trials(folder: Path) -> bool:
    return any(folder.glob("trials/*/trial.json"))


def _run_folder(experiment: Experiment, chosen: Mapping[str, Strategy], server: Server, out: Path) -> Path:
    """A new folder for the run, with all that is known before its first trial."""
    own = {name: strategy for name, strategy in chosen.items() if mutants.is_external(name)}
    began = datetime.now().astimezone()
    folder = new(out, f"{began:%Y%m%d-%H%M%S}-{experiment.name}")
    described = environment_info(server, seed=experiment.seed, began=began) | {
        "own_strategies": {name: _source(strategy) for name, strategy in own.items()},
        "own_tables": [name for name, strategy in own.items() if strategy.schema is not None],
        "unseen": {name: strategy.unseen for name, strategy in own.items() if strategy.unseen},
    }
    (folder / "environment.json").write_text(json.dumps(described, indent=2) + "\n")
    experiment.write(folder / "experiment.json")  # last: a folder with this file is a run
    return folder


def _source(strategy: Strategy) -> str:
    """The source of a strategy's function, so that a run can be understood when the function is gone."""
    try:
        return inspect.getsource(strategy.purchase)
    except (OSError, TypeError):
        return "its source is not available"
