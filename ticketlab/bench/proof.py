"""Whether a claim is proven. Pure: compares what a contender says with what the ledger holds."""

from ticketlab import checks
from ticketlab.bench.contender import Claim
from ticketlab.checks.verdict import Status
from ticketlab.history.ledger import Ledger


def fault(claim: Claim, ledger: Ledger) -> str:
    """What is wrong with a claim, in a sentence; "" where the ledger proves it.

    The ledger is of the one event that was sold. Every ticket claimed must be there, and no other, and the stock must
    be what is left of the seats; where there is a history, every check must find it VALID.
    """
    (event,) = ledger.seats().to_dict("records")
    tickets, left = event["tickets"], event["total"] - event["tickets"]
    if claim.sold < 1:
        return "it sold nothing"
    if tickets != claim.sold:
        return f"it claims {claim.sold:,} tickets, the ledger has {tickets:,}"
    if event["available"] != left:
        return f"the ledger has {tickets:,} tickets, so {left:,} are left, but the stock says {event['available']:,}"
    verdicts = () if claim.history is None else checks.judge(claim.history, ledger)
    return next((f"{each.check}: {each.summary}" for each in verdicts if each.status is not Status.VALID), "")
