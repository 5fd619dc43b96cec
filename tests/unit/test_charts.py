"""Charts, summaries and findings, judged by what their artists hold, never by pixels."""

import sys
from collections.abc import Sequence
from functools import cache
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from ticketlab.evidence.history import RETRIES
from ticketlab.report import charts, findings
from ticketlab.report.style import RED, look_of
from ticketlab.report.summary import COLUMNS, summarise
from ticketlab.report.words import headline, number, percent

CONDITIONS = (
    "PostgreSQL 18.6 (embedded) · fsync on, full_page_writes on, synchronous_commit on · 16 buyers · "
    "at most 4 s a trial · 3 repeats"
)


def trial(strategy: str = "atomic", **fields: object) -> dict[str, object]:
    """One row of measures: 100 tickets for 100 seats, unless said otherwise."""
    tickets = fields.get("tickets", 100)
    over = max(0, tickets - 100)
    row = {
        "trial": 0, "strategy": strategy, "safe": strategy != "naive", "buyers": 16, "pool_size": 20, "repeat": 0,
        "seconds": 0.5, "seats": 100, "tickets": tickets, "oversold": over, "sold": tickets, "sales": tickets,
        "sold_out": 16, "conflicts": 0, "failed": 0, "unavailable": 0, "unknown": 0, "purchases_per_s": 200.0,
        "p50_ms": 2.0, "p95_ms": 4.0, "p99_ms": 8.0, "retries": 0, **dict.fromkeys(RETRIES.values(), 0),
        "verdict": "INVALID" if over else "VALID",
    }  # fmt: skip
    return row | fields


