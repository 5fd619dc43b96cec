"""The subjects of a bench: functions that sell a hot event and return a claim. Each is listed in `all_subjects`.

Through the repository a strategy sells as in an application. Its bare SQL has nothing around it, so the difference is
the cost of the pool, of checking arguments and outcomes, and of the recording. pgbench sells without Python. The limit
is one statement: tickets as fast as the server writes them, which purchases one by one cannot reach.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID, uuid4

import pandas as pd
import psycopg

from ticketlab.bench import _pgbench
from ticketlab.history.recording import LiveCounts, purchases_of
from ticketlab.load import Plan, driver
from ticketlab.outcomes import Outcome
from ticketlab.tickets import Database, EventRepository, Strategy
from ticketlab.tickets.database import CONNECTION
from ticketlab.tickets.sql import SELL
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection

FOR_UPDATE: Final = "pgbench_for_update"
ONE_STATEMENT: Final = "pgbench_one_statement"
LIMIT: Final = "limit"

LIMIT_TICKETS: Final = 50_000
_WARM_UP_TICKETS: Final = 1_000
SELL_MANY: Final = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(tickets)s, version = version + 1, updated_at = now()
    WHERE id = %(event_id)s
    RETURNING id
)
INSERT INTO tickets (event_id, purchase_id)
SELECT id, gen_random_uuid() FROM event, generate_series(1, %(tickets)s)
"""


class SubjectKind(StrEnum):
    """What a subject is measured for."""

    STRATEGY = "strategy"
    """A strategy through the repository, as an application calls it."""
    PEER = "peer"
    """PostgreSQL's own bench tool with the documented sale: no Python at all."""
    BARE = "bare"
    """A strategy's SQL in a loop of psycopg calls, without the repository."""
    LIMIT = "limit"
    """The most that the server can write, without any waiting between buyers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchContext:
    """Where a subject sells: a database whose tables hold two new events, one of them for warming up."""

    database: Database
    event: UUID
    warm_up_event: UUID
    plan: Plan
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None
    """Called with the counts so far, where the subject knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a subject reports. Only the ledger can prove it."""

    sold: int
    """Tickets of the event, those sold before the measured part included."""
    per_s: float
    """Sales per second of the measured part; for the limit, tickets."""
    purchases: int
    """Purchases of the event, whatever their outcome."""
    conflicts: int = 0
    """Of these, those that gave up after conflicts."""
    unanswered: int = 0
    """Of these, those that failed, got no connection, or whose outcome is unknown."""
    history: pd.DataFrame | None = None
    """Every purchase as its buyer saw it, for the checks; None where the subject does not record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One way to sell a hot event."""

    name: str
    kind: SubjectKind
    sell: Callable[[BenchContext], Claim]
    """Sells for as long as the plan says; raises KeyboardInterrupt where it was interrupted."""
    cost: str = ""
    """What a strategy costs by design."""


def all_subjects(strategies: Iterable[Strategy], program: Path | None) -> list[Subject]:
    """The strategies, their bare SQL where there is some, pgbench if its `program` is given, and the limit."""
    chosen = list(strategies)
    scripts = {FOR_UPDATE: _pgbench.FOR_UPDATE, ONE_STATEMENT: _pgbench.ONE_STATEMENT} if program else {}
    return [
        *(
            Subject(
                name=each.name, kind=SubjectKind.STRATEGY, sell=partial(sell_through_repository, each), cost=each.cost
            )
            for each in chosen
        ),
        *(
            Subject(
                name=bare_name(each.name),
                kind=SubjectKind.BARE,
                sell=partial(sell_by_bare_sql, BARE_PURCHASES[each.name]),
            )
            for each in chosen
            if each.name in BARE_PURCHASES
        ),
        *(
            Subject(name=name, kind=SubjectKind.PEER, sell=partial(sell_by_pgbench, program, script))
            for name, script in scripts.items()
            if program
        ),
        Subject(name=LIMIT, kind=SubjectKind.LIMIT, sell=sell_in_bulk),
    ]


def bare_name(strategy: str) -> str:
    """The name of a strategy's bare SQL as a subject."""
    return f"bare_{strategy}"


def sell_through_repository(strategy: Strategy, context: BenchContext) -> Claim:
    """Sell by a strategy with the lab's own load; the claim is what its buyers recorded."""
    repository = EventRepository(context.database, strategy)
    load = driver.run_load(
        repository, context.plan, [context.event], warm_up_event=context.warm_up_event, on_tick=context.on_tick
    )
    if load.interrupted:
        raise KeyboardInterrupt
    if load.stuck:
        raise load.stuck
    repository.settle([context.event])
    purchases = purchases_of(load.history)
    outcomes = purchases["outcome"].value_counts()
    sales = int(outcomes[Outcome.SOLD])
    # Nothing sells out, so all of the time until the last answer was selling time.
    seconds = float(purchases["completed_ns"].max()) / 1e9 if sales else 1.0
    return Claim(
        sold=int(purchases.loc[purchases["outcome"] == Outcome.SOLD, "quantity"].sum()),
        per_s=sales / seconds,
        purchases=len(purchases),
        conflicts=int(outcomes[Outcome.CONFLICT]),
        unanswered=int(outcomes[[Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.UNKNOWN]].sum()),
        history=load.history,
    )


