"""Why an answer or a purchase is wrong: not there, not reported, made twice, there in part, refused, or outdated."""

from collections.abc import Iterator, Sequence

from ticketlab.outcomes import Outcome
from ticketlab.report.explain import stock
from ticketlab.report.explain.evidence import Evidence, Explanation, Line, Operation, lines_of, marked
from ticketlab.report.explain.wording import buyer_label, crash_after, milliseconds, of_event, short, was_or_were
from ticketlab.report.phrases import join_names, number, pluralize


def phantom_sale(scene: Evidence) -> Explanation:
    """Tickets, or a version, that no buyer was told of."""
    kept = [line for line in lines_of(scene.calls) if line.tickets]
    if backs := [call for call in scene.calls if call.refund and call.changed]:
        return _not_undone(backs) if kept else _nobody_bought(backs)
    if kept:
        return Explanation(
            short="tickets of a purchase that was not told as sold",
            why="He was not told that they are his: he will buy others, and these seats are gone.",
            marks=marked(kept, "in the ledger"),
        )
    if scene.held:
        name = short(scene.held[0].purchase_id)
        return Explanation(short=f"no buyer was told of {name}", why=f"no buyer was told of {name}")
    if not lines_of(scene.calls):
        return Explanation(
            short="a change that no answer reports",
            why="The event came to a version that no answer reports: something changed its stock, and no buyer knows.",
        )
    return stock.unseen(scene) or Explanation(
        short="a change that no answer reports",
        why="Next to the version shown here is one that no answer reports: something changed the stock, and no buyer "
        "knows.",
        marks=marked(lines_of(scene.calls), "next to a version that no answer reports"),
    )


def _not_undone(backs: Sequence[Operation]) -> Explanation:
    return Explanation(
        short="a purchase was given back, and its tickets are still there",
        why=f"{buyer_label(backs[0])} was told that they were given back, and they are still in the ledger.",
        marks=marked(lines_of(backs), "still in the ledger"),
    )


def _nobody_bought(backs: Sequence[Operation]) -> Explanation:
    return Explanation(
        short="something was given back that nobody had bought",
        why="No buyer was told that he had bought what was given back here.",
        marks=marked(lines_of(backs), "never bought"),
    )


def lost_sale(scene: Evidence) -> Explanation:
    """Told, and not there."""
    told = [call for call in scene.calls if call.outcome in (Outcome.SOLD, Outcome.REFUNDED)]
    if not told:
        return Explanation(short="a sale that is not there", why="What a buyer was told must be in the ledger.")
    call = told[-1]
    lacking = [line for line in call.lines if _lacks(call, line)] or call.lines
    marks = {line.place: _lost(call, line) for line in lacking}
    done, crash = "given it back" if call.refund else "bought", crash_after(scene, call)
    if crash is None:
        why = f"{buyer_label(call)} was told that he has {done}, and what a buyer was told must be in the ledger."
        return Explanation(short=_gone(call, "is not in the ledger"), why=why, marks=marks)
    before = milliseconds(crash - (call.completed_ns or 0))
    why = (
        f"{before} before the crash {buyer_label(call)} was told that he has {done}, and what was told must survive it."
    )
    return Explanation(short=_gone(call, "did not survive the crash"), why=why, marks=marks)


def _gone(call: Operation, what: str) -> str:
    if call.refund:
        return f"what {buyer_label(call)} gave back is still in the ledger"
    part = "a part of " if any(line.tickets for line in call.lines) else ""
    return f"{part}the purchase of {buyer_label(call)} {what}"


def _lacks(call: Operation, line: Line) -> bool:
    if call.refund:
        return bool(line.tickets)
    return line.quantity is None or (line.tickets or 0) < line.quantity


def _lost(call: Operation, line: Line) -> str:
    if call.refund:
        return "still in the ledger"
    return f"only {number(line.tickets)} in the ledger" if line.tickets else "not in the ledger"


