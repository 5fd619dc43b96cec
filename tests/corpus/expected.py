"""The table of the corpus: each function with its verdict, the claims that it breaks, and the load that shows it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from corpus import (
    changed_setup,
    double_calls,
    false_refusals,
    half_purchases,
    handed_over,
    left_behind,
    lost_answers,
    oversells,
    progress,
    right,
    tables,
)
from ticketlab import Schema, Strategy, adopt
from ticketlab.checks.verdict import Anomaly


class Need(StrEnum):
    """What a load must have, beside several buyers and few seats, for a mistake to show."""

    QUANTITY = "purchases of one to three tickets"
    EVENTS = "several events"
    PLENTY = "seats enough until the end"
    REFUNDS = "refunds"
    DOUBLE_CALLS = "purchase ids that are called twice"
    CRASH = "a server that is killed"
    DISCONNECT = "backends that are ended"
    LOSE_REQUEST = "requests that are lost"
    LOSE_REPLY = "replies that are lost"


FAULTS = (Need.CRASH, Need.DISCONNECT, Need.LOSE_REQUEST, Need.LOSE_REPLY)


class Verdict(StrEnum):
    """What a report says of a function."""

    VALID = "VALID"
    AMBER = "VALID, but no progress"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A function, and what must come of it."""

    function: Callable | Strategy
    right: bool = False
    """Whether all checks must be VALID, none of them UNKNOWN."""
    progress: bool = True
    """Whether nearly all its purchases are answered while seats are left."""
    breaks: Mapping[str, Anomaly] = field(default_factory=dict)
    """The checks that are meant to find it, with the anomaly that each names. One of them must be INVALID by that."""
    needs: Collection[Need] = ()
    not_under: Collection[Need] = ()
    """Faults under which a right function is not right, or the mistake of a wrong one cannot be proved."""
    schema: Schema | None = None
    """The tables that it sells from, where those are not the documented ones: nothing can be given back to them."""
    idempotent: bool = False
    """Whether it claims that an id buys once."""
    autocommit: bool = False
    """Whether its connection is in autocommit mode."""

    @property
    def name(self) -> str:
        """As experiments know it."""
        return self.function.name if isinstance(self.function, Strategy) else self.function.__name__

    @property
    def verdict(self) -> Verdict:
        """What a report must say of it."""
        if not self.right:
            return Verdict.INVALID
        return Verdict.VALID if self.progress else Verdict.AMBER

    @property
    def strategy(self) -> Strategy:
        """As the lab sells by it."""
        return adopt(self.function, schema=self.schema, idempotent=self.idempotent, autocommit=self.autocommit)


RIGHT = (
    Expected(right=True, function=right.commits_itself),
    Expected(right=True, function=right.leaves_the_commit_to_its_caller),
    Expected(right=True, function=right.sells_in_a_block),
    Expected(right=True, function=right.takes_the_stock_then_adds),
    Expected(right=True, function=right.sells_in_one_statement, autocommit=True),
    Expected(right=True, function=right.locks_the_table),
    Expected(right=True, function=right.locks_a_key_of_the_event),
    Expected(right=True, function=right.retries_what_cannot_be_serialized),
    Expected(right=True, function=right.compares_the_version),
    Expected(right=True, function=right.inserts_on_conflict, idempotent=True),
    # Between its phases a fault leaves a prepared transaction, which only a coordinator could end.
    Expected(right=True, function=right.prepares_and_commits, not_under=FAULTS),
    Expected(right=True, function=right.locks_with_the_session),
    Expected(right=True, function=right.waits_for_the_worker),
    Expected(right=True, function=right.lets_a_trigger_take_the_seats, schema=tables.shows(tables.TAKEN_BY_A_TRIGGER)),
    Expected(
        right=True, function=right.calls_a_function_of_the_database, schema=tables.shows(tables.SOLD_BY_A_FUNCTION)
    ),
    Expected(right=True, function=right.locks_the_first_free_seats, schema=tables.seat_by_seat()),
    Expected(right=True, progress=False, function=progress.does_not_retry, needs={Need.PLENTY}),
)

OVERSOLD = {"no_oversell": Anomaly.OVERSELL}
OVERSELLS = (
    Expected(function=oversells.writes_back_what_it_read, breaks=OVERSOLD),
    Expected(function=oversells.checks_in_another_transaction, breaks=OVERSOLD),
    Expected(function=oversells.counts_the_tickets, breaks=OVERSOLD),
    Expected(function=oversells.counts_in_a_snapshot, breaks=OVERSOLD, schema=tables.shows(stock_is_kept=False)),
    Expected(function=oversells.ignores_the_row_count, breaks=OVERSOLD, autocommit=True),
    Expected(function=oversells.unlocks_before_the_commit, breaks=OVERSOLD),
    Expected(function=oversells.locks_in_autocommit_mode, breaks=OVERSOLD, autocommit=True),
    Expected(function=oversells.sells_one_too_many, breaks=OVERSOLD),
    Expected(function=oversells.counts_down_in_memory, breaks=OVERSOLD),
    Expected(function=oversells.lets_the_stock_fall_below_zero, breaks=OVERSOLD, schema=tables.shows()),
)

CHANGED = {"setup_unchanged": Anomaly.CHANGED_SETUP}
CHANGED_SETUP = (
    Expected(function=changed_setup.raises_the_seats, breaks=CHANGED),
    Expected(function=changed_setup.sells_the_seats_of_its_schema, breaks=CHANGED, schema=tables.shows(extra_seats=20)),
    Expected(function=changed_setup.adds_a_date, breaks=CHANGED),
    Expected(function=changed_setup.deletes_what_is_sold_out, breaks=CHANGED),
    Expected(
        function=changed_setup.sells_another_event,
        breaks={"sales_in_ledger": Anomaly.LOST_SALE},
        needs={Need.EVENTS},
    ),
)

