"""Every notebook runs from scratch with small parameters, and what it claims is so."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("0*.ipynb"))  # report.ipynb: see tests/notebooks
SMALL = 'server, buyers, seconds, stock, repeats, seed, RUN = "embedded", 8, 20.0, 300, 1, 1, None'


def text_of(cells):
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_scratch(path, tmp_path):
    """All cells run in order, the control is caught and said to be, and the figures are there."""
    notebook = nbformat.read(path, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = SMALL
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = text_of(notebook.cells)
    assert "naive" in printed
    assert "No violation found" in printed
    assert "no_oversell" in printed
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_executed_in_order(path):
    """What lies in the repository can be read without running it, and was run from top to bottom without an error."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert "fsync on" in text_of(code)
    assert path.stat().st_size < 1_000_000
    assert max(len(cell.source.splitlines()) for cell in code) <= 15
