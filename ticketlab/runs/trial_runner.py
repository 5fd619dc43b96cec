"""Runs one trial on a database: creates the events, drives the load, and reads the tables when the buyers are done.

Meanwhile `Sampler` reads stock and tickets of each event, in one snapshot each time: the ledger at the end cannot show
a violation that was repaired before.

Knows no experiment and no folder.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from ticketlab import environment
from ticketlab.errors import OwnCodeError, TicketlabError
from ticketlab.faults import connections
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.recording import LiveCounts
from ticketlab.load import Actions, Fault, FaultKind, Plan, driver
from ticketlab.load.driver import LoadResult, run_load
from ticketlab.servers import Server
from ticketlab.tickets import Database, EventRepository, Strategy, leftovers, lending, trial_tables
from ticketlab.tickets.trial_tables import Snapshots, TableSnapshot

if TYPE_CHECKING:
    from ticketlab.history.recording import LiveCounts
    from ticketlab.runs.experiment import Progress
    from ticketlab.servers import Server
    from ticketlab.tickets.strategy import Schema

_DEFAULT_MAX_CONNECTIONS: Final = 100

SPARE_CONNECTIONS: Final = 10
"""Connections beside the pool's: those that PostgreSQL reserves for superusers, and the lab's own."""


def environment_info(server: Server, *, seed: int, began: datetime) -> dict[str, Any]:
    """The machine, the versions, the server and its settings, as plain data."""
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


def progress_callback(step: Progress, on_progress: Callable[[Progress], None]) -> Callable[[LiveCounts], None]:
    """A trial's `on_tick`: reports the step of the run with the counts of the trial."""
    return lambda so_far: on_progress(replace(step, so_far=so_far))


def attach_server_log(error: TicketlabError, server: Server) -> None:
    """Add the last line of the server's log to an error, unless the user's code raised it: that is not in the log."""
    if not isinstance(error, OwnCodeError):
        error.add_note(f"Last in the server's log: {server.log().strip().rpartition(chr(10))[2]}")


def settings_for(connections: int, *, server: str) -> dict[str, str | int]:
    """The server settings that allow this many connections; empty where the default of 100 is enough.

    Empty for an external server too: its settings are its owner's.
    """
    needed = connections + SPARE_CONNECTIONS
    too_few = needed > _DEFAULT_MAX_CONNECTIONS and server != "external"
    return {"max_connections": needed} if too_few else {}


Reading: TypeAlias = Iterable[tuple[int, int | None, int]]
"""For each event its number, the available tickets of its row or None, and its tickets; empty if it failed."""

_REST: Final = 50
"""A reading is followed by a rest of 50 times its duration, so that readings take at most 2 % of the time."""
_SHORTEST_REST_S: Final = 0.01
_LAST_READING_S: Final = 3.0
_MOST_KEPT: Final = 3
"""The most samples kept for each event and kind of disagreement; one is enough as evidence."""


class Sample(NamedTuple):
    """One event in one reading."""

    at_ns: int
    """When the reading began, by `time.perf_counter_ns`."""
    event: int
    available: int | None
    tickets: int


class Sampler:
    """The readings of one trial, in a thread of their own."""

    def __init__(self, read: Callable[[], Reading], seats: Sequence[int]) -> None:
        """Sample by calling `read`; `seats` are those of each event, by its number."""
        self._read = read
        self._seats = seats
        self._stop = threading.Event()
        self.count = 0
        """How many readings succeeded, those of the warm-up among them."""
        self._disagreements: Counter[tuple[int, bool]] = Counter()
        self.kept: list[Sample] = []
        """Samples whose stock and tickets did not add up to the seats."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample until the block ends."""
        thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(_LAST_READING_S)  # a reading that takes longer may go on: it holds no lock

    def _run(self) -> None:
        driver.pin_to_one_cpu()
        self._read()  # opens the connection, which takes longer than all that follows
        rest_s = _SHORTEST_REST_S
        while not self._stop.wait(rest_s):
            began_ns = time.perf_counter_ns()
            samples = [Sample(began_ns, *row) for row in self._read()]
            for sample in samples:
                self._keep(sample)
            self.count += bool(samples)
            rest_s = max(_SHORTEST_REST_S, _REST * (time.perf_counter_ns() - began_ns) / 1e9)

    def _keep(self, sample: Sample) -> None:
        """Keep a sample whose stock and tickets do not add up to the seats, unless enough of its kind are kept."""
        seats = self._seats[sample.event]
        oversold = sample.tickets > seats
        if not oversold and sample.available in {None, seats - sample.tickets}:
            return
        kind = (sample.event, oversold)
        self._disagreements[kind] += 1
        if self._disagreements[kind] <= _MOST_KEPT:
            self.kept.append(sample)


_AFTER_A_CUT: Final = {leftovers.CLOSED, leftovers.UNFINISHED}
"""What a correct function may leave behind where its connection was lost."""


