"""A history and its ledger as arrays that all checks share: answers, effects and ownership. Pure; judges nothing.

Each array is computed when first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ticketlab.history import effects, ids
from ticketlab.history.arrays import HistoryArrays, Integers, Mask
from ticketlab.history.effects import Effects, IdCall, Owners, Reports
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger


class IndexedHistory(HistoryArrays):
    """The input of the checks. Purchase ids are numbers, shared by rows of the history and tickets of the ledger."""

    def __init__(self, history: pd.DataFrame, ledger: Ledger, *, trusting: bool = False) -> None:
        """For `trusting` see `effects.decide`."""
        super().__init__(history)
        self.ledger = ledger
        self.trusting = trusting

    # Reported versions and stocks.

    @cached_property
    def version(self) -> Integers:
        """The version that each row reports to have made or seen, or NOT_SEEN if it reports none that counts.

        Versions do not count in answers of unknown outcome or that report an earlier call, in a history that is
        `versionless`, and with a strategy that keeps its stock elsewhere.
        """
        return np.where(self._reports & (not self.versionless), self._numbers("version"), NOT_SEEN)

    @cached_property
    def available(self) -> Integers:
        """The stock that each row reports, or NOT_SEEN if it reports none that counts: see `version`."""
        return np.where(self._reports & ~self.effects.stock_ignored, self._numbers("available"), NOT_SEEN)

    @cached_property
    def versionless(self) -> bool:
        """Whether no sale of the history reports a version: then it is unknown whether sales make versions."""
        sales = self.sold & ~self.repeated
        return self.ledger.facts.stock_elsewhere or not (self._numbers("version")[sales] != NOT_SEEN).any()

    @cached_property
    def refund_version(self) -> Integers:
        """The version that each refund reports, also in a versionless history: it orders the refunds."""
        return np.where(self._reports & self.refunded, self._numbers("version"), NOT_SEEN)

    @cached_property
    def _reports(self) -> Mask:
        reports: Mask = (self.sold & ~self.repeated) | self.refunded | self.refused
        return reports & (not self.ledger.facts.stock_elsewhere)

    # Ownership.

    @cached_property
    def id(self) -> Integers:
        """The purchase id of each row, as a number from 0."""
        return self._ids[0]

    @cached_property
    def ticket_id(self) -> Integers:
        """The purchase id of each ticket of the ledger, as a number from 0."""
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
        """The events of the ledger with their tickets: see `Ledger.seats`."""
        return self.ledger.seats()

    @cached_property
    def owned(self) -> Integers:
        """The tickets of each id, of all events together."""
        return np.bincount(self.ticket_id, minlength=self.ids)

    @cached_property
    def tickets_held(self) -> Integers:
        """For each row the number of tickets of its event that its id owns."""
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

    def of_events(self, column: str, *, default: int = NOT_SEEN) -> Integers:
        """A column of the ledger's events by number of the event; `default` for events that the ledger lacks."""
        values = np.full(self.events, default, np.int64)
        values[self.ledger.events["event"]] = self.ledger.events[column]
        return values

    @cached_property
    def pairs(self) -> Integers:
        """For each row its id and event as one number."""
        return self._pair(self.id, self.event)

    @cached_property
    def ticket_pairs(self) -> Integers:
        """For each ticket its id and event as one number."""
        return self._pair(self.ticket_id, self.ticket_event)

    def count_by_id(self, rows: Mask) -> Integers:
        """How many operations each id has among these rows."""
        return np.bincount(self.id[rows & self.is_first_line], minlength=self.ids)

    # Effects: see `effects`.

    @cached_property
    def effects(self) -> Effects:
        """Which rows took effect, and when."""
        return effects.decide(self, self._reported, self._owners, trusting=self.trusting)

    def irregular_ids(self) -> Iterator[tuple[int, list[IdCall], dict[int, int]]]:
        """Each id with more than one purchase or refund: its number, its calls, its tickets by event."""
        return effects.irregular_ids(self, self._reported, self._owners, self.effects.irregular)

    @property
    def _owners(self) -> Owners:
        return Owners(self.id, self.ids, self.ticket_id, self.ticket_event)

    @property
    def _reported(self) -> Reports:
        return Reports(self.version, np.where(self._reports, self._numbers("available"), NOT_SEEN))

    @property
    def since(self) -> Integers:
        """The earliest time at which each row can have taken effect, or seen what it reports."""
        return self.effects.since

    @property
    def until(self) -> Integers:
        """The latest such time."""
        return self.effects.until

    @cached_property
    def sold_certain(self) -> Mask:
        """Rows of purchases that took effect."""
        return self.effects.sure & self.purchases

    @cached_property
    def refunded_certain(self) -> Mask:
        """Rows of refunds that took effect."""
        return self.effects.sure & ~self.purchases

    @property
    def undecided(self) -> Mask:
        """Rows that may or may not have taken effect, by all that is known of their id."""
        return self.effects.open

    @property
    def changed_stock(self) -> Mask:
        """Rows that surely changed the stock of their event."""
        return self.effects.sure

    @cached_property
    def stock_delta(self) -> Integers:
        """By how much a row changes the stock if it takes effect."""
        wanted = self.quantity.astype(np.int64)
        return np.where(self.purchases, -wanted, wanted)

    @cached_property
    def perhaps_given_back(self) -> Mask:
        """By id: whether it was refunded, or may have been."""
        refunded: Mask = self.count_by_id(self.refunded | self.refund_unknown) > 0
        return refunded

    @cached_property
    def decided_alone(self) -> Mask:
        """By id: whether its rows can be judged one by one.

        True with at most one purchase and one refund, or if no order of its calls is possible: any row may show that.
        """
        return ~self.effects.irregular | self.effects.impossible

    @property
    def sales_without_version(self) -> int:
        """The number of sales without a version, whose order is therefore unknown."""
        sales = self.sold & ~self.repeated & self.effects.sure & self.is_first_line
        return int((sales & (self.version == NOT_SEEN)).sum())

    @cached_property
    def _ids(self) -> tuple[Integers, Integers]:
        of_rows, of_tickets = ids.codes(self.history["purchase_id"], self.ledger.tickets["purchase_id"])
        return of_rows, of_tickets

    def _pair(self, number: Integers, event: Integers) -> Integers:
        return number.astype(np.int64) * self.events + event
