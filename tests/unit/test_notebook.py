"""The view of a run that goes on, the stamp, and what is laid out for JupyterLab."""

import os
import sys

import IPython.display
import pytest

from ticketlab import jupyter, notebook
from ticketlab.errors import InvalidInputError
from ticketlab.history.recording import LiveCounts
from ticketlab.outcomes import Outcome
from ticketlab.report._style import Chart
from ticketlab.runs.experiment import Experiment, Progress


class Place:
    """An output that is written anew."""

    def __init__(self):
        self.shown = []

    def update(self, what):
        self.shown.append(what)


@pytest.fixture
def places(monkeypatch):
    """The line and the figure that a view writes into."""
    made = []

    def display(*_things, **_options):
        made.append(Place())
        return made[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    return made


def step(number, *, sold=0, seconds=0.0, finished=0):
    plan = Experiment(strategies=("naive", "atomic"), repeats=2).trials()[number - 1]
    so_far = LiveCounts(seconds=seconds, outcomes={Outcome.SOLD: sold} if sold else {}, tickets=sold)
    return Progress(trial=number, trials=4, doing=plan.strategy, plan=plan, so_far=so_far, finished=finished)


class Clock:
    """A clock that goes on when it is told to, and by half a second for each drawing."""

    def __init__(self, monkeypatch):
        self.now_s = 100.0
        monkeypatch.setattr(notebook.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(notebook, "live", self.draw)

    def draw(self, samples, title):
        self.now_s += 0.5
        return f"{len(samples)} readings, {title}"


def test_a_view_draws_a_long_trial_seldom_and_a_short_one_when_it_is_over(places, monkeypatch):
    """The line follows every reading; drawing waits, so that it takes no time from those who are measured."""
    clock = Clock(monkeypatch)
    view = notebook._LiveView(seats=100)
    line, figure = places
    view.show(step(1))
    assert figure.shown == []
    drawn = []
    for tenth in range(1, 601):
        clock.now_s += 0.1
        view.show(step(1, sold=tenth, seconds=tenth / 10))
        drawn.append(len(figure.shown))
    assert (drawn[48], drawn[49], drawn[540], drawn[599]) == (0, 1, 1, 2)  # after 5 s, and 50 s later once more
    clock.now_s += 0.3
    view.show(step(2, finished=1))
    assert len(figure.shown) == 3
    assert len(line.shown) == 602
    assert line.shown[-2].data == f"0 of 4 trials done; {step(1).doing}; 600 purchases"


def test_of_many_short_trials_not_each_is_drawn(places, monkeypatch):
    """Ten seconds of trials are not held up by more than one second of drawing, and none is left out of it."""
    clock = Clock(monkeypatch)
    view = notebook._LiveView(seats=100)
    began_s = clock.now_s
    for number in range(40):
        view.show(step(1, finished=number))
        view.show(step(1, sold=number, seconds=0.5))
        clock.now_s += 0.5
    drawn = [int(each.split()[0]) for each in places[1].shown]
    assert len(drawn) == 4
    assert drawn == sorted(drawn)
    assert 0.5 * len(drawn) <= 0.1 * (clock.now_s - began_s)


def test_a_view_shows_stock_speed_and_outcomes(places):
    """What is drawn is what was read: seats left, sales per second, shares of outcomes."""
    view = notebook._LiveView(seats=100)
    view.show(step(1, sold=30, seconds=0.5))
    view.show(step(1, sold=120, seconds=2.0))
    view.show(step(2, finished=1))
    chart = places[1].shown[-1]
    assert isinstance(chart, Chart)
    stock, speed, ends = chart.axes
    (curve,) = [line for line in stock.lines if line.get_gid() == "stock"]
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == ([0.5, 2.0], [70, -20])
    assert [list(line.get_xdata()) for line in speed.lines if line.get_gid() == "speed"] == [[60.0]]
    assert [bar.get_width() for bar in ends.patches] == [100.0]


def test_code_is_hashed_in_its_order_and_to_the_letter():
    """One letter, one cell, or another order make another hash; the line break at the end of a cell does not."""
    hashed = notebook.code_hash(["a = 1", "b = 2"])
    assert hashed == notebook.code_hash(["a = 1\n", "b = 2"])
    for other in (["b = 2", "a = 1"], ["a = 1"], ["a = 1", "b = 3"], ["a = 1b = 2"]):
        assert notebook.code_hash(other) != hashed


def test_the_notebooks_are_laid_out_once_and_never_overwritten(tmp_path):
    """What is there stays as it is; what is missing comes; who changed something is told that it was kept."""
    folder = tmp_path / "mine"
    first = jupyter.copy_notebooks(folder)
    assert {"01_oversell.ipynb", "report.ipynb", "README.md", "images/01_oversell.png"} <= set(first.copied)
    assert not any(name.endswith(".py") for name in first.copied)
    (folder / "01_oversell.ipynb").write_text("my own work")
    (folder / "02_conflicts.ipynb").unlink()
    second = jupyter.copy_notebooks(folder)
    assert (second.copied, second.kept) == (("02_conflicts.ipynb",), ("01_oversell.ipynb",))
    assert (folder / "01_oversell.ipynb").read_text() == "my own work"


def test_a_folder_that_can_not_be_made_is_said(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InvalidInputError, match="Name another folder"):
        jupyter.copy_notebooks(tmp_path / "taken")


@pytest.mark.parametrize(("user", "more"), [(0, ["--allow-root"]), (1000, [])])
def test_jupyterlab_is_this_pythons_and_listens_to_this_machine_alone(monkeypatch, tmp_path, user, more):
    """The process becomes JupyterLab of this installation, on the folder, on 127.0.0.1."""
    calls = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "execve", lambda *words: calls.append(words))
    jupyter.open_jupyterlab(tmp_path, port=9999, browser=False)
    ((program, words, environment),) = calls
    assert program == sys.executable
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert words[3:] == [f"--ServerApp.root_dir={tmp_path}", "--ip=127.0.0.1", "--port=9999", "--no-browser", *more]
    assert environment["JUPYTER_PREFER_ENV_PATH"] == "1"


def test_without_a_notebook_progress_is_a_bar(places, monkeypatch):
    """In a terminal nothing is displayed as in a notebook; the steps go to the bar."""
    monkeypatch.setenv("TERM", "dumb")
    with notebook._progress(Experiment()) as show:
        show(step(1, sold=3, seconds=0.2))
    assert places == []
