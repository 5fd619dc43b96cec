"""The claim that a purchase leaves nothing behind: on its connection, or in the server."""

import pandas as pd

from ticketlab.evidence.case import Case
from ticketlab.evidence.check import check
from ticketlab.evidence.verdict import Anomaly, Verdict, invalid, valid


@check
def leaves_connection_clean(case: Case) -> Verdict:
    """Every purchase gives its connection back as it got it, and leaves nothing in the server.

    What is left is met by the next purchase on that connection, or by whoever waits for that lock. The lab looks at
    each connection when it comes back, at each session and at the server when a trial ends.
    """
    name = "leaves_connection_clean"
    facts = case.ledger.facts
    if facts.left_behind:
        left = pd.DataFrame({"left_behind": list(facts.left_behind), "times": list(facts.left_behind.values())})
        text = "; ".join(f"{_times(count)} {words}" for words, count in facts.left_behind.items())
        return invalid(name, text, left, Anomaly.UNCLEAN_CONNECTION)
    if facts.seats is None:
        return valid(name, "not looked at: the lab sees connections only in its own runs")
    return valid(name, "every connection came back as it was lent, and nothing was left in the server")


def _times(count: int) -> str:
    return f"{count:,} times" if count > 1 else "once"
