"""Faults are read from their texts, made once and in their turn while buyers buy, and told of afterwards."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from uuid import UUID

import pytest

from ticketlab import servers
from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.faults.schedule import FaultTrigger
from ticketlab.history.arrays import LoadPart
from ticketlab.load import Fault, FaultKind, Plan
from ticketlab.load.driver import run_load
from ticketlab.outcomes import Outcome
from ticketlab.report._answers import limits
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.servers.server import Server
from ticketlab.tickets import PurchaseResult

CRASH, DISCONNECT, LOSE_REQUEST, LOSE_REPLY = FaultKind
EVENT, WARM_UP = UUID(int=1), UUID(int=2)
DEADLINE_S = 30
LONG_S = 60.0
"""A plan's time that no test may use up."""


def faults(*texts):
    return tuple(map(Fault.parse, texts))


class Shop:
    """Stands in for a repository: sells, but after `free` purchases nothing until `opened`."""

    def __init__(self, free):
        self.opened = threading.Event()
        self.database = SimpleNamespace(terminate_connections=self.opened.set)
        self._free = threading.Semaphore(free)

    def purchase_tickets(self, event_id, quantity, _purchase_id):
        while event_id == EVENT and not self._free.acquire(timeout=0.001):
            assert self.opened.wait(DEADLINE_S), "nobody opened the shop"
            self._free.release()
        return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity)


def driven(shop, wanted, actions, **plan):
    plan = Plan(**{"buyers": 1, "purchases": 20, "warm_up_s": 0, "seconds": LONG_S} | plan)
    return run_load(shop, plan, [EVENT], warm_up_event=WARM_UP, faults=wanted, actions=actions)


class TestFault:
    @pytest.mark.parametrize(
        ("text", "kind", "after"),
        [
            ("crash@500", CRASH, 500),
            ("disconnect@1", DISCONNECT, 1),
            ("lose-request@20", LOSE_REQUEST, 20),
            ("lose-reply@500", LOSE_REPLY, 500),
        ],
    )
    def test_a_fault_is_read_from_its_text_and_written_as_it(self, text, kind, after):
        """What can be typed can be saved."""
        assert Fault.parse(text) == Fault(kind=kind, after=after)
        assert str(Fault.parse(text)) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "crash",
            "@5",
            "flood@5",
            "crash@",
            "crash@0",
            "crash@-1",
            "crash@1.5",
            "crash@5@6",
            "CRASH@5",
            "crash@²",
            "lose_reply@5",
            "lose-answer@5",
        ],
    )
    def test_a_text_that_is_no_fault_is_told_the_form(self, text):
        """The error shows one that is, and the kinds there are."""
        with pytest.raises(InvalidInputError, match=r"one of crash, disconnect, lose-request, lose-reply, after"):
            Fault.parse(text)

    def test_a_fault_is_told_in_words(self):
        """As it stands among the conditions."""
        assert [each.words for each in faults("crash@1", "disconnect@2000", "lose-reply@7")] == [
            "crash after 1 purchase",
            "disconnect after 2,000 purchases",
            "lose-reply after 7 purchases",
        ]


class TestTrigger:
    def test_each_fault_is_made_once_when_its_purchases_were_answered(self):
        """Not before, not again, and those that are due together in their order."""
        made = []
        trigger = FaultTrigger(
            faults("crash@9", "disconnect@3", "crash@4"),
            {kind: lambda kind=kind: made.append(kind) for kind in FaultKind},
        )
        steps = []
        for purchases in (0, 2, 3, 3, 100, 200):
            trigger.fire_due(purchases)
            steps.append((len(made), trigger.has_pending))
        assert steps == [(0, True), (0, True), (1, True), (1, True), (3, False), (3, False)]
        assert made == [DISCONNECT, CRASH, CRASH]

    def test_a_fault_that_nobody_can_make_is_told_at_once(self):
        """Not in mid-trial."""
        with pytest.raises(InvalidInputError, match="kind crash"):
            FaultTrigger(faults("crash@9"), {DISCONNECT: lambda: None})

    def test_a_fault_that_fails_has_begun_all_the_same(self):
        """Its instant is known, and it is not made again."""

        def fail():
            raise ServerError("it did not start")

        trigger = FaultTrigger(faults("crash@1"), {CRASH: fail})
        with pytest.raises(ServerError):
            trigger.fire_due(1)
        trigger.fire_due(2)
        assert ([each.kind for each in trigger.injected], trigger.has_pending) == ([CRASH], False)

    def test_a_fault_that_says_when_it_took_effect_is_believed(self):
        """A server that is being crashed answers until it is dead; one that says nothing is noted as it begins."""
        trigger = FaultTrigger(faults("crash@1", "disconnect@1"), {CRASH: lambda: 77, DISCONNECT: lambda: None})
        trigger.fire_due(1)
        effects_ns = {each.kind: each.effect_ns for each in trigger.injected}
        assert (set(effects_ns), effects_ns[CRASH]) == ({CRASH, DISCONNECT}, 77)
        assert effects_ns[DISCONNECT] > 77

    def test_a_fault_is_over_when_its_action_returns(self):
        """Also where the action fails, and only of its kind."""
        instants = []

        def act():
            instants.append(time.perf_counter_ns())
            if len(instants) == 2:
                raise ServerError("it did not start")

        trigger = FaultTrigger(faults("lose-reply@1", "lose-reply@2"), {LOSE_REPLY: act})
        trigger.fire_due(1)
        with pytest.raises(ServerError):
            trigger.fire_due(2)
        first, second = trigger.injected
        assert first.effect_ns <= instants[0] <= first.over_ns <= instants[1] <= second.over_ns
        assert {first.kind, second.kind} == {LOSE_REPLY}

    def test_a_fault_begins_before_it_takes_effect(self):
        """A server takes a while to die: what is lost meanwhile was lost by the crash."""

        def crash():
            took_effect.append(time.perf_counter_ns() + 1)
            return took_effect[0]

        took_effect = []
        trigger = FaultTrigger(faults("crash@1"), {CRASH: crash})
        trigger.fire_due(1)
        (fault,) = trigger.injected
        assert fault.began_ns < fault.effect_ns == took_effect[0] <= fault.over_ns + 1


