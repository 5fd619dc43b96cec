"""A story of calls to a repository, which Hypothesis writes, and the model in plain Python that it must agree with.

One caller, one call after another: what is to come of each call is known in every detail. Whatever is drawn is small,
so that ids and events meet again.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from ticketlab.errors import InvalidInputError, NotFoundError, StaleVersionError
from ticketlab.outcomes import MAX_INTEGER, Cause, Outcome
from ticketlab.tickets import migrations, trial_tables
from ticketlab.tickets.orm import MAX_NAME_LENGTH
from ticketlab.tickets.purchase import ticket_ids

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
FIRST_DAY = datetime(2026, 12, 1, 20, tzinfo=UTC)
UNUSABLE = (
    {"name": " "},
    {"name": "x" * (MAX_NAME_LENGTH + 1)},
    {"name": "half\0way"},
    {"date": datetime(2026, 12, 1, 20)},  # noqa: DTZ001 - the missing time zone is the point
    {"total_tickets": -1},
    {"total_tickets": MAX_INTEGER + 1},
    {"total_tickets": 2.5},
    {"total_tickets": 1, "available_tickets": 2},
)
"""What an event can not be made of."""
MOST_EVENTS = 4
MOST_MIGRATIONS = 1
"""Of a story: each takes as long as twenty other calls."""
ROWS = """
SELECT id, name, date, total_tickets, version, updated_at, available_tickets
    + (SELECT count(*) FROM free_seats WHERE event_id = events.id)
    + (SELECT coalesce(sum(available), 0) FROM stock_shards WHERE event_id = events.id)
FROM events
"""
TICKETS = "SELECT id, event_id, purchase_id FROM tickets"
UNGUARDED = """
SELECT wanted FROM unnest(ARRAY['CHK_available_tickets_non_negative', 'CHK_total_tickets_non_negative',
    'CHK_available_tickets_within_total', 'tickets_event_id_fkey', 'tickets_pkey', 'events_pkey']) AS wanted
