"""Functions that hand a buyer the tickets of somebody else."""

import time
from collections import defaultdict
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from uuid import UUID

import psycopg

from corpus.statements import LOCK, TAKE
from ticketlab import Cause, Outcome, PurchaseResult, Settings
from ticketlab.tickets import SoldTicket

ADD_ALL = """
INSERT INTO tickets (event_id, purchase_id) SELECT * FROM unnest(%s::uuid[], %s::uuid[])
RETURNING id, event_id, purchase_id, purchased_at
"""
SOLD_OUT = {"outcome": Outcome.SOLD_OUT, "cause": Cause.INSUFFICIENT}


class Batches:
    """Sells to all who wait in one transaction, on a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._connection = psycopg.connect(settings.url)
        self._orders = SimpleQueue()
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def buy(self, *wanted):
        """Wait for the batch's answer."""
        answer = Future()
        self._orders.put((answer, *wanted))
        return answer.result()

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join()
        self._connection.close()

    def _serve(self):
        while order := self._orders.get():
            time.sleep(0.002)  # until some more are there
            batch = [order]
            try:
                while more := self._orders.get_nowait():
                    batch.append(more)
                self._orders.put(None)
            except Empty:
                pass
            self._answer(batch)

    def _answer(self, batch):
        try:
            results = self._sell(batch)
        except Exception as error:
            for answer, *_ in batch:
                answer.set_exception(error)
        else:
            for (answer, *_), result in zip(batch, results, strict=True):
                answer.set_result(result)

    def _sell(self, batch):
        with self._connection.transaction():
            left = {}
            for event_id in sorted({order[1] for order in batch}):
                (left[event_id],) = self._connection.execute(LOCK, [event_id]).fetchone()
            taken, sold = defaultdict(int), []
            for _, event_id, quantity, purchase_id in batch:
                if left[event_id] - taken[event_id] >= quantity:
                    taken[event_id] += quantity
                    sold.append((event_id, quantity, purchase_id))
            for event_id, quantity in taken.items():
                self._connection.execute(TAKE, [quantity, event_id])
            rows = [(event_id, purchase_id) for event_id, quantity, purchase_id in sold for _ in range(quantity)]
            added = self._connection.execute(ADD_ALL, [*map(list, zip(*rows, strict=True))]) if rows else []
            tickets = sorted(SoldTicket(*row) for row in added)
        return [self._result(order, sold, tickets) for order in batch]

    @staticmethod
    def _result(order, sold, tickets):
        _, event_id, quantity, purchase_id = order
        if (event_id, quantity, purchase_id) not in sold:
            return PurchaseResult(quantity=quantity, **SOLD_OUT)
        mine, tickets[:] = tickets[:quantity], tickets[quantity:]
        return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity, tickets=mine)


def hands_out_by_position(batches: Batches, event_id: UUID, quantity: int, purchase_id: UUID) -> PurchaseResult:
    """Wrong: the batch's tickets are sorted by their ids, and each buyer gets the next ones, whosoever they are."""
    return batches.buy(event_id, quantity, purchase_id)
