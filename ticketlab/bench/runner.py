"""Whether a claim is proven. Pure: compares what a contender says with what the ledger holds."""

from collections.abc import Callable, Iterator, Sequence

from ticketlab import checks, mutants, servers
from ticketlab.bench import subjects
from ticketlab.bench.plan import HotEvent, ScheduledTrial
from ticketlab.bench.results import Results, Trial
from ticketlab.bench.subject import BenchContext, Claim, Contender
from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.history.ledger import Ledger
from ticketlab.history.live_counts import LiveCounts
from ticketlab.runs import lab
from ticketlab.runs.lab import Progress
from ticketlab.runs.trial_runner import read_ledger
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository, migrations, strategies, trial_tables


def verify_claim(claim: Claim, ledger: Ledger) -> str:
    """What is wrong with a claim, in a sentence; "" where the ledger proves it.

    The ledger is of the one event that was sold. Every ticket claimed must be there, and no other, and the stock must
    be what is left of the seats; where there is a history, every check must find it VALID.
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


def run(
    bench: HotEvent,
    *,
    url: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Results:
    """Run a bench on a server of its own, with PostgreSQL's default durability.

    Ctrl-C ends it cleanly: the trials made so far are the results, without the one under way.

    Args:
        bench: what to run.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and while buyers buy where their purchases are known.

    Raises:
        NotFoundError: a strategy that the bench names does not exist; nothing was started.
        InvalidInputError: the server lets too few connections in, or its kind and the URL do not go together; a
            strategy sells from tables of its own.
        ServerError: no server could be brought up.
        TicketlabError: a contender failed; the text names it.
    """
    chosen = [mutants.get(name) for name in bench.strategies]
    elsewhere = [each.name for each in chosen if each.schema is not None]
    if elsewhere:
        raise InvalidInputError(f"The bench sells from ticketlab's own tables: leave out {', '.join(elsewhere)}.")
    on_progress(Progress(trial=0, trials=0, doing=f"starting a server ({bench.server})"))
    settings = lab.settings_for(bench.connections, server=bench.server)
    with servers.open(bench.server, settings=settings, url=url) as server:
        _check_connections(bench, server)
        sellers = subjects.of(chosen, servers.program("pgbench", beside=server.binaries))
        try:
            with Database(Settings.from_url(server.url, pool_size=bench.pool_size)) as database:
                migrations.upgrade(database)
                trials = list(_trials(bench, sellers, database, on_progress=on_progress))
        except TicketlabError as error:
            lab.attach_server_log(error, server)
            raise
        return Results(bench=bench, server=server, contenders=sellers, trials=trials)


def _trials(
    bench: HotEvent,
    sellers: Sequence[Contender],
    database: Database,
    *,
    on_progress: Callable[[Progress], None],
) -> Iterator[Trial]:
    """Trial after trial, until one was interrupted; the first one's interruption is raised."""
    by_name = {each.name: each for each in sellers}
    turns = list(bench.turns(by_name))
    for done, turn in enumerate(turns):
        doing = f"{turn.contender}, {turn.buyers} buyers, repeat {turn.repeat}"
        step = Progress(trial=done + 1, trials=len(turns), doing=doing, finished=done)
        try:
            on_progress(step)
            yield _observe(
                by_name[turn.contender], turn, bench, database, on_tick=lab.progress_callback(step, on_progress)
            )
        except KeyboardInterrupt:
            if not done:
                raise
            return
        except Exception as error:
            error.add_note(f"It happened in the bench to {doing}.")
            raise


def _observe(
    contender: Contender,
    turn: ScheduledTrial,
    bench: HotEvent,
    database: Database,
    *,
    on_tick: Callable[[LiveCounts], None],
) -> Trial:
    """One turn on empty tables, and what the ledger says of it."""
    (event,), warm_up_event = trial_tables.create_events(EventRepository(database), events=1, stock=bench.seats)
    # A pool of the trial's own: one that a larger trial has filled hands out its connections in turn, cold ones too.
    with Database(database.settings) as own, strategies.blaming(contender.name):
        claim = contender.sell(
            BenchContext(database=own, event=event, warm_up_event=warm_up_event, plan=bench.plan(turn), on_tick=on_tick)
        )
    return Trial(
        contender=contender.name,
        buyers=turn.buyers,
        repeat=turn.repeat,
        per_s=claim.per_s,
        purchases=claim.purchases,
        conflicts=claim.conflicts,
        unanswered=claim.unanswered,
        fault=verify_claim(claim, read_ledger(database, [event])),
    )


def _check_connections(bench: HotEvent, server: servers.Server) -> None:
    """An external server keeps its settings: told at once, not when the largest number of buyers comes."""
    allowed, needed = int(server.settings["max_connections"]), bench.connections + lab.SPARE_CONNECTIONS
    if allowed < needed:
        raise InvalidInputError(
            f"The server lets {allowed:,} connections in, and this bench opens up to {needed:,}. "
            f"Let at most {max(0, allowed - needed + max(bench.buyers)):,} --buyers in, or raise its max_connections."
        )