def false_sold_out(scene: Evidence) -> Explanation:
    """Seats enough, by the stock that he was told of or by what was surely free."""
    refused = [call for call in scene.calls if call.outcome is Outcome.SOLD_OUT] or scene.calls
    title = f"{buyer_label(refused[0]) if refused else 'a buyer'} was sent away though seats enough were left"
    for line in lines_of(refused):
        if line.quantity is not None and line.available is not None and line.available >= line.quantity:
            why = f"{_told_left(line)} for {number(line.quantity)}: he had to be sold what he asked for."
            return Explanation(short=title, why=why, marks=marked([line], f"{number(line.available)} were enough"))
        if line.quantity is not None and line.free is not None and line.free >= line.quantity:
            why = (
                f"At least {pluralize(line.free, 'seat')}{of_event(line.event)} {was_or_were(line.free)} free as long "
                "as he waited, in whatever order the others bought: nobody had asked for them by then. He wanted "
                f"{number(line.quantity)}."
            )
            return Explanation(short=title, why=why, marks=marked([line], f"{number(line.free)} were free"))
    marks = marked(lines_of(refused), "enough were left")
    return Explanation(short=title, why="At no time of his call were so few seats left.", marks=marks)


def _told_left(line: Line) -> str:
    seats = line.available or 0
    return f"{pluralize(seats, 'seat')}{of_event(line.event)} {was_or_were(seats)} left, and that is enough"


def stale_read(scene: Evidence) -> Explanation:
    """A later call that comes before an earlier one."""
    for later, line, before, known in _behind(scene):
        return _out_of_time(later, line, before, known)
    if again := [call for call in scene.calls if call.again]:
        asked = buyer_label(again[-1])
        nothing = "had nothing to give back, but all through his call the purchase was there"
        earlier = "had bought before, but at no time of his call was the purchase there"
        return Explanation(
            short=f"{asked} was answered by a time that was not his",
            why=f"{asked} was told that he {nothing if again[-1].refund else earlier}.",
            marks=marked(again[-1].lines, "not at that time"),
        )
    if len(scene.calls) > 1:
        return Explanation(
            short=f"{pluralize(len(scene.calls), 'call')} that each come before the next, in a circle",
            why="By what was told each of these comes before the next one, and the last before the first: there is no "
            "such order.",
            marks=marked(lines_of(scene.calls), "in the circle"),
        )
    told = any(line.version is not None for line in lines_of(scene.calls))
    why = "The version in the answer was no longer current when the call began."
    return Explanation(
        short="an answer by a past that was over",
        why=why if told else "The answer fits no state between the call and its return.",
        marks=marked(lines_of(scene.calls), "no longer current"),
    )


def _behind(scene: Evidence) -> Iterator[tuple[Operation, Line, Operation, Line]]:
    """Calls with an older version than somebody had been told of before they were made."""
    for later in scene.calls:
        for before in scene.calls:
            if later.invoked_ns is None or before.completed_ns is None or before.completed_ns >= later.invoked_ns:
                continue
            for line, known in ((line, known) for line in later.lines for known in before.lines):
                if line.version is None or known.version is None or line.event != known.event:
                    continue
                if line.version < known.version or (line.version == known.version and later.changed):
                    yield later, line, before, known


def _out_of_time(later: Operation, line: Line, before: Operation, known: Line) -> Explanation:
    waited = milliseconds((later.invoked_ns or 0) - (before.completed_ns or 0))
    newer, older = number(known.version or 0), number(line.version or 0)
    return Explanation(
        short=f"{buyer_label(later)} was answered by a past that was over",
        why=f"{buyer_label(later)} called {waited} after {buyer_label(before)} had been answered. Version {newer}"
        f"{of_event(line.event)} was there by then, and he {'made' if later.changed else 'was shown'} version {older}"
        ", which comes before it.",
        marks=marked([line], f"after version {newer}"),
        calls=(before, later),
    )


