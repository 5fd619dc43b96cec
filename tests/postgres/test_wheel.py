"""The wheel, installed alone in an environment of its own and outside the checkout, is the whole lab."""

import email
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from ticketlab.settings import Settings

# One process makes the environment that all of these look at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]
CHECKOUT = Path(__file__).parents[2]


def call(*words, cwd, code=0, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it may name the checkout
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, as hatchling makes them of the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "hatchling", "build", "-d", folder, "-t", "sdist", "-t", "wheel", cwd=CHECKOUT)
    (wheel,), (sdist,) = folder.glob("ticketlab-*.whl"), folder.glob("ticketlab-*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The `ticketlab` command of an environment that holds the wheel, and what the wheel needs."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    # What the wheel needs is here already: only the wheel itself is installed anew, without the checkout.
    target = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    call(*PIP, "--python", python, "install", "--no-deps", built[0], cwd=folder)
    here = call(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(target) / "dependencies.pth").write_text(here + "\n")
    return folder / "venv/bin/ticketlab"


def contents(wheel):
    """Every file of a wheel, by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def kept(*folders):
    """The files of the checkout that git keeps there, or would."""
    words = ["git", "-C", CHECKOUT, "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    return {name for name in call(*words, cwd=CHECKOUT).splitlines() if (CHECKOUT / name).is_file()}


@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="what belongs into a wheel is told by git")
def test_the_wheel_holds_the_package_and_nothing_else(built):
    """Code, types, templates, what was measured, migrations and notebooks; no test, no run, nothing compiled."""
    names = {each for each in contents(built[0]) if ".dist-info/" not in each}
    notebooks = {each for each in kept("notebooks") if not each.endswith(".py")}
    beside = {f"ticketlab/{each}" for each in kept("migrations") | notebooks}
    assert names == kept("ticketlab") | beside
    for told in (
        "py.typed",
        "checks/mutation_baseline.json",
        "report/templates/page.html.j2",
        "migrations/env.py",
        "notebooks/README.md",
    ):
        assert f"ticketlab/{told}" in names


def test_the_wheel_says_what_it_is(built):
    """Its command, its licence, the Pythons it is tested with, and no address that leads nowhere."""
    (folder,) = {each.split("/")[0] for each in contents(built[0]) if ".dist-info/" in each}
    files = contents(built[0])
    metadata = email.message_from_bytes(files[f"{folder}/METADATA"])
    pythons = {each.rpartition(" ")[2] for each in metadata.get_all("Classifier") if ":: Python :: 3." in each}
    assert pythons == {"3.11", "3.12", "3.13", "3.14"}
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.11", "MIT")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Project-URL") is None
    assert f"{folder}/licenses/LICENSE" in files
    assert b"ticketlab = ticketlab.__main__:main" in files[f"{folder}/entry_points.txt"]


def test_the_sdist_builds_the_same_wheel(built, tmp_path):
    """Byte for byte, and it brings the tests and what the checkout says of itself."""
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        names = {each.partition("/")[2] for each in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "tests/conftest.py"} <= names
    assert not [each for each in names if "__pycache__" in each or each.startswith(("runs/", ".venv/", ".git/"))]
    call(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, sdist, cwd=tmp_path)
    (again,) = tmp_path.glob("*.whl")
    assert contents(again) == contents(wheel)


def test_it_is_not_the_checkout(installed, tmp_path):
    """What runs below is the installed package, migrations included."""
    code = "import ticketlab.tickets.migrations as m; print(m._script_folder())"
    found = Path(call(installed.with_name("python"), "-c", code, cwd=tmp_path).strip())
    assert installed.parents[1] in found.parents
    assert (found / "versions" / "0001_events_and_tickets.py").is_file()


def test_it_runs_the_main_job(installed, tmp_path):
    """`ticketlab run` tells the control from the safe strategies, and writes the report; few of them are enough."""
    few = ("naive", "coalesced", "serializable")
    chosen = [word for name in few for word in ("--strategy", name)]
    words = ("run", "--server", "embedded", "--purchases", "200", "--repeats", "1", "--json", *chosen)
    printed = json.loads(call(installed, *words, cwd=tmp_path))
    verdicts = {trial["strategy"]: trial["verdict"] for trial in printed["trials"]}
    assert verdicts == dict.fromkeys(few, "VALID") | {"naive": "INVALID"}
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
    code = (
        "from pathlib import Path; from ticketlab import jupyter; print(*jupyter.copy_notebooks(Path('mine')).copied)"
    )
    copied = set(call(installed.with_name("python"), "-c", code, cwd=tmp_path).split())
    source = CHECKOUT / "notebooks"
    notebooks, pictures = source.glob("*.ipynb"), source.glob("images/*.png")
    assert copied == {"README.md"} | {str(path.relative_to(source)) for path in (*notebooks, *pictures)}
    assert len(copied) > 10


def test_a_newcomers_test_fails_by_the_name_of_his_bug_and_passes_when_it_is_mended(installed, tmp_path):
    """As the README has it, outside the checkout: without FOR UPDATE a lost update is told, and how it is repeated."""
    _, shop, test = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "test_shop.py").write_text(test)
    (tmp_path / "shop.py").write_text(shop.replace(" FOR UPDATE", ""))
    pytest_there = [installed.with_name("python"), "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=junit.xml"]
    small = ["--ticketlab-server=embedded", "--ticketlab-buyers=8", "--ticketlab-seconds=1", "--ticketlab-repeats=1"]
    told = call(*pytest_there, *small, cwd=tmp_path, code=1)
    assert "buy: lost update." in told
    assert "Why it is wrong: " in told
    (again,) = re.findall(r"^Again: +pytest (.+)$", told, re.MULTILINE)
    assert "buy: lost update." in call(*pytest_there, *shlex.split(again), cwd=tmp_path, code=1)
    (tmp_path / "shop.py").write_text(shop)
    assert "1 passed" in call(*pytest_there, *small, cwd=tmp_path)