def measures_of(*trials: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(trials, columns=list(trial()))


def stock_of(**lefts: Sequence[int]) -> pd.DataFrame:
    """A curve a strategy, one step a tenth of a second."""
    curves = [
        {"strategy": strategy, "repeat": 0, "buyers": 16, "pool_size": 20, "seconds": step / 10, "left": left}
        for strategy, steps in lefts.items()
        for step, left in enumerate(steps)
    ]
    return pd.DataFrame(curves, columns=["strategy", "repeat", "buyers", "pool_size", "seconds", "left"])


def texts_of(figure: Figure) -> list[str]:
    return [each.get_text() for each in figure.findobj(Text) if each.get_text() and each.get_visible()]


def words_of(figure: Figure) -> str:
    return " ".join(" ".join(texts_of(figure)).split())


def bars_of(figure: Figure, gid: str | None) -> list[tuple[float, float]]:
    """Where each bar starts, and how long it is."""
    return [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches if bar.get_gid() == gid]


def unused_ticks(figure: Figure) -> set[Text]:
    """The labels that Matplotlib keeps for ticks outside of the axis, and does not draw."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    ticks = {tick for axis in axes for tick in axis.get_major_ticks()}
    return {tick.label1 for tick in ticks - {tick for axis in axes for tick in axis._update_ticks()}}


def lines_of(figure: Figure, gid: str) -> list[tuple[list[float], list[float]]]:
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for axes in figure.axes
        for line in axes.lines
        if line.get_gid() == gid
    ]


# Summary


def test_a_summary_has_one_row_per_strategy_and_number_of_buyers_controls_first():
    """Controls stand first, then the strategies as they appear, each by its buyers."""
    measures = measures_of(
        trial("pessimistic", buyers=16), trial("pessimistic", buyers=4), trial("atomic"), trial("naive", tickets=131)
    )
    rows = summarise(measures)
    assert list(rows.columns) == list(COLUMNS)
    assert list(zip(rows["strategy"], rows["buyers"], strict=True)) == [
        ("naive", 16), ("pessimistic", 4), ("pessimistic", 16), ("atomic", 16),
    ]  # fmt: skip


def test_pools_of_different_size_are_different_rows():
    """Repeats are trials that agree in strategy, buyers and pool; no median is taken over two pools."""
    measures = measures_of(
        trial(pool_size=20, purchases_per_s=100.0), trial(pool_size=5, purchases_per_s=300.0), trial(buyers=4)
    )
    rows = summarise(measures)
    assert list(zip(rows["buyers"], rows["pool_size"], rows["per_s"], strict=True)) == [
        (4, 20, 200.0), (16, 5, 300.0), (16, 20, 100.0),
    ]  # fmt: skip


def test_a_summary_adds_up_the_retries_of_each_cause():
    """Over the repeats, each cause by itself."""
    measures = measures_of(trial(retries_deadlock=2, retries_stale_version=7), trial(repeat=1, retries_deadlock=3))
    row = summarise(measures).iloc[0]
    assert (row["retries_deadlock"], row["retries_stale_version"], row["retries_pool_timeout"]) == (5, 7, 0)


def test_a_summary_takes_medians_of_speed_the_worst_oversell_and_sums_of_outcomes():
    """What is rare is summed, what varies has its median and its interval, an oversell is shown at its worst."""
    measures = measures_of(
        trial("naive", tickets=110, purchases_per_s=300.0, unknown=1, retries=5),
        trial("naive", tickets=131, purchases_per_s=100.0, retries=6),
        trial("naive", tickets=109, purchases_per_s=250.0, retries=24),
    )
    row = summarise(measures).iloc[0]
    assert (row["sold"], row["oversold"], row["unknown"], row["sales"]) == (110, 31, 1, 350)
    assert (row["per_s_min"], row["per_s"], row["per_s_max"]) == (100.0, 250.0, 300.0)
    assert row["retries_per_sale"] == pytest.approx(35 / 350)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [(["VALID", "VALID"], "VALID"), (["VALID", "UNKNOWN"], "UNKNOWN"), (["UNKNOWN", "INVALID"], "INVALID")],
)
def test_the_verdict_of_a_row_is_its_worst(verdicts, worst):
    """One INVALID trial makes a strategy INVALID; one UNKNOWN is no kind of VALID."""
    measures = measures_of(*(trial(verdict=each, repeat=repeat) for repeat, each in enumerate(verdicts)))
    assert list(summarise(measures)["verdict"]) == [worst]


def test_retries_per_sale_are_nan_without_a_sale():
    """Without a sale there is no ratio, and no division by zero."""
    assert np.isnan(summarise(measures_of(trial(tickets=0, retries=9)))["retries_per_sale"].iloc[0])


def test_an_empty_summary_has_all_columns():
    """No trials, no rows, the same columns."""
    assert list(summarise(measures_of()).columns) == list(COLUMNS)


# Words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234"), (99.96, "100"), (12.345, "12.3"), (0.0663, "0.0663"), (100, "100"), (np.nan, "—")],
)
def test_numbers_are_written_as_they_are_read(value, text):
    """Three digits are enough, thousands are parted, and no number is a dash."""
    assert number(value) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0 %"), (0.001, "under 1 %"), (0.999, "over 99 %"), (1, "100 %")])
def test_a_percentage_rounds_nothing_away(share, text):
    """A few conflicts are not none, and nearly all are not all."""
    assert percent(share) == text


def test_the_headline_is_valid_only_where_the_control_was_caught():
    """A control that nobody caught leaves the run undecided: the checks have not shown that they see."""
    caught = headline(measures_of(trial("naive", tickets=131), trial("atomic")))
    missed = headline(measures_of(trial("naive"), trial("atomic")))
    assert caught.status == "VALID"
    assert "The control naive was caught, as it must be: 131 tickets for 100 seats." in caught.sentences
    assert missed.status == "UNKNOWN"
    assert any(sentence.startswith("Not caught: the control naive.") for sentence in missed.sentences)


def test_a_strategy_that_breaks_its_promise_makes_the_headline_invalid():
    """One wrong strategy outweighs all that held."""
    found = headline(measures_of(trial("naive", tickets=131), trial("atomic"), trial("optimistic", tickets=101)))
    assert found.status == "INVALID"
    assert found.sentences[0] == "Wrong: optimistic broke what it promises."


# Tickets sold


def test_tickets_beyond_the_seats_are_a_red_bar_with_their_number():
    """131 tickets for 100 seats are a bar to 100 and a red one of 31 from there."""
    figure = charts.tickets_sold(measures_of(trial("naive", tickets=131), trial("atomic")))
    assert bars_of(figure, None) == [(0, 100), (0, 100)]
    assert bars_of(figure, "oversold") == [(100, 31), (100, 0)]
    assert {to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches if bar.get_gid()} == {RED}
    assert "131 (+31)" in texts_of(figure)
    assert texts_of(figure).count("naive sold 131 tickets for 100 seats") == 1


def test_the_seats_are_a_line_through_every_row():
    """The line stands at the number of seats, and says so."""
    figure = charts.tickets_sold(measures_of(trial("naive", tickets=131), trial("atomic")))
    assert [xs for xs, _ in lines_of(figure, "seats")] == [[100, 100], [100, 100]]
    assert "100 seats" in texts_of(figure)


def test_each_repeat_is_a_dot_and_the_worst_is_named():
    """The bar is the median; the repeats stand in it as dots."""
    measures = measures_of(*(trial("naive", tickets=tickets) for tickets in (104, 131, 110)))
    figure = charts.tickets_sold(measures)
    assert [sorted(xs) for xs, _ in lines_of(figure, "repeats")] == [[104, 110, 131]]
    assert bars_of(figure, "oversold") == [(100, 10)]
    assert "110 (+10), at worst +31" in texts_of(figure)
    assert "median of 3 repeats" in words_of(figure)


def test_an_oversold_event_beside_an_unsold_one_is_still_red():
    """With several events the oversold tickets are red even where all tickets are fewer than all seats."""
    measures = measures_of(trial("naive", tickets=90, oversold=5, verdict="INVALID"))
    figure = charts.tickets_sold(measures)
    assert bars_of(figure, "oversold") == [(85, 5)]
    assert findings.tickets_sold(measures).title == "naive sold 5 tickets too many"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ([(16, 20)], ["atomic"]),
        ([(1, 20), (16, 20)], ["atomic   1 buyer", "16 buyers"]),
        ([(16, 5), (16, 20)], ["atomic   pool of 5", "pool of 20"]),
        ([(1, 5), (16, 20)], ["atomic   1 buyer, pool of 5", "16 buyers, pool of 20"]),
    ],
)
def test_a_row_is_named_by_what_sets_it_apart(settings, names):
    """The buyers where they differ, the pool where it differs, and the strategy once."""
    trials = [trial(buyers=buyers, pool_size=pool) for buyers, pool in settings]
    figure = charts.tickets_sold(measures_of(*trials))
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == names


# Stock


def test_the_stock_is_a_line_of_what_was_left():
    """The curve holds the frame as it is, and below zero is named."""
    figure = charts.stock_over_time(stock_of(naive=[2, 1, 0, -1], atomic=[2, 1, 0]), controls=["naive"])
    assert lines_of(figure, "naive") == [([0, 0.1, 0.2, 0.3], [2, 1, 0, -1])]
    assert "oversold" in texts_of(figure)
    assert "naive (control)\noversold 1 at worst" in texts_of(figure)
    assert "atomic\nsold out after 0.2 s" in texts_of(figure)
    assert findings.stock_over_time(stock_of(naive=[1, 0, -1])).title == (
        "naive went on selling after the last seat: 1 ticket too many"
    )


def test_below_zero_is_shaded_down_to_the_lowest_curve():
    """The red ground begins at zero and holds every curve that fell below."""
    figure = charts.stock_over_time(stock_of(naive=[2, 1, 0, -3]))
    shade = next(patch for patch in figure.axes[0].patches if patch.get_gid() == "oversold")
    assert shade.get_y() < -3
    assert shade.get_y() + shade.get_height() == 0


def test_a_run_without_an_oversell_says_so():
    """The ground below zero stays in the chart, and is named empty."""
    assert "oversold: none" in texts_of(charts.stock_over_time(stock_of(atomic=[2, 1, 0])))


def test_curves_of_very_different_speed_stand_on_a_log_axis_that_is_named():
    """A curve of a tenth of a second is not pressed flat by one of minutes."""
    figure = charts.stock_over_time(stock_of(atomic=[1, 0], serializable=[100 - each for each in range(50)]))
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "seconds since the start (log scale)"


def test_settings_have_panels_of_their_own():
    """Curves of different pools never share a panel; few stand with their key, many in a grid under one key."""
    stock = stock_of(atomic=[2, 1, 0], pessimistic=[2, 1, 0])
    for pools in ((5, 20), (5, 10, 20, 40, 80)):
        figure = charts.stock_over_time(pd.concat([stock.assign(pool_size=size) for size in pools]))
        assert [axes.get_title(loc="left") for axes in figure.axes] == [f"pool of {size}" for size in pools]
        assert len(lines_of(figure, "atomic")) == len(pools)
        assert "atomic" in words_of(figure)


# Outcomes


def test_outcomes_are_shares_of_all_purchases():
    """Shares are stacked up to 100 percent, in the order of the outcomes."""
    figure = charts.outcomes(measures_of(trial("optimistic", tickets=50, sold_out=25, conflicts=25, retries=75)))
    assert bars_of(figure, None) == [(0, 50), (50, 25), (75, 25)]
    assert "33 % · 1.5" in texts_of(figure)
    assert [each.get_text() for each in figure.axes[0].get_legend().get_texts()] == ["sold", "sold out", "conflict"]


def test_outcomes_name_who_gave_up_most():
    """The title tells the largest share of conflicts."""
    measures = measures_of(trial("optimistic", conflicts=100), trial("atomic", conflicts=1))
    assert findings.outcomes(measures).title == "optimistic gave up 50 % of its purchases after conflicts"


# Throughput


def test_throughput_draws_the_interval_and_every_repeat():
    """The interval reaches from the least to the most, and each repeat is a dot."""
    measures = measures_of(*(trial(purchases_per_s=rate) for rate in (100.0, 300.0, 250.0)))
    figure = charts.throughput(measures)
    assert [xs for xs, _ in lines_of(figure, "interval")] == [[100.0, 300.0]]
    assert [xs for xs, _ in lines_of(figure, "repeats")] == [[100.0, 300.0, 250.0]]
    assert "250 (100 to 300)" in texts_of(figure)
    assert figure.axes[0].get_xlabel() == "purchases sold per second"


def test_throughput_over_several_numbers_of_buyers_is_a_line():
    """With several numbers of buyers a strategy is a line of medians over them, with a band."""
    measures = measures_of(
        *(trial(buyers=buyers, purchases_per_s=10.0 * buyers + step) for buyers in (1, 4, 16) for step in (-1, 0, 1))
    )
    figure = charts.throughput(measures)
    assert lines_of(figure, "atomic") == [([1, 4, 16], [10, 40, 160])]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (9, 161)
    assert figure.axes[0].get_xlabel() == "buyers at once (log scale)"
    assert "atomic" in texts_of(figure)


def test_throughput_over_several_pools_is_a_line_over_their_size():
    """Where only the pool differs, it is what stands below."""
    measures = measures_of(*(trial(pool_size=size, purchases_per_s=10.0 * size) for size in (5, 20)))
    figure = charts.throughput(measures)
    assert lines_of(figure, "atomic") == [([5, 20], [50, 200])]
    assert figure.axes[0].get_xlabel() == "connections of the pool"


def test_pool_size_against_buyers_is_a_line_over_the_pool_for_each_number_of_buyers():
    """No line mixes pools, nor numbers of buyers, and each strategy has a panel with a scale of its own."""
    measures = measures_of(
        *(
            trial(name, buyers=buyers, pool_size=size, purchases_per_s=float(speed * buyers + size))
            for name, speed in (("atomic", 1), ("coalesced", 100))
            for buyers in (4, 64)
            for size in (5, 20, 40)
        )
    )
    figure = charts.throughput(measures)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["atomic", "coalesced"]
    assert lines_of(figure, "atomic") == [([5, 20, 40], [9, 24, 44]), ([5, 20, 40], [69, 84, 104])]
    assert {"4", "64"} <= {text.get_text() for text in figure.axes[1].texts}
    assert figure.axes[0].get_ylim()[1] < 200 < figure.axes[1].get_ylim()[1]
    assert "Each panel has a scale of its own." in words_of(figure)


def test_rates_far_apart_stand_on_a_log_axis_that_is_named():
    """A strategy of thirty times the others' speed does not press them flat."""
    measures = measures_of(
        *(trial(name, buyers=buyers, purchases_per_s=rate) for name, rate in (("atomic", 100.0), ("coalesced", 9000.0))
          for buyers in (4, 8))
    )  # fmt: skip
    axes = charts.throughput(measures).axes[0]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "purchases sold per second (log scale)")
    axes = charts.throughput(measures[measures["buyers"] == 4]).axes[0]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "purchases sold per second (log scale)")


