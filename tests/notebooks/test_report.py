"""The report of runs made for it: its page, its notebook, what check says too, and what is left when it fails."""

import json
import os
import re
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
from command_line import call

from ticketlab import jupyter, report_writer
from ticketlab.errors import TicketlabError
from ticketlab.report import Format
from ticketlab.report.model import SECTIONS
from ticketlab.runs.run import Run

# One process makes the runs and pages that all of these look at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("report")]
# A test run that was started in the background may have been told to ignore it, and its children with it.
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def text_of(page):
    """What is read on a page."""
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page.read_text(), flags=re.DOTALL)).split())


def cells(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@pytest.fixture(scope="module")
def executed(saved):
    """The executed notebook of one run, as a file."""
    return report_writer.write(saved[:1], form=Format.IPYNB)


class TestPage:
    def test_it_has_every_section_and_no_code(self, page_of_one):
        """The verdict, then the answers, then the rest in order; nothing of the notebook that shows the same."""
        html, text = page_of_one.read_text(), text_of(page_of_one)
        assert text.index("No violation found") < text.index("Which strategy is safe?")
        assert re.findall(r"<h2>(.*?)</h2>", html) == [
            title for name, title in SECTIONS.items() if name != "comparison"
        ]
        for code in ("report_writer.load_runs", "RUNS", "What does a run show?", "of all cells in the order"):
            assert code not in text

    def test_it_needs_nothing_else(self, page_of_one, page_of_two):
        """No address but of pictures within and places on it; no script, no import, no other file."""
        for page in (page_of_one, page_of_two):
            html = page.read_text()
            addresses = re.findall(r'\b(?:src|href|srcset|data|action|poster)="([^"]*)"', html)
            assert addresses
            assert all(each.startswith(("data:", "#")) for each in addresses)
            assert not re.search(r"https?:|<script|<link|<iframe|@import|url\(", html)

    def test_it_names_no_folder_of_whoever_made_it(self, page_of_one, saved):
        """A page that is sent to somebody tells the run's name, and not where it lay."""
        html = page_of_one.read_text()
        assert saved[0].folder.name in html
        assert str(saved[0].folder.parent) not in html

    def test_two_runs_stand_side_by_side(self, page_of_two, saved):
        """Beside the folder of the first, with both commands, and what differs."""
        assert page_of_two.parent == saved[0].folder.parent
        text = text_of(page_of_two)
        assert "buyers 8 4, 8" in text
        for run in saved:
            assert run.experiment.command() in text


class TestNotebook:
    def test_it_shows_the_fragments_of_the_page(self, executed, page_of_one):
        """Each is on the page, letter by letter and in the same order."""
        cells = nbformat.read(executed, as_version=4).cells
        data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        html = page_of_one.read_text()
        places = [html.index(each["text/html"]) for each in data if "text/html" in each]
        assert len(places) == 9  # the style, and every fragment of one run
        assert places == sorted(places)

    def test_it_lies_beside_the_run_and_is_replaced(self, executed, saved):
        """It is known as a report, and its stamp names the run."""
        assert executed == saved[0].folder / "report.ipynb"
        text = executed.read_text()
        assert Format.IPYNB.mark in text[:1000]
        assert f"run       {saved[0].folder.name}" in text


class TestAgreement:
    """`ticketlab check` prints the verdicts of the report, in its words."""

    def test_in_json_trial_by_trial(self, saved, tmp_path):
        """The same trials with the same hashes, numbers and verdicts."""
        folder = saved[0].folder
        checked = json.loads(call("check", folder, "--json", cwd=tmp_path).stdout)
        reported = json.loads(call("report", folder, "--format", "json", "--out", "-", cwd=tmp_path).stdout)
        assert reported["runs"][0]["trials"] == checked["trials"]

    def test_in_words(self, saved, page_of_one, tmp_path):
        """The verdict, its sentences and what every violation says are the same on the page and in the terminal."""
        printed = call("check", saved[0].folder, cwd=tmp_path, COLUMNS="400").stdout
        text = text_of(page_of_one)
        headline = saved_headline(saved[0], tmp_path)
        summaries = [row["summary"] for row in saved[0].verdict_rows() if row["status"] == "INVALID"]
        assert summaries
        for said in (*headline, *summaries):
            assert said in printed
            assert said in text


def saved_headline(run, folder):
    (told,) = json.loads(call("report", run.folder, "--format", "json", "--out", "-", cwd=folder).stdout)["runs"]
    return ["No violation found", *told["verdict"]]


class TestCommand:
    def test_it_prints_where_the_report_is(self, saved, tmp_path):
        """Nothing else on standard output, and no progress where none is asked for."""
        done = call(
            "report", saved[0].folder, "--format", "md", "--out", tmp_path / "report.md", "--quiet", cwd=tmp_path
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'report.md'}\n", "")
        assert len(list((tmp_path / "report_files").iterdir())) >= 5

    @pytest.mark.parametrize("form", ["html", "md", "json", "ipynb"])
    def test_what_is_no_report_is_not_overwritten(self, saved, tmp_path, form):
        """Exit code 2, a sentence, and the file as it was."""
        (tmp_path / "mine").write_text("mine")
        done = call("report", saved[0].folder, "--format", form, "--out", tmp_path / "mine", "--quiet", cwd=tmp_path)
        assert done.returncode == 2
        assert "is left as it is" in done.stderr
        assert (tmp_path / "mine").read_text() == "mine"

    def test_a_report_that_can_not_be_made_does_not_lose_the_run(self, tmp_path, monkeypatch):
        """The table and the run's folder are printed, then why there is no report; exit code 2."""

        def refuse(*_, **__):
            raise TicketlabError("no kernel today")

        monkeypatch.setattr(report_writer, "write", refuse)
        words = ("run", "--server", "embedded", "-s", "atomic", "--purchases", "20", "--repeats", "1")
        done = call(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert "No report was written: no kernel today" in done.stderr
        (folder,) = (tmp_path / "runs").iterdir()
        assert f"Run:    {folder.relative_to(tmp_path)}" in done.stdout
        assert Run(folder).failed_strategies == []
        told = call(*words, "--json", cwd=tmp_path)
        assert (told.returncode, json.loads(told.stdout)["report"]) == (2, None)


class TestKernel:
    def test_a_cell_that_fails_is_named(self):
        """By its number in the notebook, with what it said."""
        with pytest.raises(TicketlabError, match=r"^Cell 2 of the notebook failed: ValueError: no such thing$"):
            jupyter.execute(cells("1", "raise ValueError('no such thing')"))

    def test_a_kernel_that_dies_is_told_of(self):
        """In which cell, and what it said last."""
        with pytest.raises(TicketlabError, match=r"^The kernel died in cell 1: (.|\n)*said last: so long"):
            jupyter.execute(cells("import os; os.write(2, b'so long'); os._exit(3)"))

    def test_it_is_this_python_whatever_the_user_has_installed(self, tmp_path, monkeypatch):
        """Neither a kernel of the same name, nor a profile, nor a start-up file, nor a module in his folder."""
        kernel, startup = tmp_path / "kernels" / "python3", tmp_path / "profile_default" / "startup"
        for folder in (kernel, startup):
            folder.mkdir(parents=True)
        spec = {"argv": ["/bin/false"], "display_name": "another", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        (startup / "first.py").write_text("raise SystemExit")
        (tmp_path / "json.py").write_text("raise SystemExit")
        monkeypatch.chdir(tmp_path)
        for name, value in (
            ("JUPYTER_PATH", tmp_path),
            ("IPYTHONDIR", tmp_path),
            ("PYTHONSTARTUP", startup / "first.py"),
        ):
            monkeypatch.setenv(name, str(value))
        notebook = cells("import json, sys, ticketlab; print(sys.executable, ticketlab.__file__)")
        jupyter.execute(notebook)
        here = Path(jupyter.__file__).with_name("__init__.py")
        assert notebook.cells[0].outputs[0].text == f"{sys.executable} {here}\n"

    def test_ctrl_c_ends_the_kernel_and_leaves_nothing(self, tmp_path, eventually, is_running):
        """Neither a process nor a file, and the interrupt goes on to whoever asked."""
        source = HEEDS_CTRL_C + (
            "import nbformat, os\nfrom ticketlab import jupyter\n"
            "begin = 'from pathlib import Path; import os, time; Path(\"../pid\").write_text(str(os.getpid()))\\n'\n"
            "cell = nbformat.v4.new_code_cell(begin + 'time.sleep(600)')\n"
            "jupyter.execute(nbformat.v4.new_notebook(cells=[cell]))\n"
        )
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        with subprocess.Popen(
            [sys.executable, "-c", source], stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            eventually(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
            kernel = int((tmp_path / "pid").read_text())
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=60)[1]
        assert errors.rstrip().endswith("KeyboardInterrupt")
        eventually(lambda: not is_running(kernel))
        assert [path.name for path in tmp_path.iterdir()] == ["pid"]
