"""What each chart shows, in a sentence and its details: the titles, captions and alt texts. Draws nothing.

A sentence claims no more than the repeats show: "fastest" is said only where no interval reaches another.
"""

from ticketlab.report.findings.caption import Caption
from ticketlab.report.findings.comparison import change_text, changes_of, comparison, crossover, rates_by_run
from ticketlab.report.findings.retries import WASTED, retries, retries_text, share_text, wasted
from ticketlab.report.findings.sales import (
    conflict_share,
    latency,
    outcomes,
    rate_text,
    stock_ends,
    stock_over_time,
    throughput,
    tickets_sold,
)
from ticketlab.report.findings.timeline import MOST_OPERATIONS, has_timeline, made_twice, overwrote, story, timeline

__all__ = [
    "MOST_OPERATIONS",
    "WASTED",
    "Caption",
    "change_text",
    "changes_of",
    "comparison",
    "conflict_share",
    "crossover",
    "has_timeline",
    "latency",
    "made_twice",
    "outcomes",
    "overwrote",
    "rate_text",
    "rates_by_run",
    "retries",
    "retries_text",
    "share_text",
    "stock_ends",
    "stock_over_time",
    "story",
    "throughput",
    "tickets_sold",
    "timeline",
    "wasted",
]
