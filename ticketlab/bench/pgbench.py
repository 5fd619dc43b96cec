"""PostgreSQL's own bench tool as a peer: the documented sale without Python, as fast as a client can ask for it.

Knows how pgbench is called and what it prints (https://www.postgresql.org/docs/18/pgbench.html). A connection's first
transactions fill its caches, which the buyers of a pool have behind them: the first second is not counted.
"""

import math
import os
import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ticketlab import environment
from ticketlab.bench.contender import Claim, Ground
from ticketlab.errors import TicketlabError

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

_UNCOUNTED_S: Final = 1
_PATIENCE_S: Final = 120
"""For connecting many clients, and for the transactions under way at the end."""


class Printed(NamedTuple):
    """What a run of pgbench comes to."""

    transactions: int
    """All of them."""
    per_s: float
    """Without the uncounted first part."""


def sell(program: Path, script: str, ground: Ground) -> Claim:
    """Let pgbench sell; its claim is one ticket for each transaction.

    Raises:
        TicketlabError: pgbench failed, or said something that can not be read.
    """
    buyers = ground.plan.buyers
    place = {name: str(value) for name, value in conninfo_to_dict(ground.database.settings.url).items()}
    password = place.pop("password", "")  # an argument could be read by every user of the machine
    command = [
        *(str(program), "--protocol", "prepared", "--no-vacuum", "--file", "-", "--define", f"event={ground.event}"),
        *("--client", str(buyers), "--jobs", str(min(buyers, environment.cpus()))),
        *("--time", str(_UNCOUNTED_S + math.ceil(ground.plan.seconds)), "--progress", str(_UNCOUNTED_S)),
        make_conninfo(**place),
    ]
    try:
        done = subprocess.run(  # noqa: S603  # our own path
            command,
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=ground.plan.seconds + _PATIENCE_S,
            env=_environment() | {"PGPASSWORD": password},
            start_new_session=True,  # Ctrl-C reaches it through us
        )
    except subprocess.TimeoutExpired as error:
        raise TicketlabError(f"pgbench with {buyers} clients did not end within {error.timeout:g} s.") from error
    if done.returncode:
        raise TicketlabError(f"pgbench with {buyers} clients failed: {' '.join(done.stderr.split())[-600:]}")
    printed = read(done.stdout, done.stderr)
    return Claim(sold=printed.transactions, per_s=printed.per_s, purchases=printed.transactions)


def read(summary: str, progress: str) -> Printed:
    """What pgbench printed: its summary at the end, and its progress, of which the first line is the uncounted part.

    Raises:
        TicketlabError: something is missing.
    """
    processed = re.search(r"^number of transactions actually processed: (\d+)", summary, re.MULTILINE)
    overall = re.search(r"^tps = ([\d.]+) \(without initial connection time\)", summary, re.MULTILINE)
    first = re.search(r"^progress: ([\d.]+) s, ([\d.]+) tps", progress, re.MULTILINE)
    if not (processed and overall and first):
        raise TicketlabError(f"What pgbench printed can not be read: {' '.join((summary + progress).split())[:600]}")
    transactions, tps = int(processed[1]), float(overall[1])
    uncounted_s, uncounted_tps = float(first[1]), float(first[2])
    seconds = transactions / tps - uncounted_s if tps else 0.0
    if seconds <= 0:
        raise TicketlabError(f"pgbench made no transaction after its first {uncounted_s:g} s.")
    return Printed(transactions, (transactions - uncounted_s * uncounted_tps) / seconds)


def _environment() -> dict[str, str]:
    """This process's environment without the PG... variables, which libpq would follow, and in English."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
