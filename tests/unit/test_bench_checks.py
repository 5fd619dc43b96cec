"""The bench of the checks: what is asked for, what follows from what was measured, and a small one in processes."""

import dataclasses
import json
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from ticketlab.bench import _checking_worker, checking, tables
from ticketlab.bench._checking_worker import VIOLATIONS
from ticketlab.bench.checking import ALL_CHECKS, ChecksBench, named_checks, run_worker, slope
from ticketlab.errors import InvalidInputError, NotFoundError

SMALL = ChecksBench(sizes=(1_000, 10_000), checks=("no_oversell", "strict_serializability"))


def told(bench, turn, *, seconds_of=lambda turn: turn.operations / 1e6, status=None):
    """What a process would tell that takes a microsecond an operation."""
    yield {"rows": turn.operations, "tickets": 7, "history_bytes": 8}
    for subject in bench.subjects:
        yield {
            "subject": subject, "seconds": [seconds_of(turn)] * 3, "peak_bytes": 10**8, "peak_is_own": True,
            "status": status or ("VALID" if turn.valid else "INVALID"), "said": "what it says",
        }  # fmt: skip


def printed(*parts):
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(*parts, sep="\n")
    return out.getvalue()


class TestPlan:
    def test_each_size_is_judged_right_and_violated_by_each_check_and_all(self):
        """Two sizes, two variants; two checks and both together."""
        assert [tuple(turn) for turn in SMALL.schedule()] == [
            (1_000, True), (1_000, False), (10_000, True), (10_000, False),
        ]  # fmt: skip
        assert SMALL.subjects == ("no_oversell", "strict_serializability", ALL_CHECKS)

    def test_short_times_are_taken_more_often(self):
        """Three times a million, once ten millions, and the small ones no more than 25 times."""
        assert [ChecksBench().repeats_of(size) for size in (10_000, 1_000_000, 10_000_000)] == [25, 3, 1]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [({"sizes": (5, 3)}, "the fewest first"), ({"sizes": ()}, "at least one"), ({"repeats": 0}, "repeats")],
    )
    def test_what_can_not_be_measured_is_refused(self, changes, words):
        """Before any process is started."""
        with pytest.raises(InvalidInputError, match=words):
            ChecksBench(**changes)

    def test_an_unknown_check_is_told_of_those_that_there_are(self):
        """A typing error costs nothing."""
        with pytest.raises(NotFoundError, match="strict_serializability"):
            ChecksBench(checks=("strict_serializable",))

    def test_every_check_has_a_violation_to_find(self):
        """Or its bench would show that it is fast, and not that it looks."""
        assert VIOLATIONS.keys() == named_checks().keys()


class TestResults:
    def test_the_slope_is_the_power_of_the_size(self):
        """Linear, quadratic, and of one size none."""
        assert slope({10: 1.0, 100: 10.0, 1000: 100.0}) == pytest.approx(1)
        assert slope({10: 1.0, 100: 100.0}) == pytest.approx(2)
        assert slope({10: 1.0}) is None

    def test_operations_a_second_are_those_of_the_median(self):
        """A microsecond each is a million a second, and linear."""
        results = checking.run(SMALL, measure=told)
        assert {round(each.per_s) for each in results.measured} == {1_000_000}
        assert results.slope(ALL_CHECKS, valid=True) == pytest.approx(1)
        assert (results.errors, results.ended_early) == ([], False)
        as_json = results.as_json()["checks"]["no_oversell"]["violated"]["sizes"]["10000"]
        assert (as_json["status"], round(as_json["operations_per_s"])) == ("INVALID", 1_000_000)

    def test_a_wrong_verdict_is_an_error(self):
        """A check that finds nothing in a violated history is fast for no good reason."""
        results = checking.run(SMALL, measure=lambda bench, turn: told(bench, turn, status="VALID"))
        assert len(results.errors) == 2 * len(SMALL.subjects)
        assert "no_oversell must call a violated history of 1,000 operations INVALID" in results.errors[0]
        assert "VALID" in printed(tables.check_speeds(results))

    def test_a_process_that_fails_is_an_error_and_the_next_one_is_started(self):
        """With too little memory, perhaps: what the others measured is kept."""

        def measure(bench, turn):
            if turn == (10_000, True):
                raise ChildProcessError("it was ended by signal 9")
            yield from told(bench, turn)

        results = checking.run(SMALL, measure=measure)
        assert results.errors == ["it was ended by signal 9"]
        assert len(results.measured) == 3 * len(SMALL.subjects)

    def test_ctrl_c_keeps_what_was_measured(self):
        """The second size was under way."""

        def measure(bench, turn):
            if turn.operations > 1_000:
                raise KeyboardInterrupt
            yield from told(bench, turn)

        results = checking.run(SMALL, measure=measure)
        assert results.ended_early
        assert {each.operations for each in results.measured} == {1_000}

    def test_the_tables_fit_and_say_what_was_measured(self):
        """Speed, seconds, slope and memory in 80 columns, and no more colours than words."""
        results = checking.run(SMALL, measure=told)
        shown = printed(
            tables.check_speeds(results),
            tables.check_peaks(results),
            tables.check_legend(results),
            *tables.check_remarks(results),
        )
        assert max(map(len, shown.splitlines())) <= 80
        for words in ("strict_serializability", "1M", "10 ms", "1.00", "100MB", "violated at the very end"):
            assert words in shown


class TestProcesses:
    @pytest.mark.slow
    def test_a_small_bench_in_real_processes(self):
        """Checks alone and all together: right histories VALID, violated ones INVALID, and nothing else wrong."""
        bench = ChecksBench(sizes=(2_000,), repeats=1, checks=("no_oversell", "strict_serializability"))
        results = checking.run(bench)
        assert (results.errors, results.ended_early) == ([], False)
        assert len(results.measured) == 2 * (2 + 1)
        assert all(each.peak_bytes > 10**7 for each in results.measured)

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"baskets": True}, marks=pytest.mark.slow),
            pytest.param({"refunds": True}, marks=pytest.mark.slow),
            {"events": 50, "refunds": True, "baskets": True},
            pytest.param({"events": 50, "refunds": True}, marks=pytest.mark.slow),
        ],
    )
    def test_other_histories_are_judged_right_too(self, monkeypatch, changes):
        """Baskets, refunds, many events: measured by what the processes run, in this one, and once each."""
        monkeypatch.setattr(ChecksBench, "repeats_of", lambda *_: 1)
        bench = dataclasses.replace(SMALL, sizes=(2_000,), repeats=1, **changes)
        results = checking.run(
            bench, measure=lambda bench, turn: _checking_worker.measure(bench, turn.operations, valid=turn.valid)
        )
        assert results.errors == []
        assert len(results.measured) == 2 * len(bench.subjects)

    def test_a_process_ends_with_who_started_it(self):
        """Its standard input ends, and it does, though it is at work."""
        asked = {"plan": dataclasses.asdict(ChecksBench(sizes=(3_000_000,))), "operations": 3_000_000, "valid": True}
        process = subprocess.Popen(
            [sys.executable, "-m", "ticketlab.bench._checking_worker", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        process.stdin.close()
        assert process.wait(60) == 1
        process.stdout.close()

    def test_a_process_that_fails_says_why(self):
        """Its last line, and of what history."""
        bench = dataclasses.replace(SMALL)
        object.__setattr__(bench, "checks", ("no_such_check",))
        with pytest.raises(ChildProcessError, match=r"a valid history of 1,000 operations failed: .*no_such_check"):
            list(run_worker(bench, next(bench.schedule())))
