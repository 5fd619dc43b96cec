"""Reads and judges histories of other systems, from CSV or Parquet. Opens files, no connection.

A file has one row per operation; a basket and its refund have one row per event. The columns, in any order:

| column | contents | if the column or a cell is missing |
|---|---|---|
| buyer | a name or a number | required |
| event | a name or a number | required |
| quantity | tickets, from 1; with the cause repeated those that the id had bought | required |
| purchase_id | a UUID (in Parquet also its 16 bytes), or any other text, from which a UUID is made | required |
| invoked_ns, completed_ns | when it was called and answered: whole ns of one clock, from 0 | required |
| outcome | one of `ticketlab.outcomes.Outcome`, in upper or lower case | required |
| kind | purchase or refund | purchase |
| line | the index of the row in its operation, from 0 | by order of the rows |
| cause | one of `ticketlab.outcomes.Cause`; repeated if the id had bought before | none, or insufficient |
| scheduled_ns | when it was due | invoked_ns |
| attempts, retries_… | the number of attempts, and of retries by cause | 1, 0 |
| version | the version of the event after it, or at which it was refused: from 0 | unknown |
| available | the stock of the event at that version; below 0 if the system reports that | unknown |
| handed | the number of tickets in the answer | the answer has none |
| handed_digest | the digest of their ids: see `ticketlab.history.ids` | unknown |
| handed_elsewhere | how many of them name another purchase or event | 0 |

The rows with one purchase_id, invoked_ns and kind are one operation. An event begins at version 1 with all its seats.
Other columns are not read. All errors of a file are reported, and nothing is guessed.
"""

from ticketlab.formats.imports.check_import import NEEDS_NO_TICKETS, is_decided, judge
from ticketlab.formats.imports.loader import ImportedHistory, read
from ticketlab.formats.imports.table import Table

__all__ = ["NEEDS_NO_TICKETS", "ImportedHistory", "Table", "is_decided", "judge", "read"]
