"""Small random histories that are right, for they are played: what is sold is what the model sells at that instant.

A history is played step by step: a buyer calls, his operation takes effect, he is answered; so an interval contains the
instant of its effect, and ticks may tie. Of a call that is lost the outcome is unknown, and its effect comes before its
buyer gives up, or after that, or never.
"""

from dataclasses import dataclass, field

from ticketlab.outcomes import NOT_SEEN, Cause, Kind, Outcome

FATES = ["answered"] * 16 + ["lost"] * 3 + ["failed"]
FAILURES = {
    Outcome.CONFLICT: Cause.STALE_VERSION,
    Outcome.FAILED: Cause.TRANSACTION,
    Outcome.UNAVAILABLE: Cause.POOL_TIMEOUT,
}


@dataclass
class Event:
    """An event's row."""

    total: int
    available: int
    version: int


@dataclass
class Call:
    """One operation on its way: its rows once it has taken effect, or has come to nothing."""

    kind: Kind
    number: int
    buyer: int
    invoked_ns: int
    lines: dict[int, int]
    fate: str
    rows: list[dict] = field(default_factory=list)
    done: bool = False

    def row(self, event, quantity, outcome, cause=Cause.NONE, version=NOT_SEEN, available=NOT_SEEN):
        self.rows.append(
            {
                "buyer": self.buyer, "event": event, "line": len(self.rows), "kind": self.kind, "quantity": quantity,
                "number": self.number, "invoked_ns": self.invoked_ns, "outcome": outcome, "cause": cause,
                "version": version, "available": available,
            }
        )  # fmt: skip

    def rows_of_all(self, outcome, cause):
        for event, quantity in self.lines.items():
            self.row(event, quantity, outcome, cause)