def test_nobody_is_called_the_fastest_where_intervals_meet():
    """One repeat that reaches the other's interval is enough to leave it open."""
    clear = [trial("atomic", purchases_per_s=rate) for rate in (300.0, 320.0)]
    apart = [trial("pessimistic", purchases_per_s=rate) for rate in (100.0, 110.0)]
    meeting = [trial("pessimistic", purchases_per_s=rate) for rate in (100.0, 301.0)]
    assert findings.throughput(measures_of(*clear, *apart)).title.startswith("atomic is the fastest: 310 purchases/s")
    assert "too close to call" in findings.throughput(measures_of(*clear, *meeting)).title


def test_a_strategy_that_oversold_is_never_called_the_fastest():
    """A control or a strategy proven wrong, at whatever number of buyers, does not compete."""
    measures = measures_of(
        trial("naive", tickets=131, purchases_per_s=900.0),
        trial("optimistic", buyers=4, tickets=101),
        trial("optimistic", purchases_per_s=800.0),
        trial("atomic", purchases_per_s=300.0),
        trial("pessimistic", purchases_per_s=100.0),
    )
    title = findings.throughput(measures).title
    assert title.startswith("With 16 buyers, atomic is the fastest without a violation (one repeat): 300 purchases/s")


def test_a_control_that_was_not_caught_is_not_called_the_fastest_either():
    """A control is known to be unsafe, whatever one run has shown of it."""
    measures = measures_of(trial("naive", purchases_per_s=900.0), trial("atomic"), trial("slow", purchases_per_s=1.0))
    assert findings.throughput(measures).title.startswith("atomic is the fastest without a violation")


