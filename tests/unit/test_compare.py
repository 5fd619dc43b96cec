"""Two runs against each other: what differs, how surely, and when continuous integration must stop."""

import json
from io import StringIO

import pytest
from rich.console import Console

from ticketlab.errors import InvalidInputError
from ticketlab.report.comparison import ChangeKind, inconclusive, news_of, regressions, versus
from ticketlab.report.comparison_output import as_json, printed
from ticketlab.report.model import Report

BEFORE, HALF, NOISY = [100.0, 110.0, 121.0], [50.0, 55.0, 60.5], [60.0, 110.0, 190.0]
NO_INTERVAL = "below 0.9. Without an interval, which takes two repeats that sold, the ratio itself counts"


@pytest.fixture
def run(trial, results):
    """A run by the speeds of its strategies' repeats; what else is to be so of every trial stands in `fields`."""

    def make(name, *, fields=None, **speeds):
        trials = [
            trial(strategy, purchases_per_s=float(speed), repeat=repeat)
            | (fields or {}).get(strategy, {})
            | {"trial": repeat}
            for strategy, of_repeats in speeds.items()
            for repeat, speed in enumerate(of_repeats, start=1)
        ]
        return results(*trials, run=name, conditions="")

    return make


@pytest.fixture
def judged(verdict, trial, results):
    """A run of one trial of a strategy, by the anomalies that it was found to have; see `fixture verdict`."""

    def make(name, strategy, *anomalies, status=None, **fields):
        status = status or ("INVALID" if anomalies else "VALID")
        row = trial(strategy, verdict=status)
        found = [
            verdict(strategy, "INVALID", f"{each} in event 7.", anomaly=each, check=f"no_{each}") for each in anomalies
        ]
        if status == "UNKNOWN":
            found = [verdict(strategy, status, "too little was seen.", anomaly=None)]
        return results(row, run=name, verdicts=found, **fields)

    return make


def both(first, second, **options):
    return versus(Report(runs=[first, second]), **options)


def text_of(compared, width=80):
    out = StringIO()
    Console(file=out, width=width).print(*printed(compared), sep="\n", highlight=False)
    return out.getvalue()


class TestRows:
    def test_a_strategy_that_both_have_has_its_ratios(self, run):
        """Of the geometric means, the second run's by the first's, with the interval of the repeats."""
        compared = both(run("one", atomic=BEFORE), run("two", atomic=HALF))
        row = compared.rows.iloc[0]
        assert row["purchases_per_s_ratio"] == pytest.approx(0.5)
        assert row["purchases_per_s_low"] < 0.5 < row["purchases_per_s_high"] < 1
        assert row["purchases_per_s_clear"]
        assert (row["p95_ms_ratio"], row["p95_ms_clear"]) == (1, False)

    def test_what_one_run_has_alone_is_named(self, run):
        """With its setting where settings differ."""
        first = run("one", atomic=BEFORE, nowait=BEFORE)
        second = run("two", atomic=BEFORE, nowait=BEFORE, fields={"nowait": {"buyers": 64}})
        compared = both(first, second)
        assert list(compared.rows["strategy"]) == ["atomic"]
        assert (compared.only_first, compared.only_second) == (("nowait (16 buyers)",), ("nowait (64 buyers)",))

    def test_only_the_strategies_that_are_asked_for_are_compared(self, run):
        """One that neither has is a mistake of who asks."""
        first, second = run("one", atomic=BEFORE, nowait=BEFORE), run("two", atomic=HALF, nowait=BEFORE)
        assert list(both(first, second, strategies=["nowait"]).rows["strategy"]) == ["nowait"]
        with pytest.raises(InvalidInputError, match=r"Neither run has magic\. They have: atomic, nowait\."):
            both(first, second, strategies=["nowait", "magic"])

    def test_a_strategy_that_only_one_run_has_can_be_asked_for(self, run):
        """Then nothing is in common, and it is said whose it is."""
        compared = both(run("one", atomic=BEFORE, nowait=BEFORE), run("two", atomic=HALF), strategies=["nowait"])
        assert compared.rows.empty
        assert compared.only_first == ("nowait",)
        assert "The runs share no strategy in the same setting." in text_of(compared)