class Play:
    """The events, who owns what, who is calling, and what was recorded."""

    def __init__(self, rng, operations):
        self.rng = rng
        self.left = operations
        self.clock_ns = 100
        self.haste = rng.choice([0, 1, 1, 2, 5])
        self.events = [self.event() for _ in range(rng.randint(1, 3))]
        self.versionless = rng.random() < 0.2
        self.baskets = len(self.events) > 1 and rng.random() < 0.6
        self.refunds = rng.choice([0, 0, 0.15, 0.3])
        self.repeats = rng.choice([0, 0, 0.15])
        self.wishes = []
        self.owned = {}
        self.given_back = set()
        self.sold_in_silence = set()
        self.idle = list(range(rng.randint(1, 5)))
        self.calls = []
        self.adrift = []
        self.recorded = []

    def event(self):
        total = self.rng.choice([1, 2, 3, 3, 4, 5, 7, 9])
        return Event(total=total, available=total, version=1)

    def play(self):
        """Steps at random until everybody was answered; what is still adrift then happens, or never does."""
        while self.left or self.calls:
            self.clock_ns += self.rng.randint(0, self.haste)
            waiting = [each for each in self.calls if not each.done]
            steps = [self.call] * bool(self.left and self.idle) + [self.answer] * bool(self.calls)
            steps += [self.effect] * bool(waiting) + [self.drift] * bool(self.adrift)
            self.rng.choice(steps)()
        for call in self.adrift:
            if self.rng.random() < 0.5:
                self.take_effect(call)
        self.blur()

    def call(self):
        """An idle buyer calls: a wish of his own, or one that was called before, or a refund."""
        self.left -= 1
        kind = Kind.REFUND if self.rng.random() < self.refunds else Kind.PURCHASE
        again = self.wishes and self.rng.random() < (0.9 if kind is Kind.REFUND else self.repeats)
        if not again:
            self.wishes.append(self.wish())
        number = self.rng.randrange(len(self.wishes)) if again else len(self.wishes) - 1
        fate = self.rng.choice(FATES)
        if fate == "lost" and number in self.sold_in_silence:
            fate = "answered"  # else nobody could say which of the two calls has sold
        buyer = self.idle.pop(self.rng.randrange(len(self.idle)))
        self.calls.append(Call(kind, number, buyer, self.clock_ns, self.wishes[number], fate))

    def wish(self):
        count = self.rng.randint(1, 2) if self.baskets else 1
        chosen = self.rng.sample(range(len(self.events)), count)
        return {event: self.rng.choice([1, 1, 2, 3]) for event in chosen}

    def effect(self):
        """A call that waits takes effect."""
        self.take_effect(self.rng.choice([each for each in self.calls if not each.done]))

    def drift(self):
        """A call whose buyer has given up takes effect."""
        self.take_effect(self.adrift.pop(self.rng.randrange(len(self.adrift))))

    def answer(self):
        """A call ends, if it has come to something; a lost one whether it has or not."""
        call = self.rng.choice(self.calls)
        if call.fate == "lost":
            if not call.done and self.rng.random() < 0.6:
                self.adrift.append(call)
            call.rows.clear()
            call.rows_of_all(Outcome.UNKNOWN, Cause.CONNECTION)
        elif not call.done:
            return
        self.calls.remove(call)
        self.idle.append(call.buyer)
        for row in call.rows:
            row["completed_ns"] = self.clock_ns
        self.recorded.append(list(call.rows))  # it may take effect later, and nobody is told

    def take_effect(self, call):
        """What the model says that the operation does now."""
        call.done = True
        if call.fate == "failed" or (call.kind is Kind.PURCHASE and call.number in self.given_back):
            outcome = self.rng.choice(list(FAILURES))
            call.rows_of_all(outcome, FAILURES[outcome])
        elif call.kind is Kind.REFUND:
            self.refund(call)
        elif call.number in self.owned:
            call.rows_of_all(Outcome.SOLD, Cause.REPEATED)
        else:
            self.sell(call)

    def sell(self, call):
        short = {event: wanted for event, wanted in call.lines.items() if self.events[event].available < wanted}
        if short:
            for event, wanted in short.items():
                call.row(event, wanted, Outcome.SOLD_OUT, Cause.INSUFFICIENT, *self.seen(event, silent=0.1))
            return
        self.owned[call.number] = call.lines
        first = not any(row["number"] == call.number for rows in self.recorded for row in rows)
        first &= not any(each.number == call.number for each in self.calls + self.adrift if each is not call)
        if call.fate == "answered" and first and self.rng.random() < 0.05:
            self.sold_in_silence.add(call.number)
            self.move(call, -1)
            call.rows_of_all(Outcome.SOLD, Cause.REPEATED)
        else:
            self.move(call, -1, Outcome.SOLD)

    def refund(self, call):
        if call.number in self.owned:
            del self.owned[call.number]
            self.given_back.add(call.number)
            self.move(call, +1, Outcome.REFUNDED)
        else:
            call.rows_of_all(Outcome.REFUNDED, Cause.REPEATED)

    def move(self, call, sign, outcome=None):
        """Take the call's tickets or give them back; with an outcome its buyer is told of it."""
        for event, quantity in call.lines.items():
            row = self.events[event]
            row.available += sign * quantity
            row.version += 1
            if outcome is not None:
                silent = 0.1 if outcome is Outcome.REFUNDED else float(self.versionless)
                call.row(event, quantity, outcome, Cause.NONE, *self.seen(event, silent=silent))

    def seen(self, event, *, silent):
        row = self.events[event]
        return (NOT_SEEN, NOT_SEEN) if self.rng.random() < silent else (row.version, row.available)

    def blur(self):
        """Where no sale carries a version, that of the ledger and those of refusals may be anything."""
        if not self.versionless:
            return
        for event in self.events:
            event.version += self.rng.randint(0, 3)
        for row in (row for rows in self.recorded for row in rows):
            if row["outcome"] == Outcome.SOLD_OUT and row["version"] != NOT_SEEN:
                row["version"] = max(1, row["version"] + self.rng.randint(-2, 2))
