"""Charts, summaries and findings, judged by what their artists hold, never by pixels."""

import sys
from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from ticketlab.outcomes import NOT_SEEN, RETRIES
from ticketlab.report import captions, charts
from ticketlab.report._style import INK, RED, style_for
from ticketlab.report.headline import headline
from ticketlab.report.phrases import number, percent
from ticketlab.report.summary import COLUMNS, summarise, wasted

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
        "found_seats": tickets, "failed_with_seats": 0, "failure_share": 0.0, "progress": "PROGRESS",
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
    assert "The control naive was detected, as it must be: 131 tickets for 100 seats." in caught.sentences
    assert missed.status == "UNKNOWN"
    assert any(sentence.startswith("The control naive was not detected") for sentence in missed.sentences)


def test_a_strategy_that_breaks_its_promise_makes_the_headline_invalid():
    """One wrong strategy outweighs all that held."""
    found = headline(measures_of(trial("naive", tickets=131), trial("atomic"), trial("optimistic", tickets=101)))
    assert found.status == "INVALID"
    assert found.sentences[0] == "Not safe, although it claims to be: optimistic."


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
    assert captions.tickets_sold(measures).title == "naive sold 5 tickets too many"


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
    assert captions.stock_over_time(stock_of(naive=[1, 0, -1])).title == ("naive sold 1 ticket after the last seat")


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
    assert captions.outcomes(measures).title == "optimistic gave up 50 % of its purchases after conflicts"


# Throughput


def test_throughput_draws_the_interval_and_every_repeat():
    """The interval reaches from the least to the most, and each repeat is a dot."""
    measures = measures_of(*(trial(purchases_per_s=rate) for rate in (100.0, 300.0, 250.0)))
    figure = charts.throughput(measures)
    assert [xs for xs, _ in lines_of(figure, "interval")] == [[100.0, 300.0]]
    assert [xs for xs, _ in lines_of(figure, "repeats")] == [[100.0, 300.0, 250.0]]
    assert "250 (100 to 300)" in texts_of(figure)
    assert figure.axes[0].get_xlabel() == "sales/s"


def test_throughput_over_several_numbers_of_buyers_is_a_line():
    """With several numbers of buyers a strategy is a line of medians over them, with a band."""
    measures = measures_of(
        *(trial(buyers=buyers, purchases_per_s=10.0 * buyers + step) for buyers in (1, 4, 16) for step in (-1, 0, 1))
    )
    figure = charts.throughput(measures)
    assert lines_of(figure, "atomic") == [([1, 4, 16], [10, 40, 160])]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (9, 161)
    assert figure.axes[0].get_xlabel() == "concurrent buyers (log scale)"
    assert "atomic" in texts_of(figure)


def test_throughput_over_several_pools_is_a_line_over_their_size():
    """Where only the pool differs, it is what stands below."""
    measures = measures_of(*(trial(pool_size=size, purchases_per_s=10.0 * size) for size in (5, 20)))
    figure = charts.throughput(measures)
    assert lines_of(figure, "atomic") == [([5, 20], [50, 200])]
    assert figure.axes[0].get_xlabel() == "connections in the pool"


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
    assert "Each panel has its own scale." in words_of(figure)


def test_names_over_narrow_panels_are_short_and_still_mark_a_control():
    """Where a panel has its own scale, its name has less room; that it is a control is not what is left out."""
    name = "a_control_of_a_long_name"
    measures = measures_of(
        *(trial(name, safe=False, buyers=buyers, pool_size=size) for buyers in (4, 64) for size in (5, 20))
    )
    title = charts.throughput(measures).axes[0].get_title(loc="left")
    assert len(title) <= 20
    assert title.startswith("a_cont")
    assert title.endswith(" (control)")


def test_rates_far_apart_stand_on_a_log_axis_that_is_named():
    """A strategy of many times the others' speed does not press them flat."""
    measures = measures_of(
        *(trial(name, buyers=buyers, purchases_per_s=rate) for name, rate in (("atomic", 100.0), ("coalesced", 9000.0))
          for buyers in (4, 8))
    )  # fmt: skip
    axes = charts.throughput(measures).axes[0]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "sales/s (log scale)")
    axes = charts.throughput(measures[measures["buyers"] == 4]).axes[0]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "sales/s (log scale)")


