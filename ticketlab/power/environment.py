"""Where mutants and safe strategies sell: a server, and a second one where the first can not be crashed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from ticketlab import checks, servers
from ticketlab.history import recording
from ticketlab.history.live_counts import LiveCounts
from ticketlab.power.detection import TrialOutcome
from ticketlab.power.plan import TrialSpec
from ticketlab.runs.trial_runner import run_trial
from ticketlab.servers import Server
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations

SETTINGS: Final = {
    # At PostgreSQL's second each deadlock would hold its buyers up for one.
    "deadlock_timeout": "10ms",
    # Restarted after a crash it syncs each file of its data directory: seconds for what Linux can do in one call.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}
"""Of a server that is started for this. Durability is at PostgreSQL's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSlot:
    """A server, and the database on it that is sold in: it is emptied before each trial."""

    server: Server

    def observe(
        self,
        strategy: Strategy,
        step: TrialSpec,
        *,
        pool_size: int,
        on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
    ) -> TrialOutcome:
        """Make a trial on a pool of its own, and let every check judge it.

        Raises:
            KeyboardInterrupt: it was interrupted, and is not judged.
            TicketlabError: the database could not be reached before or after it.
        """
        with Database(Settings.from_url(self.server.url, pool_size=pool_size)) as database:
            observed = run_trial(strategy, step.plan, database, server=self.server, faults=step.faults, on_tick=on_tick)
            if observed.driven.interrupted:
                raise KeyboardInterrupt
            ledger = observed.ledger()
        observed.raise_error()
        observed_history = observed.driven.history
        return TrialOutcome(
            purchases=len(recording.purchases_of(observed_history)),
            seconds=float(observed_history["completed_ns"].max()) / 1e9 if len(observed_history) else 0.0,
            verdicts=checks.judge(observed_history, ledger),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where everything is measured."""

    usual: ServerSlot
    crashing: ServerSlot | None
    """Where the server may be crashed; None where that is not needed."""

    @property
    def may_crash(self) -> bool:
        """Whether the usual server can be crashed."""
        return self.usual.server.can_crash


@contextmanager
def open_environment(kind: str, *, url: str | None, crashes: bool) -> Iterator[Environment]:
    """Bring up what is needed, the tables made; servers go at the end of the block.

    An external server's settings are its owner's, and it is never crashed.

    Raises:
        InvalidInputError: there is no such kind, or it and the URL do not go together.
        ServerError: a server can not be brought up.
    """
    settings = {} if kind == "external" else SETTINGS
    with ExitStack() as held:
        usual = _migrated(held.enter_context(servers.open(kind, settings=settings, url=url)))
        crashing = usual if usual.server.can_crash else None
        if crashes and crashing is None:
            crashing = _migrated(held.enter_context(servers.open("embedded", settings=SETTINGS)))
        yield Environment(usual=usual, crashing=crashing)


def _migrated(server: Server) -> ServerSlot:
    with Database(Settings.from_url(server.url)) as database:
        migrations.upgrade(database)
    return ServerSlot(server=server)