def test_the_fastest_is_found_among_the_best_pools():
    """Each strategy competes with the pool that suits it, and the title names it."""
    rates = {("atomic", 5): 300.0, ("atomic", 20): 280.0, ("pessimistic", 5): 50.0, ("pessimistic", 20): 100.0}
    measures = measures_of(*(trial(name, pool_size=pool, purchases_per_s=rate) for (name, pool), rate in rates.items()))
    assert findings.throughput(measures).title == (
        "Each with its best pool, atomic with a pool of 5 is the fastest (one repeat): 300 purchases/s, "
        "3 times the next, pessimistic with a pool of 20"
    )


def test_of_one_strategy_the_best_pool_is_named():
    """Where only the pool differs, it is the pools that compete."""
    measures = measures_of(*(trial(pool_size=pool, purchases_per_s=1000.0 / pool) for pool in (5, 20)))
    assert findings.throughput(measures).title == (
        "atomic with a pool of 5 is the fastest (one repeat): 200 purchases/s, 4 times the next, "
        "atomic with a pool of 20"
    )


# Latency


def test_latency_draws_each_percentile_with_its_interval():
    """Three marks a strategy, each on the line of its repeats, in milliseconds."""
    figure = charts.latency(measures_of(trial(p99_ms=8.0), trial(p99_ms=12.0)))
    assert [xs for xs, _ in lines_of(figure, "interval")] == [[2, 2], [4, 4], [8, 12]]
    assert "2 / 4 / 10" in texts_of(figure)
    assert figure.axes[0].get_xlabel() == "latency, ms"


