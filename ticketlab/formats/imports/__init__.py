"""Histories made by others: CSV or Parquet read into a history and a ledger, and judged. Opens files, no connection.

A file has a row an operation; of a basket, and of its refund, a row for each event. Its columns, in any order:

| column | what it holds | where it is missing, or a cell of it is empty |
|---|---|---|
| buyer | a name or a number | must be there |
| event | a name or a number | must be there |
| quantity | tickets, from 1; of an answer with the cause repeated those that the id had bought | must be there |
| purchase_id | a UUID (in Parquet its 16 bytes too), or any other text, of which a UUID is made | must be there |
| invoked_ns, completed_ns | when it was called and answered: whole ns of one clock, from 0 | must be there |
| outcome | one of `ticketlab.outcomes.Outcome`, in capitals or not | must be there |
| kind | purchase or refund | purchase |
| line | the row's place in its operation, from 0 | in the order of the rows |
| cause | one of `ticketlab.outcomes.Cause`; repeated where the id had bought before | none, or insufficient |
| scheduled_ns | when it was due | invoked_ns |
| attempts, retries_… | how often it was tried, and tried again by cause | 1, 0 |
| version | the event's version after it, or at which it was refused: from 0 | not known |
| available | the event's stock at that version; below 0 if that is what the system reports | not known |
| handed | tickets in the answer | the answer has none |
| handed_digest | of their ids, as `ticketlab.history.ids` says | not known |
| handed_elsewhere | those of them that name another purchase or event | 0 |

One operation are the rows of one purchase_id, invoked_ns and kind. An event begins at version 1 with all its seats.
What other columns hold is not read. Every fault of a file is named, and nothing guessed.
"""

from ticketlab.formats.imports.check_import import NEEDS_NO_TICKETS, is_decided, judge
from ticketlab.formats.imports.loader import ImportedHistory, read
from ticketlab.formats.imports.table import Table

__all__ = ["NEEDS_NO_TICKETS", "ImportedHistory", "Table", "is_decided", "judge", "read"]
