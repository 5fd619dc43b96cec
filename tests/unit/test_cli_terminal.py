"""How the command line behaves in a terminal of any kind, in a pipe, and when it is left early."""

import os
import pty
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import command_line
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ticketlab.cli import app

TICKETLAB = str(Path(sys.executable).with_name("ticketlab"))
ESCAPE = "\x1b"
HISTORY = """\
buyer,event,quantity,purchase_id,invoked_ns,completed_ns,outcome,version,available
a-buyer-with-a-name-that-is-long,an-event-with-a-name-that-is-longer-than-a-column,1,order-1,0,10,SOLD,2,0
a-buyer-with-a-name-that-is-long,an-event-with-a-name-that-is-longer-than-a-column,1,order-2,5,15,SOLD,3,0
"""


def call(*words, given="", **environment):
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}
    }
    return subprocess.run(
        [TICKETLAB, *words], capture_output=True, text=True, env=inherited | environment, check=False, input=given
    )


def paths_of(group, *above):
    """The words of every command, groups included."""
    yield list(above)
    for name, command in getattr(group, "commands", {}).items():
        yield from paths_of(command, *above, name)


COMMANDS = list(paths_of(get_command(app)))


class TestHelp:
    @pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(["ticketlab", *words]))
    @pytest.mark.parametrize("columns", ["80", "200"])
    def test_it_is_plain_text_of_at_most_80_columns(self, words, columns):
        """Whatever the width of the terminal: as a manual has it, without escape codes or boxes, and nothing cut."""
        shown = CliRunner(env={"COLUMNS": columns, "FORCE_COLOR": "1"}).invoke(app, [*words, "--help"])
        assert shown.exit_code == 0
        assert max(len(line) for line in shown.output.splitlines()) <= 80
        assert ESCAPE not in shown.output
        assert "│" not in shown.output
        assert not [line for line in shown.output.splitlines()[1:] if line.endswith("...")]

    def test_it_tells_the_exit_codes(self):
        """All of those that a script may meet."""
        shown = CliRunner().invoke(app, ["--help"]).output.partition("Exit codes:")[2]
        assert [line.split()[0] for line in shown.splitlines() if line[4:5].isdigit()] == [
            "0",
            "1",
            "2",
            "3",
            "130",
            "141",
        ]


@pytest.mark.parametrize("start", [[TICKETLAB], [sys.executable, "-m", "ticketlab"]], ids=["command", "module"])
def test_the_version_is_that_of_the_package(start):
    """By the command and by the module alike."""
    done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ticketlab {version('ticketlab')}\n"


class TestPipe:
    @pytest.mark.parametrize(
        "words", [["strategies"], ["doctor"], ["power", "--list"], ["check", "-", "--stock", "1"]], ids=" ".join
    )
    def test_what_is_piped_is_plain_and_80_columns_wide(self, words, tmp_path):
        """No escape codes, and nothing that a narrow window would break."""
        in_a_process = words == ["strategies"]  # one is enough to show that a pipe is seen as one
        done = call(*words, given=HISTORY) if in_a_process else command_line.call(*words, cwd=tmp_path, given=HISTORY)
        assert done.stdout
        assert ESCAPE not in done.stdout + done.stderr
        assert max(len(line) for line in done.stdout.splitlines()) <= 80

    @pytest.mark.parametrize("words", [["doctor"], ["check", "-", "--stock", "1"]], ids=" ".join)
    def test_what_is_too_long_for_its_column_is_folded(self, words, tmp_path):
        """No word of it is lost."""
        done, wide = (
            command_line.call(*words, cwd=tmp_path, given=HISTORY, COLUMNS=columns) for columns in ("80", "300")
        )
        assert max(map(len, wide.stdout.splitlines())) > 80 >= max(map(len, done.stdout.splitlines()))
        assert "…" not in done.stdout

    @pytest.mark.parametrize(
        "words", [["strategies"], ["strategies", "--json"], ["--help"], ["run", "--help"]], ids=" ".join
    )
    def test_a_reader_that_leaves_ends_it_quietly(self, words):
        """Not with the 1 that says that something was found wrong, and without a traceback."""
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([TICKETLAB, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_is_told_in_a_sentence(self):
        """It is no defect of ticketlab."""
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [TICKETLAB, "strategies"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 2
        assert done.stderr.startswith("Error: Standard output cannot be written: No space left")


def in_a_terminal(*words, **environment):
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([TICKETLAB, *words], stdout=theirs, stderr=theirs, env=os.environ | environment)
    os.close(theirs)
    sent = b""
    try:
        while part := os.read(ours, 65536):
            sent += part
    except OSError:  # so Linux tells that the other side was closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return sent.decode()


class TestTerminal:
    def test_it_has_styles(self):
        """Where nothing speaks against it."""
        assert ESCAPE in in_a_terminal("strategies", TERM="xterm-256color", NO_COLOR="")

    @pytest.mark.parametrize("told", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=lambda told: next(iter(told)))
    def test_it_has_none_where_that_is_wished(self, told):
        """NO_COLOR is set, or the terminal can not show them."""
        sent = in_a_terminal("strategies", **{"TERM": "xterm-256color", "NO_COLOR": ""} | told)
        assert "pessimistic" in sent
        assert ESCAPE not in sent


class TestCtrlC:
    HEEDS_IT = "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"

    def ended(self, code):
        done = subprocess.run([sys.executable, "-c", self.HEEDS_IT + code], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.strip()

    @pytest.mark.parametrize("library", ["typer", "pandas"])
    def test_while_something_is_being_imported_it_ends_quietly(self, library):
        """By the command line itself, or by the command that needs it."""
        code = (
            "class Interrupting:\n"
            "    def find_spec(self, name, *_):\n"
            f"        if name == '{library}': os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Interrupting())\n"
            "from ticketlab.__main__ import main\n"
            "sys.argv = ['ticketlab', 'run', '--server', 'embedded']\n"
            "main()\n"
        )
        assert self.ended(code) == (130, "")

    def test_before_a_run_starts_it_ends_quietly(self):
        """While the server is being brought up."""
        code = (
            "from ticketlab import servers\n"
            "servers.open = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)\n"
            "from ticketlab.__main__ import main\n"
            "sys.argv = ['ticketlab', 'run', '--server', 'embedded']\n"
            "main()\n"
        )
        assert self.ended(code) == (130, "")