class TestDrive:
    @pytest.mark.parametrize("kind", FaultKind)
    def test_a_fault_is_made_between_the_purchases_that_it_was_wanted_between(self, kind):
        """After the fifth was answered and before the sixth; its instant is on the history's clock."""
        shop = Shop(free=5)
        result = driven(shop, faults(f"{kind}@5"), {kind: shop.opened.set})
        (fault,) = result.faults
        assert fault.kind is kind
        assert result.history["completed_ns"][4] <= fault.effect_ns < result.history["completed_ns"][5]
        assert fault.over_ns >= fault.effect_ns
        assert len(result.history) == 20

    def test_the_purchases_of_all_buyers_count(self):
        """Seven of three buyers, whoever made them."""
        shop = Shop(free=7)
        result = driven(shop, faults("crash@7"), {CRASH: shop.opened.set}, buyers=3, purchases=30)
        assert (result.history["completed_ns"] <= result.crashes_ns[0]).sum() == 7
        assert len(result.history) == 30

    def test_a_fault_whose_purchases_are_not_made_does_not_come(self):
        """The trial is over first."""
        shop, made = Shop(free=20), []
        result = driven(shop, faults("crash@21"), {CRASH: lambda: made.append(1)})
        assert (made, result.crashes_ns, len(result.history)) == ([], (), 20)

    def test_an_error_of_a_fault_ends_the_trial_and_is_raised(self):
        """A server that does not come back is told as what it is."""
        shop = Shop(free=5)

        def fail():
            shop.opened.set()
            raise ServerError("it did not start")

        with pytest.raises(ServerError, match="it did not start"):
            driven(shop, faults("crash@5"), {CRASH: fail}, purchases=None)

    def test_a_ctrl_c_in_a_fault_ends_the_trial_as_any_other(self):
        """What was bought is kept, and that the fault was begun."""
        shop = Shop(free=5)

        def press():
            shop.opened.set()
            raise KeyboardInterrupt

        result = driven(shop, faults("crash@5"), {CRASH: press}, purchases=None)
        assert result.interrupted
        assert len(result.crashes_ns) == 1
        assert len(result.history) >= 5


class TestLab:
    def test_a_server_that_can_not_be_crashed_is_told_before_anything_is_run(self, tmp_path, monkeypatch):
        """Where `auto` has chosen another kind: no folder is made."""
        record = Server(kind="container", url="", version="18.6", settings={}, log=str, why="a container: it answered")

        @contextmanager
        def opened(_kind, **_options):
            yield record

        monkeypatch.setattr(servers, "open", opened)
        with pytest.raises(InvalidInputError, match=r"one chosen is a container: it answered.*--server embedded"):
            lab.run(Experiment(faults=faults("crash@5")), out=tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestLimits:
    @pytest.mark.parametrize(
        ("asked", "untried", "tried"),
        [
            ((), ["crashes, disconnects, ", "and any other load."], ["moment"]),
            (("disconnect@5",), ["other moments than disconnect@5", "crashes"], ["disconnects"]),
            (
                ("crash@5",),
                ["other moments than crash@5", "loss of the machine"],
                ["crashes,"],
            ),
        ],
    )
    def test_what_was_tried_is_not_said_to_be_untried(self, results, trial, asked, untried, tried):
        """And what a fault does not show is said."""
        wanted = faults(*asked)
        came = {LoadPart(str(each.kind)) for each in wanted}
        run = results(trial("atomic"), experiment=Experiment(faults=wanted).as_dict(), tried=came)
        (sentence,) = (each for each in limits(run) if each.startswith("Not tried"))
        assert all(words in sentence for words in untried)
        assert not any(words in sentence for words in tried)

    def test_every_kind_of_fault_is_a_part_of_a_load(self):
        """A run says by it which faults it tried."""
        assert {str(each) for each in FaultKind} <= {str(each) for each in LoadPart}
