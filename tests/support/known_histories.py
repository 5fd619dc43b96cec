"""Sixteen small histories as CSV, each with the verdict that it has to get, and why."""

import csv
from dataclasses import dataclass
from typing import Final

from small_cases import Event, Line, Operation, SmallCase

from ticketlab.checks.verdict import Status
from ticketlab.outcomes import Cause, Kind, Outcome

HEADER: Final = "buyer,event,quantity,purchase_id,invoked_ns,completed_ns,outcome,kind,cause,version,available"
TICKETS_HEADER: Final = "event,purchase_id,tickets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A history with its ledger, and its right verdict. The rows are those below the headers."""

    verdict: Status
    why: str
    operations: tuple[str, ...]
    events: tuple[str, ...]
    """With their header, for some do not say how the events ended."""
    tickets: tuple[str, ...]

    def case(self) -> SmallCase:
        """The same as plain records."""
        events = list(csv.DictReader(self.events))
        names = [each["event"] for each in events]
        owners = csv.DictReader((TICKETS_HEADER, *self.tickets))
        return SmallCase(
            operations=tuple(_operation(row, names) for row in csv.DictReader((HEADER, *self.operations))),
            events=tuple(
                Event(total=int(row["total"]), available=_number(row, "available"), version=_number(row, "version"))
                for row in events
            ),
            tickets=tuple(
                (names.index(row["event"]), int(row["purchase_id"].removeprefix("p")))
                for row in owners
                for _ in range(int(row["tickets"]))
            ),
        )


def _operation(row: dict[str, str], names: list[str]) -> Operation:
    line = Line(
        event=names.index(row["event"]),
        quantity=int(row["quantity"]),
        version=_number(row, "version"),
        available=_number(row, "available"),
    )
    return Operation(
        kind=Kind(row["kind"]),
        purchase=int(row["purchase_id"].removeprefix("p")),
        lines=(line,),
        invoked=int(row["invoked_ns"]),
        completed=int(row["completed_ns"]),
        outcome=Outcome(row["outcome"]),
        cause=Cause(row["cause"]),
    )


def _number(row: dict[str, str], name: str) -> int | None:
    return int(row[name]) if row.get(name) else None


