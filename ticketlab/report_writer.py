"""Writes the report of one saved run, or of several compared with the first: HTML, markdown, JSON or a notebook.

Each format is a view of one `ticketlab.report.model.Report`, which `report_of` makes from the runs. Only the notebook
needs Jupyter; it shows the same fragments as the HTML page.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.report import Format
from ticketlab.report.model import Report
from ticketlab.runs.folders import wrapping_write_errors
from ticketlab.runs.run import Run

OnProgress: TypeAlias = Callable[[str], None]

_LOOKED_AT: Final = 1_000
"""A file is a report of this package if a mark is in so many of its first characters."""
_LONGEST_NAME: Final = 120


def write(
    runs: Sequence[Run],
    *,
    out: Path | None = None,
    form: Format = Format.HTML,
    on_progress: OnProgress = lambda _doing: None,
) -> Path:
    """Write a report and return its path. An older report is replaced; any other file is left as it is.

    Args:
        runs: one, or several to be compared with the first.
        out: the file; by default `report.html`, `.md`, `.json` or `.ipynb` in the run's folder, and for several runs a
            file named after them beside the folder of the first. Figures of a markdown report are put in a folder
            beside it, whose name ends in `_files`.
        form: what to write.
        on_progress: called with the current step, in a few words.

    Raises:
        InvalidInputError: a run is given twice, or the file cannot be written or is not a report.
        TicketlabError: the notebook could not be executed, or Jupyter is not installed; nothing was written.
    """
    place = out or default_place(runs, form)
    _check_overwrite(place, form)
    figures = place.with_name(f"{place.stem}_files")
    report = None if form is Format.IPYNB else _judged(runs, on_progress)
    text = _text(report, form, figures.name, on_progress) if report else _executed(_folders(runs), on_progress)
    with wrapping_write_errors(place.parent):
        if report and form is Format.MD:
            _write_figures(report, figures)
        _replace(place, text)
    return place


def render(
    runs: Sequence[Run],
    *,
    form: Format,
    on_progress: OnProgress = lambda _doing: None,
) -> str:
    """The text of a report; see `write`. A markdown report has no figures."""
    if form is Format.IPYNB:
        return _executed(_folders(runs), on_progress)
    return _text(_judged(runs, on_progress), form, None, on_progress)


def _judged(runs: Sequence[Run], on_progress: OnProgress) -> Report:
    on_progress("judging")
    return report_of(runs)


def _text(report: Report, form: Format, figures: str | None, on_progress: OnProgress) -> str:
    """The text of a report; a markdown report links to figures in the folder `figures`, if there is one."""
    if form is Format.HTML:
        return _page(report, on_progress)
    if form is Format.JSON:
        return _json(report)
    from ticketlab.report.markdown import markdown

    return markdown(report, PurePosixPath(figures) if figures else None)


def load_runs(folders: Sequence[str | Path]) -> list[Run]:
    """The runs in these folders; without folders the newest run below `runs/` or `../runs/`.

    Raises:
        NotFoundError: there is no run.
        InvalidInputError: the files of a run cannot be read.
    """
    return [Run(Path(each)) for each in folders or [_newest()]]


def report_of(runs: Sequence[Run]) -> Report:
    """The results of the runs, as every format shows them.

    Raises:
        InvalidInputError: there is no run, one is given twice, or its files cannot be read.
    """
    folders = _folders(runs)
    return Report(runs=[replace(run.results, run=name) for run, name in zip(runs, _names(folders), strict=True)])


def default_place(runs: Sequence[Run], form: Format) -> Path:
    """The default file of a report: in the folder of its run; of several runs, beside the folder of the first."""
    if len(runs) == 1:
        return runs[0].folder / f"report.{form}"
    name = "-and-".join(run.folder.resolve().name for run in runs)
    if len(name) > _LONGEST_NAME:
        raise InvalidInputError("The default name of a report of so many runs is too long. Name a file with --out.")
    return runs[0].folder.resolve().parent / f"report-{name}.{form}"


def _newest() -> Path:
    """The newest run below `runs/` or, for notebooks in a folder of their own, `../runs/`."""
    known = [each for place in ("runs", "../runs") for each in Path(place).glob("*/experiment.json")]
    if not known:
        raise NotFoundError("There is no run under runs/. Make one with `ticketlab run`, or name the folder of a run.")
    return max(known, key=lambda path: path.stat().st_mtime).parent


def _folders(runs: Sequence[Run]) -> list[Path]:
    folders = [run.folder.resolve() for run in runs]
    if not folders or len(set(folders)) < len(folders):
        raise InvalidInputError("A report needs one run, or several different runs.")
    return folders


def _names(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, each with as many parent folders as make it unique."""
    for depth in range(1, max(len(each.parts) for each in folders)):
        names = ["/".join(each.parts[-depth:]) for each in folders]
        if len(set(names)) == len(names):
            return names
    return [str(each) for each in folders]


def _page(report: Report, on_progress: OnProgress) -> str:
    from ticketlab.report import page

    return page.render(report, on_progress)


def _json(report: Report) -> str:
    from ticketlab.report.json_report import as_json

    return json.dumps(as_json(report), indent=2, allow_nan=False) + "\n"


def _executed(folders: Sequence[Path], on_progress: OnProgress) -> str:
    from ticketlab import jupyter

    return jupyter.execute_report(folders, on_progress)


def _write_figures(report: Report, folder: Path) -> None:
    from ticketlab.report.markdown import files

    folder.mkdir(exist_ok=True)
    for name, content in files(report).items():
        (folder / name).write_bytes(content)


def _check_overwrite(place: Path, form: Format) -> None:
    """Raise InvalidInputError if the file is not a report of this format."""
    if not place.exists():
        return
    with wrapping_write_errors(place.parent), place.open(encoding="utf-8", errors="replace") as file:
        beginning = file.read(_LOOKED_AT)
    if form.mark not in beginning:
        raise InvalidInputError(f"{place} is no {form} report, and is left as it is. Name another file with --out.")


def _replace(place: Path, text: str) -> None:
    """Write a file atomically."""
    unfinished = place.with_name(f".{place.name}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
