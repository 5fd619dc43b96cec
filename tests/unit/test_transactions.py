"""What a broken connection leaves a buyer knowing: an outcome that can not be known is never told as another."""

from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest

from ticketlab.tickets.strategy import CommitUnknownError, pipelined_transaction, roll_back


class Broken:
    """A connection whose other end is gone, and which does not know it yet."""

    closed = False

    def __init__(self):
        self.pgconn = SimpleNamespace(exec_=self._refuse)

    def _refuse(self, _statement):
        raise psycopg.OperationalError("the connection is lost")

    def execute(self, *_arguments, **_options):
        """Sent, and not yet answered."""

    @contextmanager
    def pipeline(self):
        yield
        raise psycopg.OperationalError("server closed the connection unexpectedly")


def test_a_rollback_that_fails_does_not_hide_that_the_outcome_is_unknown():
    """The COMMIT was on its way when the connection broke, and the ROLLBACK after it could not even be sent."""
    with pytest.raises(CommitUnknownError, match="closed the connection"), pipelined_transaction(Broken()):
        pass


def test_a_lost_connection_has_nothing_to_roll_back():
    """The server has rolled back already."""
    roll_back(Broken())