@dataclass(slots=True, kw_only=True)
class ExecutedTrial:
    """A trial whose buyers are done. Its tables are still to be read, and its database is still open."""

    load: LoadResult
    """What the buyers saw."""
    errors: list[TicketlabError]
    """Errors of the user's code that end the run once the trial is saved: it did not return, or could not close."""
    plan: Plan
    repository: EventRepository
    server: Server
    events: Sequence[UUID]
    warm_up_event: UUID
    sampler: Sampler
    sessions: lending.Before
    """The server's sessions before the trial."""
    tables: TableSnapshot | None = field(default=None, init=False)
    """What the tables hold, once they have been read."""

    def raise_error(self) -> None:
        """Raise the first of the errors."""
        for error in self.errors:
            raise error

    def ledger(self, *, at_once: bool = False) -> Ledger:
        """Read what the database holds, and close it.

        Apart from the load, as the database may be out of reach by then. Where it was interrupted, it can be called
        once more with `at_once=True`: then it inspects nothing else.
        """
        load, strategy, database = self.load, self.repository.strategy, self.repository.database
        if load.crashes_ns:  # a Ctrl-C may have come before the restart, or before the pool was checked
            self.server.restart()
            database.pool.check()
        if self.tables is None:
            lending.end_prepared(database)
            self.repository.settle([*self.events, self.warm_up_event])  # the tables are not read by the repository
            self.tables = trial_tables.read(database, self.events, strategy.schema, warm_up=self.warm_up_event)
        deadlocks = self._close(at_once=at_once or load.at_once)
        facts = Facts(
            seats=(self.plan.stock,) * self.plan.events,
            events_added=self.tables.added,
            idempotent=strategy.idempotent,
            autocommit=strategy.autocommit,
            stock_elsewhere=strategy.reconcile_stock is not None,
            samples=self.sampler.count,
            deadlocks=deadlocks,
            left_behind=self._left_behind(),
        )
        ledger = Ledger.of(events=self.tables.events, tickets=self.tables.tickets).knowing(facts)
        samples = (sample._replace(at_ns=sample.at_ns - load.start_ns) for sample in self.sampler.kept)
        return replace(ledger.with_samples(samples), crashes_ns=load.crashes_ns)

    def _close(self, *, at_once: bool) -> int | None:
        """Close the database and inspect the server; returns the deadlocks that no warm-up reported, where known."""
        database = self.repository.database
        # Unless the user's pool is closed here, it may stay for the next trial.
        allowed = 0 if database.closes_others else max(self.plan.buyers, database.settings.pool_size)
        try:
            if at_once:
                database.patience_s = 1.0
                database.close()
                return None
            crashed = bool(self.load.crashes_ns)
            deadlocks = lending.close(database, self.sessions, allowed=allowed, crashed=crashed)
        except OwnCodeError as error:
            self.errors.append(error)
            return None
        if deadlocks is None or self.load.stuck:
            return None
        return max(0, deadlocks - self.load.warm_up_deadlocks)

    def _left_behind(self) -> dict[str, int]:
        """What the user's code left behind, without what an injected fault may have caused."""
        excused = _AFTER_A_CUT if self.load.faults or self.load.cut else set()
        if self.load.faults:
            excused = {*excused, leftovers.PREPARED}  # the connection may have been lost between the two phases
        counts = self.repository.database.left_behind.counts()
        return {words: count for words, count in counts.items() if words not in excused}


def run_trial(
    strategy: Strategy,
    plan: Plan,
    database: Database,
    *,
    server: Server,
    faults: Sequence[Fault] = (),
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
) -> ExecutedTrial:
    """Empty the tables, and let the plan's buyers buy by a strategy."""
    repository = EventRepository(database, strategy)
    sessions = lending.before(database)
    events, warm_up_event = trial_tables.create_events(repository, events=plan.events, stock=plan.stock)
    snapshots = Snapshots(database, events, strategy.schema)
    sampler = Sampler(snapshots.read, (plan.stock,) * plan.events)
    with contextlib.closing(snapshots), sampler.running():
        load = run_load(
            repository,
            plan,
            events,
            warm_up_event=warm_up_event,
            faults=faults,
            actions=_actions(server, database),
            on_tick=on_tick,
            before_cut=lambda: lending.note_sessions(database),
        )
    return ExecutedTrial(
        load=load,
        errors=[load.stuck] if load.stuck else [],
        plan=plan,
        repository=repository,
        server=server,
        events=events,
        warm_up_event=warm_up_event,
        sampler=sampler,
        sessions=sessions,
    )


def _actions(server: Server, database: Database) -> Actions:
    """What injects each kind of fault in a trial on this database."""
    return {
        FaultKind.CRASH: partial(_crash, server, database),
        FaultKind.DISCONNECT: partial(connections.end_backends, database),
        FaultKind.LOSE_REQUEST: partial(connections.lose_requests, database),
        FaultKind.LOSE_REPLY: partial(connections.lose_replies, database),
    }


def _crash(server: Server, database: Database) -> int:
    """Crash the server and restart it; returns the instant by which it was dead."""
    try:
        server.crash()
        # Read afterwards: the crash takes a while, and sales reported meanwhile were reported by the dying server.
        dead_ns = time.perf_counter_ns()
    finally:
        server.restart()
    database.pool.check()  # replaces the connections that no buyer held, before one is lent
    return dead_ns


def read_ledger(database: Database, events: Sequence[UUID], schema: Schema | None = None) -> Ledger:
    """What the database holds of these events, read in one snapshot."""
    tables = trial_tables.read(database, events, schema)
    return Ledger.of(events=tables.events, tickets=tables.tickets)
