"""The browser that pages and notebooks are tried in, and a run with its report, made once."""

import os
import shutil

import pytest

from ticketlab import report_writer
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: the one that TICKETLAB_CHROMIUM names, else the first that is installed."""
    found = os.environ.get("TICKETLAB_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(CHROMIUMS)} is installed, and TICKETLAB_CHROMIUM names none")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Two runs in which a control is caught: of one number of buyers, and of two."""
    out = tmp_path_factory.mktemp("runs")
    small = {"strategies": ("naive", "optimistic", "atomic"), "repeats": 1, "stock": 150, "seconds": 20.0}
    return [
        lab.run(Experiment(**small, name=name, buyers=buyers, warm_up_s=0.0, server="embedded"), out=out)
        for name, buyers in (("plain", (8,)), ("buyers", (4, 8)))
    ]


@pytest.fixture(scope="session")
def page_of_one(saved):
    """The report of one run, as a file."""
    return report_writer.write(saved[:1])


@pytest.fixture(scope="session")
def page_of_two(saved):
    """The report of two runs, as a file."""
    return report_writer.write(saved)