def test_no_strategy_is_called_the_fastest_without_a_clear_difference():
    """The interval of the ratio must exclude 1."""
    clear = [trial("atomic", purchases_per_s=rate) for rate in (300.0, 320.0)]
    apart = [trial("pessimistic", purchases_per_s=rate) for rate in (100.0, 110.0)]
    meeting = [trial("pessimistic", purchases_per_s=rate) for rate in (100.0, 301.0)]
    assert captions.throughput(measures_of(*clear, *apart)).title.startswith(
        "atomic is clearly the fastest: 310 sales/s"
    )
    assert "but not clearly more than pessimistic" in captions.throughput(measures_of(*clear, *meeting)).title


def test_a_strategy_that_oversold_is_never_called_the_fastest():
    """A control or a strategy proven wrong, at whatever number of buyers, does not compete."""
    measures = measures_of(
        trial("naive", tickets=131, purchases_per_s=900.0),
        trial("optimistic", buyers=4, tickets=101),
        trial("optimistic", purchases_per_s=800.0),
        trial("atomic", purchases_per_s=300.0),
        trial("pessimistic", purchases_per_s=100.0),
    )
    title = captions.throughput(measures).title
    assert title.startswith("With 16 buyers, atomic made the most sales without a violation (one repeat): 300 sales/s")


def test_a_control_that_was_not_caught_is_not_called_the_fastest_either():
    """A control is known to be unsafe, whatever one run has shown of it."""
    measures = measures_of(trial("naive", purchases_per_s=900.0), trial("atomic"), trial("slow", purchases_per_s=1.0))
    assert captions.throughput(measures).title.startswith("atomic made the most sales without a violation (one repeat)")


def test_the_fastest_is_found_among_the_best_pools():
    """Each strategy competes with the pool that suits it, and the title names it."""
    rates = {("atomic", 5): 300.0, ("atomic", 20): 280.0, ("pessimistic", 5): 50.0, ("pessimistic", 20): 100.0}
    measures = measures_of(*(trial(name, pool_size=pool, purchases_per_s=rate) for (name, pool), rate in rates.items()))
    assert captions.throughput(measures).title == (
        "Each with its best pool, atomic with a pool of 5 made the most sales (one repeat): 300 sales/s, "
        "3 times the next, pessimistic with a pool of 20"
    )


