"""Bare loops: the very SQL of a strategy on a connection of each buyer's own, with nothing around it.

The difference to the strategy is what the pool, the checks of arguments and outcomes, and the recording cost.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias
from uuid import UUID, uuid4

import psycopg

from ticketlab.bench.subject import BenchContext, Claim
from ticketlab.load import driver
from ticketlab.tickets.database import CONNECTION
from ticketlab.tickets.sql import SELL
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection

Purchase: TypeAlias = Callable[[Connection, UUID], None]
"""Buys one ticket of an event under a new purchase id."""


def buy_atomically(connection: Connection, event_id: UUID) -> None:
    """What `atomic` sends."""
    wanted = {"event_id": event_id, "quantity": 1, "purchase_id": uuid4()}
    connection.execute(SELL_IF_ENOUGH, wanted).fetchall()


def buy_pessimistically(connection: Connection, event_id: UUID) -> None:
    """What `pessimistic` sends."""
    wanted = {"event_id": event_id, "quantity": 1, "purchase_id": uuid4()}
    connection.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    connection.execute(LOCK, [event_id]).fetchone()
    connection.execute(SELL, wanted).fetchall()
    connection.commit()


PURCHASES: Final[Mapping[str, Purchase]] = {"atomic": buy_atomically, "pessimistic": buy_pessimistically}
"""The loops by the name of their strategy."""


def sell(purchase: Purchase, ground: BenchContext) -> Claim:
    """Sell from one thread and one connection a buyer; the claim is how often the loop went round."""
    race = _StartGate(ground)
    with ThreadPoolExecutor(max_workers=ground.plan.buyers, thread_name_prefix="bare") as threads:
        lives = [threads.submit(race.run, purchase) for _ in range(ground.plan.buyers)]
        try:
            with ground.database.translating_errors():
                answers = [each.result() for each in lives]
        except BaseException:  # whatever happened: nobody goes on, or waits for a buyer who will not come
            race.end()
            raise
    sold = sum(each for each, _ in answers)
    seconds = (max(ended_ns for _, ended_ns in answers) - race.start_ns) / 1e9
    return Claim(sold=sold, per_s=sold / seconds, purchases=sold)


class _StartGate:
    """The start that all buyers wait for, and the end."""

    def __init__(self, ground: BenchContext) -> None:
        self.start_ns = 0
        self._ground = ground
        self._barrier = threading.Barrier(ground.plan.buyers, action=self._start)
        self._ended = threading.Event()

    def run(self, purchase: Purchase) -> tuple[int, int]:
        """One buyer from connecting to the end: how often he bought, and when he was done."""
        ground = self._ground
        driver.pin_to_one_cpu()  # as the buyers of the lab do
        try:
            with psycopg.connect(ground.database.settings.url, **CONNECTION) as connection:
                self._buy(purchase, connection, ground.warm_up_event, ground.plan.warm_up_s, time.perf_counter_ns())
                self._barrier.wait()
                sold = self._buy(purchase, connection, ground.event, ground.plan.seconds, self.start_ns)
                return sold, time.perf_counter_ns()
        except threading.BrokenBarrierError:
            return 0, self.start_ns  # the echo of somebody else's end
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Let everybody go home."""
        self._ended.set()
        self._barrier.abort()

    def _start(self) -> None:
        self.start_ns = time.perf_counter_ns()

    def _buy(self, purchase: Purchase, connection: Connection, event_id: UUID, seconds: float, from_ns: int) -> int:
        """Buy at least once, until the time is up."""
        until_ns = from_ns + int(seconds * 1e9)
        bought = 0
        while not bought or (time.perf_counter_ns() < until_ns and not self._ended.is_set()):
            purchase(connection, event_id)
            bought += 1
        return bought
