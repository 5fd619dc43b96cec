"""An office where purchases are gathered and served step by step; and charts that are not painted."""

import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event
from uuid import UUID

import pytest
from PIL import Image

from ticketlab.outcomes import Outcome
from ticketlab.report._style import Chart
from ticketlab.tickets import PurchaseRequest, PurchaseResult
from ticketlab.tickets.batch_queue import BatchQueue

DEADLINE_S = 30
EVENT = UUID(int=1)


def sold(request):
    return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)


class Office:
    """Where batches are served as the test says: it sees each begin, and tells what becomes of it.

    A purchase is known by its quantity. It is also the database, which gives its connections when there are `free`.
    """

    def __init__(self):
        self.free = Event()
        self.free.set()
        self.refusal = None
        self.asked = SimpleQueue()
        self.joined = SimpleQueue()
        self.begun = defaultdict(SimpleQueue)
        self.told = defaultdict(SimpleQueue)
        self.threads = ThreadPoolExecutor(16)
        self.gatherer = self.gathering()

    def gathering(self, **bounds):
        office = self

        class Watched(BatchQueue):
            """Says when a purchase has its place."""

            def _join(self, event_id, place):
                super()._join(event_id, place)
                office.joined.put(place)

        self.gatherer = Watched(self, self.serve, **bounds)
        return self.gatherer

    @contextmanager
    def connection(self):
        self.asked.put(1)
        assert self.free.wait(DEADLINE_S)
        if self.refusal is not None:
            raise self.refusal
        yield None

    def serve(self, _connection, requests):
        event = requests[0].event_id if isinstance(requests[0], PurchaseRequest) else min(requests[0].quantities)
        self.begun[event].put([each.quantity for each in requests])
        told = self.told[event].get(timeout=DEADLINE_S)
        if isinstance(told, BaseException):
            raise told
        return [told(each) for each in requests]

    def buys(self, quantity, event=EVENT):
        """Somebody asks, and has his place when this returns."""
        return self.asks(PurchaseRequest(event_id=event, quantity=quantity, purchase_id=UUID(int=quantity)))

    def asks(self, request):
        purchase = self.threads.submit(self.gatherer.purchase, request)
        self.joined.get(timeout=DEADLINE_S)
        return purchase

    def batch(self, event=EVENT):
        """The quantities of the batch that begins next."""
        return self.begun[event].get(timeout=DEADLINE_S)

    def tell(self, told=sold, event=EVENT):
        """Let the batch that has begun end so: an answer for each, or what is raised."""
        self.told[event].put(told)


@pytest.fixture
def office():
    """An office at which in the end everybody was answered, and nothing is kept."""
    office = Office()
    with office.threads:
        yield office
    assert office.gatherer._queues == {}


@pytest.fixture
def unpainted(monkeypatch):
    """Charts are made, and saved as empty pictures: for tests of what stands around them."""
    picture = io.BytesIO()
    Image.new("RGB", (1, 1)).save(picture, "PNG")
    monkeypatch.setattr(Chart, "svg", lambda _chart: b"<svg/>")
    monkeypatch.setattr(Chart, "png", lambda _chart, **_how: picture.getvalue())