def test_of_one_strategy_the_best_pool_is_named():
    """Where only the pool differs, it is the pools that compete."""
    measures = measures_of(*(trial(pool_size=pool, purchases_per_s=1000.0 / pool) for pool in (5, 20)))
    assert captions.throughput(measures).title == (
        "atomic with a pool of 5 made the most sales (one repeat): 200 sales/s, 4 times the next, "
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
    """A range of more than fifteen times is log, and says so."""
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
    assert nobody.axes[0].get_ylabel() == "latency, ms"


def test_a_strategy_without_latencies_keeps_its_row():
    """NaN draws nothing, and is written as a dash."""
    gone = {"p50_ms": np.nan, "p95_ms": np.nan, "p99_ms": np.nan}
    figure = charts.latency(measures_of(trial("atomic"), trial("optimistic", **gone)))
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["atomic", "optimistic"]
    assert "— / — / —" in texts_of(figure)
    assert (
        captions.latency(measures_of(trial(**gone))).title == "No purchase was sold or given up, so there is no latency"
    )


# Retries


def test_retries_are_bars_a_sale_by_their_cause():
    """Each cause is a piece of the bar, as long as its retries per sale; the sum stands beside."""
    optimistic = trial("optimistic", retries=60, retries_stale_version=50, retries_pool_timeout=10)
    figure = charts.retries(measures_of(optimistic, trial("atomic")))
    assert bars_of(figure, "stale_version") == [(0, 0.5)]
    assert bars_of(figure, "pool_timeout") == [(0.5, pytest.approx(0.1))]
    assert bars_of(figure, "deadlock") == []
    assert "0.6" in texts_of(figure)
    assert [each.get_text() for each in figure.axes[0].get_legend().get_texts()] == ["stale version", "pool timeout"]


def test_who_never_tried_again_has_no_bar():
    """A row without a retry would only make the chart longer; that rows are left out is said."""
    figure = charts.retries(measures_of(trial("optimistic", retries=5, retries_deadlock=5), trial("atomic")))
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["optimistic"]
    assert "Not drawn: rows without a retry." in words_of(figure)


def test_retries_are_not_drawn_in_the_colours_of_strategies_nor_in_red():
    """A cause is not a strategy, and nothing was oversold."""
    causes = dict.fromkeys(RETRIES.values(), 5)
    figure = charts.retries(measures_of(trial("optimistic", retries=30, **causes)))
    colors = {to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches}
    assert len({(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in figure.axes[0].patches}) == len(RETRIES)
    assert not colors & {RED, *(style_for(name).color for name in ("optimistic", "atomic", "coalesced"))}


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"retries": 150, "retries_deadlock": 150}, "optimistic retried 1.5 times per sale (only deadlock)"),
        (
            {"retries": 20, "retries_deadlock": 5, "retries_serialization": 15},
            "optimistic retried 0.2 times per sale (mostly serialization)",
        ),
        (
            {"tickets": 0, "retries": 9, "retries_deadlock": 9},
            "optimistic retried 9 times and sold nothing (only deadlock)",
        ),
        ({}, "No purchase was retried"),
    ],
)
def test_who_tried_again_most_is_told_with_the_cause(fields, title):
    """The most retries for a sale, and none too many for a sale where there was none."""
    measures = measures_of(trial("optimistic", **fields), trial("atomic", retries=fields.get("retries", 0) // 9))
    assert captions.retries(measures).title == title
    charts.retries(measures)


# Waste


def test_wasted_work_is_what_was_tried_again_or_given_up_of_all_attempts_but_refusals():
    """60 retries and 15 conflicts beside 25 sales are 75 of 100 attempts; 500 refusals count for nothing."""
    measures = measures_of(trial("optimistic", tickets=25, retries=60, conflicts=15, sold_out=500), trial(tickets=0))
    assert list(wasted(measures).fillna(-1)) == [75, -1]
    figure = charts.wasted(measures)
    assert [xs for xs, _ in lines_of(figure, "repeats")] == [[75], pytest.approx([np.nan], nan_ok=True)]
    assert {"75 %", "—"} <= set(texts_of(figure))
    assert figure.axes[0].get_xlim() == (0, 100)


def test_wasted_work_over_buyers_is_a_line_in_the_band_of_its_repeats():
    """In percent of the attempts, on a scale to 100."""
    measures = measures_of(
        *(trial(buyers=buyers, retries=retries) for buyers, retries in ((4, 0), (4, 100), (4, 25), (8, 300)))
    )
    axes = charts.wasted(measures).axes[0]
    assert lines_of(axes.figure, "atomic") == [([4, 8], [20, 75])]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 75)
    assert axes.get_ylim() == (0, 100)


@pytest.mark.parametrize(
    ("rival", "end"),
    [((100, 100), ", more than any other strategy"), ((100, 301), "; the range of pessimistic overlaps")],
)
def test_nobody_is_said_to_waste_more_where_intervals_meet(rival, end):
    """The title names those who can not be told from the worst."""
    measures = measures_of(
        *(trial("optimistic", retries=300, repeat=repeat) for repeat in range(2)),
        *(trial("pessimistic", retries=retries, repeat=repeat) for repeat, retries in enumerate(rival)),
    )
    assert captions.wasted(measures).title == f"optimistic wasted 75 % of its attempts{end}"


@pytest.mark.parametrize(
    ("fields", "names"),
    [({}, set()), ({"retries": 1}, {"retries", "wasted"}), ({"conflicts": 1}, {"wasted"})],
    ids=["nothing", "a retry", "a conflict"],
)
def test_retries_and_waste_are_drawn_where_there_were_any(fields, names):
    """A chart of nothing is left out, and so is its caption."""
    measures, stock = measures_of(trial(), trial("optimistic", **fields)), stock_of(atomic=[1, 0])
    assert set(charts.figures(measures, stock)) & {"retries", "wasted"} == names
    assert list(charts.figures(measures, stock)) == list(charts.captions_of(measures, stock))


# Timeline


def operation(**fields: object) -> dict[str, object]:
    """One sale of two tickets, under way from 1 to 3 ms after the trial began; its stock is that of its version."""
    version = int(str(fields.get("version", 101)))
    row = {
        "buyer": 3, "event": 0, "quantity": 2, "purchase_id": "3f", "scheduled_ns": 1_000_000, "invoked_ns": 1_000_000,
        "completed_ns": 3_000_000, "outcome": "sold", "cause": "none", "attempts": 1, "version": version,
        "available": 1_000 - 2 * version if version >= 0 else version,
    }  # fmt: skip
    return row | fields


def timeline_of(*operations: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(operations)


def test_a_timeline_has_a_bar_from_call_to_return_for_each_operation():
    """In milliseconds since the trial began, in order of the versions, with buyer, version, tickets and outcome."""
    found = timeline_of(
        operation(version=102, invoked_ns=2_500_000, completed_ns=4_000_000, buyer=7, quantity=1, available=797),
        operation(),
        operation(version=NOT_SEEN, outcome="sold_out", invoked_ns=5_000_000, completed_ns=6_000_000),
    )
    figure = charts.timeline(found, CONDITIONS)
    assert bars_of(figure, "operation") == [(5, 1), (1, 2), (2.5, 1.5)]
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["buyer 3", "buyer 3", "buyer 7"]
    told = [text.get_text().strip() for text in figure.axes[0].texts]
    assert told == [
        "no version · 2 tickets · sold out",
        "version 101 · 2 tickets · 798 left · sold",
        "version 102 · 1 ticket · 797 left · sold",
    ]
    assert CONDITIONS in words_of(figure)
    assert not misplaced_words(figure)


def test_a_sale_whose_stock_does_not_follow_from_the_one_before_has_overwritten_it():
    """Nine left, two sold, nine left again: the second wrote back what it had computed from an older version."""
    found = timeline_of(
        operation(version=100, available=9), operation(version=101, available=9), operation(version=102, available=7),
        operation(version=104, available=7), operation(version=101, available=7, event=1),
    )  # fmt: skip
    figure = charts.timeline(found)
    assert [text.get_text().strip() for text in figure.axes[0].texts] == [
        "event 0 · version 100 · 2 tickets · 9 left",
        "event 0 · version 101 · 2 tickets · 9 left · overwrote",
        "event 0 · version 102 · 2 tickets · 7 left",
        "event 0 · version 104 · 2 tickets · 7 left",
        "event 1 · version 101 · 2 tickets · 7 left",
    ]
    assert "Overwrote:" in words_of(figure)
    assert captions.timeline(found).title == "1 of 5 operations overwrote another sale"
    right = found.assign(available=[9, 7, 5, 1, 7])
    assert captions.timeline(right).title == "All 5 operations overlapped in time"
    assert "overwrote" not in words_of(charts.timeline(right)).lower()


def test_what_is_wrong_is_marked_and_the_operations_stand_as_they_were_called():
    """Of a story: the words and a frame in red at who is wrong, and nothing at the others; each word on the sheet."""
    found = timeline_of(
        operation(version=7, wrong="after version 8", buyer=7, invoked_ns=4_000_000, completed_ns=5_000_000),
        operation(version=8, wrong=""),
    )
    figure = charts.timeline(found, CONDITIONS, title="Stale read: buyer 7 was late")
    axes = figure.axes[0]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["buyer 3", "buyer 7"]
    assert bars_of(figure, "wrong") == [(4, 1)]
    assert [(text.get_text(), text.get_color()) for text in axes.texts] == [
        ("version 8 · 2 tickets · 984 left", INK),
        ("version 7 · 2 tickets · 986 left · after version 8", RED),
    ]
    assert "Stale read: buyer 7 was late" in texts_of(figure)
    assert "Red: what is wrong." in words_of(figure)
    assert not misplaced_words(figure)


def test_buyers_and_events_of_others_are_drawn_by_their_names():
    """Texts as well as numbers."""
    axes = charts.timeline(timeline_of(operation(buyer="ann", event="gala"), operation(event="fair"))).axes[0]
    assert sorted(each.get_text() for each in axes.get_yticklabels()) == ["buyer 3", "buyer ann"]
    assert {text.get_text().strip().partition(" · ")[0] for text in axes.texts} == {"event gala", "event fair"}


def test_a_crash_is_a_line_and_an_unknown_outcome_has_no_end():
    """Both are explained."""
    found = timeline_of(operation(wrong="not in the ledger"), operation(outcome="unknown", wrong="", version=NOT_SEEN))
    figure = charts.timeline(found, crashes_ns=[50_000_000])
    assert [list(xs) for xs, _ in lines_of(figure, "crash")] == [[50, 50]]
    ((begin, end),) = [xs for xs, _ in lines_of(figure, "open end")]
    assert (begin, end) == (3, figure.axes[0].get_xlim()[1])
    assert "Dashed line: server crash." in words_of(figure)
    assert "Dotted: no answer, so it may have taken effect at any later time." in words_of(figure)
    plain = words_of(charts.timeline(timeline_of(operation())))
    assert not any(each in plain for each in ("Dashed", "Dotted", "Red:"))


def test_a_refund_adds_its_tickets_to_the_stock_of_the_version_before():
    """Seven left, two given back, nine left, two sold: nobody overwrote anything; a refund that leaves less has."""
    right = timeline_of(
        operation(version=100, available=7),
        operation(version=101, available=9, outcome="refunded"),
        operation(version=102, available=7),
    )
    assert not captions.overwrote(right).any()
    assert captions.overwrote(right.assign(available=[7, 5, 3])).tolist() == [False, True, False]
    twice = timeline_of(operation(buyer=1), operation(buyer=2, outcome="refunded"))
    assert captions.timeline(twice).title == "Buyer 1 and buyer 2 both made version 101 of event 0"


def test_sales_that_made_the_same_version_are_tied_together():
    """That is the lost update: both are in the bracket, and in the title."""
    found = timeline_of(operation(version=100, buyer=1), operation(buyer=3), operation(buyer=8))
    figure = charts.timeline(found)
    assert [(min(ys), max(ys)) for _, ys in lines_of(figure, "made twice")] == [(0.7, 2.3)]
    assert captions.timeline(found).title == "Buyer 3 and buyer 8 both made version 101 of event 0"
    more = timeline_of(*found.to_dict("records"), operation(version=100, buyer=4), operation(version=100, buyer=5))
    assert captions.timeline(more).title == (
        "Buyer 1, buyer 4 and buyer 5 all made version 100 of event 0, and 1 more version was made more than once"
    )


@pytest.mark.parametrize(
    "other",
    [{"event": 1}, {"version": 102}, {"outcome": "sold_out"}, {"cause": "repeated"}, {"outcome": "conflict"}],
    ids=["another event", "another version", "refused", "told again", "given up"],
)
def test_what_did_not_make_the_version_is_no_lost_update(other):
    """A version that was only seen, or another event's, is tied to nothing."""
    found = timeline_of(operation(), operation(**other))
    assert lines_of(charts.timeline(found), "made twice") == []
    assert captions.timeline(found).title == "All 2 operations overlapped in time"


def test_sales_without_a_version_are_no_lost_update():
    """Not seen is not the same version."""
    found = timeline_of(operation(version=NOT_SEEN), operation(version=NOT_SEEN))
    assert lines_of(charts.timeline(found), "made twice") == []


@pytest.mark.parametrize(
    ("spans", "title"),
    [
        ([(0, 2)], "One operation of 2 ms"),
        ([(0, 2), (3, 4)], "2 operations, one after another"),
        ([(0, 2), (2, 4)], "All 2 operations overlapped in time"),
        ([(0, 9), (1, 3), (4, 5)], "Up to 2 of 3 operations overlapped in time"),
    ],
)
def test_without_a_lost_update_it_is_told_how_many_were_under_way_at_once(spans, title):
    """One that begins in the moment another ends was concurrent with it."""
    found = timeline_of(
        *(operation(version=number, invoked_ns=begin * 1_000_000, completed_ns=end * 1_000_000)
          for number, (begin, end) in enumerate(spans))
    )  # fmt: skip
    assert captions.timeline(found).title == title


def test_a_timeline_is_of_twenty_operations_and_says_so():
    """More would not be read; no word leaves the sheet even then."""
    found = timeline_of(
        *(operation(version=1_000_000 + each // 2, buyer=100 + each, event=each % 2) for each in range(23))
    )
    figure = charts.timeline(found)
    assert len(bars_of(figure, "operation")) == 20
    assert "The first 20 of 23." in words_of(figure)
    assert not misplaced_words(figure)


def test_evidence_without_times_has_no_timeline():
    """Events and purchases are evidence too, but they were not called and did not return."""
    purchases = pd.DataFrame([{"event": 0, "purchase_id": "3f", "tickets": 2}])
    assert not charts.has_timeline(purchases)
    assert not charts.has_timeline(pd.DataFrame())
    assert charts.has_timeline(timeline_of(operation())[["invoked_ns", "completed_ns"]])
    assert "There are no operations to show" in texts_of(charts.timeline(purchases))
    assert captions.timeline(purchases).title == "There are no operations to show"
    charts.timeline(timeline_of(operation())[["invoked_ns", "completed_ns"]])


# Comparison


def runs_of(**rates: Sequence[float]) -> pd.DataFrame:
    """Runs of `atomic`, with a repeat a rate."""
    trials = [
        trial(purchases_per_s=float(rate), repeat=repeat, run=run)
        for run, repeats in rates.items()
        for repeat, rate in enumerate(repeats)
    ]
    return pd.DataFrame(trials, columns=[*trial(), "run"])


def test_a_comparison_has_a_mark_an_interval_and_dots_for_each_run():
    """In the row of the strategy, one below the other; beside the later run how many times the first's rate it is."""
    figure = charts.comparison(runs_of(before=[100, 120, 110], after=[210, 230, 220]), CONDITIONS)
    assert [xs for xs, _ in lines_of(figure, "interval")] == [[100, 120], [210, 230]]
    assert [xs for xs, _ in lines_of(figure, "repeats")] == [[100, 120, 110], [210, 230, 220]]
    above, below = (ys[0] for _, ys in lines_of(figure, "interval"))
    assert above < 0 < below
    assert {"110", "220 · × 2", "before", "after"} <= set(texts_of(figure))


def test_the_numbers_of_a_comparison_give_the_ratio_beside_them():
    """What is marked and written is what is divided, the geometric mean, and not the medians of 100 and 400."""
    figure = charts.comparison(runs_of(before=[100, 100, 800], after=[300, 400, 1600 / 3]), CONDITIONS)
    assert {"200", "400 · × 2, unclear", "mean · × first run"} <= set(texts_of(figure))
    assert "geometric mean of 3 repeats" in words_of(figure)
    drawn_at = [x for axes in figure.axes for line in axes.lines for x in line.get_xdata()]
    assert {200.0, 400.0} <= {round(x, 6) for x in drawn_at}


def test_runs_are_told_apart_by_marker_and_lightness():
    """The colours belong to the strategies."""
    figure = charts.comparison(runs_of(one=[100], two=[110], three=[120]))
    keys = figure.legends[0].legend_handles
    assert len({key.get_marker() for key in keys}) == 3
    lightness = [sum(to_rgb(key.get_color())) for key in keys]
    assert lightness == sorted(lightness, reverse=True)
    assert all(max(to_rgb(key.get_color())) - min(to_rgb(key.get_color())) < 0.1 for key in keys)


@pytest.mark.parametrize(
    ("after", "title"),
    [
        ([200, 220, 242], "atomic made 220 sales/s in after, 2 times the 110 in before"),
        ([50, 55, 60.5], "atomic made 55 sales/s in after, 0.5 times the 110 in before"),
        ([119, 150, 200], "No difference between the runs is clear"),
        ([0, 0, 0], "atomic made 0 sales/s in after, 0 times the 110 in before"),
    ],
)
def test_a_comparison_claims_only_what_exceeds_the_spread(after, title):
    """Where the interval of the ratio holds 1 there is no difference to speak of."""
    assert captions.comparison(runs_of(before=[100, 110, 121], after=after)).title == title


def test_a_comparison_with_what_sold_nothing_has_no_ratio():
    """Nothing can be divided by it."""
    title = "The runs share no strategy and setting that sold anything"
    assert captions.comparison(runs_of(before=[0, 0], after=[100, 120])).title == title


def test_a_comparison_of_single_repeats_says_so():
    """One repeat has no spread that a difference could exceed."""
    assert captions.comparison(runs_of(before=[100], after=[200])).title.startswith(
        "With one repeat of a run no difference"
    )


def test_runs_that_share_nothing_are_drawn_and_not_compared():
    """Another pool is another setting: each has its row, and there is no ratio."""
    runs = runs_of(before=[100], after=[200])
    runs.loc[runs["run"] == "after", "pool_size"] = 5
    figure = charts.comparison(runs)
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["atomic   pool of 5", "pool of 20"]
    assert {"100", "200"} <= set(texts_of(figure))
    assert captions.comparison(runs).title.startswith("The runs share no strategy and setting")


# Crossover


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([60, 120, 160], "From 16 buyers on B is clearly faster than A: 120 and 100 sales/s there."),
        ([120, 120, 120], "B is clearly faster than A at every number of buyers that was run, from 4 to 64."),
        ([60, 60, 60], "B is not clearly faster than A at any number of buyers that was run."),
        ([60, 105, 60], "B is not clearly faster than A at any number of buyers that was run."),
        ([101, 105, 99], "A and B do not differ clearly at every number of buyers that was run, from 4 to 64."),
        ([120, 120, 101], "B is clearly faster than A with 16 buyers, but not with more buyers."),
    ],
)
def test_a_crossover_is_where_the_intervals_no_longer_meet(others, sentence):
    """A lead that one repeat could turn is none, and a lead counts from where it is kept."""
    measures = measures_of(
        *(trial(name, buyers=buyers, repeat=repeat, purchases_per_s=rate + step)
          for name, rates in (("A", [100, 100, 100]), ("B", others))
          for buyers, rate in zip((4, 16, 64), rates, strict=True)
          for repeat, step in enumerate((-5, 0, 5)))
    )  # fmt: skip
    assert captions.crossover(measures, "A", "B") == sentence


def test_a_crossover_is_told_for_each_pool():
    """Trials of different pools are never held against each other."""
    measures = measures_of(
        *(trial(name, pool_size=pool, purchases_per_s=rate)
          for name, pool, rate in (("atomic", 5, 1.0), ("coalesced", 5, 2.0), ("atomic", 20, 9.0)))
    )  # fmt: skip
    assert captions.crossover(measures, "atomic", "coalesced") == (
        "With a pool of 5: atomic and coalesced were run once with 16 buyers: one repeat shows no spread, so neither "
        "is faster. "
        "With a pool of 20: atomic and coalesced were not run with the same number of buyers."
    )


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
              purchases_per_s=rate * 100.0 + repeat, conflicts=rate, retries=2 * rate, retries_stale_version=rate,
              retries_serialization=rate, unknown=1, failed=1, unavailable=1, p99_ms=8.0 + 20 * rate)
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
    "thirty": (30, (16,)),
    "twenty, two numbers of buyers": (20, (4, 16)),
    "four, two numbers of buyers, three pools": (4, (4, 64), (5, 20, 40)),
}