HALF_PURCHASES = (
    Expected(
        function=half_purchases.gives_up_midway,
        breaks={"atomic": Anomaly.HALF_PURCHASE, "exactly_once": Anomaly.HALF_PURCHASE},
        needs={Need.QUANTITY, Need.EVENTS},
    ),
    Expected(
        function=half_purchases.keeps_a_part_when_it_refuses,
        breaks={
            "atomic": Anomaly.HALF_PURCHASE,
            "exactly_once": Anomaly.HALF_PURCHASE,
            "tickets_accounted_for": Anomaly.PHANTOM_SALE,
        },
        needs={Need.QUANTITY, Need.EVENTS},
    ),
    Expected(function=half_purchases.takes_the_stock_later, breaks={"atomic": Anomaly.HALF_PURCHASE}),
    Expected(
        function=half_purchases.mends_the_stock_later,
        breaks={"atomic": Anomaly.HALF_PURCHASE},
        needs={Need.PLENTY},
    ),
    Expected(function=half_purchases.takes_the_surplus_back, breaks=OVERSOLD, needs={Need.QUANTITY}),
)

LOST_ANSWERS = (
    Expected(
        function=lost_answers.calls_a_lost_commit_failed,
        breaks={"tickets_accounted_for": Anomaly.PHANTOM_SALE},
        needs={Need.LOSE_REPLY, Need.EVENTS, Need.PLENTY},
    ),
    Expected(
        function=lost_answers.calls_a_lost_purchase_sold,
        breaks={"sales_in_ledger": Anomaly.LOST_SALE},
        needs={Need.DISCONNECT, Need.PLENTY},
    ),
    Expected(
        function=lost_answers.sells_again_after_a_lost_commit,
        breaks={"exactly_once": Anomaly.DOUBLE_SALE},
        needs={Need.LOSE_REPLY, Need.EVENTS, Need.PLENTY},
    ),
    Expected(
        function=lost_answers.does_not_wait_for_the_disk,
        breaks={"durable": Anomaly.LOST_SALE},
        needs={Need.CRASH, Need.EVENTS, Need.PLENTY},
    ),
)

DOUBLE_CALLS = (
    Expected(
        function=double_calls.looks_up_the_id_first,
        breaks={"exactly_once": Anomaly.DOUBLE_SALE},
        needs={Need.DOUBLE_CALLS},
        idempotent=True,
    ),
    Expected(
        function=double_calls.confirms_whatever_is_asked,
        breaks={"sales_in_ledger": Anomaly.LOST_SALE},
        needs={Need.DOUBLE_CALLS, Need.QUANTITY},
    ),
    Expected(
        function=double_calls.looks_on_one_event_only,
        breaks={"exactly_once": Anomaly.DOUBLE_SALE},
        needs={Need.DOUBLE_CALLS, Need.EVENTS, Need.QUANTITY},
    ),
)

HANDED_OVER = (
    Expected(
        function=handed_over.hands_out_by_position,
        breaks={"answers_match_tickets": Anomaly.WRONG_TICKETS},
        needs={Need.QUANTITY},
    ),
)

REFUSED_FALSELY = {"no_false_sold_out": Anomaly.FALSE_SOLD_OUT}
FALSE_REFUSALS = (
    # A purchase whose answer was lost may have had the seats that nobody else was sold.
    Expected(function=false_refusals.holds_seats_back, breaks=REFUSED_FALSELY, not_under=FAULTS),
    Expected(function=false_refusals.does_not_look_again, breaks=REFUSED_FALSELY, schema=tables.seat_by_seat()),
    Expected(
        function=false_refusals.does_not_hear_of_refunds,
        breaks=REFUSED_FALSELY,
        needs={Need.REFUNDS},
        not_under=FAULTS,
    ),
)

UNCLEAN = {"leaves_connection_clean": Anomaly.UNCLEAN_CONNECTION}
# A lost connection takes with it what was left on it.
LEFT_BEHIND = (
    Expected(function=left_behind.leaves_a_transaction_open, breaks=UNCLEAN, autocommit=True, not_under=FAULTS),
    Expected(function=left_behind.keeps_an_advisory_lock, breaks=UNCLEAN, not_under=FAULTS),
    Expected(function=left_behind.changes_a_setting, breaks=UNCLEAN, not_under=FAULTS),
    Expected(function=left_behind.closes_its_connection, breaks=UNCLEAN, not_under=FAULTS),
    Expected(function=left_behind.leaves_a_prepared_transaction, breaks=UNCLEAN, autocommit=True, not_under=FAULTS),
    Expected(function=left_behind.never_closes_its_connections, breaks=UNCLEAN, not_under=FAULTS),
)

STOPPED = (
    Expected(
        function=progress.swallows_deadlocks,
        breaks={"no_deadlock": Anomaly.DEADLOCK},
        needs={Need.EVENTS},
    ),
)

CORPUS = {
    each.name: each
    for group in (
        RIGHT,
        OVERSELLS,
        CHANGED_SETUP,
        HALF_PURCHASES,
        LOST_ANSWERS,
        DOUBLE_CALLS,
        HANDED_OVER,
        FALSE_REFUSALS,
        LEFT_BEHIND,
        STOPPED,
    )
    for each in group
}
"""All of them by their names."""
