"""Execute notebooks from scratch and keep them executed, with a thumbnail each: `make notebooks`, or some by name.

Runs are made in a temporary folder. The report, which shows the newest run, gets one with several numbers of buyers.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from ticketlab import Experiment, Run, report_writer
from ticketlab.report.page import pictures
from ticketlab.runs import lab

FOLDER = Path(__file__).parent
IMAGES = FOLDER / "images"
REPORT = "report"
THUMBNAIL = (420, 420)
TIMEOUT_S = 1_800


def refresh(path: Path) -> None:
    """Execute one notebook in place."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        made = lab.run(Experiment(buyers=(4, 16, 64)), out=Path(folder) / "runs") if path.stem == REPORT else None
        NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": folder}}).execute()
        first = first_picture(notebook) if made is None else picture_of_report(made)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell was run changes with every run, and says nothing
    nbformat.write(notebook, path)
    first.thumbnail(THUMBNAIL)
    IMAGES.mkdir(exist_ok=True)
    first.save(IMAGES / f"{path.stem}.png", optimize=True)


def first_picture(notebook: nbformat.NotebookNode) -> Image.Image:
    """The first figure of a notebook that was executed."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    encoded = next(output.data["image/png"] for output in outputs if "image/png" in output.get("data", {}))
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def picture_of_report(run: Run) -> Image.Image:
    """The first chart of a report: in its notebook charts are parts of HTML."""
    (results,) = report_writer.report_of([run]).runs
    return Image.open(io.BytesIO(pictures(results)[0].png))


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        print(name, flush=True)
        refresh(FOLDER / f"{name}.ipynb")
