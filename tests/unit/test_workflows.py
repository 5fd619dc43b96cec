"""What GitHub runs can be read, calls targets that there are, and covers all that the package says it supports."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
TARGETS = {*re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}
POSTGRESQL = [14, 15, 16, 17, 18]
ON = True
"""What YAML makes of the key `on`."""


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow):
    return [step["run"] for step in steps(workflow) if "run" in step]


@pytest.mark.parametrize("name", ["test", "stress"])
def test_a_workflow_may_read_and_nothing_more(name):
    """It is given the rights that it names, and runs once for a branch at a time, for no longer than an hour."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert "github.ref" in workflow["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_target_that_a_workflow_makes_is_in_the_makefile(name):
    """Each is named as its first argument."""
    made = re.findall(r"\bmake ([a-z]+)", "\n".join(commands(WORKFLOWS[name])))
    assert made
    assert {*made} <= TARGETS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_named_by_their_major_version_and_what_was_run_is_kept(name):
    """Also where a test failed: then above all."""
    used = [step for step in steps(WORKFLOWS[name]) if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in used)
    (kept,) = [step for step in used if "upload-artifact" in step["uses"]]
    assert (kept["if"], kept["with"]["path"]) == ("${{ !cancelled() }}", "runs")


def test_the_tests_run_on_every_python_and_every_postgresql_that_is_supported():
    """From the oldest that the package asks for on, without a gap, and all that its classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]["include"]
    minors = sorted({int(row["python"].removeprefix("3.")) for row in rows})
    oldest = int(re.fullmatch(r">=3\.(\d+)", project["requires-python"])[1])
    named = {int(each) for each in re.findall(r"Python :: 3\.(\d+)", "\n".join(project["classifiers"]))}
    assert minors == [*range(oldest, minors[-1] + 1)]
    assert named <= {*minors}
    assert minors[-1] >= 14
    assert sorted(int(row["postgresql"]) for row in rows) == POSTGRESQL


def test_the_stress_suite_runs_by_night_whole_and_on_every_postgresql():
    """All parts of so many, on all images; and whenever somebody asks for it."""
    workflow = WORKFLOWS["stress"]
    assert {*workflow[ON]} == {"schedule", "workflow_dispatch"}
    parts = workflow["jobs"]["stress"]["strategy"]["matrix"]["shard"]
    assert f"make stress SHARD=${{{{ matrix.shard }}}}/{len(parts)}" in commands(workflow)
    assert parts == [*range(1, len(parts) + 1)]
    (pulled,) = [each for each in commands(workflow) if "docker pull" in each]
    assert [int(each) for each in re.findall(r"\b\d+\b", pulled)] == POSTGRESQL
