"""Notebooks are interrupted and restarted in the middle of things, and no server outlives what it was started for."""

from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

LONG = """
from ticketlab import Experiment, notebook
run = notebook.run(Experiment(strategies=("atomic",), stock=10**9, seconds=600, repeats=1, server="embedded"))
"""


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kernel")]  # one process starts the kernel that both work in


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel in an empty folder, and a client to it."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path_factory.mktemp("kernel")))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def postgres_of(manager):
    """The postmasters that the kernel has started, from whichever of its threads."""
    tasks = Path(f"/proc/{manager.provisioner.pid}/task").glob("*/children")
    found = [int(each) for task in tasks for each in task.read_text().split()]
    return [each for each in found if Path(f"/proc/{each}/comm").read_text().strip() == "postgres"]


def begin_to_sell(manager, client, eventually):
    """Execute a cell that would sell for ten minutes; returns its server once purchases are counted."""

    def counting():
        text = client.get_iopub_msg(timeout=60)["content"].get("data", {}).get("text/plain", "")
        return "purchases" in text and not text.endswith("; 0 purchases")

    client.execute(LONG)
    eventually(counting)
    (server,) = postgres_of(manager)
    return server


def test_an_interrupted_cell_keeps_its_run_and_leaves_no_server(kernel, eventually, is_running):
    """What was measured before the interrupt is in the notebook's hands, and its server is gone."""
    manager, client = kernel
    server = begin_to_sell(manager, client, eventually)
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
    kept = {"kept": "bool(run.measures.loc[0, 'sales']), run.ended_early, run.failed_strategies"}
    answer = client.execute_interactive("", user_expressions=kept, timeout=60)["content"]
    assert answer["user_expressions"]["kept"]["data"]["text/plain"] == "(True, True, [])"
    assert not is_running(server)


def test_a_restarted_kernel_leaves_no_server(kernel, eventually, is_running):
    """A kernel that is killed in the middle of a run can clean up nothing: its server ends all the same."""
    manager, client = kernel
    server = begin_to_sell(manager, client, eventually)
    manager.restart_kernel(now=True)
    eventually(lambda: not is_running(server))
