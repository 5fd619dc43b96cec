"""What a check is: a claim about a case, and a name. Knows no claim."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ticketlab.checks.verdict import Verdict, unknown
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Check:
    """A claim that is judged by a history and a ledger."""

    name: str
    """What it is called everywhere: in tables, verdicts and files."""
    summary: str
    """What is claimed, in a line."""
    judge: Callable[[IndexedHistory], Verdict]
    """Decides a case; may raise, which decides nothing."""

    def __call__(self, history: pd.DataFrame, ledger: Ledger) -> Verdict:
        """The verdict on a history and a ledger, of this check alone."""
        return self.judge(IndexedHistory(history, ledger))

    def decide(self, case: IndexedHistory) -> Verdict:
        """The verdict on a case; UNKNOWN where the check itself fails: whatever went wrong in it decided nothing."""
        try:
            return self.judge(case)
        except Exception as error:  # a check has no business to raise, so there is nothing to tell apart
            return unknown(self.name, f"the check itself failed: {type(error).__name__}: {error}")


def check(judge: Callable[[IndexedHistory], Verdict]) -> Check:
    """Make a function a check of the function's name; the first line of its docstring is what it claims."""
    return Check(getattr(judge, "__name__", repr(judge)), (judge.__doc__ or "").partition("\n")[0], judge)
