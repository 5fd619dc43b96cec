"""`ticketlab power`: how surely and how soon the checks catch what is wrong, and how often they cry wolf."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.options import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_WRONG,
    AsJson,
    Quiet,
    Url,
    server_option,
)
from ticketlab.cli.output import print_error, print_json, show, terminal
from ticketlab.cli.shells import check_names, mutant_names
from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketlab.power import MutationPlan, MutationResults
    from ticketlab.power.runner import Done


def power(
    *,
    mutant: Annotated[
        list[str] | None,
        typer.Option(
            "--mutant",
            "-m",
            help="A mutant; repeatable.",
            show_default="all of them",
            autocompletion=mutant_names,
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="Only mutants that this check is meant for; repeatable.",
            show_default="every check",
            autocompletion=check_names,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="How often each mutant is chased.")] = 20,
    purchases: Annotated[int, typer.Option(help="A chase without a catch ends after so many.")] = 20_000,
    trials: Annotated[
        int | None,
        typer.Option(help="Trials of safe strategies.", show_default="400, or none where mutants are chosen"),
    ] = None,
    seed: Annotated[int, typer.Option(help="What the buyers want, and every plan of the safe.")] = 1,
    server: Annotated[str | None, server_option(usual="embedded")] = None,
    url: Url = None,
    out: Annotated[Path, typer.Option(help="Where the results' folder is made.")] = Path("runs"),
    list_mutants: Annotated[bool, typer.Option("--list", help="List the mutants, and run nothing.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Let reports go by these results: they must be of every mutant.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure the checks: how soon they detect mutants of the strategies, and how often they accuse a safe one.

    The exit code is 0 where every mutant was caught by the check that is meant for it in at least 95 % of the repeats,
    and no alarm was false. Without options that takes some ten minutes on two processors.

    Example: ticketlab power -m pessimistic_unlocked -m atomic_tickets_apart --repeats 5
    """
    from ticketlab import servers
    from ticketlab.power.plan import MutationPlan, select_mutants

    names = select_mutants(mutant or (), check or ())
    if list_mutants:
        _list(names, as_json=as_json)
        return
    place, url = servers.resolve(server or ("auto" if url else "embedded"), url)
    exam = MutationPlan(
        mutants=names,
        repeats=repeats,
        purchases=purchases,
        trials=trials if trials is not None else 0 if mutant or check else 400,
        seed=seed,
        server=place,
    )
    if keep:
        _check_worth_keeping(exam)
    done = _run(exam, out=out, url=url, quiet=quiet or as_json)
    if as_json:
        print_json(done.results.as_json() | {"folder": str(done.folder)})
    else:
        _show(done)
    kept = not keep or _keep(done.results)
    ended = EXIT_INTERRUPTED if done.results.ended_early else 0 if kept else EXIT_BAD_INPUT
    raise typer.Exit(EXIT_WRONG if done.results.wrong else ended)


def _list(names: "Sequence[str]", *, as_json: bool) -> None:
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


def _run(exam: "MutationPlan", *, out: Path, url: str | None, quiet: bool) -> "Done":
    from ticketlab import console, power

    if quiet:
        return power.run(exam, out=out, url=url)
    with console.progress(terminal(stderr=True)) as on_progress:
        return power.run(exam, out=out, url=url, on_progress=on_progress)


def _show(done: "Done") -> None:
    from ticketlab.power import tables

    results = done.results
    shown = (tables.caught(results), "") if results.found else ()
    show(results.environment["server"]["why"], "", *shown, tables.legend(results), "", *tables.remarks(results), "")
    typer.echo(f"Saved: {done.folder}")


def _check_worth_keeping(exam: "MutationPlan") -> None:
    """Reports speak by what is kept: it is of every mutant, and of enough repeats, or not kept."""
    from ticketlab.power.plan import MutationPlan

    whole = MutationPlan()
    if set(exam.mutants) < set(whole.mutants) or exam.repeats < whole.repeats or exam.trials < whole.trials:
        raise InvalidInputError(
            f"Only an exam of every mutant, of at least {whole.repeats} repeats and {whole.trials} trials of safe "
            "strategies is worth keeping: leave --keep out, or what makes it smaller."
        )


def _keep(results: "MutationResults") -> bool:
    """Put the results where reports read them; False where that is not possible, which is said."""
    from ticketlab.checks import mutation_baseline

    if results.ended_early:
        print_error("The exam was ended early, so its results are not kept for reports.")
        return False
    try:
        results.known().write()
    except OSError as error:
        print_error(f"The results can not be kept in {mutation_baseline.KEPT}: {error.strerror}.")
        return False
    typer.echo(f"Kept for reports: {mutation_baseline.KEPT}", err=True)
    return True
