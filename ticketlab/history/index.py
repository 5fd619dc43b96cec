"""A history and a ledger as arrays that all checks share: what was answered, what took effect, who owns what.

Pure, and free of judgement: what is wrong is for the checks to say. Each array is worked out when first asked for.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from ticketlab.history import effects, ids
from ticketlab.history.arrays import HistoryArrays, Integers, Mask
from ticketlab.history.effects import Call, Effects, Owners, Reports
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN


class IndexedHistory(HistoryArrays):
    """What the checks go by. Ids are small numbers, shared by the rows of the history and the tickets of the ledger."""

    def __init__(self, history: pd.DataFrame, ledger: Ledger, *, trusting: bool = False) -> None:
        """All arrays are worked out of these two; for `trusting` see `effects.decide`."""
        super().__init__(history)
        self.ledger = ledger
        self.trusting = trusting

    # What was answered, as far as it counts.

    @cached_property
    def version(self) -> Integers:
        """The version that each row reports to have made or seen, or NOT_SEEN; none where it says nothing of the order.

        Nothing is said by answers of unknown outcome, by those that report an earlier call, by a history that is
        `versionless`, and by a strategy that counts its stock elsewhere.
        """
        return np.where(self._reports & (not self.versionless), self._numbers("version"), NOT_SEEN)

    @cached_property
    def available(self) -> Integers:
        """The stock that each row reports, or NOT_SEEN; none where it is not that of the event: see `version`."""
        return np.where(self._reports & ~self.effects.stock_ignored, self._numbers("available"), NOT_SEEN)

    @cached_property
    def versionless(self) -> bool:
        """Whether no sale of the whole history reports a version: then it is not known whether sales make any."""
        sales = self.sold & ~self.repeated
        return self.ledger.facts.stock_elsewhere or not (self._numbers("version")[sales] != NOT_SEEN).any()

    @cached_property
    def refund_version(self) -> Integers:
        """The version that each refund reports, also in a versionless history: refunds come in its order."""
        return np.where(self._reports & self.refunded, self._numbers("version"), NOT_SEEN)

    @cached_property
    def _reports(self) -> Mask:
        reports: Mask = (self.sold & ~self.repeated) | self.refunded | self.refused
        return reports & (not self.ledger.facts.stock_elsewhere)

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
    def tickets_held(self) -> Integers:
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

    def count_by_id(self, rows: Mask) -> Integers:
        """How many operations each id has among these rows."""
        return np.bincount(self.id[rows & self.is_first_line], minlength=self.ids)

    # What took effect: see `effects`.

    @cached_property
    def effects(self) -> Effects:
        """Which rows took effect, and when."""
        return effects.decide(self, self._what_is_reported, self._owners, trusting=self.trusting)

    def irregular_ids(self) -> Iterator[tuple[int, list[Call], dict[int, int]]]:
        """Each id with more calls than one purchase and one refund: its number, its calls, its tickets by event."""
        return effects.irregular_ids(self, self._what_is_reported, self._owners, self.effects.irregular)

    @property
    def _owners(self) -> Owners:
        return Owners(self.id, self.ids, self.ticket_id, self.ticket_event)

    @property
    def _what_is_reported(self) -> Reports:
        return Reports(self.version, np.where(self._reports, self._numbers("available"), NOT_SEEN))

    @property
    def since(self) -> Integers:
        """The earliest moment at which each row can have taken effect, or seen what it reports."""
        return self.effects.since

    @property
    def until(self) -> Integers:
        """The latest such moment."""
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
        """Rows that may have taken effect or not, by all that is known of their id."""
        return self.effects.open

    @property
    def changed_stock(self) -> Mask:
        """Rows that surely changed the stock of their event."""
        return self.effects.sure

    @cached_property
    def stock_delta(self) -> Integers:
        """By how much a row changes the stock, if it takes effect."""
        wanted = self.quantity.astype(np.int64)
        return np.where(self.purchases, -wanted, wanted)

    @cached_property
    def perhaps_given_back(self) -> Mask:
        """By id: whether a refund of it was made, or perhaps made."""
        given_back: Mask = self.count_by_id(self.refunded | self.refund_unknown) > 0
        return given_back

    @cached_property
    def decided_alone(self) -> Mask:
        """By id: whether its rows can be judged one by one.

        They can if it has one purchase and one refund at most; or if no order of its calls is possible, so that
        something is wrong with it whichever row shows it.
        """
        return ~self.effects.irregular | self.effects.impossible

    @property
    def sales_without_version(self) -> int:
        """How many sales carry no version of their event, so that nothing says in which order they were made."""
        return int(
            (self.sold & ~self.repeated & self.effects.sure & (self.version == NOT_SEEN) & self.is_first_line).sum()
        )

    @cached_property
    def _ids(self) -> tuple[Integers, Integers]:
        told, kept = ids.codes(self.history["purchase_id"], self.ledger.tickets["purchase_id"])
        return told, kept

    def _pair(self, number: Integers, event: Integers) -> Integers:
        return number.astype(np.int64) * self.events + event
