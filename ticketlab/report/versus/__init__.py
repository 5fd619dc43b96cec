"""Two runs against each other, for a terminal and for continuous integration: what changed, how surely, and for worse?

Pure. How much two runs differ, and whether that is clear, is said by `ticketlab.report.findings.changes_of`.
"""

from ticketlab.report.versus.gate import check_limit, doubtful, shortfalls
from ticketlab.report.versus.news import News, Turn, news_of
from ticketlab.report.versus.pairs import MEASURED, Versus, versus

__all__ = ["MEASURED", "News", "Turn", "Versus", "check_limit", "doubtful", "news_of", "shortfalls", "versus"]
