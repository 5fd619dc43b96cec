"""`ticketlab bench`: measures strategies against pgbench and bare SQL, and the speed of the checks."""

from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.options import EXIT_INTERRUPTED, EXIT_WRONG, AsJson, Commands, Quiet, Server, Url, integers
from ticketlab.cli.output import print_json, progress, show
from ticketlab.cli.shells import check_names, strategy_names

if TYPE_CHECKING:
    from ticketlab.bench import BenchResults, checking

bench = typer.Typer(
    cls=Commands,
    help="Benchmarks: strategies against pgbench and bare SQL, and the checks on large histories.",
    no_args_is_help=True,
)


@bench.command("hot-event")
def hot_event(
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            help="A strategy to measure; repeatable.",
            show_default="all that claim to be safe",
            autocompletion=strategy_names,
        ),
    ] = None,
    buyers: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Concurrent buyers; trials are run for each number.")
    ] = "1,8,16,32,64,256",
    repeats: Annotated[int, typer.Option(help="Trials per subject and number of buyers.")] = 3,
    seconds: Annotated[float, typer.Option(help="Duration of a trial, in seconds.")] = 1.0,
    pool_size: Annotated[int, typer.Option(help="Connections in the pool that the buyers share.")] = 20,
    seed: Annotated[int, typer.Option(help="Random seed of the requests and of the order of the trials.")] = 1,
    server: Server = "auto",
    url: Url = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure sales per second of one event: strategies, the same SQL without the package, and pgbench, in turn.

    After each trial the tickets in the database must equal the reported sales. If they do not, the claim is unproven:
    no number is printed, and the exit code is 1.

    Example: ticketlab bench hot-event -s atomic --buyers 1,16,64 --repeats 5
    """
    from ticketlab import bench, servers
    from ticketlab.bench.plan import HotEvent, safe_strategies

    kind, url = servers.resolve(server, url)
    plan = HotEvent(
        strategies=tuple(strategy or safe_strategies()),
        buyers=integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seconds=seconds,
        seed=seed,
        pool_size=pool_size,
        server=kind,
    )
    with progress(quiet=quiet or as_json) as on_progress:
        results = bench.run(plan, url=url, on_progress=on_progress)
    if as_json:
        print_json(results.as_json())
    else:
        _show_sales(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


def _show_sales(results: "BenchResults") -> None:
    from ticketlab.bench import tables

    shown = (tables.speeds(results), tables.ratios(results), "", tables.legend(results))
    show(results.server.why, "", *shown, *tables.remarks(results))


@bench.command("checks")
def checks(
    *,
    sizes: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Operations per history, in ascending order.")
    ] = "10000,100000,1000000,10000000",
    repeats: Annotated[
        int, typer.Option(help="Measurements of a history of a million operations; smaller ones get more.")
    ] = 3,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            metavar="NAME",
            help="A check to measure; repeatable.",
            show_default="all checks",
            autocompletion=check_names,
        ),
    ] = None,
    events: Annotated[int, typer.Option(help="Events on sale.")] = 1,
    baskets: Annotated[bool, typer.Option("--baskets", help="Let a purchase buy tickets of two or three events.")] = (
        False
    ),
    refunds: Annotated[bool, typer.Option("--refunds", help="Refund some of the sales.")] = False,
    seed: Annotated[int, typer.Option(help="Random seed of the generated histories.")] = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure the time and memory of the checks on generated histories, with and without a violation at the end.

    Example: ticketlab bench checks --sizes 10000,1000000 --check no_oversell
    """
    from ticketlab.bench import checking

    plan = checking.ChecksBench(
        sizes=integers("--sizes", sizes, separator=","),
        repeats=repeats,
        checks=tuple(check or checking.named_checks()),
        events=events,
        baskets=baskets,
        refunds=refunds,
        seed=seed,
    )
    with progress(quiet=quiet or as_json) as on_progress:
        results = checking.run(plan, on_progress=on_progress)
    if as_json:
        print_json(results.as_json())
    else:
        _show_times(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


def _show_times(results: "checking.CheckResults") -> None:
    from ticketlab.bench import tables

    shown = (tables.check_speeds(results), "", tables.check_peaks(results), "", tables.check_legend(results))
    show(*shown, *tables.check_remarks(results))
