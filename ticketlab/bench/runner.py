"""Runs a hot-event bench: each subject in its turn on empty tables, its claim compared with the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ticketlab import checks, mutants, servers
from ticketlab.bench._subjects import BenchContext, Claim, Subject, all_subjects
from ticketlab.bench.results import BenchResults, BenchTrial, HotEvent, ScheduledTrial
from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.runs import trial_runner
from ticketlab.runs.experiment import Progress
from ticketlab.runs.trial_runner import read_ledger
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository, migrations, strategies, trial_tables

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger
    from ticketlab.history.recording import LiveCounts


def run(
    plan: HotEvent, *, url: str | None = None, on_progress: Callable[[Progress], None] = lambda _progress: None
) -> BenchResults:
    """Run a bench on a server of its own, with PostgreSQL's default durability.

    Ctrl-C ends it cleanly: the results are the trials completed so far.

    Args:
        plan: what to run.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and during trials of strategies.

    Raises:
        NotFoundError: a strategy that the plan names does not exist; nothing was started.
        InvalidInputError: the server allows too few connections, or its kind and the URL do not go together; a
            strategy sells from tables of its own.
        ServerError: no server could be started.
        TicketlabError: a subject failed; the text names it.
    """
    chosen = [mutants.get(name) for name in plan.strategies]
    own_tables = [strategy.name for strategy in chosen if strategy.schema is not None]
    if own_tables:
        raise InvalidInputError(f"The bench sells from ticketlab's own tables: leave out {', '.join(own_tables)}.")
    on_progress(Progress(trial=0, trials=0, doing=f"starting a server ({plan.server})"))
    settings = trial_runner.settings_for(plan.connections, server=plan.server)
    with servers.open(plan.server, settings=settings, url=url) as server:
        _check_connections(plan, server)
        subjects = all_subjects(chosen, servers.program("pgbench", beside=server.binaries))
        try:
            with Database(Settings.from_url(server.url, pool_size=plan.pool_size)) as database:
                migrations.upgrade(database)
                trials = list(_run_trials(plan, subjects, database, on_progress=on_progress))
        except TicketlabError as error:
            trial_runner.attach_server_log(error, server)
            raise
        return BenchResults(plan=plan, server=server, subjects=subjects, trials=trials)


def _run_trials(
    plan: HotEvent, subjects: Sequence[Subject], database: Database, *, on_progress: Callable[[Progress], None]
) -> Iterator[BenchTrial]:
    """Run trial after trial, until one is interrupted; an interruption of the first one is raised."""
    by_name = {subject.name: subject for subject in subjects}
    schedule = list(plan.schedule(by_name))
    for finished, trial in enumerate(schedule):
        doing = f"{trial.subject}, {trial.buyers} buyers, repeat {trial.repeat}"
        step = Progress(trial=finished + 1, trials=len(schedule), doing=doing, finished=finished)
        try:
            on_progress(step)
            on_tick = trial_runner.progress_callback(step, on_progress)
            yield _run_trial(by_name[trial.subject], trial, plan, database, on_tick=on_tick)
        except KeyboardInterrupt:
            if not finished:
                raise
            return
        except Exception as error:
            error.add_note(f"It happened in the bench, in the trial {doing}.")
            raise


def _run_trial(
    subject: Subject,
    trial: ScheduledTrial,
    plan: HotEvent,
    database: Database,
    *,
    on_tick: Callable[[LiveCounts], None],
) -> BenchTrial:
    """One trial on empty tables, and its claim verified."""
    (event,), warm_up_event = trial_tables.create_events(EventRepository(database), events=1, stock=plan.seats)
    # A pool per trial: one that a larger trial has filled would hand out cold connections in turn.
    with Database(database.settings) as own, strategies.blaming(subject.name):
        claim = subject.sell(
            BenchContext(database=own, event=event, warm_up_event=warm_up_event, plan=plan.load(trial), on_tick=on_tick)
        )
    return BenchTrial(
        subject=subject.name,
        buyers=trial.buyers,
        repeat=trial.repeat,
        per_s=claim.per_s,
        purchases=claim.purchases,
        conflicts=claim.conflicts,
        unanswered=claim.unanswered,
        error=verify_claim(claim, read_ledger(database, [event])),
    )


def verify_claim(claim: Claim, ledger: Ledger) -> str:
    """What is wrong with a claim, in a sentence; "" where the ledger proves it.

    The ledger is of the one event that was sold. It must hold every ticket claimed, and no other, and the available
    tickets must be what is left of the seats; where there is a history, every check must find it VALID.
    """
    (event,) = ledger.seats().to_dict("records")
    tickets, left = event["tickets"], event["total"] - event["tickets"]
    if claim.sold < 1:
        return "it sold nothing"
    if tickets != claim.sold:
        return f"it claims {claim.sold:,} tickets, the ledger has {tickets:,}"
    if event["available"] != left:
        return f"the ledger has {tickets:,} tickets, so {left:,} are left, but the stock says {event['available']:,}"
    verdicts = () if claim.history is None else checks.judge(claim.history, ledger)
    return next((f"{each.check}: {each.summary}" for each in verdicts if each.status is not Status.VALID), "")


def _check_connections(plan: HotEvent, server: servers.Server) -> None:
    """Check at the start that an external server allows the largest number of buyers: its settings stay."""
    allowed, needed = int(server.settings["max_connections"]), plan.connections + trial_runner.SPARE_CONNECTIONS
    if allowed < needed:
        raise InvalidInputError(
            f"The server allows {allowed:,} connections, and this bench opens up to {needed:,}. "
            f"Use at most {max(0, allowed - needed + max(plan.buyers)):,} --buyers, or raise its max_connections."
        )