BarePurchase: TypeAlias = Callable[[Connection, UUID], None]
"""Buys one ticket of an event under a new purchase id."""


def _buy_atomically(connection: Connection, event_id: UUID) -> None:
    """Sends what `atomic` sends."""
    parameters = {"event_id": event_id, "quantity": 1, "purchase_id": uuid4()}
    connection.execute(SELL_IF_ENOUGH, parameters).fetchall()


def _buy_pessimistically(connection: Connection, event_id: UUID) -> None:
    """Sends what `pessimistic` sends."""
    parameters = {"event_id": event_id, "quantity": 1, "purchase_id": uuid4()}
    connection.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    connection.execute(LOCK, [event_id]).fetchone()
    connection.execute(SELL, parameters).fetchall()
    connection.commit()


BARE_PURCHASES: Final[Mapping[str, BarePurchase]] = {"atomic": _buy_atomically, "pessimistic": _buy_pessimistically}
"""By the name of their strategy."""


def sell_by_bare_sql(purchase: BarePurchase, context: BenchContext) -> Claim:
    """Sell from one thread and one connection per buyer; the claim is the number of calls that returned."""
    loop = _BareLoop(purchase, context)
    with ThreadPoolExecutor(max_workers=context.plan.buyers, thread_name_prefix="bare") as threads:
        buyers = [threads.submit(loop.run_buyer) for _ in range(context.plan.buyers)]
        try:
            with context.database.translating_errors():
                answers = [buyer.result() for buyer in buyers]
        except BaseException:  # no buyer goes on, or waits for one that will not come
            loop.stop()
            raise
    sold = sum(count for count, _ in answers)
    seconds = (max(ended_ns for _, ended_ns in answers) - loop.start_ns) / 1e9
    return Claim(sold=sold, per_s=sold / seconds, purchases=sold)


class _BareLoop:
    """The buyers of bare SQL: they warm up, start together, and stop together."""

    def __init__(self, purchase: BarePurchase, context: BenchContext) -> None:
        self.start_ns = 0
        self._purchase = purchase
        self._context = context
        self._barrier = threading.Barrier(context.plan.buyers, action=self._start)
        self._stopped = threading.Event()

    def run_buyer(self) -> tuple[int, int]:
        """One buyer from connecting to the end: its number of purchases, and when it ended."""
        context = self._context
        driver.pin_to_one_cpu()  # as the buyers of the lab
        try:
            with psycopg.connect(context.database.settings.url, **CONNECTION) as connection:
                self._buy(connection, context.warm_up_event, context.plan.warm_up_s, time.perf_counter_ns())
                self._barrier.wait()
                sold = self._buy(connection, context.event, context.plan.seconds, self.start_ns)
                return sold, time.perf_counter_ns()
        except threading.BrokenBarrierError:
            return 0, self.start_ns  # another buyer failed, and its error is raised
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all buyers, also those that wait for the start."""
        self._stopped.set()
        self._barrier.abort()

    def _start(self) -> None:
        self.start_ns = time.perf_counter_ns()

    def _buy(self, connection: Connection, event_id: UUID, seconds: float, from_ns: int) -> int:
        """Buy at least once, until the time is up."""
        until_ns = from_ns + int(seconds * 1e9)
        count = 0
        while not count or (time.perf_counter_ns() < until_ns and not self._stopped.is_set()):
            self._purchase(connection, event_id)
            count += 1
        return count


def sell_by_pgbench(program: Path, script: str, context: BenchContext) -> Claim:
    """Sell by pgbench; the claim is one ticket for each transaction.

    Raises:
        TicketlabError: pgbench failed, or its clients did not all run for long enough.
    """
    url = context.database.settings.url
    measured = _pgbench.run(program, script, context.plan, event=context.event, url=url)
    return Claim(sold=measured.transactions, per_s=measured.per_s, purchases=measured.transactions)


def sell_in_bulk(context: BenchContext) -> Claim:
    """Sell LIMIT_TICKETS tickets in one statement and one commit, whatever the plan's buyers and seconds.

    With the documented defaults, indexes and foreign key.
    """
    url = context.database.settings.url
    with context.database.translating_errors(), psycopg.connect(url, **CONNECTION) as connection:
        connection.execute(SELL_MANY, {"event_id": context.warm_up_event, "tickets": _WARM_UP_TICKETS})
        began_ns = time.perf_counter_ns()
        sold = connection.execute(SELL_MANY, {"event_id": context.event, "tickets": LIMIT_TICKETS}).rowcount
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
    return Claim(sold=sold, per_s=sold / seconds, purchases=sold)
