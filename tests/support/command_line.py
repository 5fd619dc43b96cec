"""The command line, called in this process: it says and returns the same, without the seconds that a new one takes."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from ticketlab import cli


def call(*words, cwd, given="", **environment):
    """What `ticketlab WORDS` prints and returns in this folder, given so much on standard input."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["ticketlab", *map(str, words)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        for name, value in ({"COLUMNS": "80"} | environment).items():
            patch.setenv(name, value)
        try:
            code = cli.main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(words, code or 0, out.getvalue(), err.getvalue())
