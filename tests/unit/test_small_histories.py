"""Small histories, read from CSV as `ticketlab check` reads them, get the verdict that they have to get."""

import pytest
from known_histories import HEADER, KNOWN, TICKETS_HEADER

from ticketlab.evidence import foreign
from ticketlab.evidence.foreign import Table
from ticketlab.evidence.verdict import overall


def table(name, *lines):
    return Table.of_csv("\n".join([*lines, ""]).encode(), name=f"{name}.csv")


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_history_gets_its_verdict(name):
    """The verdict of all checks together; where it is another one, the message has the line of each check."""
    known = KNOWN[name]
    history = foreign.read(
        table("history", HEADER, *known.operations),
        events=table("events", *known.events),
        tickets=table("tickets", TICKETS_HEADER, *known.tickets),
    )
    verdicts = foreign.judge(history)
    lines = "\n".join(f"{each.check}: {each.status} - {each.summary}" for each in verdicts)
    assert overall(verdicts) is known.verdict, f"{known.why}\n{known.case()}\n{lines}"