def test_latencies_far_apart_stand_on_a_log_axis_that_is_named():
    """A range of more than thirty times is log, and says so."""
    figure = charts.latency(measures_of(trial("atomic"), trial("optimistic", p99_ms=900.0)))
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "latency, ms (log scale)"


def test_latency_over_several_numbers_of_buyers_is_a_panel_of_lines_for_p50_and_one_for_p99():
    """Lines over the buyers, each with the band of its repeats, on one scale that is named."""
    measures = measures_of(
        *(
            trial(buyers=buyers, p50_ms=1.0 * buyers, p99_ms=100.0 * buyers + step)
            for buyers in (4, 8)
            for step in (0, 9)
        )
    )
    figure = charts.latency(measures)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["p50", "p99"]
    assert lines_of(figure, "atomic") == [([4, 8], [4, 8]), ([4, 8], [404.5, 804.5])]
    band = figure.axes[1].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (400, 809)
    assert [axes.get_ylabel() for axes in figure.axes] == ["latency, ms (log scale)"] * 2


def test_latency_of_many_strategies_is_a_panel_each_with_both_lines_named():
    """Beyond six strategies nobody could tell twelve lines apart."""
    axes = charts.latency(many(7, (4, 8))[0]).axes
    assert len(axes) == 7
    assert {text.get_text() for text in axes[1].texts} == {"p50", "p99"}


