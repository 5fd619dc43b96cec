"""Results on disk, and read again. Opens no connection.

runs/<time>-power/
    power.json       all that was measured, and where
    catches.parquet  a row a chase and check that caught it; see `Results.frame`
    power.md         the tables in Markdown
"""

from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from ticketlab import run_folder
from ticketlab.errors import NotFoundError
from ticketlab.history import parquet
from ticketlab.power import markdown
from ticketlab.power.results import Results
from ticketlab.trials import reading

_FILE = "power.json"


def write(results: Results, out: Path) -> Path:
    """Save results in a new folder, and return it.

    Raises:
        InvalidInputError: no folder can be made there.
    """
    folder = run_folder.new(out, f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-power")
    parquet.write(results.frame, folder / "catches.parquet")
    (folder / "power.md").write_text(markdown.page(results))
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
    with reading(folder):
        return TypeAdapter(Results).validate_json((folder / _FILE).read_bytes())