class TestNews:
    @pytest.mark.parametrize(
        ("before", "after", "turn", "said"),
        [
            ([], ["oversell"], ChangeKind.WRONG, "VALID in the first run, INVALID in the second: oversell. In trial 1"),
            (
                ["oversell"],
                ["oversell", "deadlock"],
                ChangeKind.WORSE,
                "INVALID as before, with a new anomaly: deadlock.",
            ),
            (["oversell"], [], ChangeKind.NOT_SEEN, "INVALID in the first run, VALID in the second."),
        ],
    )
    def test_a_verdict_that_turned_is_told(self, judged, before, after, turn, said):
        """What was found, by its name, and where."""
        (news,) = news_of(both(judged("one", "atomic", *before), judged("two", "atomic", *after)))
        assert (news.turn, news.is_regression) == (turn, turn is not ChangeKind.NOT_SEEN)
        assert said in news.sentence

    def test_a_verdict_that_became_undecided_is_told(self, judged):
        """UNKNOWN is not VALID."""
        (news,) = news_of(both(judged("one", "atomic"), judged("two", "atomic", status="UNKNOWN")))
        assert (news.turn, news.is_regression) == (ChangeKind.UNDECIDED, True)
        assert "VALID in the first run, UNKNOWN in the second: no_oversell. In trial 1, no_oversell: " in news.sentence

    @pytest.mark.parametrize("anomalies", [[], ["oversell"]])
    def test_a_verdict_that_stayed_is_no_news(self, judged, anomalies):
        """The same anomaly again is none."""
        compared = both(judged("one", "atomic", *anomalies), judged("two", "atomic", *anomalies))
        assert news_of(compared) == []
        assert "Verdicts: the same in both runs." in text_of(compared)

    def test_a_strategy_that_is_new_and_wrong_is_told(self, judged):
        """There was no verdict before, so it is said that there was none."""
        (news,) = news_of(both(judged("one", "nowait"), judged("two", "atomic", "oversell")))
        assert "atomic: only in the second run, and INVALID there: oversell." in news.sentence

    def test_a_control_that_was_caught_only_now_alarms_nobody(self, judged):
        """It is meant to be caught."""
        (news,) = news_of(both(judged("one", "naive"), judged("two", "naive", "oversell")))
        assert not news.is_regression
        assert news.sentence.startswith("naive, a control: VALID in the first run, INVALID in the second")

    def test_what_alarms_is_said_before_any_number(self, judged):
        """The first thing after the names of the runs."""
        text = text_of(both(judged("one", "atomic"), judged("two", "atomic", "oversell")))
        assert text.splitlines()[3].startswith("atomic: VALID in the first run, INVALID in the second")


