"""Calls pgbench, PostgreSQL's own bench tool, with the documented sale, and counts the transactions of its log.

See https://www.postgresql.org/docs/18/pgbench.html. Its own summary is not used: that includes the first transaction
of each connection, which fills caches that a warmed-up pool has filled, and `--time` starts before the clients have
connected.
"""

from __future__ import annotations

import io
import math
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import numpy as np
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ticketlab import environment
from ticketlab.errors import TicketlabError

if TYPE_CHECKING:
    from ticketlab.load import Plan


FOR_UPDATE: Final = """\
BEGIN;
SELECT available_tickets, version FROM events WHERE id = :event FOR UPDATE;
UPDATE events SET available_tickets = available_tickets - 1, version = version + 1, updated_at = now()
    WHERE id = :event;
INSERT INTO tickets (event_id, purchase_id) VALUES (:event, gen_random_uuid());
COMMIT;
"""
"""The documented transaction."""

ONE_STATEMENT: Final = """\
WITH event AS (
    UPDATE events SET available_tickets = available_tickets - 1, version = version + 1, updated_at = now()
    WHERE id = :event AND available_tickets >= 1
    RETURNING id
)
INSERT INTO tickets (event_id, purchase_id) SELECT id, gen_random_uuid() FROM event;
"""

_S_PER_CLIENT: Final = 0.015
"""Time to connect a client and execute its first transaction, with a margin."""
_PATIENCE_S: Final = 120
"""Time to connect many clients, and for the transactions in progress at the end."""
_US: Final = 1_000_000
_CLIENT, _EPOCH_S, _OFFSET_US = 0, 4, 5
"""Columns of a line of the log; the time is that of the transaction's end."""

_NONE: Final = np.empty((3, 0), np.int64)


class LogSummary(NamedTuple):
    """The transactions of a log."""

    transactions: int
    """All of them."""
    per_s: float
    """Of the measured part."""


def run(program: Path, script: str, plan: Plan, *, event: UUID, url: str) -> LogSummary:
    """Run a script with the plan's buyers as clients, for the plan's time.

    Raises:
        TicketlabError: pgbench failed, or its clients did not all run for long enough.
    """
    longest_s = math.ceil(plan.warm_up_s + plan.seconds + plan.buyers * _S_PER_CLIENT)  # it takes whole seconds only
    with TemporaryDirectory(prefix="ticketlab-pgbench-") as folder:
        options = [
            *("--protocol", "prepared", "--no-vacuum", "--file", "-", "--define", f"event={event}"),
            *("--client", str(plan.buyers), "--jobs", str(min(plan.buyers, environment.cpus()))),
            *("--time", str(longest_s), "--log", "--log-prefix", f"{folder}/log"),
        ]
        _call(program, options, script, url=url, timeout_s=longest_s + _PATIENCE_S)
        log = "".join(file.read_text() for file in Path(folder).iterdir())  # a file per thread
    return read(log, clients=plan.buyers, warm_up_s=plan.warm_up_s, seconds=plan.seconds)


def read(log: str, *, clients: int, warm_up_s: float, seconds: float) -> LogSummary:
    """Count the transactions of a log for `seconds`, starting when every client has ended its first one.

    Raises:
        TicketlabError: some client ended none, or less than half of the time was left then.
    """
    columns = (_CLIENT, _EPOCH_S, _OFFSET_US)
    client, ended_s, offset_us = (
        np.loadtxt(io.StringIO(log), dtype=np.int64, usecols=columns, ndmin=2).T if log else _NONE
    )
    ended_us = ended_s * _US + offset_us
    firsts = [ended_us[client == each].min() for each in np.unique(client)]
    if len(firsts) == clients:
        from_us = max(*firsts, min(firsts) + int(warm_up_s * _US))
        until_us = min(ended_us.max(), from_us + int(seconds * _US))
        counted = int(((ended_us > from_us) & (ended_us <= until_us)).sum())
        if until_us - from_us >= seconds * _US / 2:
            return LogSummary(len(client), float(counted / (until_us - from_us) * _US))
    raise TicketlabError(
        f"{len(firsts)} of pgbench's {clients} clients made a transaction, and not all of them ran for long enough. "
        "Use more --seconds or fewer --buyers."
    )


def _call(program: Path, options: list[str], script: str, *, url: str, timeout_s: float) -> None:
    place = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    password = place.pop("password", "")  # an argument could be read by every user of the machine
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}  # libpq reads PG...
    try:
        done = subprocess.run(  # noqa: S603  # our own path
            [str(program), *options, make_conninfo(**place)],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=environ | {"PGPASSWORD": password, "LC_ALL": "C"},
            start_new_session=True,  # this process handles Ctrl-C, and ends it
        )
    except subprocess.TimeoutExpired as error:
        raise TicketlabError(f"pgbench did not end within {timeout_s:g} s.") from error
    if done.returncode:
        raise TicketlabError(f"pgbench failed: {' '.join(done.stderr.split())[-600:]}")