WHERE wanted NOT IN (SELECT conname FROM pg_constraint WHERE convalidated)
"""
"""The constraints that are lacking."""

quantities = st.integers(1, 4)
stocks = st.integers(0, 8)
days = st.integers(0, 3).map(lambda day: FIRST_DAY + timedelta(days=day))
names = st.sampled_from(["a concert", "ein Ständchen", "x" * MAX_NAME_LENGTH])
purchases = st.integers(1, 3).map(lambda number: UUID(int=number))


@dataclass(frozen=True, kw_only=True)
class Row:
    """An event as it is to be; `available` wherever the strategy counts it."""

    name: str
    date: datetime
    total: int
    available: int
    version: int = 1
    updated_at: datetime = LONG_AGO


GONE = Row(name="", date=FIRST_DAY, total=0, available=0)
"""In the place of an event that is not there any more."""


def examples(count):
    """Settings for so many examples; a profile with more than the usual hundred has more in proportion."""
    return settings(max_examples=max(1, count * settings().max_examples // 100))


class Story(RuleBasedStateMachine):
    """Calls to one repository, whose tables are empty when the story begins."""

    events = Bundle("events")

    def __init__(self, repository):
        super().__init__()
        self.repository = repository
        self.rows = {}
        self.tickets = {}
        """Of each ticket's id its event and its purchase."""
        self.worn = set()
        """Purchases of which an event was deleted, and another was not."""
        self.look = psycopg.connect(repository.database.settings.url, autocommit=True, prepare_threshold=None)
        self.migrations = 0
        self.asked = False
        """Whether anybody has asked for tickets."""
        trial_tables.clear(repository.database)

    def teardown(self):
        """Close what was opened."""
        self.look.close()

    @property
    def _counts_on_the_row(self):
        """Whether the event's row says at any time what is for sale, and its version how often that changed."""
        return self.repository.strategy.reconcile_stock is None

    def _owned(self, purchase_id):
        return {ticket: held for ticket, held in self.tickets.items() if held[1] == purchase_id}

    # Events.

    @initialize(target=events, total=stocks)
    def begin_with_an_event(self, total):
        """Or many a story would be of nothing."""
        return self.create(name="an event", date=FIRST_DAY, total=total, kept_back=0)

    @precondition(lambda self: len(self.rows) < MOST_EVENTS)
    @rule(target=events, name=names, date=days, total=stocks, kept_back=st.integers(0, 2))
    def create(self, name, date, total, kept_back):
        """A new event, of which some tickets may be kept back."""
        available = max(0, total - kept_back)
        chosen = {} if available == total else {"available_tickets": available}
        made = self.repository.create(name=name, date=date, total_tickets=total, **chosen)
        assert (made.version, made.available_tickets) == (1, available)
        self.rows[made.id] = Row(name=name, date=date, total=total, available=available)
        return made.id

    @rule(event=events, late=st.sampled_from([0, 0, 0, -1, 1]), name=st.none() | names, more=st.integers(0, 4))
    def update(self, event, late, name, more):
        """Another name, or more seats for sale; by a version that is the event's, or is not."""
        row = self.rows.get(event, GONE)
        given = {} if name is None else {"name": name}
        if more:
            given |= {"total_tickets": row.total + more, "available_tickets": row.available + more}
        expected = late + (1 if row is GONE else self.repository.get(event).version)
        refusals = (
            (not given or expected < 1, InvalidInputError),
            (row is GONE, NotFoundError),
            (late != 0, StaleVersionError),
        )
        for refused, error in refusals:
            if refused:
                with pytest.raises(error):
                    self.repository.update(event, expected, **given)
                return
        changed = self.repository.update(event, expected, **given)
        assert changed.version == expected + 1
        stock = {"total": row.total + more, "available": row.available + more}
        self.rows[event] = replace(row, name=name or row.name, version=expected + 1, **stock)

    @rule(event=events, flaw=st.sampled_from(UNUSABLE), fewer=st.integers(1, 3))
    def ask_what_can_not_be(self, event, flaw, fewer):
        """Values that are refused before they are sent, or, fewer seats than are for sale, by the constraint."""
        with pytest.raises(InvalidInputError):
            self.repository.create(**({"name": "an event", "date": FIRST_DAY, "total_tickets": 5} | flaw))
        row = self.rows.get(event)
        if row is not None and row.available >= fewer:
            version = self.repository.get(event).version
            with pytest.raises(InvalidInputError, match="CHK_available_tickets_within_total"):
                self.repository.update(event, version, total_tickets=row.available - fewer)

    @precondition(lambda self: len(self.rows) > 1)
    @rule(event=events)
    def delete(self, event):
        """The event, and its tickets with it."""
        if event not in self.rows:
            with pytest.raises(NotFoundError):
                self.repository.delete(event)
            return
        self.repository.delete(event)
        gone = {owner for at, owner in self.tickets.values() if at == event}
        self.tickets = {ticket: held for ticket, held in self.tickets.items() if held[0] != event}
        self.worn |= gone & {owner for _, owner in self.tickets.values()}
        del self.rows[event]

    @rule(event=events, purchase_id=purchases, limit=st.integers(1, 3), since=days, until=days)
    def read(self, event, purchase_id, limit, since, until):
        """One event, a purchase, and page by page the events of some days: what is for sale, wherever it is counted."""
        if event in self.rows:
            self._is_as_found(self.repository.get(event))
        else:
            with pytest.raises(NotFoundError):
                self.repository.get(event)
        bought = self.repository.tickets_of(purchase_id)
        assert {each.id: (each.event_id, each.purchase_id) for each in bought} == self._owned(purchase_id)
        found = []
        while page := self.repository.list(start=since, end=until, limit=limit, after=found[-1] if found else None):
            assert len(page) <= limit
            found += page
        wanted = sorted((row.date, event) for event, row in self.rows.items() if since <= row.date < until)
        assert [(each.date, each.id) for each in found] == wanted
        for each in found:
            self._is_as_found(each)

    def _is_as_found(self, event):
        row = self.rows[event.id]
        told = (event.name, event.date, event.total_tickets, event.available_tickets)
        assert told == (row.name, row.date, row.total, row.available)
        assert event.version == row.version or not self._counts_on_the_row

    # Purchases.

    @rule(event=events, quantity=quantities, purchase_id=purchases)
    def purchase(self, event, quantity, purchase_id):
        """Of an event that may be gone, under an id that may have bought before."""
        if purchase_id in self.worn:
            return
        self.asked = True
        result = self.repository.purchase_tickets(event, quantity, purchase_id)
        row, wanted = self.rows.get(event), _tickets(quantity)
        if self._owned(purchase_id):
            self._is_told_again(result, {event: quantity}, purchase_id)
        elif row is None:
            assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.UNKNOWN_EVENT)
            assert result.message.endswith(f"there is no event {event}")
        elif row.available < quantity:
            assert (result.outcome, result.cause) == (Outcome.SOLD_OUT, Cause.INSUFFICIENT)
            assert result.message == f"Not enough tickets available: {wanted} requested, {row.available} left."
            assert result.version == row.version or not self._counts_on_the_row
        else:
            self._is_sold(result, {event: quantity}, purchase_id)
            seen = (row.version + 1, row.available - quantity) if self._counts_on_the_row else (None, None)
            assert (result.version, result.available_tickets) == seen

    @precondition(lambda self: self.repository.strategy.basket is not None)
    @rule(wanted=st.dictionaries(events, quantities, min_size=1, max_size=3), purchase_id=purchases)
    def purchase_basket(self, wanted, purchase_id):
        """Several events, all of them or none."""
        if purchase_id in self.worn:
            return
        self.asked = True
        result = self.repository.purchase_basket(wanted, purchase_id)
        missing = sorted(wanted.keys() - self.rows.keys())
        short = {event for event in wanted.keys() - missing if self.rows[event].available < wanted[event]}
        if self._owned(purchase_id):
            self._is_told_again(result, wanted, purchase_id)
        elif missing:
            assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.UNKNOWN_EVENT)
        elif short:
            assert (result.outcome, result.cause) == (Outcome.SOLD_OUT, Cause.INSUFFICIENT)
            assert {line.event_id for line in result.lines} == short
            assert all(self._is_as_told(line) for line in result.lines)
        else:
            self._is_sold(result, wanted, purchase_id)
            assert {line.event_id: line.quantity for line in result.lines} == wanted
            assert all(self._is_as_told(line) for line in result.lines)

    @precondition(lambda self: self.asked)
    @rule(purchase_id=purchases)
    def cancel(self, purchase_id):
        """What is owned is for sale again, and a second time nothing is."""
        back = Counter(event for event, _ in self._owned(purchase_id).values())
        result = self.repository.cancel_purchase(purchase_id)
        assert (result.outcome, result.quantity) == (Outcome.REFUNDED, back.total())
        assert result.cause is (Cause.NONE if back else Cause.REPEATED)
        assert result.message == f"{_tickets(back.total())} refunded."
        self.tickets = {ticket: held for ticket, held in self.tickets.items() if held[1] != purchase_id}
        self.worn.discard(purchase_id)
        self._change({event: -quantity for event, quantity in back.items()}, versions=1)
        if len(back) == 1 and self._counts_on_the_row:
            row = self.rows[next(iter(back))]
            assert (result.version, result.available_tickets) == (row.version, row.available)

    def _is_told_again(self, result, wanted, purchase_id):
        before = self._owned(purchase_id)
        owned = Counter(event for event, _ in before.values())
        if owned != wanted:
            assert (result.outcome, result.cause, [*result.tickets]) == (Outcome.FAILED, Cause.REPEATED, [])
            assert all(f"{count} of event {event}" in result.message for event, count in owned.items())
            return
        assert (result.outcome, result.cause, result.quantity) == (Outcome.SOLD, Cause.REPEATED, len(before))
        assert {each.id: (each.event_id, each.purchase_id) for each in result.tickets} == before
        assert result.message == f"{_tickets(len(before))} purchased before."

    def _is_sold(self, result, wanted, purchase_id):
        quantity = sum(wanted.values())
        assert (result.outcome, result.cause, result.quantity) == (Outcome.SOLD, Cause.NONE, quantity)
        assert result.message == f"{_tickets(quantity)} purchased."
        assert Counter(each.event_id for each in result.tickets) == wanted
        assert {each.id for each in result.tickets} == set(ticket_ids(purchase_id, quantity))
        self.tickets |= {each.id: (each.event_id, purchase_id) for each in result.tickets}
        self._change(wanted, versions=1 if self._counts_on_the_row else 0)

    def _change(self, taken, *, versions):
        """The stock without what was taken, and so many versions more; beside the row there may be others."""
        for event, quantity in taken.items():
            row = self.rows[event]
            self.rows[event] = replace(row, available=row.available - quantity, version=row.version + versions)

    def _is_as_told(self, line):
        row = self.rows[line.event_id]
        return (line.version, line.available_tickets) == (row.version, row.available)

    # The schema.

    @precondition(lambda self: self.migrations < MOST_MIGRATIONS)
    @rule(everything=st.booleans())
    def migrate_down_and_up(self, everything):
        """Without its last migration the database keeps events and tickets, and counts all stock on the event's row."""
        self.migrations += 1
        database = self.repository.database
        reverted = [migrations.revert(database)]
        stock = self.look.execute("SELECT id, available_tickets FROM events").fetchall()
        assert dict(stock) == {event: row.available for event, row in self.rows.items()}
        while everything and (last := migrations.revert(database)):
            reverted.append(last)
        assert migrations.upgrade(database) == reverted[::-1]
        if everything:
            self.rows, self.tickets, self.worn = {}, {}, set()

    # What holds after each call.

    @invariant()
    def agrees(self):
        """Both tables hold what the model does, under all their constraints; what is counted beside a row is added."""
        found = self.look.execute(ROWS).fetchall()
        assert {row[0] for row in found} == set(self.rows)
        for event, name, date, total, version, updated_at, available in found:
            row = self.rows[event]
            assert (name, date, total, available) == (row.name, row.date, row.total, row.available)
            assert 0 <= available <= total
            assert version == row.version if self._counts_on_the_row else version >= row.version
            assert updated_at >= row.updated_at
            self.rows[event] = replace(row, version=version, updated_at=updated_at)
        assert {each[0]: each[1:] for each in self.look.execute(TICKETS)} == self.tickets
        assert self.look.execute(UNGUARDED).fetchall() == []


def _tickets(count):
    return f"{count} ticket" + ("s" if count != 1 else "")
