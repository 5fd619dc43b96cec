"""Why a purchase is wrong as a whole: made more than once, given back more than once, or there by halves."""

from collections.abc import Sequence

from ticketlab.outcomes import Outcome
from ticketlab.report.stories import stock
from ticketlab.report.stories.reason import Reason, lines_of, marked
from ticketlab.report.stories.scene import Call, Line, Scene
from ticketlab.report.stories.telling import of_event, short, were, who
from ticketlab.report.words import counted, listed, number


def double_sale(scene: Scene) -> Reason:
    """One purchase, sold more than once."""
    for line in lines_of(scene.calls):
        if line.tickets is not None and line.quantity is not None and line.tickets > line.quantity:
            why = (
                f"He wanted {counted(line.quantity, 'ticket')}{of_event(line.event)} and has {number(line.tickets)}: "
                f"{number(line.tickets - line.quantity)} too many, all under one purchase id."
            )
            title = f"{counted(line.tickets, 'ticket')} for a purchase of {number(line.quantity)}"
            return Reason(short=title, why=why, marks=marked([line], f"{number(line.tickets)} in the ledger"))
    sales = [call for call in scene.calls if call.outcome is Outcome.SOLD and not call.again]
    return _more_than_once(sales, "sold", "he wanted it once")


def double_refund(scene: Scene) -> Reason:
    """One purchase, given back more than once."""
    backs = [call for call in scene.calls if call.refund and call.changed]
    return _more_than_once(backs, "given back", "its tickets came back into the stock each time")


def _more_than_once(calls: Sequence[Call], done: str, but: str) -> Reason:
    name = short(calls[0].purchase_id) if calls else "a purchase"
    times = {0: "more than once", 1: "more than once", 2: "twice"}.get(len(calls), f"{len(calls)} times")
    versions = [number(line.version) for line in lines_of(calls) if line.version is not None]
    at = f", at versions {listed(versions)}" if len(versions) > 1 else ""
    return Reason(
        short=f"{name} was {done} {times}",
        why=f"{name} was {done} {times}{at}: {but}.",
        marks=marked(lines_of(calls[1:] or calls), f"{done} again"),
    )


def half_purchase(scene: Scene) -> Reason:
    """A part is there, a part is not."""
    backs = [call for call in scene.calls if call.refund and call.changed]
    lines = [line for line in lines_of(scene.calls) if line.tickets is not None]
    if backs and not lines:
        return Reason(
            short="a purchase was given back in part",
            why="What was given back is not what was bought: a purchase is given back whole, or not at all.",
            marks=marked(lines_of(backs), "not what was bought"),
        )
    moment = next((books for books in scene.books if books.at_ns is not None and books.missing), None)
    if moment is not None:
        off = counted(abs(moment.missing), "seat")
        less = "off the stock without a ticket" if moment.missing > 0 else "sold and in the stock all the same"
        return Reason(
            short=f"{off}{of_event(moment.event)} {were(abs(moment.missing))} {less} for a moment",
            why="The stock and the tickets of a sale or a refund were not committed together.",
        )
    if not scene.calls and any(books.missing for books in scene.books):
        taken = stock.undersell(scene)
        return Reason(short=taken.short, why=f"{taken.why} Of a sale the one half is there, and the other is not.")
    part = [line for line in lines if line.quantity is not None and (line.tickets or 0) != line.quantity]
    return Reason(
        short=f"a part of the purchase of {who(scene.calls[0]) if scene.calls else 'a buyer'} is missing",
        why="A purchase is there with all its tickets, or not at all: this one is there in part.",
        marks={line.place: _of_it(line) for line in part},
    )


def _of_it(line: Line) -> str:
    if not line.tickets:
        return "none in the ledger"
    return f"{number(line.tickets)} of {number(line.quantity or 0)} in the ledger"
