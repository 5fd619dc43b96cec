"""Whatever a process has named to its watcher is gone after it, and the watcher is gone after that."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ticketlab.errors import ServerError
from ticketlab.servers import _cleanup, _reaper
from ticketlab.servers._cleanup import cleanup_guard

DEADLINE_S = 20

NAMES_A_FOLDER = """
import json, os, signal, sys, time
from pathlib import Path
from ticketlab.servers import _cleanup as cleanup

folder = Path(sys.argv[1])
with cleanup.cleanup_guard("folder", path=str(folder)):
    print(cleanup._watchers[os.getpid()]._process.pid, flush=True)
    {then}
"""


def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "this has not come true"
        time.sleep(0.01)


def is_running(pid):
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()[:1] not in ("", "Z")


@pytest.fixture(autouse=True)
def a_watcher_of_its_own(monkeypatch):
    """Whatever else this process has somebody watch, such as a server of other tests, is not the test's."""
    monkeypatch.setattr(_cleanup, "_watchers", {})


@pytest.fixture
def end(tmp_path):
    """Run a child that names a folder and then does something that ends it; returns folder and watcher."""

    def run(then):
        folder = tmp_path / "folder"
        ended = subprocess.run(
            [sys.executable, "-c", NAMES_A_FOLDER.format(then=then), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return folder, int(ended.stdout.split()[0])

    return run


def test_a_watched_folder_is_gone_after_its_block_and_so_is_the_watcher(tmp_path):
    """The last thing to be forgotten ends the watcher."""
    folder = tmp_path / "folder"
    with cleanup_guard("folder", path=str(folder)):
        (folder / "data").mkdir(parents=True)
        watcher = _cleanup._watchers[os.getpid()]._process
        assert watcher.poll() is None
    assert not folder.exists()
    assert watcher.returncode == 0


def test_one_watcher_watches_everything_of_a_process(tmp_path):
    """Things named later share it, and one that is done with does not end it."""
    with cleanup_guard("folder", path=str(tmp_path / "a")):
        watcher = _cleanup._watchers[os.getpid()]._process
        with cleanup_guard("folder", path=str(tmp_path / "b")):
            assert _cleanup._watchers[os.getpid()]._process is watcher
        assert watcher.poll() is None


def test_a_process_killed_before_it_creates_what_it_named_leaves_nothing(end):
    """There is nothing to be removed, and the watcher ends all the same."""
    folder, watcher = end("os.kill(os.getpid(), signal.SIGKILL)")
    eventually(lambda: not is_running(watcher))
    assert not folder.exists()


def test_a_process_killed_after_it_created_what_it_named_leaves_nothing(end):
    """The folder goes with all that is in it."""
    folder, watcher = end("(folder / 'data').mkdir(parents=True); os.kill(os.getpid(), signal.SIGKILL)")
    eventually(lambda: not folder.exists() and not is_running(watcher))


def test_an_exit_that_runs_no_cleanup_leaves_nothing(end):
    """os._exit skips every finally."""
    folder, watcher = end("folder.mkdir(); os._exit(0)")
    eventually(lambda: not folder.exists() and not is_running(watcher))


def test_a_forked_child_that_lives_on_does_not_keep_what_its_parent_left(tmp_path):
    """The child holds the pipe open, but its parent's end is noticed."""
    folder = tmp_path / "folder"
    then = """
    folder.mkdir()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    sys.stdin.readline()
    os._exit(0)
"""
    source = NAMES_A_FOLDER.format(then=then.strip())
    child = subprocess.Popen(
        [sys.executable, "-c", source, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watcher, forked = (int(child.stdout.readline()) for _ in range(2))
    try:
        child.stdin.write("\n")
        child.stdin.flush()
        eventually(lambda: not folder.exists() and not is_running(watcher))
        assert is_running(forked)
    finally:
        os.kill(forked, signal.SIGKILL)
        child.communicate()


def test_the_watcher_outlives_the_signals_that_end_its_parent(tmp_path):
    """A Ctrl-C, a hang-up or a service manager reaches whole groups of processes."""
    order = json.dumps({"watch": {"kind": "folder", "path": str(tmp_path / "folder")}})
    (tmp_path / "folder").mkdir()
    watcher = _cleanup._start()
    eventually(lambda: ignores(watcher.pid, signal.SIGTERM))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        watcher.send_signal(number)
    watcher.communicate(order.encode() + b"\n", timeout=DEADLINE_S)
    assert watcher.returncode == 0
    assert not (tmp_path / "folder").exists()


def ignores(pid, number):
    answer = subprocess.run(["ps", "-o", "ignored=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(answer.stdout, 16) >> (number - 1) & 1


def test_a_watcher_that_was_killed_is_replaced_and_told_everything_anew(tmp_path):
    """What was named to the first is known to the second."""
    with cleanup_guard("folder", path=str(tmp_path / "a")):
        mine = _cleanup._watchers[os.getpid()]
        mine._process.kill()
        mine._process.communicate()
        with cleanup_guard("folder", path=str(tmp_path / "b")):
            assert mine._process.poll() is None
            assert [Path(remains["path"]).name for remains in mine._watched] == ["a", "b"]


def test_a_watcher_that_was_killed_does_not_keep_the_block_from_ending(tmp_path):
    """Its work has been done here."""
    with cleanup_guard("folder", path=str(tmp_path / "a")):
        (tmp_path / "a").mkdir()
        process = _cleanup._watchers[os.getpid()]._process
        process.kill()
        process.wait()
    assert not (tmp_path / "a").exists()


def test_a_block_whose_thing_can_not_be_removed_ends_in_an_error_and_the_watcher_tries_again(tmp_path, monkeypatch):
    """The error names the thing; the watcher has not been told to forget it."""
    monkeypatch.setattr(_reaper, "FOLDER_PATIENCE_S", 0.0)
    monkeypatch.setattr(_reaper.shutil, "rmtree", lambda *_, **__: None)
    folder = tmp_path / "folder"
    with (
        pytest.raises(ServerError, match=f"Could not remove the folder {folder}"),
        cleanup_guard("folder", path=str(folder)),
    ):
        folder.mkdir()
    mine = _cleanup._watchers.pop(os.getpid())
    mine._process.communicate(timeout=DEADLINE_S)
    assert not folder.exists()


def test_what_can_not_be_removed_is_told_and_does_not_keep_the_rest(tmp_path):
    """One failure is reported on standard error; the next thing is removed."""
    (tmp_path / "folder").mkdir()
    orders = [
        {"watch": {"kind": "folder", "path": str(tmp_path / "folder")}},
        {"watch": {"kind": "castle", "name": "Neuschwanstein", "url": "postgresql://u:s3cret@h/x"}},
    ]
    answer = subprocess.run(
        [sys.executable, "-I", "-S", _reaper.__file__, str(os.getpid())],
        input="".join(json.dumps(order) + "\n" for order in orders),
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "could not remove the castle Neuschwanstein" in answer.stderr
    assert "s3cret" not in answer.stderr
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("listing", ["_from_proc", "_from_ps"])
def test_processes_are_found_by_the_data_they_work_on(listing, tmp_path):
    """With /proc and without it: one that was started with -D, and no other that only mentions the folder."""
    data = tmp_path / "data"
    sleeping = "import time; time.sleep(60)"
    works = subprocess.Popen([sys.executable, "-c", sleeping, "-D", str(data)])
    mentions = subprocess.Popen([sys.executable, "-c", sleeping, str(data)])
    try:
        eventually(lambda: getattr(_reaper, listing)(data) == [works.pid])
    finally:
        for process in (works, mentions):
            process.kill()
            process.wait()


def test_what_runs_on_a_folders_data_is_ended_before_the_folder_goes(tmp_path, monkeypatch):
    """Also what does not listen to the signal for an immediate shutdown, and is frozen besides."""
    monkeypatch.setattr(_reaper, "QUIT_PATIENCE_S", 0.1)
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    source = "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    deaf = subprocess.Popen([sys.executable, "-c", source, "-D", str(folder / "data")], stdout=subprocess.PIPE)
    deaf.stdout.readline()
    deaf.send_signal(signal.SIGSTOP)
    _reaper.remove_folder(str(folder))
    deaf.communicate()
    assert deaf.returncode == -signal.SIGKILL
    assert not folder.exists()