class TestGate:
    @pytest.mark.parametrize(
        ("before", "after", "below", "why"),
        [
            (
                BEFORE,
                HALF,
                0.9,
                "0.5 times the sales/s of the first run, surely below 0.9 (95 % interval 0.403 to 0.621)",
            ),
            (BEFORE, HALF, 0.6, None),
            (BEFORE, NOISY, 1.0, None),
            (BEFORE, BEFORE, 1.0, None),
            ([100], [89], 0.9, f"0.89 times the sales/s of the first run, {NO_INTERVAL}"),
            ([100], [90], 0.9, None),
            (BEFORE, [0, 0, 0], 0.9, f"0 times the sales/s of the first run, {NO_INTERVAL}"),
            ([0, 0, 0], BEFORE, 0.9, None),
        ],
    )
    def test_it_fails_where_the_whole_interval_is_below(self, run, before, after, below, why):
        """Where there is no interval the ratio itself counts, and what sold nothing before cannot have got slower."""
        found = regressions(both(run("one", atomic=before), run("two", atomic=after)), below=below)
        assert found == ([f"atomic has {why}."] if why else [])

    @pytest.mark.parametrize(
        ("strategy", "before", "after", "fails"),
        [
            ("atomic", [], ["oversell"], True),
            ("atomic", ["oversell"], ["oversell"], False),
            ("atomic", ["oversell"], [], False),
            ("naive", [], ["oversell"], False),
        ],
    )
    def test_it_fails_where_a_safe_strategy_is_newly_wrong(self, judged, strategy, before, after, fails):
        """A control may be caught, and what was wrong before is no regression."""
        found = regressions(both(judged("one", strategy, *before), judged("two", strategy, *after)), below=0.9)
        sentence = "atomic claims to be safe, and its verdict in the second run is worse than in the first."
        assert found == ([sentence] if fails else [])

    def test_it_fails_where_a_safe_strategy_is_no_longer_shown_to_be_right(self, judged):
        """As `ticketlab run` ends with 1 then; once proven wrong it fails too, though it was doubted before."""
        doubted = judged("two", "atomic", status="UNKNOWN", wrong=["atomic"])
        assert len(regressions(both(judged("one", "atomic"), doubted), below=0.9)) == 1
        proven = judged("three", "atomic", "oversell", wrong=["atomic"])
        assert len(regressions(both(doubted, proven), below=0.9)) == 1

    def test_what_may_be_below_and_passes_is_named(self, run):
        """Too few repeats, or too far apart, pass any gate: that is said."""
        speeds = {"nowait": HALF, "advisory": BEFORE}
        first = run("one", atomic=BEFORE, nowait=BEFORE, advisory=BEFORE)
        assert inconclusive(both(first, run("two", atomic=[40.0, 70.0, 190.0], **speeds)), below=0.9) == ["atomic"]

    @pytest.mark.parametrize("below", [0, -1, float("nan"), float("inf")])
    def test_a_limit_that_is_none_is_refused(self, run, below):
        """A ratio of positive numbers lies above 0."""
        compared = both(run("one", atomic=BEFORE), run("two", atomic=HALF))
        with pytest.raises(InvalidInputError, match=r"--fail-below takes a ratio above 0, such as 0\.9"):
            regressions(compared, below=below)

    def test_runs_that_share_nothing_do_not_pass(self, run):
        """A gate that compared nothing must not look open."""
        with pytest.raises(InvalidInputError, match="--fail-below has nothing to compare"):
            regressions(both(run("one", atomic=BEFORE), run("two", nowait=BEFORE)), below=0.9)


class TestViews:
    def test_the_table_fits_80_columns(self, run):
        """The longest names, the largest numbers and the widest intervals there may be."""
        wide = {"naive_repeatable_read": [31_000, 31_100], "basket_unordered": [1e-3, 1e5], "atomic": [100, 101]}
        first, second = run("one", **wide), run("two", **{name: speeds[::-1] for name, speeds in wide.items()})
        lines = text_of(both(first, second)).splitlines()
        assert max(map(len, lines)) <= 80
        assert not [line for line in lines if "…" in line]

    def test_it_says_which_differences_are_clear(self, run):
        """Faster, slower, unclear, and without a ratio: each strategy in one of them."""
        first = run("one", atomic=BEFORE, nowait=BEFORE, optimistic=BEFORE, advisory=[0, 0, 0])
        second = run("two", atomic=HALF, nowait=NOISY, optimistic=[210, 220, 230], advisory=BEFORE)
        text = text_of(both(first, second))
        for sentence in (
            "Clearly faster: optimistic (× 2).",
            "Clearly slower: atomic (× 0.5).",
            "Not clearly faster or slower: nowait.",
            "No ratio, because the first run sold nothing: advisory.",
        ):
            assert sentence in text

    def test_one_repeat_a_side_is_unclear(self, run):
        """It has a ratio, and no interval."""
        text = text_of(both(run("one", atomic=[100]), run("two", atomic=[50])))
        assert "no interval" in text
        assert "Not clearly faster or slower: atomic." in text

    def test_it_warns_of_drift_and_says_what_ran_otherwise(self, results, trial):
        """A machine that others use is not the same at two times, and neither is another setting."""
        first = results(trial("atomic"), run="one", environment={"server": {"fsync": "on"}, "began": "noon"})
        second = results(trial("atomic"), run="two", environment={"server": {"fsync": "off"}, "began": "midnight"})
        text = text_of(both(first, second))
        assert "drifts" in text
        assert "Settings that differ:\n- server.fsync: on → off\n\n" in text

    def test_as_json_says_the_same(self, run):
        """Plain JSON: what there is none of is null."""
        told = json.loads(json.dumps(as_json(both(run("one", atomic=[100]), run("two", atomic=[50]))), allow_nan=False))
        (row,) = told["strategies"]
        assert (row["speed"], row["purchases_per_s_ratio"], row["purchases_per_s_low"]) == ("unclear", 0.5, None)
        assert (told["first"], told["second"], told["verdicts_changed"]) == ("one", "two", [])
