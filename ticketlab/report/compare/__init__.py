"""Two runs against each other, for a terminal and for continuous integration: what changed, how surely, and for worse?

Pure. How much two runs differ, and whether that is clear, is said by `ticketlab.report.captions.changes_of`.
"""

from ticketlab.report.compare.gate import check_limit, doubtful, shortfalls
from ticketlab.report.compare.pairs import MEASURED, Versus, versus
from ticketlab.report.compare.verdict_changes import News, Turn, news_of

__all__ = ["MEASURED", "News", "Turn", "Versus", "check_limit", "doubtful", "news_of", "shortfalls", "versus"]
