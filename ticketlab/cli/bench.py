"""`ticketlab bench` and `ticketlab power`: measure strategies against pgbench, and the checks against mutants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.machine import check_names, mutant_names, strategy_names
from ticketlab.cli.output import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_WRONG,
    AsJson,
    Commands,
    Quiet,
    Server,
    Url,
    integers,
    print_error,
    print_json,
    progress,
    server_option,
    show,
)
from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketlab.bench import BenchResults, checking
    from ticketlab.power import MutationPlan, MutationResults
    from ticketlab.power.runner import Done


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
    from ticketlab.bench.results import HotEvent, safe_strategies

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


def _show_sales(results: BenchResults) -> None:
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


def _show_times(results: checking.CheckResults) -> None:
    from ticketlab.bench import tables

    shown = (tables.check_speeds(results), "", tables.check_peaks(results), "", tables.check_legend(results))
    show(*shown, *tables.check_remarks(results))


def power(
    *,
    mutant: Annotated[
        list[str] | None,
        typer.Option(
            "--mutant",
            "-m",
            metavar="NAME",
            help="A mutant to run; repeatable.",
            show_default="all mutants",
            autocompletion=mutant_names,
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Run only the mutants that this check must detect; repeatable.",
            show_default="all checks",
            autocompletion=check_names,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Repeats per mutant.")] = 20,
    purchases: Annotated[
        int, typer.Option(help="End a repeat after this many purchases if the mutant was not detected.")
    ] = 20_000,
    trials: Annotated[
        int | None,
        typer.Option(help="Trials of safe strategies.", show_default="400; 0 with --mutant or --check"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the requests and of the trials of safe strategies.")] = 1,
    server: Annotated[str | None, server_option(default="embedded")] = None,
    url: Url = None,
    out: Annotated[Path, typer.Option(help="Folder in which the folder of the results is created.")] = Path("runs"),
    list_mutants: Annotated[bool, typer.Option("--list", help="List the mutants and run nothing.")] = False,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Save the results as the calibration that reports quote; needs all mutants."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure the checks on mutants (deliberately broken strategies) and, for false positives, on safe strategies.

    A mutant counts as detected if the check for its mistake said INVALID in at least 95 % of the repeats. A safe
    strategy that is found INVALID is a false positive. The exit code is 1 if a mutant was undetected or a false
    positive occurred. Without options it takes about ten minutes on two processors.

    Example: ticketlab power -m pessimistic_unlocked -m atomic_tickets_apart --repeats 5
    """
    from ticketlab import power, servers
    from ticketlab.power.plan import MutationPlan, select_mutants

    names = select_mutants(mutant or (), check or ())
    if list_mutants:
        _list(names, as_json=as_json)
        return
    kind, url = servers.resolve(server or ("auto" if url else "embedded"), url)
    plan = MutationPlan(
        mutants=names,
        repeats=repeats,
        purchases=purchases,
        trials=trials if trials is not None else 0 if mutant or check else 400,
        seed=seed,
        server=kind,
    )
    if keep:
        _require_complete(plan)
    with progress(quiet=quiet or as_json) as on_progress:
        done = power.run(plan, out=out, url=url, on_progress=on_progress)
    if as_json:
        print_json(done.results.as_json() | {"folder": str(done.folder)})
    else:
        _show(done)
    kept = not keep or _keep(done.results)
    ended = EXIT_INTERRUPTED if done.results.ended_early else 0 if kept else EXIT_BAD_INPUT
    raise typer.Exit(EXIT_WRONG if done.results.wrong else ended)


def _list(names: Sequence[str], *, as_json: bool) -> None:
    from dataclasses import asdict

    from ticketlab import mutants
    from ticketlab.power import tables
    from ticketlab.power.plan import MutationPlan
    from ticketlab.power.results import describe

    listed = [mutants.registry()[name] for name in MutationPlan(mutants=tuple(names)).mutants]
    if as_json:
        print_json([asdict(describe(each)) for each in listed])
    else:
        show(tables.mutants(listed))


def _show(done: Done) -> None:
    from ticketlab.power import tables

    results = done.results
    shown = (tables.caught(results), "") if results.found else ()
    show(results.environment["server"]["why"], "", *shown, tables.legend(results), "", *tables.remarks(results), "")
    typer.echo(f"Results: {done.folder}")


def _require_complete(plan: MutationPlan) -> None:
    """Refuse --keep for a smaller plan than the default: reports quote the calibration as one of all mutants."""
    from ticketlab.power.plan import MutationPlan

    least = MutationPlan()
    if set(plan.mutants) < set(least.mutants) or plan.repeats < least.repeats or plan.trials < least.trials:
        raise InvalidInputError(
            f"--keep needs all mutants, at least {least.repeats} repeats and {least.trials} trials of safe strategies. "
            "Remove --keep, or the options that make the measurement smaller."
        )


def _keep(results: MutationResults) -> bool:
    """Save the results as the calibration; returns False, and prints why, if that is not possible."""
    from ticketlab.checks import mutation_baseline

    if results.ended_early:
        print_error("The measurement was interrupted, so its results are not kept as the calibration.")
        return False
    try:
        results.known().write()
    except OSError as error:
        print_error(f"The calibration {mutation_baseline.KEPT} cannot be written: {error.strerror}.")
        return False
    typer.echo(f"The calibration is saved in {mutation_baseline.KEPT}", err=True)
    return True
