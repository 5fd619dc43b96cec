"""Two runs against each other, for a terminal and for continuous integration: what changed, how surely, and for worse?

Pure. How much two runs differ, and whether that is clear, is said by `ticketlab.report.findings.changes_of`.
"""

from ticketlab.report.compare.gate import check_limit, inconclusive, regressions
from ticketlab.report.compare.pairs import MEASURED, RunComparison, versus
from ticketlab.report.compare.verdict_changes import ChangeKind, VerdictChange, news_of

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