KNOWN: Final = {
    "double_sale_behind_repeated": Known(
        verdict=Status.INVALID,
        why='An answer "repeated" does not make it right that an id owns tickets of a second event.',
        operations=(
            "b0,a,3,p1,0,5,sold,purchase,none,,",
            "b1,b,1,p1,10,15,sold,purchase,repeated,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,2,",
            "b,4,3,",
        ),
        tickets=(
            "a,p1,3",
            "b,p1,1",
        ),
    ),
    "double_sale_behind_repeated_with_versions": Known(
        verdict=Status.INVALID,
        why="The same, with versions.",
        operations=(
            "b0,a,3,p1,0,5,sold,purchase,none,2,2",
            "b1,b,1,p1,10,15,sold,purchase,repeated,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,2,2",
            "b,4,3,2",
        ),
        tickets=(
            "a,p1,3",
            "b,p1,1",
        ),
    ),
    "half_purchase_repeated": Known(
        verdict=Status.INVALID,
        why="Reported as three tickets, sold before; one ticket is there.",
        operations=(
            "b0,a,3,p1,0,5,sold,purchase,repeated,,",
            "b1,a,2,p2,10,15,sold,purchase,none,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,2,",
        ),
        tickets=(
            "a,p1,1",
            "a,p2,2",
        ),
    ),
    "lost_after_rebuy": Known(
        verdict=Status.INVALID,
        why="Bought, refunded, bought again: the ticket of the last sale is missing.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,,",
            "b0,a,1,p1,6,8,refunded,refund,none,,",
            "b0,a,1,p1,10,15,sold,purchase,none,,",
        ),
        events=(
            "event,total,available,version",
            "a,1,1,",
        ),
        tickets=("a,none,0",),
    ),
    "lost_after_rebuy_with_versions": Known(
        verdict=Status.INVALID,
        why="The same, with versions.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,0",
            "b0,a,1,p1,6,8,refunded,refund,none,3,1",
            "b0,a,1,p1,10,15,sold,purchase,none,4,0",
        ),
        events=(
            "event,total,available,version",
            "a,1,,4",
        ),
        tickets=("a,none,0",),
    ),
    "transient_oversell": Known(
        verdict=Status.INVALID,
        why="The second sale came while the only seat was taken; the refund came later.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,,",
            "b1,a,1,p2,6,8,sold,purchase,none,,",
            "b1,a,1,p2,10,15,refunded,refund,none,,",
        ),
        events=(
            "event,total,available,version",
            "a,1,0,",
        ),
        tickets=("a,p1,1",),
    ),
    "unknown_tells_version": Known(
        verdict=Status.VALID,
        why="A purchase of unknown outcome may carry the version that it made.",
        operations=(
            "b0,a,1,p1,0,5,unknown,purchase,connection,2,4",
            "b1,a,2,p2,6,8,sold,purchase,none,3,2",
        ),
        events=(
            "event,total,available,version",
            "a,5,2,3",
        ),
        tickets=(
            "a,p1,1",
            "a,p2,2",
        ),
    ),
    "failed_tells_version": Known(
        verdict=Status.VALID,
        why="A failed purchase may carry the version that it saw.",
        operations=(
            "b0,a,1,p1,0,5,failed,purchase,transaction,1,5",
            "b1,a,2,p2,6,8,sold,purchase,none,2,3",
        ),
        events=(
            "event,total,available,version",
            "a,5,3,2",
        ),
        tickets=("a,p2,2",),
    ),
    "no_final_version": Known(
        verdict=Status.VALID,
        why="The last version is not known, and a purchase of unknown outcome took effect.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,4",
            "b1,a,2,p2,6,8,unknown,purchase,connection,,",
        ),
        events=(
            "event,total,available",
            "a,5,2",
        ),
        tickets=(
            "a,p1,1",
            "a,p2,2",
        ),
    ),
    "no_final_version_no_stock": Known(
        verdict=Status.VALID,
        why="The same, and the last stock is not known either.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,4",
            "b1,a,2,p2,6,8,unknown,purchase,connection,,",
        ),
        events=(
            "event,total",
            "a,5",
        ),
        tickets=(
            "a,p1,1",
            "a,p2,2",
        ),
    ),
    "one_without_version": Known(
        verdict=Status.INVALID,
        why="Three sales made version 2; that a fourth carries no version does not excuse them.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,4",
            "b1,a,1,p2,6,8,sold,purchase,none,2,4",
            "b2,a,1,p3,9,11,sold,purchase,none,2,4",
            "b3,a,1,p4,12,13,sold,purchase,none,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,1,5",
        ),
        tickets=(
            "a,p1,1",
            "a,p2,1",
            "a,p3,1",
            "a,p4,1",
        ),
    ),
    "rebuy_unknown": Known(
        verdict=Status.VALID,
        why="An id that was refunded buys again, and nobody knows the outcome of the call.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,4",
            "b0,a,1,p1,6,8,refunded,refund,none,3,5",
            "b0,a,1,p1,10,15,unknown,purchase,connection,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,4,4",
        ),
        tickets=("a,p1,1",),
    ),
    "rebuy_told": Known(
        verdict=Status.VALID,
        why="An id that was refunded buys again.",
        operations=(
            "b0,a,1,p1,0,5,sold,purchase,none,2,4",
            "b0,a,1,p1,6,8,refunded,refund,none,3,5",
            "b0,a,1,p1,10,15,sold,purchase,none,4,4",
        ),
        events=(
            "event,total,available,version",
            "a,5,4,4",
        ),
        tickets=("a,p1,1",),
    ),
    "two_lost_then_refund": Known(
        verdict=Status.VALID,
        why="Of two purchases of unknown outcome one sold, then came the refund.",
        operations=(
            "b0,a,2,p1,0,5,unknown,purchase,connection,,",
            "b0,a,2,p1,6,8,unknown,purchase,connection,,",
            "b0,a,2,p1,10,15,refunded,refund,none,3,5",
        ),
        events=(
            "event,total,available,version",
            "a,5,5,3",
        ),
        tickets=("a,none,0",),
    ),
    "refund_told_too_many": Known(
        verdict=Status.INVALID,
        why="A refund reports nine seats of five.",
        operations=(
            "b0,a,2,p1,0,5,sold,purchase,none,,",
            "b0,a,2,p1,6,8,refunded,refund,none,,9",
        ),
        events=(
            "event,total,available,version",
            "a,5,5,",
        ),
        tickets=("a,none,0",),
    ),
    "refund_nothing_though_owned": Known(
        verdict=Status.INVALID,
        why="A refund found nothing to give back, though the id owned two tickets.",
        operations=(
            "b0,a,2,p1,0,5,sold,purchase,none,,",
            "b0,a,2,p1,6,8,refunded,refund,repeated,,",
        ),
        events=(
            "event,total,available,version",
            "a,5,3,",
        ),
        tickets=("a,p1,2",),
    ),
}