def test_a_strategy_that_no_repeat_gave_a_latency_has_no_line():
    """NaN at every number of buyers leaves the panel to the others."""
    gone = {"p50_ms": np.nan, "p95_ms": np.nan, "p99_ms": np.nan}
    measures = measures_of(*(trial(name, buyers=count, **(gone if name == "slow" else {}))
                             for name in ("atomic", "slow") for count in (4, 8)))  # fmt: skip
    figure = charts.latency(measures)
    assert lines_of(figure, "slow") == []
    assert len(lines_of(figure, "atomic")) == 2
    nobody = charts.latency(measures[measures["strategy"] == "slow"])
    assert lines_of(nobody, "slow") == []


def test_a_strategy_without_latencies_keeps_its_row():
    """NaN draws nothing, and is written as a dash."""
    gone = {"p50_ms": np.nan, "p95_ms": np.nan, "p99_ms": np.nan}
    figure = charts.latency(measures_of(trial("atomic"), trial("optimistic", **gone)))
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["atomic", "optimistic"]
    assert "— / — / —" in texts_of(figure)
    assert findings.latency(measures_of(trial(**gone))).title == "No purchase was worked on, so there is no latency"


# One hand


def many(
    strategies: int, buyers: Sequence[int] = (16,), pools: Sequence[int] = (20,)
) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [
        "naive",
        *(f"strategy_number_{each}" for each in range(1, strategies - 1)),
        "a_name_too_long_for_its_row" * 2,
    ]
    names = names[:strategies]
    if not names:
        return measures_of(), stock_of()
    trials = [
        trial(name, tickets=131 if name == "naive" else 100, buyers=count, pool_size=pool, repeat=repeat,
              purchases_per_s=rate * 100.0, conflicts=rate, unknown=1, failed=1, unavailable=1, p99_ms=8.0 + 20 * rate)
        for rate, name in enumerate(names, 1) for count in buyers for pool in pools for repeat in range(2)
    ]  # fmt: skip
    stock = pd.concat(
        stock_of(**{name: range(100, -40 if name == "naive" else -1, -10)}).assign(
            buyers=count, pool_size=pool, seconds=lambda frame, rate=rate: frame["seconds"] / rate
        )
        for rate, name in enumerate(names, 1)
        for count in buyers
        for pool in pools
    )
    return measures_of(*trials), stock.reset_index(drop=True)


SIZES = {
    "none": (0, (16,)),
    "one": (1, (16,)),
    "four": (4, (16,)),
    "four, three numbers of buyers": (4, (1, 16, 64)),
    "twenty": (20, (16,)),
    "thirty": (30, (16,)),
    "thirty, two numbers of buyers": (30, (4, 16)),
    "four, two numbers of buyers, three pools": (4, (4, 64), (5, 20, 40)),
    "six, three pools": (6, (16,), (5, 20, 40)),
    "eight, two numbers of buyers, three pools": (8, (4, 64), (5, 20, 40)),
    "six, two numbers of buyers": (6, (4, 8)),
    "seven, two numbers of buyers": (7, (4, 8)),
}


