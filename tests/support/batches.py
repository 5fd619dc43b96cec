"""Purchases of one batch: what they are told, and what the database holds of them afterwards."""

from uuid import uuid4

import psycopg

TIMEOUT_S = 30


def results(purchases):
    return [purchase.result(timeout=TIMEOUT_S) for purchase in purchases]


def told(results):
    return [(result.outcome, result.version, result.available_tickets) for result in results]


def ids(count):
    """As many ids, in ascending order."""
    return sorted(uuid4() for _ in range(count))


def run(database, statement, *parameters):
    with psycopg.connect(database.settings.url) as connection:
        return connection.execute(statement, parameters or None)


def sales(database):
    """The tickets of each purchase that the database holds."""
    return dict(run(database, "SELECT purchase_id, count(*) FROM tickets GROUP BY 1").fetchall())
