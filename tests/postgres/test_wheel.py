"""The wheel, installed alone in an environment of its own and outside the checkout, is the whole lab."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ticketlab.experiment import TELLING_FEW
from ticketlab.settings import Settings

pytestmark = pytest.mark.xdist_group("wheel")  # one process makes the environment that all of these look at
CHECKOUT = Path(__file__).parents[2]


def call(*words, cwd, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it may name the checkout
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The `ticketlab` command of an environment that holds the wheel, and what the wheel needs."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, CHECKOUT, cwd=folder)
    (wheel,) = folder.glob("ticketlab-*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    # What the wheel needs is here already: only the wheel itself is installed anew, without the checkout.
    target = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    call(*pip, "--python", python, "install", "--no-deps", wheel, cwd=folder)
    here = call(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(target) / "dependencies.pth").write_text(here + "\n")
    return folder / "venv/bin/ticketlab"


def test_it_is_not_the_checkout(installed, tmp_path):
    """What runs below is the installed package, migrations included."""
    code = "import ticketlab.tickets.migrations as m; print(m._script_folder())"
    found = Path(call(installed.with_name("python"), "-c", code, cwd=tmp_path).strip())
    assert installed.parents[1] in found.parents
    assert (found / "versions" / "0001_events_and_tickets.py").is_file()


def test_it_runs_the_main_job(installed, tmp_path):
    """`ticketlab run` tells the control from the safe strategies, and writes the report; once each is enough."""
    words = ("run", "--server", "embedded", "--purchases", "200", "--repeats", "1", "--json")
    printed = json.loads(call(installed, *words, cwd=tmp_path))
    verdicts = {trial["strategy"]: trial["verdict"] for trial in printed["trials"]}
    assert verdicts == dict.fromkeys(TELLING_FEW, "VALID") | {"naive": "INVALID"}
    assert "Which strategy is safe?" in (tmp_path / printed["report"]).read_text()


def test_it_migrates(installed, tmp_path, database_url):
    """`ticketlab migrate` goes up and down, and generates into a folder of the user's."""
    settings = Settings.from_url(database_url)
    url = ["--url", settings.url]
    assert "applied 0001, 0002" in call(installed, "migrate", "upgrade", *url, cwd=tmp_path)
    generated = call(
        installed, "migrate", "generate", "nothing", "--versions", tmp_path / "versions", *url, cwd=tmp_path
    )
    assert "nothing to migrate" in generated
    assert "reverted 0002" in call(installed, "migrate", "revert", *url, cwd=tmp_path)


def test_it_brings_the_notebooks(installed, tmp_path):
    """All of them, with their index and its pictures, are laid out from the package for `ticketlab lab`."""
    code = "from pathlib import Path; from ticketlab import workbench; print(*workbench.lay_out(Path('mine')).copied)"
    copied = set(call(installed.with_name("python"), "-c", code, cwd=tmp_path).split())
    kept = CHECKOUT / "notebooks"
    notebooks, pictures = kept.glob("*.ipynb"), kept.glob("images/*.png")
    assert copied == {"README.md"} | {str(path.relative_to(kept)) for path in (*notebooks, *pictures)}
    assert len(copied) > 10
