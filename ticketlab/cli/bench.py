"""`ticketlab bench`: the lab beside its peers."""

from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.options import EXIT_INTERRUPTED, EXIT_WRONG, AsJson, Commands, Quiet, Server, Url, integers
from ticketlab.cli.output import print_json, show, terminal
from ticketlab.cli.shells import check_names, strategy_names

if TYPE_CHECKING:
    from ticketlab.bench import BenchResults, HotEvent, checking

bench = typer.Typer(cls=Commands, help="Set the lab beside its peers, claim by claim proven.", no_args_is_help=True)


@bench.command("hot-event")
def hot_event(
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            help="Repeatable.",
            show_default="every one that claims to be safe",
            autocompletion=strategy_names,
        ),
    ] = None,
    buyers: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Buyers at once; a trial for each number.")
    ] = "1,8,16,32,64,256",
    repeats: Annotated[int, typer.Option(help="Trials of each contender at each number of buyers.")] = 3,
    seconds: Annotated[float, typer.Option(help="A trial's time.")] = 1.0,
    pool_size: Annotated[int, typer.Option(help="Connections of the pool.")] = 20,
    seed: Annotated[int, typer.Option(help="What the buyers want, and the order of the trials.")] = 1,
    server: Server = "auto",
    url: Url = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Sell one hot event by strategies, by their bare SQL and by pgbench in turn; prove each claim from the ledger.

    Example: ticketlab bench hot-event -s atomic --buyers 1,16,64 --repeats 5
    """
    from ticketlab import servers
    from ticketlab.bench.plan import HotEvent, safe_strategies

    place, url = servers.resolve(server, url)
    asked = HotEvent(
        strategies=tuple(strategy or safe_strategies()),
        buyers=integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seconds=seconds,
        seed=seed,
        pool_size=pool_size,
        server=place,
    )
    results = _run_bench(asked, url=url, quiet=quiet or as_json)
    if as_json:
        print_json(results.as_json())
    else:
        _show_bench(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


def _run_bench(asked: "HotEvent", *, url: str | None, quiet: bool) -> "BenchResults":
    from ticketlab import bench, console

    if quiet:
        return bench.run(asked, url=url)
    with console.progress(terminal(stderr=True)) as on_progress:
        return bench.run(asked, url=url, on_progress=on_progress)


def _show_bench(results: "BenchResults") -> None:
    from ticketlab.bench import tables

    shown = (tables.speeds(results), tables.ratios(results), "", tables.legend(results))
    show(results.server.why, "", *shown, *tables.remarks(results))


@bench.command("checks")
def checks(
    *,
    sizes: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Operations of a history; the fewest first.")
    ] = "10000,100000,1000000,10000000",
    repeats: Annotated[int, typer.Option(help="Of a million operations; of fewer there are more.")] = 3,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", help="Repeatable.", show_default="every one", autocompletion=check_names),
    ] = None,
    events: Annotated[int, typer.Option(help="Events that are sold.")] = 1,
    baskets: Annotated[bool, typer.Option("--baskets", help="Sell two or three events at once.")] = False,
    refunds: Annotated[bool, typer.Option("--refunds", help="Let some seats be given back.")] = False,
    seed: Annotated[int, typer.Option(help="What the histories are made from.")] = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Time the checks on histories of growing size, right ones and ones that are violated at the very end.

    Example: ticketlab bench checks --sizes 10000,1000000 --check no_oversell
    """
    from ticketlab.bench.checking import ChecksBench, named_checks

    asked = ChecksBench(
        sizes=integers("--sizes", sizes, separator=","),
        repeats=repeats,
        checks=tuple(check or named_checks()),
        events=events,
        baskets=baskets,
        refunds=refunds,
        seed=seed,
    )
    results = _run_checks(asked, quiet=quiet or as_json)
    if as_json:
        print_json(results.as_json())
    else:
        _show_checks(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


def _run_checks(asked: "checking.ChecksBench", *, quiet: bool) -> "checking.CheckResults":
    from ticketlab import console
    from ticketlab.bench import checking

    if quiet:
        return checking.run(asked)
    with console.progress(terminal(stderr=True)) as on_progress:
        return checking.run(asked, on_progress=on_progress)


def _show_checks(results: "checking.CheckResults") -> None:
    from ticketlab.bench import tables

    shown = (tables.check_speeds(results), "", tables.check_peaks(results), "", tables.check_legend(results))
    show(*shown, *tables.check_remarks(results))