@cache
def drawn(size: str) -> dict[str, Figure]:
    """All charts of a size, drawn once: the tests only look at them."""
    measures, stock = many(*SIZES[size])
    runs = pd.concat(measures.assign(run=run) for run in ("2026-01-01-before-the-index", "2026-02-03-with-the-index"))
    return charts.figures(measures, stock, CONDITIONS) | {"comparison": charts.comparison(runs, CONDITIONS)}


LARGE = {"thirty", "twenty, two numbers of buyers", "four, two numbers of buyers, three pools"}
"""To draw one of them takes as long as all others."""
of_every_size = pytest.mark.xdist_group("charts of every size")  # one process draws what all of these look at


def sized(sizes):
    """Each of the sizes, the large ones slow."""
    return [pytest.param(each, marks=[pytest.mark.slow] if each in LARGE else []) for each in sizes]


@of_every_size
@pytest.mark.parametrize("size", sized(SIZES))
def test_no_text_leaves_the_figure_or_touches_another(size):
    """Whatever the number of strategies, all words lie on the sheet, and none on another."""
    for name, figure in drawn(size).items():
        assert not misplaced_words(figure), name
        assert all(axes.bbox.width > 100 and axes.bbox.height > 20 for axes in figure.axes), name


def misplaced_words(figure: Figure) -> list[object]:
    """The words that leave the sheet, and the pairs that touch."""
    figure.draw_without_rendering()  # all is put in its place, and no pixel is coloured
    unused = unused_ticks(figure)
    shown = [each for each in figure.findobj(Text) if each.get_text() and each.get_visible() and each not in unused]
    # Of an annotation the words alone: the line that ties them to what they name may pass between others.
    boxes = {each: Text.get_window_extent(each).shrunk(0.98, 0.9) for each in shown}
    outside = [
        each.get_text()
        for each, box in boxes.items()
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1
    ]
    x0, y0, x1, y1 = np.array([boxes[each].extents for each in shown]).T
    overlap = (x0[:, None] < x1) & (x0 < x1[:, None]) & (y0[:, None] < y1) & (y0 < y1[:, None])
    touching = [(shown[one].get_text(), shown[two].get_text()) for one, two in np.argwhere(np.triu(overlap, 1))]
    return [*outside, *touching]


