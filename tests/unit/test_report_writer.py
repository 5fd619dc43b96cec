"""Where a report is put, what it never overwrites, which runs it is of, and that only its notebook takes Jupyter."""

import json
import re
import subprocess
import sys

import pytest
from command_line import call

from ticketlab import report_writer
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.report import Format
from ticketlab.report.markdown import markdown
from ticketlab.report.model import SECTIONS
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import Trial

pytestmark = pytest.mark.usefixtures("unpainted")
NO_KERNEL = (Format.HTML, Format.MD, Format.JSON)
JUPYTER = (
    "IPython", "ipykernel", "jupyter_client", "jupyter_core", "jupyterlab", "nbclient", "nbconvert", "nbformat",
    "papermill",
)  # fmt: skip
REPORT = "import sys; from ticketlab.cli import main; sys.argv[1:] = ['report', '--quiet', {folder!r}]; main()"


@pytest.fixture
def folder(tmp_path, history, ledger):
    """Make a run of one trial in a folder of that name."""

    def make(name="a-run"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        Experiment(strategies=("atomic",), buyers=(2,), repeats=1, stock=2).write(folder / "experiment.json")
        server = {"kind": "embedded", "version": "18.6", "why": "asked for", "settings": {"fsync": "on"}}
        (folder / "environment.json").write_text(json.dumps({"server": server}))
        trial = Trial(
            folder=folder / "trials" / "1",
            number=1,
            strategy="atomic",
            safe=True,
            buyers=2,
            pool_size=20,
            repeat=1,
            interrupted=False,
        )
        trial.write_history(history({"version": 2}))
        trial.write_ledger(ledger(total=2, available=1, tickets=[1]))
        return folder

    return make


@pytest.mark.parametrize("form", NO_KERNEL)
def test_a_report_of_one_run_lies_in_its_folder(folder, form):
    """Where whoever has the run will look for it."""
    run = Run(folder())
    assert report_writer.write([run], form=form) == run.folder / f"report.{form}"
    assert form.mark in (run.folder / f"report.{form}").read_text()[:1000]
    assert not list(run.folder.glob(".*"))


def test_the_page_has_every_section_and_its_style(folder):
    """The verdict, every section under its name, the figures, and nothing of how it was made."""
    html = report_writer.write([Run(folder())]).read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<style>") == 1
    assert re.findall(r"<h2>(.*?)</h2>", html) == [title for name, title in SECTIONS.items() if name != "comparison"]
    assert html.index('id="verdict"') < html.index('id="answers"')
    assert html.count("<img") >= 5
    assert "&lt;section" not in html


def test_each_part_of_the_page_is_told_as_it_is_made(folder):
    """Whoever waits sees what for."""
    told = []
    report_writer.render([Run(folder())], form=Format.HTML, on_progress=told.append)
    assert told[:3] == ["judging", "head", "answers"]
    assert "figures" in told


def test_the_page_imports_nothing_of_jupyter(folder):
    """Where it is installed it is left alone."""
    code = f"import atexit, sys\natexit.register(lambda: print(*sys.modules))\n{REPORT.format(folder=str(folder()))}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {each.partition(".")[0] for each in done.stdout.split()}
    assert "matplotlib" in loaded
    assert not [each for each in loaded if each in JUPYTER or each.startswith("jupyter")]


@pytest.mark.slow
def test_without_jupyter_there_is_a_page(folder):
    """And it is the same."""
    run = folder()
    expected = report_writer.default_place([Run(run)], Format.HTML)
    code = f"import sys\nsys.modules |= dict.fromkeys({JUPYTER!r})\n{REPORT.format(folder=str(run))}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{expected}\n"
    assert Format.HTML.mark in expected.read_text()


def test_without_jupyter_there_is_no_notebook_and_the_command_that_installs_it(folder, monkeypatch, tmp_path):
    """Exit code 2, and nothing is written."""
    monkeypatch.setitem(sys.modules, "nbclient", None)
    run = folder()
    done = call("report", run, "--format", "ipynb", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: Notebooks need Jupyter, but nbclient is not installed. Install it with pip install "
        "'ticketlab[notebooks]'.\n"
    )
    assert not (run / "report.ipynb").exists()


def test_figures_lie_beside_the_text_and_each_is_there(folder, tmp_path):
    """In a folder named after it, where its pictures look for them."""
    text = report_writer.write([Run(folder())], form=Format.MD, out=tmp_path / "pull request.md").read_text()
    shown = re.findall(r"\]\((pull%20request_files/1-\w+\.png)\)", text)
    assert len(shown) >= 5
    assert all((tmp_path / each.replace("%20", " ")).read_bytes().startswith(b"\x89PNG") for each in shown)


def test_a_report_of_several_runs_lies_beside_the_first(folder):
    """Named after them, so that another comparison has another name."""
    runs = [Run(folder(name)) for name in ("one", "two")]
    assert report_writer.write(runs, form=Format.JSON) == runs[0].folder.parent / "report-one-and-two.json"


def test_so_many_runs_need_a_name(folder):
    """A file's name has an end."""
    runs = [Run(folder(f"{number}-{'long' * 20}")) for number in range(3)]
    with pytest.raises(InvalidInputError, match="Name a file with --out"):
        report_writer.write(runs, form=Format.JSON)


@pytest.mark.parametrize("form", NO_KERNEL)
def test_an_older_report_is_replaced(folder, form):
    """Written again, it is the same."""
    run = Run(folder())
    first = report_writer.write([run], form=form).read_text()
    assert report_writer.write([run], form=form).read_text() == first


@pytest.mark.parametrize("form", Format)
def test_what_is_no_report_is_left_alone(folder, tmp_path, form):
    """A file of somebody else's stays as it is, and no kernel is started."""
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InvalidInputError, match=rf"notes is no {form} report, and is left as it is"):
        report_writer.write([Run(folder())], form=form, out=tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize("form", NO_KERNEL)
def test_a_report_of_another_form_is_not_this_one(folder, tmp_path, form):
    """JSON over markdown is a mistake."""
    other = next(each for each in NO_KERNEL if each is not form)
    report_writer.write([run := Run(folder())], form=other, out=tmp_path / "report")
    with pytest.raises(InvalidInputError, match="left as it is"):
        report_writer.write([run], form=form, out=tmp_path / "report")


@pytest.mark.parametrize(("out", "why"), [("", "Is a directory"), ("nowhere/report.md", "No such file or directory")])
def test_what_can_not_be_written_is_said(folder, tmp_path, out, why):
    """A folder where the file should be, or none: one error that says so."""
    with pytest.raises(InvalidInputError, match=f"Nothing can be written to .*: {why}"):
        report_writer.write([Run(folder())], form=Format.MD, out=tmp_path / out)


@pytest.mark.parametrize("names", [[], ["one", "one"]], ids=["none", "twice"])
def test_a_report_is_of_different_runs(folder, names):
    """None is nothing to report, and a run compared with itself says nothing."""
    made = {name: Run(folder(name)) for name in set(names)}
    with pytest.raises(InvalidInputError, match="one run, or several different runs"):
        report_writer.report_of([made[name] for name in names])


def test_runs_of_the_same_name_are_told_apart(folder):
    """By as much of what lies above them as it takes."""
    runs = [Run(folder(f"{place}/a-run")) for place in ("here", "there")]
    assert [each.run for each in report_writer.report_of(runs).runs] == ["here/a-run", "there/a-run"]


def test_the_newest_run_is_taken_where_none_is_named(folder, tmp_path, monkeypatch):
    """Of those under runs/ here, or beside this folder: a notebook lies in a folder of its own."""
    folder("first"), folder("last")
    (tmp_path / "notebooks").mkdir()
    for place in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(place)
        assert [each.folder.name for each in report_writer.load_runs([])] == ["last"]


def test_where_no_run_is_that_is_said(tmp_path, monkeypatch):
    """With what to do."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"There is no run under runs/\. Make one with `ticketlab run`"):
        report_writer.load_runs([])


def test_the_forms_are_views_of_one_report(folder):
    """What a pipeline reads, a person reads."""
    runs = [Run(folder())]
    assert report_writer.render(runs, form=Format.MD) == markdown(report_writer.report_of(runs), None)
    (told,) = json.loads(report_writer.render(runs, form=Format.JSON))["runs"]
    assert told["trials"] == runs[0].as_json()["trials"]
