"""Purchase ids that were called more than once: which rows are the later calls, and which tell of a sale again.

Pure: goes by a history alone. Each mask has an element for each row of the history.
"""

import numpy as np
import pandas as pd

from ticketlab.evidence import ids
from ticketlab.evidence.columns import Columns, Integers, Mask


def second_calls(history: pd.DataFrame) -> Mask:
    """Rows of purchases whose id another purchase called before, whatever came of either; a basket counts as one call.

    The first call of an id is the one that was invoked first. An id that buys again after a refund is among them.
    """
    told = Columns(history)
    rows, numbers = _called_again(told, told.purchases)
    order = np.lexsort((rows, told.invoked[rows], numbers))
    return _of_operations(told, rows[order][~_starts(numbers[order])])


def told_again(history: pd.DataFrame) -> Mask:
    """Rows of purchases told as sold though another answer told of the same sale.

    An id was sold once, and once more for each refund that gave something back: so many of its answers tell of a sale,
    first those without the cause REPEATED, in the order in which they were answered. The others only confirm.
    """
    told = Columns(history)
    rows, numbers = _called_again(told, told.sold)
    if not len(rows):
        return np.zeros(len(told), np.bool_)
    order = np.lexsort((told.completed[rows], told.repeated[rows], numbers))
    rows, numbers = rows[order], numbers[order]
    starts = np.flatnonzero(_starts(numbers))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return _of_operations(told, rows[place > _refunds(told, rows)])


def double_called(history: pd.DataFrame) -> int:
    """How many purchase ids were called more than once."""
    told = Columns(history)
    _, numbers = _called_again(told, told.purchases)
    return len(np.unique(numbers))


def _called_again(told: Columns, chosen: Mask) -> tuple[Integers, Integers]:
    """Of ids with several chosen operations: the first row of each of these operations, and the number of its id."""
    rows = np.flatnonzero(chosen & told.leads)
    column = told.history["purchase_id"].iloc[rows]
    if len(rows) == 0 or ids.distinct(column):
        return rows[:0], rows[:0]
    (numbers,) = ids.codes(column)
    several = np.bincount(numbers)[numbers] > 1
    return rows[several], numbers[several]


def _starts(numbers: Integers) -> Mask:
    """Where a number differs from the one before."""
    starts = np.ones(len(numbers), np.bool_)
    starts[1:] = numbers[1:] != numbers[:-1]
    return starts


def _refunds(told: Columns, rows: Integers) -> Integers:
    """For each row how many refunds of its id gave something back."""
    refunds = np.flatnonzero(told.refunded & told.leads)
    if not len(refunds):
        return np.zeros(len(rows), np.int64)
    owners = told.history["purchase_id"]
    of_rows, of_refunds = ids.codes(owners.iloc[rows], owners.iloc[refunds])
    counts = np.bincount(of_refunds, minlength=1 + int(max(of_rows.max(), of_refunds.max())))
    return counts[of_rows]


def _of_operations(told: Columns, rows: Integers) -> Mask:
    """All rows of the operations that begin with these."""
    chosen = np.zeros(len(told), np.bool_)
    chosen[rows] = True
    found: Mask = chosen[np.flatnonzero(told.leads)[told.operation]] if len(rows) else chosen
    return found
