"""The server and the loads under which the functions of the corpus are judged."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from corpus.expected import FAULTS, Expected, Need
from corpus.left_behind import OPENED
from ticketlab import Database, Experiment, Run, Settings, servers
from ticketlab.checks.verdict import Verdict
from ticketlab.load import Fault
from ticketlab.runs import lab
from ticketlab.tickets import migrations

Judge: TypeAlias = Callable[[Expected, Experiment, Path], Run]
"""Runs an experiment of one function, and keeps it in a folder."""

SERVER_SETTINGS = {
    "max_connections": "1000",  # for a function that never closes any
    "max_prepared_transactions": "64",  # for two-phase commits
    "deadlock_timeout": "20ms",  # or each deadlock would hold its buyers up for a second
}
LOSSES = 8
"""Cuts of a kind in a trial."""
CRASHES = 2
KINDS = {
    Need.CRASH: "crash",
    Need.DISCONNECT: "disconnect",
    Need.LOSE_REQUEST: "lose-request",
    Need.LOSE_REPLY: "lose-reply",
}


def experiment(
    expected: Expected, needs, *, buyers: int, seats: int, purchases: int, seconds: float, seed: int = 1
) -> Experiment:
    """One trial of a function, with so many `seats` in all, or more than are asked for where plenty are needed."""
    needs = {*needs}
    events = 4 if Need.EVENTS in needs else 1
    plenty = Need.PLENTY in needs
    until = purchases if plenty else min(seats, purchases)
    return Experiment(
        strategies=(expected.name,),
        buyers=(buyers,),
        repeats=1,
        seed=seed,
        seconds=seconds,
        purchases=purchases,
        stock=10 * purchases if plenty else seats // events,
        quantity=(1, 3) if Need.QUANTITY in needs else (1, 1),
        events=events,
        refunds=0.3 if Need.REFUNDS in needs else 0.0,
        faults=tuple(fault for need in FAULTS if need in needs for fault in _faults(need, until)),
        warm_up_s=0.0,
        server="embedded",
        **({"double_calls": 0.3} if Need.DOUBLE_CALLS in needs else {}),
    )


def _faults(need: Need, until: int) -> list[Fault]:
    """So many of a kind, spread over so many purchases, the last ones left out; no two kinds at the same time."""
    count = CRASHES if need is Need.CRASH else LOSSES
    shift = FAULTS.index(need) / len(FAULTS)
    after = [int(until * (number + shift) / (count + 2)) for number in range(1, count + 1)]
    return [Fault.parse(f"{KINDS[need]}@{each}") for each in after]


@contextmanager
def judging(kind: str, **more_settings: str | int) -> Iterator[Judge]:
    """A server of that kind, on which one function after another sells in a copy of one migrated database."""
    with (
        servers.open(kind, settings=SERVER_SETTINGS | more_settings) as server,
        servers.scratch_database(server.url, prefix="ticketlab_template") as url,
    ):
        settings = Settings.from_url(url)
        with Database(settings) as database:
            migrations.upgrade(database)

        def judge(expected: Expected, load: Experiment, out: Path) -> Run:
            try:
                return lab.run_on(server, load, own=[expected.strategy], out=out, template=settings.name)
            finally:
                while OPENED:
                    OPENED.pop().close()

        yield judge


def found(run: Run) -> Mapping[str, Verdict]:
    """The verdicts of a run's only trial, by the names of their checks."""
    ((_, verdicts),) = run.verdicts
    return {each.check: each for each in verdicts}


def is_found_as_meant(expected: Expected, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether a check that is meant to find the mistake did, and called it by its name."""
    return any(verdicts[check].anomaly is anomaly for check, anomaly in expected.breaks.items())


def summaries(verdicts: Mapping[str, Verdict]) -> list[str]:
    """What each check said, for whoever reads a failure."""
    return [f"{each.check}: {each.status}, {each.anomaly}: {each.summary}" for each in verdicts.values()]
