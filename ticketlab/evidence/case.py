"""A history and a ledger as arrays that all checks share: what was told, what took effect, who owns what.

Pure, and free of judgement: what is wrong is for the checks to say. Each array is worked out when first asked for.
"""

from functools import cached_property

import numpy as np
import pandas as pd

from ticketlab.evidence import ids
from ticketlab.evidence.columns import Columns, Integers, Mask
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.ledger import Ledger


class Case(Columns):
    """What the checks go by. Ids are small numbers, shared by the rows of the history and the tickets of the ledger."""

    def __init__(self, history: pd.DataFrame, ledger: Ledger) -> None:
        super().__init__(history)
        self.ledger = ledger

    # What was told under one id.

    @cached_property
    def first_asked(self) -> Mask:
        """Rows of purchases in which an event was asked for under their id for the first time."""
        rows = np.flatnonzero(self.purchases)
        first = np.zeros(len(self), np.bool_)
        if (np.bincount(self.id[rows], minlength=1) > 1).any():
            rows = rows[np.argsort(self.invoked[rows], kind="stable")]
            _, places = np.unique(self.pairs[rows], return_index=True)
            rows = rows[places]
        first[rows] = True
        return first

    @cached_property
    def sold_again(self) -> Mask:
        """Sales that were told once more: they are said to be, or are of an id that was told of its version before.

        Of two confirmations under one id the second adds nothing, unless it has a version of its own.
        """
        again = self.sold & self.repeated
        first = np.flatnonzero(self.sold & ~again)
        if ids.distinct(self.history["purchase_id"].iloc[first[self.leads[first]]]):
            return again
        told = np.bincount(self.id[first[self.leads[first]]], minlength=self.ids)
        if not (told > 1).any():
            return again
        rows = first[(told > 1)[self.id[first]]]
        began = np.full(self.ids, len(self))
        np.minimum.at(began, self.id[rows], self.operation[rows])
        of_first = self.operation[rows] == began[self.id[rows]]
        seen = set(zip(self.pairs[rows[of_first]].tolist(), self.version[rows[of_first]].tolist(), strict=True))
        later = rows[~of_first]
        claims = zip(self.pairs[later].tolist(), self.version[later].tolist(), strict=True)
        own = later[[version != NOT_SEEN and (pair, version) not in seen for pair, version in claims]]
        again[later] = ~np.isin(self.operation[later], self.operation[own])
        return again

    @cached_property
    def sold_first(self) -> Mask:
        """Sales that were told for the first time."""
        return self.sold & ~self.sold_again

    # Who owns what.

    @cached_property
    def id(self) -> Integers:
        """The purchase id of each row, as a number from 0."""
        return self._ids[0]

    @cached_property
    def ticket_id(self) -> Integers:
        """That of each ticket of the ledger."""
        return self._ids[1]

    @cached_property
    def ids(self) -> int:
        """How many purchase ids there are."""
        return 1 + int(max(self.id.max(initial=-1), self.ticket_id.max(initial=-1)))

    @cached_property
    def ticket_event(self) -> Integers:
        """The event of each ticket of the ledger."""
        return self.ledger.tickets["event"].to_numpy()

    @cached_property
    def seats(self) -> pd.DataFrame:
        """The events of the ledger, with what its tickets make of them: see `Ledger.seats`."""
        return self.ledger.seats()

    @cached_property
    def owned(self) -> Integers:
        """The tickets of each id, of all events together."""
        return np.bincount(self.ticket_id, minlength=self.ids)

    @cached_property
    def held(self) -> Integers:
        """For each row the tickets that its id owns of its event."""
        some_event = np.zeros(self.ids, self.ticket_event.dtype)
        some_event[self.ticket_id] = self.ticket_event
        of_several = np.zeros(self.ids, np.bool_)
        of_several[self.ticket_id[some_event[self.ticket_id] != self.ticket_event]] = True
        held = np.where(some_event[self.id] == self.event, self.owned[self.id], 0)
        rows, tickets = np.flatnonzero(of_several[self.id]), np.flatnonzero(of_several[self.ticket_id])
        if len(rows):
            keys, counts = np.unique(self.ticket_pairs[tickets], return_counts=True)
            wanted = self.pairs[rows]
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            held[rows] = np.where(keys[place] == wanted, counts[place], 0)
        return held

    @cached_property
    def events(self) -> int:
        """One more than the largest number of an event."""
        columns = (self.event, self.ticket_event, self.ledger.events["event"].to_numpy())
        return 1 + int(max(each.max(initial=-1) for each in columns))

    @cached_property
    def pairs(self) -> Integers:
        """Of each row its id and its event as one number."""
        return self._pair(self.id, self.event)

    @cached_property
    def ticket_pairs(self) -> Integers:
        """Of each ticket its id and its event as one number."""
        return self._pair(self.ticket_id, self.ticket_event)

    def per_id(self, rows: Mask) -> Integers:
        """How many operations each id has among these rows."""
        return np.bincount(self.id[rows & self.leads], minlength=self.ids)

    # What took effect.

    @cached_property
    def sold_itself(self) -> Mask:
        """Sales told as made before, of ids that nothing else can have sold: an earlier attempt of theirs did."""
        if not self.sold_again.any():
            return self.sold_again
        others = self.per_id(self.sold_first) + self.per_id(self.perhaps_sold)
        seen = self.owned + self.per_id(self.refunded) + self.per_id(self.perhaps_refunded)
        alone = ((others == 0) & (seen > 0))[self.id]
        first = np.zeros(len(self), np.bool_)
        _, places = np.unique(self.id[self.sold_again], return_index=True)
        first[np.flatnonzero(self.sold_again)[places]] = True
        itself: Mask = alone & np.isin(self.operation, self.operation[first & alone]) & self.sold_again
        return itself

    @cached_property
    def surely_sold(self) -> Mask:
        """Rows of purchases that took effect: told so, or of unknown outcome and seen by what came of them."""
        if not self.perhaps_sold.any():
            return self.sold_first | self.sold_itself
        others = self.per_id(self.sold_first)
        proven = (self.owned > 0) | (self.per_id(self.refunded) > 0) | (self.per_id(self.sold_again) > 0)
        one = self.per_id(self.perhaps_sold) == 1
        shown: Mask = self.perhaps_sold & ((others == 0) & proven & one)[self.id]
        return self.sold_first | self.sold_itself | shown

    @cached_property
    def surely_refunded(self) -> Mask:
        """Rows of refunds that took effect: told so, or of unknown outcome with nothing left of a sure sale."""
        if not self.perhaps_refunded.any():
            return self.refunded
        gone = (self.per_id(self.surely_sold) > 0) & (self.owned == 0) & (self.per_id(self.refunded) == 0)
        one = self.per_id(self.perhaps_refunded) == 1
        shown: Mask = self.perhaps_refunded & (gone & one)[self.id]
        return self.refunded | shown

    @cached_property
    def undecided(self) -> Mask:
        """Rows of unknown outcome that may have taken effect or not, by all that is known."""
        sale = self.perhaps_sold & ~self.surely_sold
        refund = self.perhaps_refunded & ~self.surely_refunded
        if not (sale.any() or refund.any()):
            return sale
        there = self.owned[self.id] > 0
        refunds = (self.per_id(self.perhaps_refunded) > 0)[self.id]
        several_sales = (self.per_id(self.perhaps_sold) > 1)[self.id]
        several_refunds = (self.per_id(self.perhaps_refunded) > 1)[self.id]
        sales = (self.per_id(self.sold_first) == 0)[self.id] & ((~there & refunds) | (there & several_sales))
        sold_perhaps = (self.per_id(self.perhaps_sold) > 0)[self.id] & ~(self.per_id(self.surely_sold) > 0)[self.id]
        undecided: Mask = (sale & sales) | (refund & ~there & (sold_perhaps | several_refunds))
        return undecided

    @cached_property
    def changed(self) -> Mask:
        """Rows that surely changed the stock of their event."""
        return self.surely_sold | self.surely_refunded

    @cached_property
    def change(self) -> Integers:
        """By how much a row changes the stock, if it takes effect."""
        wanted = self.quantity.astype(np.int64)
        if self.sold_itself.any():
            rows = self.sold_itself & (self.held > 0)
            wanted[rows] = self.held[rows]
        return np.where(self.purchases, -wanted, wanted)

    @cached_property
    def unordered(self) -> Mask:
        """The events, by their number, of which a sale carries no version: nothing says in which order they sold."""
        events = np.zeros(self.events, np.bool_)
        events[self.event[self.sold_first & (self.version == NOT_SEEN)]] = True
        return events

    @property
    def sales_without_version(self) -> int:
        """How many sales carry no version of their event, so that nothing says in which order they were made."""
        return int((self.sold_first & (self.version == NOT_SEEN) & self.leads).sum())

    @cached_property
    def _ids(self) -> tuple[Integers, Integers]:
        told, kept = ids.codes(self.history["purchase_id"], self.ledger.tickets["purchase_id"])
        return told, kept

    def _pair(self, number: Integers, event: Integers) -> Integers:
        return number.astype(np.int64) * self.events + event