@cache
def drawn(size: str) -> dict[str, Figure]:
    """All charts of a size, drawn once: the tests only look at them."""
    return charts.figures(*many(*SIZES[size]), CONDITIONS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", charts.figures(measures_of(), stock_of()))
def test_no_text_leaves_the_figure_or_touches_another(size, name):
    """Whatever the number of strategies, all words lie on the sheet, and none on another."""
    figure = drawn(size)[name]
    FigureCanvasAgg(figure).draw()
    unused = unused_ticks(figure)
    shown = [each for each in figure.findobj(Text) if each.get_text() and each.get_visible() and each not in unused]
    # Of an annotation the words alone: the line that ties them to what they name may pass between others.
    boxes = {each: Text.get_window_extent(each).shrunk(0.98, 0.9) for each in shown}
    outside = [
        each.get_text()
        for each, box in boxes.items()
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1
    ]
    touching = [
        (one.get_text(), two.get_text()) for one, two in combinations(shown, 2) if boxes[one].overlaps(boxes[two])
    ]
    assert not outside
    assert not touching
    assert all(axes.bbox.width > 100 and axes.bbox.height > 20 for axes in figure.axes)


@pytest.mark.parametrize("size", SIZES)
def test_every_chart_shows_the_conditions(size):
    """Without server, durability and load a number means nothing; they stand on every chart, in full."""
    for figure in drawn(size).values():
        assert CONDITIONS in words_of(figure)


def test_every_axis_has_a_label():
    """Units stand on every axis; the names of the rows speak for themselves."""
    for figure in drawn("four").values():
        assert all(axes.get_xlabel() for axes in figure.axes)


def test_controls_are_marked_in_every_chart():
    """Nobody shall take a control for an offer."""
    for size in ("four", "four, three numbers of buyers", "twenty"):
        for name, figure in drawn(size).items():
            assert "naive (control)" in words_of(figure), (size, name)


def test_a_strategy_looks_the_same_in_every_run():
    """The look hangs on the name alone: known names have theirs, others one that no neighbour changes."""
    assert look_of("atomic").color == "#009e73"
    assert look_of("my_own") == look_of("my_own")
    assert look_of("my_own") != look_of("my_other")
    alone = charts.tickets_sold(measures_of(trial("my_own")))
    among = charts.tickets_sold(measures_of(trial("atomic"), trial("my_own"), trial("zebra")))
    assert alone.axes[0].patches[0].get_facecolor() == among.axes[0].patches[2].get_facecolor()


def test_red_is_kept_for_what_was_oversold():
    """A run without an oversell has no red bar, line or word but the empty ground's name."""
    for name, figure in charts.figures(measures_of(trial("atomic")), stock_of(atomic=[1, 0])).items():
        reds = [each.get_text() for each in figure.findobj(Text) if each.get_text() and to_hex(each.get_color()) == RED]
        assert reds == (["oversold: none"] if name == "stock_over_time" else [])


def test_a_name_is_never_taken_for_a_formula():
    """Dollar signs and backslashes are letters like others; as a formula this name would be an error."""
    name = r"a$\nothing$"
    figures = charts.figures(measures_of(trial(name)), stock_of(**{name: [1, 0]}))
    for figure in figures.values():
        FigureCanvasAgg(figure).draw()
    assert name in texts_of(figures["throughput"])


def test_charts_leave_matplotlib_as_it_was():
    """No setting stays changed, and a notebook's own style does not reach into the charts."""
    with mpl.rc_context({"font.size": 33, "axes.facecolor": "black"}):
        before = mpl.rcParams.copy()  # not dict(): reading the backend would choose one
        figure = charts.throughput(measures_of(trial()))
        assert mpl.rcParams.copy() == before
    assert to_hex(figure.axes[0].get_facecolor()) == "#ffffff"


def test_a_chart_shows_itself_as_a_picture():
    """A notebook finds a PNG without pyplot."""
    assert charts.throughput(measures_of(trial()))._repr_png_().startswith(b"\x89PNG")


def test_an_empty_frame_draws_a_chart_that_says_so():
    """No trials are no error."""
    for figure in charts.figures(measures_of(), stock_of(), CONDITIONS).values():
        assert "No trial was run: there is nothing to show" in texts_of(figure)


def test_figures_and_captions_have_the_same_names():
    """Each chart of the report has its caption and its alt text."""
    measures, stock = many(4)
    found = charts.captions(measures, stock)
    assert list(charts.figures(measures, stock)) == list(found)
    assert all(each.alt and each.caption for each in found.values())


def test_drawing_does_not_need_pyplot(monkeypatch):
    """Charts are made, and shown, without the global state of pyplot."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it fails
    for figure in charts.figures(*many(1)).values():
        assert figure._repr_png_()
