import shlex
from itertools import product

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.load import Fault, FaultKind
from ticketlab.runs.experiment import Experiment, thorough


def test_every_setting_is_tried_in_every_repeat():
    """Each repeat has each strategy with each number of buyers and each size of the pool, once."""
    trials = Experiment(strategies=("naive", "atomic"), buyers=(2, 4), pool_sizes=(1, 9), repeats=3).trials()
    assert [trial.number for trial in trials] == list(range(1, 25))
    for repeat in (1, 2, 3):
        settings = [(each.strategy, each.plan.buyers, each.pool_size) for each in trials if each.repeat == repeat]
        assert sorted(settings) == list(product(("atomic", "naive"), (2, 4), (1, 9)))


def test_the_order_is_random_and_comes_from_the_seed():
    """The same seed gives the same order; repeats differ in theirs."""
    names = ("naive", "atomic", "optimistic", "pessimistic")
    trials = Experiment(strategies=names, repeats=8, seed=3).trials()
    assert trials == Experiment(strategies=names, repeats=8, seed=3).trials()
    orders = {tuple(trial.strategy for trial in trials if trial.repeat == repeat) for repeat in range(1, 9)}
    assert len(orders) > 1


def test_strategies_are_compared_on_the_same_wishes():
    """Within a repeat all strategies, with however many buyers, share one seed; each repeat has its own."""
    trials = Experiment(strategies=("naive", "atomic"), buyers=(2, 4), repeats=3).trials()
    seeds = [{trial.plan.seed for trial in trials if trial.repeat == repeat} for repeat in (1, 2, 3)]
    assert [len(each) for each in seeds] == [1, 1, 1]
    assert len(set.union(*seeds)) == 3


def test_experiments_of_different_seeds_draw_different_wishes():
    """No seed of one experiment's repeats is one of the next experiment's."""
    seeds = [{trial.plan.seed for trial in Experiment(repeats=1_000, seed=seed).trials()} for seed in (1, 2)]
    assert not seeds[0] & seeds[1]


def test_an_experiment_is_read_as_it_was_written(tmp_path):
    """Nothing is lost in the file, and fields of a later version do not hinder."""
    written = Experiment(
        quantity=(1, 3),
        basket=(2, 3),
        hot=0.5,
        refunds=0.25,
        events=4,
        server_settings={"fsync": "off"},
        purchases=10,
        faults=(Fault.parse("crash@5"), Fault.parse("disconnect@7")),
    )
    written.write(tmp_path / "experiment.json")
    text = (tmp_path / "experiment.json").read_text()
    (tmp_path / "experiment.json").write_text(text.replace("{", '{"of_a_later_version": 1,', 1))
    assert Experiment.read(tmp_path / "experiment.json") == written


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"strategies": ()}, "at least one strategy"),
        ({"strategies": ("naive", "naive")}, "each strategy once"),
        ({"buyers": ()}, "at least one number of buyers"),
        ({"buyers": (4, 0)}, "buyers must be from 1"),
        ({"basket": (2, 2)}, "basket must be from 1"),
        ({"repeats": 0}, "from one to 1,000 repeats"),
        ({"pool_sizes": (0,)}, "a pool of at least one"),
        ({"pool_sizes": ()}, "a pool of at least one"),
        ({"pool_sizes": (5, 5)}, "each size of the pool once"),
        ({"name": "../x"}, "a name of letters"),
        ({"seconds": -1.0}, "seconds must be above 0"),
        ({"refunds": 2.0}, "refunds must be a share from 0 to 1"),
        ({"double_calls": 1.5}, "double_calls must be a share from 0 to 1"),
        ({"faults": (Fault.parse("crash@5"),) * 2}, "each fault once"),
        ({"faults": (Fault.parse("crash@5"),), "server": "container"}, "a server of kind embedded"),
        ({"faults": (Fault.parse("crash@5"),), "server": "external"}, "--server embedded"),
    ],
)
def test_an_experiment_that_can_not_be_run_is_refused(wrong, words):
    """Each wrong value is named when the experiment is made, before a server is started for it."""
    with pytest.raises(InvalidInputError, match=words):
        Experiment(**wrong)


def test_the_command_names_all_that_differs_from_the_defaults():
    """The command line of an experiment holds its every choice, and reads as a shell would take it."""
    experiment = Experiment(
        strategies=("naive",),
        buyers=(4, 8),
        quantity=(1, 3),
        basket=(2, 4),
        events=5,
        refunds=0.1,
        purchases=50,
        pool_sizes=(5, 20),
        server="embedded",
        server_settings={"fsync": "off"},
        faults=(Fault.parse("disconnect@20"), Fault.parse("crash@40")),
    )
    words = shlex.split(experiment.command())
    assert words[:2] == ["ticketlab", "run"]
    for option in (
        "--strategy naive",
        "--buyers 4,8",
        "--quantity 1-3",
        "--basket 2-4",
        "--refunds 0.1",
        "--purchases 50",
        "--pool-size 5,20",
        "--server embedded",
        "--set fsync=off",
        "--fault disconnect@20 --fault crash@40",
    ):
        assert option in experiment.command()
    assert "--hot" not in words
    assert "--refunds" not in Experiment().command()
    assert "--basket" not in Experiment().command()
    assert "--fault" not in Experiment().command()