def deadlock(scene: Evidence) -> Explanation:
    """Two that waited for each other."""
    met = [call for call in scene.calls if call.deadlocks] or scene.calls
    name = buyer_label(met[0]) if met else "a buyer"
    count = met[0].deadlocks if met else 1
    times = f"{number(count)} deadlocks" if count > 1 else "a deadlock"
    sold = bool(met) and met[0].outcome is Outcome.SOLD
    return Explanation(
        short=f"{name} met {times}",
        why=f"{name} met {times}: his transaction held a row that another one waited for, and waited for one that the "
        f"other held. PostgreSQL ended his{', and he bought at another try' if sold else ''}. Nobody's tickets are "
        "wrong for it; where rows are always locked in the same order there is no deadlock.",
        marks=marked(lines_of(met), times),
    )


def double_sale(scene: Evidence) -> Explanation:
    """One purchase, sold more than once."""
    for line in lines_of(scene.calls):
        if line.tickets is not None and line.quantity is not None and line.tickets > line.quantity:
            why = (
                f"He wanted {pluralize(line.quantity, 'ticket')}{of_event(line.event)} and has {number(line.tickets)}: "
                f"{number(line.tickets - line.quantity)} too many, all under one purchase id."
            )
            title = f"{pluralize(line.tickets, 'ticket')} for a purchase of {number(line.quantity)}"
            return Explanation(short=title, why=why, marks=marked([line], f"{number(line.tickets)} in the ledger"))
    sales = [call for call in scene.calls if call.outcome is Outcome.SOLD and not call.again]
    return _more_than_once(sales, "sold", "he wanted it once")


def double_refund(scene: Evidence) -> Explanation:
    """One purchase, given back more than once."""
    backs = [call for call in scene.calls if call.refund and call.changed]
    return _more_than_once(backs, "given back", "its tickets came back into the stock each time")


def _more_than_once(calls: Sequence[Operation], done: str, but: str) -> Explanation:
    name = short(calls[0].purchase_id) if calls else "a purchase"
    times = {0: "more than once", 1: "more than once", 2: "twice"}.get(len(calls), f"{len(calls)} times")
    versions = [number(line.version) for line in lines_of(calls) if line.version is not None]
    at = f", at versions {join_names(versions)}" if len(versions) > 1 else ""
    return Explanation(
        short=f"{name} was {done} {times}",
        why=f"{name} was {done} {times}{at}: {but}.",
        marks=marked(lines_of(calls[1:] or calls), f"{done} again"),
    )


def half_purchase(scene: Evidence) -> Explanation:
    """A part is there, a part is not."""
    backs = [call for call in scene.calls if call.refund and call.changed]
    lines = [line for line in lines_of(scene.calls) if line.tickets is not None]
    if backs and not lines:
        return Explanation(
            short="a purchase was given back in part",
            why="What was given back is not what was bought: a purchase is given back whole, or not at all.",
            marks=marked(lines_of(backs), "not what was bought"),
        )
    moment = next((books for books in scene.books if books.at_ns is not None and books.missing), None)
    if moment is not None:
        off = pluralize(abs(moment.missing), "seat")
        less = "off the stock without a ticket" if moment.missing > 0 else "sold and in the stock all the same"
        return Explanation(
            short=f"{off}{of_event(moment.event)} {was_or_were(abs(moment.missing))} {less} for a moment",
            why="The stock and the tickets of a sale or a refund were not committed together.",
        )
    if not scene.calls and any(books.missing for books in scene.books):
        taken = stock.undersell(scene)
        return Explanation(short=taken.short, why=f"{taken.why} Of a sale the one half is there, and the other is not.")
    part = [line for line in lines if line.quantity is not None and (line.tickets or 0) != line.quantity]
    return Explanation(
        short=f"a part of the purchase of {buyer_label(scene.calls[0]) if scene.calls else 'a buyer'} is missing",
        why="A purchase is there with all its tickets, or not at all: this one is there in part.",
        marks={line.place: _of_it(line) for line in part},
    )


def _of_it(line: Line) -> str:
    if not line.tickets:
        return "none in the ledger"
    return f"{number(line.tickets)} of {number(line.quantity or 0)} in the ledger"
