"""The stress suite is split so that every test is in one part, and ends in its time whatever its tests take."""

from pathlib import Path

import pytest
import stress_summary
from stress_plan import (
    BUDGET_S,
    LEAST_S,
    MOST_TIMES,
    PLENTY,
    PURCHASES,
    SECONDS,
    SLOW,
    Known,
    Shard,
    in_shard,
    longest_first,
    seconds_of,
    share_s,
)

from ticketlab.tickets import strategies

STRESS = Path(__file__).parents[1] / "stress"
SUITE = [Known(f"{test}[{name}]", seconds_of(test, name)) for test in SECONDS for name in strategies.registry()]


@pytest.mark.parametrize("parts", [1, 2, 4, 7])
def test_every_test_is_in_exactly_one_part(parts):
    """However many parts there are, and in whatever order the tests come."""
    split = [in_shard(SUITE, Shard(number=number, of=parts)) for number in range(1, parts + 1)]
    assert sorted(name for part in split for name in part) == sorted(name for name, _ in SUITE)
    assert split == [in_shard(reversed(SUITE), Shard(number=number, of=parts)) for number in range(1, parts + 1)]


def test_the_parts_take_about_as_long():
    """The long tests are not all in one: no part has more to do than another by more than the shortest test."""
    seconds = dict(SUITE)
    sums = [sum(seconds[name] for name in in_shard(SUITE, Shard(number=number, of=4))) for number in range(1, 5)]
    assert max(sums) - min(sums) <= min(seconds.values())


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/4", "\N{SUPERSCRIPT TWO}/4"])
def test_a_part_that_there_is_not_is_refused(text):
    """The error shows how one is written."""
    with pytest.raises(ValueError, match="such as 1/4"):
        Shard.parse(text)


def test_a_part_is_written_as_it_is_read():
    """Number first."""
    assert str(Shard.parse("3/4")) == "3/4"
    assert Shard.parse("3/4") == Shard(number=3, of=4)


@pytest.mark.parametrize("slower", [0.5, 1.0, 2.5])
def test_all_end_in_the_budget_though_each_takes_longer_than_its_share(slower):
    """Two at a time; what the first ones took too long for, the later ones do without."""
    suite = longest_first(Known(f"{name} {place}", seconds) for name, seconds in SUITE for place in range(3))
    clocks = [0.0, 0.0]
    for name, _ in suite:
        clock = clocks.index(min(clocks))
        clocks[clock] += slower * share_s(suite, name, elapsed_s=clocks[clock], at_once=2)
    assert max(clocks) < BUDGET_S * 1.02 + len(suite) / 2 * LEAST_S * slower * (slower > 1)


def test_a_test_that_is_late_has_a_second_and_one_that_is_alone_no_half_hour():
    """Neither is left out, and neither is waited for."""
    alone = [Known("a test", 10.0)]
    assert share_s(alone, "a test", elapsed_s=BUDGET_S + 100, at_once=2) == LEAST_S
    assert share_s(alone, "a test", elapsed_s=0.0, at_once=2) == 10.0 * MOST_TIMES


def test_every_test_of_the_suite_and_none_besides_is_known():
    """Or a part would be filled by a test whose time nobody has measured; so with the strategies that are slow."""
    sources = "".join(path.read_text() for path in STRESS.glob("test_*.py"))
    assert {line[4:].partition("(")[0] for line in sources.splitlines() if line.startswith("def test_")} == {*SECONDS}
    assert {*SLOW} | {*PURCHASES} <= {*strategies.registry()}
    assert max(PURCHASES.values()) < PLENTY


def trial(server, strategy, *, under="load", purchases=1_000, seconds=2.0, safe=True, verdict="VALID"):
    return {
        "server": server, "strategy": strategy, "safe": safe, "under": under, "purchases": purchases,
        "sales": purchases - 100, "seconds": seconds, "verdict": verdict,
    }  # fmt: skip


ROWS = [
    trial("embedded:18", "atomic"),
    trial("embedded:15", "naive", safe=False, verdict="INVALID"),
    trial("embedded:18", "atomic", under="faults", purchases=500, seconds=50.0),
    {"server": "embedded:15", "mutant": "atomic_one_off", "meant": "no_oversell", "by": {"no_oversell": 100, "b": 85}},
    {"server": "embedded:15", "mutant": "atomic_lucky", "meant": "no_oversell", "by": {}},
]


def test_a_summary_has_a_line_for_each_server_and_strategy_and_for_each_mutant():
    """All purchases are counted, and the speed is that of the sales in loads alone."""
    strategies_table, mutants_table = stress_summary.tables(ROWS)
    assert strategies_table[1:] == [
        ("embedded:15", "naive", "1,000", "450", "INVALID (control)"),
        ("embedded:18", "atomic", "1,500", "450", "VALID"),
    ]
    assert mutants_table[1:] == [
        ("embedded:15", "atomic_lucky", "nothing", "–"),
        ("embedded:15", "atomic_one_off", "no_oversell, b", "100, 85"),
    ]


def test_a_strategy_of_more_than_one_verdict_is_told_with_all_of_them():
    """The one that is wrong is not lost among those that are not; without a load there is no speed."""
    rows = [trial("embedded:18", "atomic", under="faults", verdict=verdict) for verdict in ("VALID", "INVALID")]
    ((_, line),) = stress_summary.tables(rows)
    assert line == ("embedded:18", "atomic", "2,000", "–", "INVALID, VALID")


def test_a_summary_is_markdown_and_columns():
    """The same cells in both."""
    told = stress_summary.markdown("Stress: 5 tests", ROWS)
    assert told.startswith("## Stress: 5 tests\n\n| server | strategy |")
    assert "\n| embedded:18 | atomic | 1,500 | 450 | VALID |\n" in told
    assert "\nembedded:18  atomic    1,500      450          VALID\n" in stress_summary.text(ROWS)
    assert stress_summary.tables([]) == []
