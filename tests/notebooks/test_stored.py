"""The notebooks as they lie in the repository can be read without being run, and show what their code did."""

import ast
import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

from ticketlab import notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 1_000_000
MOST_LINES = 15

of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(stored):
    return [cell for cell in stored.cells if cell.cell_type == "code"]


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def faults_of(stored):
    """Why code and outputs do not belong together, where they do not."""
    code = code_of(stored)
    faults = []
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        faults.append("cells were not run once each, from top to bottom")
    if any(output.output_type == "error" for cell in code for output in cell.outputs):
        faults.append("a cell ended with an error")
    stamped = re.search(r"^code +(\w+),", text_of(code[-1]), re.MULTILINE)
    if not stamped or stamped[1] != notebook.code_hash(cell.source for cell in code):
        faults.append("the code was changed after it was run")
    return faults


def read(path):
    return nbformat.read(path, as_version=4)


def test_the_notebooks_are_those_of_the_plan():
    """None is missing, and none is forgotten by what is tested here."""
    assert [path.stem for path in NOTEBOOKS] == [
        "01_oversell",
        "02_conflicts",
        "03_throughput_and_latency",
        "04_your_own_strategy",
        "report",
    ]


@of_each
def test_code_and_outputs_belong_together(path):
    """Run once from top to bottom, without an error, and not touched since."""
    assert faults_of(read(path)) == []


@of_each
def test_a_notebook_that_was_meddled_with_is_found_out(path):
    """The test above can fail: for a changed cell, for one that was run twice or failed, and for a missing stamp."""
    changed, twice, failed, unstamped = (deepcopy(read(path)) for _ in range(4))
    code_of(changed)[0].source += "\nbuyers = 1"
    code_of(twice)[1].execution_count += 1
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="wrong", traceback=[])
    code_of(failed)[1].outputs.append(error)
    code_of(unstamped)[-1].outputs = []
    assert faults_of(changed) == faults_of(unstamped) == ["the code was changed after it was run"]
    assert faults_of(twice) == ["cells were not run once each, from top to bottom"]
    assert faults_of(failed) == ["a cell ended with an error"]


@of_each
def test_a_notebook_asks_its_question_then_takes_its_parameters(path):
    """The question and its answer first, the parameters next, the stamp last."""
    first, second, *_, last = read(path).cells
    question, _, answer = first.source.partition("\n")
    assert question.startswith("# ")
    assert question.endswith("?")
    assert len(answer.split()) > 20
    assert second.metadata.get("tags") == ["parameters"]
    assert "RUN" in second.source
    assert last.source.startswith("print(notebook.provenance(")
    for word in ("run ", "PostgreSQL", "fsync on", "seed", "machine", "Python", "psycopg"):
        assert word in text_of(last)


@of_each
def test_a_notebook_is_thin(path):
    """Parameters, calls, figures and words: no function but a strategy, no long cell, no number typed into a text."""
    stored = read(path)
    assert max(len(cell.source.splitlines()) for cell in code_of(stored)) <= MOST_LINES
    for cell in code_of(stored):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert [ast.unparse(each).partition("(")[0] for each in node.decorator_list] == ["strategy"]
    words = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    assert not re.search(r"\d[\d,.]*( ?%| ?ms|/s| tickets| purchases| buyers)", re.sub(r"`[^`]*`", "", words))


@of_each
def test_a_notebook_is_small_and_has_its_figures(path):
    """It can be read where it lies: under a megabyte, each chart a picture, no folder of whoever ran it."""
    assert path.stat().st_size < LARGEST
    for cell in code_of(read(path)):
        shown = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(shown) == cell.source.count("charts.")
    assert not re.search(r'["\' (](/home|/root|/tmp|/Users|/work)/', path.read_text())


def test_the_index_shows_each_with_its_question_and_a_thumbnail():
    """README.md names every notebook, with the question that it begins with and a picture that is there."""
    index = (FOLDER / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"]({path.name})" in index
        assert read(path).cells[0].source.partition("\n")[0].removeprefix("# ") in index
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)|<img src=\"([^\"]+)\"", index)
    assert len(pictures) == len(NOTEBOOKS)
    assert all((FOLDER / "".join(each)).is_file() for each in pictures)
