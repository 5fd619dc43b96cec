"""What each chart shows, in a sentence and its details: the titles, captions and alt texts. Draws nothing.

A sentence claims no more than the repeats show: "fastest" is said only where no interval reaches another.
"""

from ticketlab.report.findings.finding import Finding
from ticketlab.report.findings.sold import conflict_share, outcomes, stock_ends, stock_over_time, tickets_sold
from ticketlab.report.findings.speed import latency, rate_text, throughput

__all__ = [
    "Finding",
    "conflict_share",
    "latency",
    "outcomes",
    "rate_text",
    "stock_ends",
    "stock_over_time",
    "throughput",
    "tickets_sold",
]