@of_every_size
@pytest.mark.parametrize("size", sized(SIZES))
def test_every_chart_shows_the_conditions(size):
    """Without server, durability and load a number means nothing; they stand on every chart, in full."""
    for figure in drawn(size).values():
        assert CONDITIONS in words_of(figure)


@of_every_size
def test_every_axis_has_a_label():
    """Units stand on every axis; the names of the rows speak for themselves."""
    for figure in drawn("four").values():
        assert all(axes.get_xlabel() for axes in figure.axes)


@of_every_size
@pytest.mark.parametrize("size", sized(["four", "four, three numbers of buyers", "thirty"]))
def test_controls_are_marked_in_every_chart(size):
    """Nobody shall take a control for an offer."""
    for name, figure in drawn(size).items():
        assert "naive (control)" in words_of(figure), name


def test_a_strategy_looks_the_same_in_every_run():
    """The look hangs on the name alone: known names have theirs, others one that no neighbour changes."""
    assert style_for("atomic").color == "#009e73"
    assert style_for("my_own") == style_for("my_own")
    assert style_for("my_own") != style_for("my_other")
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
        assert "No trial was run" in texts_of(figure)


def test_figures_and_captions_have_the_same_names():
    """Each chart of the report has its caption and its alt text."""
    measures, stock = many(4)
    found = charts.captions_of(measures, stock)
    assert list(charts.figures(measures, stock)) == list(found)
    assert all(each.alt and each.caption for each in found.values())


def test_drawing_does_not_need_pyplot(monkeypatch):
    """Charts are made, and shown, without the global state of pyplot."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it fails
    for figure in charts.figures(*many(1)).values():
        assert figure._repr_png_()