def test_every_server_can_be_cut_off_and_auto_may_turn_out_to_be_one_that_can_be_crashed():
    """What only the start can tell is not refused before."""
    cut, crash = (Fault.parse(each) for each in ("disconnect@5", "crash@5"))
    assert not Experiment(faults=(cut,), server="container").crashes
    assert Experiment(faults=(cut, crash), server="auto").crashes


def test_faults_are_saved_as_they_are_typed(tmp_path):
    """Who reads the file can copy them to the command line; one that is none is refused."""
    file = tmp_path / "experiment.json"
    Experiment(faults=(Fault.parse("crash@500"),)).write(file)
    assert '"crash@500"' in file.read_text()
    file.write_text(file.read_text().replace("crash@500", "flood@500"))
    with pytest.raises(ValueError, match=r"crash@500.*not 'flood@500'"):
        Experiment.read(file)


def test_every_trial_of_an_experiment_has_its_baskets_and_refunds():
    """What was asked for reaches the load."""
    assert {trial.plan.refunds for trial in Experiment(refunds=0.2).trials()} == {0.2}
    assert {trial.plan.basket for trial in Experiment(basket=(2, 3), events=4).trials()} == {(2, 3)}
    assert {trial.plan.basket for trial in Experiment().trials()} == {(1, 1)}


@pytest.mark.parametrize(
    ("asked", "claiming", "others"), [(None, 0.02, 0.0), (0.0, 0.0, 0.0), (0.3, 0.3, 0.3)], ids=str
)
def test_ids_are_called_twice_where_that_is_claimed_or_asked_for(asked, claiming, others):
    """By default a small share, of strategies that claim that an id buys once; a share that is given is for all."""
    trials = Experiment(double_calls=asked).trials()
    assert {trial.plan_for(idempotent=True).double_calls for trial in trials} == {claiming}
    assert {trial.plan_for(idempotent=False).double_calls for trial in trials} == {others}
    assert {trial.plan_for(idempotent=True).seed for trial in trials} == {trial.plan.seed for trial in trials}


@pytest.mark.parametrize(
    ("asked", "words"), [(None, ""), (0.0, "--double-calls 0 "), (0.25, "--double-calls 0.25 ")], ids=str
)
def test_the_command_and_the_file_keep_what_was_asked_of_double_calls(asked, words, tmp_path):
    """None at all is another thing than nothing asked for."""
    experiment = Experiment(double_calls=asked)
    assert words in f"{experiment.command()} "
    assert ("--double-calls" in experiment.command()) == bool(words)
    experiment.write(tmp_path / "experiment.json")
    assert Experiment.read(tmp_path / "experiment.json").double_calls == asked


class TestThorough:
    """What `ticketlab run --thorough` makes of an experiment."""

    def test_everything_is_tried_in_each_trial(self):
        """Quantities, events, baskets, refunds and every kind of fault, while seats are left."""
        made = thorough(Experiment(), given=(), baskets=True, refunds=True)
        assert (made.quantity, made.events, made.basket, made.refunds) == ((1, 3), 3, (1, 2), 0.1)
        assert (made.purchases, made.seconds, made.server) == (2_000, 60.0, "embedded")
        # 2,000 purchases of 2 tickets of 1.5 events each; seven tenths of them, of three events
        assert made.stock == 1_400
        assert {each.kind for each in made.faults} == set(FaultKind)
        moments = [each.after for each in made.faults]
        assert moments == sorted(set(moments))
        assert all(100 < each < 1_400 for each in moments)

    def test_what_was_given_stays(self):
        """One event leaves no baskets, and 30 seats few purchases before which all faults come."""
        asked = Experiment(events=1, stock=30, quantity=(2, 2), refunds=0.5, purchases=100, server="auto")
        given = ("events", "stock", "quantity", "refunds", "purchases", "server")
        made = thorough(asked, given=given, baskets=True, refunds=True)
        assert [getattr(made, name) for name in given] == [getattr(asked, name) for name in given]
        assert made.basket == (1, 1)
        assert all(1 <= each.after <= 15 for each in made.faults)
        assert thorough(asked, given=("faults",), baskets=True, refunds=True).faults == ()

    def test_what_a_strategy_or_a_server_cannot_do_is_left_out(self):
        """No baskets, no refunds, and no crash of a server that is not the lab's own."""
        made = thorough(Experiment(server="external"), given=("url",), baskets=False, refunds=False)
        assert (made.basket, made.refunds, made.server) == ((1, 1), 0.0, "external")
        assert {each.kind for each in made.faults} == set(FaultKind) - {FaultKind.CRASH}


def test_the_share_of_failures_is_part_of_the_command_where_it_is_not_the_usual_one():
    """It is a share from 0 to 1."""
    assert "--max-failures" not in Experiment().command()
    assert " --max-failures 0.2 " in Experiment(max_failures=0.2).command()
    with pytest.raises(InvalidInputError, match="a share from 0 to 1 of purchases that may fail"):
        Experiment(max_failures=1.5)
