"""What each chart shows, in a sentence and its details: titles, captions and alt texts. Draws nothing.

A sentence claims no more than the repeats show: "fastest" is said only if the difference is clear.
"""

from ticketlab.report.captions.caption import (
    MOST_OPERATIONS,
    Caption,
    has_timeline,
    made_twice,
    overwrote,
    story,
    timeline,
    without_violation,
)
from ticketlab.report.captions.comparison import change_text, changes_of, comparison, crossover, leaders, rates_by_run
from ticketlab.report.captions.sales import (
    WASTED,
    captions_of,
    conflict_share,
    latency,
    outcomes,
    rate_text,
    retries,
    retries_text,
    share_text,
    stock_ends,
    stock_over_time,
    throughput,
    tickets_sold,
    wasted,
)

__all__ = [
    "MOST_OPERATIONS",
    "WASTED",
    "Caption",
    "captions_of",
    "change_text",
    "changes_of",
    "comparison",
    "conflict_share",
    "crossover",
    "has_timeline",
    "latency",
    "leaders",
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
    "without_violation",
]
