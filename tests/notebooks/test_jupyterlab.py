"""JupyterLab itself, in a browser: a notebook is opened, run, interrupted and restarted as its reader would."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from ticketlab import notebook

# One process starts the JupyterLab that all of these work in.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jupyterlab")]
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_oversell.ipynb"
SMALL = 'server, buyers, seconds, stock, repeats, seed, RUN = "embedded", 8, 20.0, 300, 1, 1, None'
LONG = 'server, buyers, seconds, stock, repeats, seed, RUN = "embedded", 8, 600.0, 10**9, 1, 1, None'
PATIENCE_MS = 90_000
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/lab\?token=\w+")
PLACES = ("_CONFIG", "_DATA", "_RUNTIME", "LAB_WORKSPACES", "LAB_SETTINGS")
LAB = [str(Path(sys.executable).with_name("ticketlab")), "lab"]


def lay_out(folder, name, parameters):
    """A copy of the notebook without its outputs, and with other parameters."""
    copy = nbformat.read(NOTEBOOK, as_version=4)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = parameters
    nbformat.write(copy, folder / name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, eventually):
    """`ticketlab lab` on a folder with three notebooks of the user's; yields its process id and its address."""
    folder = tmp_path_factory.mktemp("lab")
    lay_out(folder, "01_oversell.ipynb", SMALL)
    lay_out(folder, "Interrupt.ipynb", LONG)
    lay_out(folder, "Restart.ipynb", LONG)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*LAB, str(folder), "--no-browser", "--port", str(port)]
    own = {f"JUPYTER{name}_DIR": str(folder / ".jupyter") for name in PLACES}  # not what the user's JupyterLab keeps
    log = folder / "lab.log"  # not a pipe: nobody would read on from it
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | own) as process:
        try:
            eventually(lambda: ADDRESS.search(log.read_text()), log.read_text)
            assert "Your changed files were kept: 01_oversell.ipynb" in log.read_text()
            yield process.pid, ADDRESS.search(log.read_text())[0]
        finally:
            # Not asked to end: after a kernel was restarted, JupyterLab has been seen to overlook that. Its kernels
            # see that it is gone, and the watchers of their servers see that they are: these must not be killed.
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            assert not psutil.wait_procs(family, timeout=60)[1]


@pytest.fixture
def opened(browser, lab):
    """Open a notebook of the lab's folder in a page of its own."""
    pages = []

    def call(name):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        pages.append(page)
        page.goto(lab[1].replace("/lab?", f"/lab/workspaces/{Path(name).stem}/tree/{name}?"))
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("| Idle").wait_for()
        return page

    yield call
    for page in pages:
        page.close()


def choose(page, menu, item):
    """Choose an item of JupyterLab's menu."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()


def postgres_of(pid):
    """The PostgreSQL processes among all that a process, or one of its own, has started."""
    found = []
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [each] if each.name() == "postgres" else []
    return found


def test_run_all_reaches_the_stamp_and_shows_every_figure(opened, lab):
    """Run All: each cell has its number, the figures are drawn, and the stamp is that of the code that was run."""
    page = opened("01_oversell.ipynb")
    choose(page, "Run", "Run All Cells")
    stamp = page.locator(".jp-OutputArea-output").filter(has_text="of all cells in the order in which they were run")
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    stamp.or_(errors).first.wait_for(state="attached")
    assert errors.all_inner_texts() == []
    stamp.scroll_into_view_if_needed()
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    code = [SMALL if "parameters" in cell.metadata.get("tags", ()) else cell.source for cell in cells]
    assert f"code      {notebook.code_hash(code)}," in stamp.inner_text()
    figures = sum(source.count("charts.") for source in code)
    page.wait_for_function(f"document.querySelectorAll('.jp-OutputArea-output img').length >= {figures}")
    widths = page.locator(".jp-OutputArea-output img").evaluate_all("all => all.map(each => each.naturalWidth)")
    assert all(width > 500 for width in widths)
    assert not postgres_of(lab[0])


@pytest.mark.parametrize("item", ["Interrupt Kernel", "Restart Kernel…"])
def test_an_interrupt_or_a_restart_leaves_no_postgres(opened, lab, eventually, item):
    """A long cell is watched while it sells; when its kernel is interrupted or restarted, its server ends."""
    page = opened(f"{item.partition(' ')[0]}.ipynb")
    choose(page, "Run", "Run All Cells")
    outputs = page.locator(".jp-OutputArea-output")  # which may be scrolled out of sight
    outputs.filter(has_text=re.compile(r"[1-9][\d,]* purchases")).first.wait_for(state="attached")
    outputs.locator("img").first.wait_for(state="attached")
    folders = {Path(each.cwd()) for each in postgres_of(lab[0])}
    assert folders
    choose(page, "Kernel", item)
    if item == "Restart Kernel…":
        page.get_by_role("button", name="Confirm Kernel Restart").click()
    eventually(lambda: not postgres_of(lab[0]) and not any(folder.parent.exists() for folder in folders))
