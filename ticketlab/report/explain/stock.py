"""Why the stock is wrong: oversold, taken for nothing, written over, or told as it never was."""

from itertools import groupby, pairwise
from typing import Final, NamedTuple

from ticketlab.report.explain.evidence import EventState, Evidence, Explanation, Line, Operation, lines_of, marked
from ticketlab.report.explain.wording import buyer_label, left, of_event, seats, sentence, was_or_were
from ticketlab.report.phrases import join_names, number, pluralize

FIRST: Final = 2
"""The version that the first change of an event makes."""


class VersionWrite(NamedTuple):
    """A version that a call was told to have made."""

    call: Operation
    line: Line

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands in the order of the versions."""
        return self.line.event or "", self.line.version or 0

    @property
    def version(self) -> str:
        """The version in words."""
        return f"version {number(self.place[1])}"


def made(scene: Evidence) -> list[VersionWrite]:
    """Who made which version, in their order."""
    rows = [(call, line) for call in scene.calls if call.changed for line in call.lines if line.version is not None]
    found = [VersionWrite(call, line) for call, line in rows]
    return sorted(found, key=lambda each: (*each.place, each.call.completed_ns or 0))


def oversell(scene: Evidence) -> Explanation:
    """More tickets than seats: by the books, and how it came about as far as the calls show it."""
    slip = _same_ticket(scene) or _made_twice(scene) or _does_not_follow(scene)
    over = next((each for each in scene.books if (each.tickets or 0) > each.total), None)
    if over is None:
        return slip or _beyond(scene)
    too_many = number((over.tickets or 0) - over.total)
    why = f"That is {too_many} more than there are seats."
    if slip is None:
        return Explanation(short=f"{too_many} tickets too many{of_event(over.event)}", why=why)
    return Explanation(short=slip.short, why=f"{why} {sentence(slip.why)}", marks=slip.marks, calls=slip.calls)


def _same_ticket(scene: Evidence) -> Explanation | None:
    """One ticket id in the ledger for several sales."""
    lines = [line for line in lines_of(scene.calls) if line.ticket is not None]
    if not lines:
        return None
    owners = list(dict.fromkeys(buyer_label(call) for call in scene.calls))
    whose = f"{join_names(owners)} own the same ticket" if len(owners) > 1 else f"{owners[0]} owns one ticket twice"
    why = "The ledger has two tickets with the same id: one seat was sold twice."
    return Explanation(short=whose, why=why, marks=marked(lines, "its ticket is in the ledger twice"))


def _beyond(scene: Evidence) -> Explanation:
    """Sales beyond the last seat."""
    if not scene.calls:
        return Explanation(
            short="seats were sold more than once", why="More tickets were sold than there are seats for them."
        )
    lines, first, several = lines_of(scene.calls), scene.calls[0], len(scene.calls) > 1
    order = "in which the buyers were told" if any(line.version is None for line in lines) else "of the versions"
    whose = "these are sales" if several else f"{buyer_label(first)} has the first one"
    why = f"In the order {order} every seat had been sold by then: {whose} beyond the last seat."
    shown = first.lines[0].available
    if not several and shown is not None and shown >= 0:
        why += f" The stock that he was told of, {left(shown)}, was wrong."
    short = "seats were sold that were taken" if several else f"{buyer_label(first)} was sold a seat that was taken"
    return Explanation(short=short, why=why, marks=marked(lines, "beyond the last seat"))


def undersell(scene: Evidence) -> Explanation:
    """Stock that is gone without a ticket."""
    for books in scene.books:
        if books.missing > 0:
            taken = f"{pluralize(books.missing, 'seat')} {was_or_were(books.missing)} taken"
            return Explanation(
                short=f"{taken} off the stock{of_event(books.event)} for nobody",
                why=f"{_should_be_left(books)}: {taken} off the stock, and nobody has a ticket for them.",
            )
    nothing = Explanation(short="stock was taken for nobody", why="Stock was taken, and nobody has a ticket for it.")
    return _does_not_follow(scene) or nothing


def lost_update(scene: Evidence) -> Explanation:
    """Two sales by one stock."""
    if found := _made_twice(scene) or _does_not_follow(scene):
        return found
    for books in scene.books:
        if books.missing < 0:
            count = pluralize(-books.missing, "ticket")
            why = (
                f"{_should_be_left(books)}: for {count} the stock did not fall. That is so if another sale wrote over "
                "it, and also if tickets were inserted twice; these operations do not show which."
            )
            return Explanation(short=f"the stock{of_event(books.event)} did not fall for {count}", why=why)
    return _first_change(scene) or Explanation(
        short="a stock that does not follow from the sales before it",
        why="What was told does not follow from the sales before it: one of them was written over.",
        marks=marked(lines_of(scene.calls), "does not follow"),
    )


def _first_change(scene: Evidence) -> Explanation | None:
    """A version 2 alone: an event begins with version 1 and all its seats."""
    first = next(iter(made(scene)), None)
    if first is None or first.place[1] != FIRST or None in (first.line.quantity, first.line.available):
        return None
    why = (
        f"{first.version} is the first that anybody can make{of_event(first.line.event)}: all its seats less "
        f"{number(first.line.quantity or 0)} must be left, and {seats(first.line.available or 0)} is another number."
    )
    mark = marked([first.line], "not all seats less these")
    return Explanation(short="the first sale left a stock that does not follow from the seats", why=why, marks=mark)


def _should_be_left(books: EventState) -> str:
    tickets = books.tickets or 0
    return f"{pluralize(books.total, 'seat')} less {pluralize(tickets, 'ticket')} are {number(books.total - tickets)}"


def dirty_read(scene: Evidence) -> Explanation:
    """A change that did not stay, and who was told of it."""
    return _given_back_too_early(scene) or _rolled_back(scene) or _another_stock(scene) or _never_came(scene)


def _given_back_too_early(scene: Evidence) -> Explanation | None:
    for back in scene.calls:
        sold = (each for each in scene.calls if not each.refund and each.purchase_id == back.purchase_id)
        if back.refund and back.changed and next(sold, None) is not None:
            return Explanation(
                short="a purchase was given back before it was bought",
                why=f"By the order of the event the refund of {buyer_label(back)} comes before the purchase: he gave "
                "back what was not there yet.",
                marks=marked(back.lines, "before its purchase"),
            )
    return None


def _rolled_back(scene: Evidence) -> Explanation | None:
    twice = _made_twice(scene)
    if twice is None:
        return None
    why = (
        f"{twice.short}, and it can be made only once. Not both sales are in the ledger: one of them was rolled back "
        "after its buyer had been told."
    )
    return Explanation(short=twice.short, why=why, marks=twice.marks, calls=twice.calls)


def _another_stock(scene: Evidence) -> Explanation | None:
    """Who saw a version with another stock than its maker left."""
    for maker in made(scene):
        had = maker.line.available
        others = [(call, line) for call in scene.calls if call is not maker.call for line in call.lines]
        for call, line in others:
            if (line.event, line.version) != (maker.line.event, maker.line.version):
                continue
            if had is None or line.available is None or line.available == had:
                continue
            why = (
                f"{buyer_label(maker.call)} made {maker.version}{of_event(line.event)}, and it had {left(had)}; "
                f"{buyer_label(call)} was told {left(line.available)}: a stock that never stayed."
            )
            mark = marked([line], f"it had {left(had)}")
            return Explanation(short=f"{buyer_label(call)} was told a stock that never was", why=why, marks=mark)
    return None


def _never_came(scene: Evidence) -> Explanation:
    seen = [VersionWrite(call, line) for call in scene.calls for line in call.lines if line.version is not None]
    if not seen:
        return Explanation(
            short="a change that did not stay", why="It was rolled back after a buyer had been told of it."
        )
    last = seen[-1]
    event = of_event(last.line.event)
    return Explanation(
        short=f"nothing that stayed made {last.version}{event}",
        why=f"No sale and no refund that stayed has made {last.version}{event}: {buyer_label(last.call)} was told of a "
        "change that was rolled back, or never made.",
        marks=marked([last.line], "no such version"),
    )


def _made_twice(scene: Evidence) -> Explanation | None:
    """The first version of an event that several calls made."""
    groups = (list(group) for _, group in groupby(made(scene), key=lambda each: each.place))
    makers = next((group for group in groups if len(group) > 1), None)
    if makers is None:
        return None
    pair = len(makers) == 2  # noqa: PLR2004 - two are both
    version = f"{makers[0].version}{of_event(makers[0].line.event)}"
    names = list(dict.fromkeys(buyer_label(each.call) for each in makers))
    by = (
        f"{join_names(names)} {'both' if pair else 'all'} made {version}"
        if len(names) > 1
        else f"{names[0]} made {version}"
    )
    over = "the later of the two wrote over what the other" if pair else "the later ones wrote over what the first"
    return Explanation(
        short=by if len(names) > 1 else f"{by} {'twice' if pair else 'more than once'}",
        why=f"{version} can be made only once: {over} had sold.",
        marks=marked([each.line for each in makers], "made twice" if pair else "made more than once"),
        calls=[each.call for each in makers],
    )


def _does_not_follow(scene: Evidence) -> Explanation | None:
    """The first version whose stock is not that of the version before, plus or less its own tickets."""
    for before, after in pairwise(made(scene)):
        follows = after.place == (before.place[0], before.place[1] + 1)
        quantity, had, has = after.line.quantity, before.line.available, after.line.available
        if not follows or quantity is None or had is None or has is None:
            continue
        right = had + quantity if after.call.refund else had - quantity
        if has != right:
            return _stock_mismatch(before, after, right)
    return None


def _stock_mismatch(before: VersionWrite, after: VersionWrite, right: int) -> Explanation:
    name, has, quantity = buyer_label(after.call), after.line.available or 0, after.line.quantity or 0
    change = f"{number(quantity)} {'more' if after.call.refund else 'less'}"
    if right < 0:
        what = f"{name} was sold seats that were not there, and the stock does not show it"
        short = f"{name} was sold more than was left{of_event(after.line.event)}"
    elif has > right:
        what = f"{name} did not go on from the stock before him, and a sale was written over: his own, or another's"
        short = f"a sale{of_event(after.line.event)} was written over"
    else:
        what = f"more was taken off the stock than {name} has bought"
        short = f"{name} took more off the stock than his tickets"
    why = (
        f"{before.version} had {left(before.line.available or 0)}, and {change} makes {seats(right)}; {after.version} "
        f"has {left(has)}: {what}."
    )
    mark = marked([after.line], f"{left(right)} would be right")
    return Explanation(short=short, why=why, marks=mark, calls=(before.call, after.call))


def unseen(scene: Evidence) -> Explanation | None:
    """A version between two others that nobody was told to have made."""
    for before, after in pairwise(made(scene)):
        first, last = before.place[1] + 1, after.place[1] - 1
        if before.place[0] != after.place[0] or last < first:
            continue
        event = of_event(after.line.event)
        one = first == last
        versions = f"version {number(first)}" if one else f"versions {number(first)} to {number(last)}"
        return Explanation(
            short=f"no buyer was told of {versions}{event}",
            why=f"Between them {'lies' if one else 'lie'} {versions}{event}, and no buyer was told that he made "
            f"{'it' if one else 'one of them'}: somebody has changed the stock, and does not know.",
            marks=marked([after.line], f"nobody made {versions}"),
            calls=(before.call, after.call),
        )
    return None
