"""`ticketlab bench`: the lab beside its peers."""

from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.options import EXIT_INTERRUPTED, EXIT_WRONG, AsJson, Quiet, ServerKind, Url, integers, place_of
from ticketlab.cli.output import print_json, show, terminal

if TYPE_CHECKING:
    from ticketlab.bench import HotEvent, Results

bench = typer.Typer(help="Set the lab beside its peers, on one server, claim by claim proven.", no_args_is_help=True)


@bench.callback()
def _bench() -> None:
    """Keep `hot-event` a word of its own: a single command would be called without it."""


@bench.command("hot-event")
def hot_event(
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help="Repeatable.", show_default="every one that claims to be safe"),
    ] = None,
    buyers: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Buyers at once; a trial for each number.")
    ] = "1,8,16,32,64,256",
    repeats: Annotated[int, typer.Option(help="Trials of each contender at each number of buyers.")] = 3,
    seconds: Annotated[float, typer.Option(help="A trial's time.")] = 1.0,
    pool_size: Annotated[int, typer.Option(help="Connections of the pool.")] = 20,
    seed: Annotated[int, typer.Option(help="What the buyers want, and the order of the trials.")] = 1,
    server: Annotated[ServerKind, typer.Option(help="Where the PostgreSQL comes from.")] = ServerKind.AUTO,
    url: Url = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Sell one hot event by strategies, by their bare SQL and by pgbench in turn; prove each claim from the ledger.

    Example: ticketlab bench hot-event -s atomic --buyers 1,16,64 --repeats 5
    """
    from ticketlab.bench.hot_event import HotEvent, safe_strategies

    kind, url = place_of(server, url)
    asked = HotEvent(
        strategies=tuple(strategy or safe_strategies()),
        buyers=integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seconds=seconds,
        seed=seed,
        pool_size=pool_size,
        server=kind.value,
    )
    results = _run_bench(asked, url=url, quiet=quiet or as_json)
    if as_json:
        print_json(results.as_json())
    else:
        _show_bench(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


def _run_bench(asked: "HotEvent", *, url: str | None, quiet: bool) -> "Results":
    from ticketlab import bench, console

    if quiet:
        return bench.run(asked, url=url)
    with console.progress(terminal(stderr=True)) as on_progress:
        return bench.run(asked, url=url, on_progress=on_progress)


def _show_bench(results: "Results") -> None:
    from ticketlab.bench import tables

    shown = (tables.speeds(results), tables.ratios(results), "", tables.legend(results))
    show(results.server.why, "", *shown, *tables.remarks(results))
