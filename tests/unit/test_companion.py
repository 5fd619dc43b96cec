"""A user's class is made once a trial, however many threads ask for it first."""

import threading
from concurrent.futures import ThreadPoolExecutor

from ticketlab import Settings, adopt
from ticketlab.tickets import Database

THREADS = 16
DEADLINE_S = 30


def test_sixteen_threads_at_a_barrier_make_one_object_of_a_users_class():
    entered = threading.Semaphore(0)
    made = []

    class Slow:
        """Its making lasts until a second thread makes one too, or surely does not."""

        def __init__(self, settings):
            made.append(self)
            entered.release()
            if len(made) == 1:
                others_waiting.wait(DEADLINE_S)

    def buy(slow: Slow, event_id, quantity, purchase_id):
        return True

    through = adopt(buy).through
    database = Database(Settings.from_url("postgresql://nobody@127.0.0.1:1/nowhere"))
    barrier, others_waiting = threading.Barrier(THREADS + 1), threading.Event()

    def first_use(_):
        barrier.wait(DEADLINE_S)
        with through(database) as slow:
            return slow

    with ThreadPoolExecutor(THREADS) as threads:
        uses = [threads.submit(first_use, number) for number in range(THREADS)]
        barrier.wait(DEADLINE_S)
        assert entered.acquire(timeout=DEADLINE_S)
        second = entered.acquire(timeout=0.2)
        others_waiting.set()
        objects = {id(each.result(DEADLINE_S)) for each in uses}
    assert not second
    assert len(made) == len(objects) == 1
    database.close()
