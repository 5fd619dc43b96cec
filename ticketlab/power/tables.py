"""The results as a person reads them in a terminal of 80 columns. Prints; decides nothing."""

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from ticketlab.mutants import Mutant
from ticketlab.power.results import MutantResult, Results, examined

_CHECK_WIDTH: Final = 25


def caught(results: Results) -> Table:
    """One row a mutant: its mistake, the check that is meant and others that caught it, how surely and how soon."""
    table = _table()
    table.add_column("mutant", ratio=1, overflow="fold")
    table.add_column("check", width=_CHECK_WIDTH, overflow="fold")
    for heading in ("caught", "purch-\nases", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in results.found:
        table.add_row(_mutant(each.mutant.name, each.mutant.mistake), _checks(each), *_numbers(each))
    return table


def legend(results: Results) -> Text:
    """What the numbers are, and under which conditions they were measured."""
    return Text(
        "check: the one that is meant, and below it others with the repeats in which they had caught it by then\n"
        "caught: in how many repeats, and below it the power that goes with it, at 95 % (Clopper–Pearson)\n"
        "purchases, s of buying: until it was caught, by whole trials; median, and below it the most\n"
        f"{results.conditions}",
        style="dim",
    )


def remarks(results: Results) -> list[Text]:
    """What it comes to, and what is wrong."""
    weak = f"Missed too often: {', '.join(results.undetected)}." if results.undetected else ""
    return [
        *(Text(each, style="bold") for each in results.sentences),
        *([Text(weak, style="bold red")] if weak else []),
        *(
            Text(
                f"False alarm in trial {each.number}, {each.strategy}, {check}: {said} ({each.load})", style="bold red"
            )
            for each in results.false_alarms
            for check, said in each.invalid.items()
        ),
        *(
            Text(f"Not decided in trial {each.number}, {each.strategy}, {check}: {said}", style="yellow")
            for each in results.safe
            for check, said in each.unknown.items()
        ),
    ]


def mutants(family: Iterable[Mutant]) -> Table:
    """Every mutant, with its mistake, the check that is meant for it, and what brings it to light."""
    table = _table()
    table.add_column("mutant", ratio=1, overflow="fold")
    table.add_column("check", width=_CHECK_WIDTH, overflow="fold")
    table.add_column("shows under")
    for each in map(examined, family):
        table.add_row(_mutant(each.name, each.mistake), each.check, each.setting)
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True)


def _mutant(name: str, mistake: str) -> Text:
    return Text.assemble(name, (f"\n{mistake}", "dim"))


def _checks(found: MutantResult) -> Text:
    others = [f"\n{name} {count}" for name, count in found.detections_by_check.items() if name != found.mutant.check]
    return Text.assemble(found.mutant.check, ("".join(others), "dim"))


def _numbers(found: MutantResult) -> tuple[Text, Text, Text]:
    low, high = found.interval
    count = f"{len(found.caught)}/{len(found.chases)}"
    power = Text.assemble(
        (count, "green" if found.reliably_detected else "bold red"), (f"\n{low:.0%}–{high:.0%}", "dim")
    )
    if found.median_purchases is None or found.median_seconds is None:
        return power, Text("–"), Text("–")
    purchases = Text.assemble(f"{found.median_purchases:,.0f}", (f"\n{found.most_purchases:,}", "dim"))
    most_seconds = max(each.seconds for each in found.caught)
    return power, purchases, Text.assemble(f"{found.median_seconds:.2f}", (f"\n{most_seconds:.2f}", "dim"))
