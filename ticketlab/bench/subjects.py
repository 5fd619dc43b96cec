"""All contenders of a bench. A new one is named here, and nowhere else."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from ticketlab.bench import bare_sql, bulk_insert, pgbench, repository
from ticketlab.bench.subject import Contender, Kind
from ticketlab.tickets import Strategy

FOR_UPDATE: Final = "pgbench_for_update"
ONE_STATEMENT: Final = "pgbench_one_statement"
LIMIT: Final = "limit"


def of(strategies: Iterable[Strategy], program: Path | None) -> list[Contender]:
    """The strategies, those of their SQL that there is a bare loop for, pgbench where there is one, and the limit."""
    chosen = list(strategies)
    through = [
        Contender(name=each.name, kind=Kind.STRATEGY, sell=partial(repository.sell, each), cost=each.cost)
        for each in chosen
    ]
    loops = [
        Contender(name=bare_name(each.name), kind=Kind.BARE, sell=partial(bare_sql.sell, bare_sql.PURCHASES[each.name]))
        for each in chosen
        if each.name in bare_sql.PURCHASES
    ]
    scripts = {FOR_UPDATE: pgbench.FOR_UPDATE, ONE_STATEMENT: pgbench.ONE_STATEMENT}
    peers = [
        Contender(name=name, kind=Kind.PEER, sell=partial(pgbench.sell, program, script))
        for name, script in scripts.items()
        if program
    ]
    return [*through, *loops, *peers, Contender(name=LIMIT, kind=Kind.LIMIT, sell=bulk_insert.sell)]


def bare_name(strategy: str) -> str:
    """The name of a strategy's bare loop."""
    return f"bare_{strategy}"
