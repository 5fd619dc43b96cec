"""The results as Markdown, for a page that is read elsewhere. Decides nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter

from ticketlab.errors import NotFoundError
from ticketlab.history import parquet
from ticketlab.power.results import MutantResult, Results
from ticketlab.runs import lab
from ticketlab.runs.trial_data import wrapping_read_errors


def page(results: Results) -> str:
    """Everything: the sentences, both tables, the conditions."""
    parts = [*results.sentences, by_check(results), by_mutant(results), results.conditions]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_mutant(results: Results) -> str:
    """A table of a row a mutant; "" where there is none."""
    rows = [
        (
            f"`{each.mutant.name}`: {_escaped(each.mutant.mistake)}",
            f"`{each.mutant.check}`",
            f"{len(each.caught)} of {len(each.chases)}",
            _purchases(each),
            f"{each.median_seconds:.2f}" if each.median_seconds is not None else "–",
            ", ".join(
                f"`{check}` {count}" for check, count in each.detections_by_check.items() if check != each.mutant.check
            )
            or "–",
        )
        for each in results.found
    ]
    return _table(
        ("mutant and its mistake", "check", "caught", "purchases (most)", "seconds", "caught by others too"), rows
    )


def by_check(results: Results) -> str:
    """A short table of a row a check: of its mutants how many were caught surely, and how soon; "" without mutants."""
    checks = list(dict.fromkeys(each.mutant.check for each in results.found))
    return _table(
        ("check", "mutants meant for it", "caught", "repeats", "purchases until then: median", "most"),
        [_of_check(check, [each for each in results.found if each.mutant.check == check]) for check in checks],
    )


def _of_check(check: str, found: Sequence[MutantResult]) -> Sequence[str]:
    needed = [catch.purchases for each in found for catch in each.caught]
    return (
        f"`{check}`",
        str(len(found)),
        str(sum(each.reliably_detected for each in found)),
        f"{len(needed)} of {sum(len(each.chases) for each in found)}",
        f"{median(needed):,.0f}" if needed else "–",
        f"{max(needed):,}" if needed else "–",
    )


def _purchases(found: MutantResult) -> str:
    if found.median_purchases is None:
        return "–"
    return f"{found.median_purchases:,.0f} ({found.most_purchases:,})"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""  # noqa: PLR2004 - a head


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


_FILE = "power.json"


def write(results: Results, out: Path) -> Path:
    """Save results in a new folder, and return it.

    Raises:
        InvalidInputError: no folder can be made there.
    """
    folder = lab.new(out, f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-power")
    parquet.write(results.frame, folder / "catches.parquet")
    (folder / "power.md").write_text(page(results))
    (folder / _FILE).write_bytes(TypeAdapter(Results).dump_json(results, indent=1))  # last: by it they are known
    return folder


def read(folder: Path) -> Results:
    """The results that were saved in a folder.

    Raises:
        NotFoundError: there are none.
        InvalidInputError: the file can not be read, or holds something else.
    """
    if not (folder / _FILE).is_file():
        raise NotFoundError(f"There are no results in {folder}: no {_FILE}. `ticketlab power` prints its folder.")
    with wrapping_read_errors(folder):
        return TypeAdapter(Results).validate_json((folder / _FILE).read_bytes())
