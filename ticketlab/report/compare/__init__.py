"""Two runs compared, for a terminal and for continuous integration. Pure."""

from ticketlab.report.compare.versus import (
    MEASURED,
    ChangeKind,
    RunComparison,
    VerdictChange,
    check_limit,
    inconclusive,
    news_of,
    regressions,
    versus,
)

__all__ = [
    "MEASURED",
    "ChangeKind",
    "RunComparison",
    "VerdictChange",
    "check_limit",
    "inconclusive",
    "news_of",
    "regressions",
    "versus",
]
