"""Small histories, read from CSV as `ticketlab check` reads them, get the verdict that they have to get."""

import pytest
from known_histories import HEADER, KNOWN, TICKETS_HEADER

from ticketlab.checks.verdict import overall
from ticketlab.formats import imports
from ticketlab.formats.imports import Table


def table(name, *lines):
    return Table.of_csv("\n".join([*lines, ""]).encode(), name=f"{name}.csv")


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_history_gets_its_verdict(name):
    """The verdict of all checks together; where it is another one, the message has the line of each check."""
    known = KNOWN[name]
    history = imports.read(
        table("history", HEADER, *known.operations),
        events=table("events", *known.events),
        tickets=table("tickets", TICKETS_HEADER, *known.tickets),
    )
    verdicts = imports.judge(history)
    lines = "\n".join(f"{each.check}: {each.status} - {each.summary}" for each in verdicts)
    assert overall(verdicts) is known.verdict, f"{known.why}\n{known.case()}\n{lines}"
