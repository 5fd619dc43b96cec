"""Pure checks over a history and a ledger. Each is a claim, and says which operations prove it wrong.

A check that crashed, or had nothing to go by, is UNKNOWN, never VALID.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from ticketlab.evidence.history import NOT_SEEN, RETRIES, purchases_of
from ticketlab.evidence.ledger import Ledger
from ticketlab.evidence.verdict import Anomaly, Check, Verdict, invalid, unknown, valid
from ticketlab.outcomes import Cause, Outcome


def no_oversell(history: pd.DataFrame, ledger: Ledger) -> Verdict:
    """Every event has at most as many tickets as seats, and its stock is what is left of them.

    The evidence of an oversell are the sales beyond the last seat, in the order of the event's version; where sales
    carry none their order is not known, and they are shown in that in which their buyers were told.
    """
    name = "no_oversell"
    seats = ledger.seats()
    wrong = seats[(seats["oversold"] > 0) | (seats["available"] != seats["total"] - seats["tickets"])]
    if not wrong.empty:
        first = wrong.sort_values("oversold", ascending=False).iloc[0]
        if first["oversold"] > 0:
            text = (
                f"event {first['event']}: {first['tickets']:,} tickets for {first['total']:,} seats, "
                f"{first['oversold']:,} too many"
            )
        else:
            text = (
                f"event {first['event']}: the stock says {first['available']:,} left, but "
                f"{first['total']:,} seats less {first['tickets']:,} tickets are {first['total'] - first['tickets']:,}"
            )
        beyond = _sales_beyond_the_last_seat(history, seats)
        text = _and_more(len(wrong), text, "event") + _order_undecided(history)
        anomaly = _of_the_stock(seats)
        return invalid(name, text, wrong if beyond.empty else beyond, anomaly)
    tickets, total = seats["tickets"].sum(), seats["total"].sum()
    text = f"{tickets:,} tickets for {total:,} seats, and the stock agrees"
    return valid(name, text + _order_undecided(history))


def _of_the_stock(seats: pd.DataFrame) -> Anomaly:
    """What went wrong where tickets and stock do not go together."""
    if (seats["oversold"] > 0).any():
        return Anomaly.OVERSELL
    kept = (seats["available"] > seats["total"] - seats["tickets"]).any()
    return Anomaly.LOST_UPDATE if kept else Anomaly.UNDERSELL


def sales_in_ledger(history: pd.DataFrame, ledger: Ledger) -> Verdict:
    """Every sale that a buyer was told of is in the ledger, for the right events and with its quantities.

    A purchase id owns its quantity once, however often its buyer was told of it. Who was told that his id had bought
    before may have asked for something else this time: of him only the purchase must be there.
    """
    name = "sales_in_ledger"
    sales = history[history["outcome"] == Outcome.SOLD]
    found = sales.merge(_purchases(ledger), how="left", on=["event", "purchase_id"])["tickets"].fillna(0)
    wrong = sales[(found != sales["quantity"].to_numpy()).to_numpy()]
    told_again = wrong["cause"] == Cause.REPEATED
    if told_again.any():
        wrong = wrong[~(told_again & wrong["purchase_id"].isin(ledger.tickets["purchase_id"]))]
    count = len(purchases_of(sales))
    if not wrong.empty:
        return invalid(
            name,
            f"{_calls(wrong):,} of {count:,} sales are not in the ledger as they were told",
            wrong,
            Anomaly.LOST_SALE,
        )
    return valid(name, f"all {count:,} sales are in the ledger with their quantity")


def tickets_accounted_for(history: pd.DataFrame, ledger: Ledger) -> Verdict:
    """Every ticket in the ledger belongs to a purchase that was sold, or whose outcome is unknown and then whole.

    Whole means: all the tickets of all its events, or none of any.
    """
    name = "tickets_accounted_for"
    held = _purchases(ledger)
    told = history.loc[history["outcome"].isin([Outcome.SOLD, Outcome.UNKNOWN]), ["event", "purchase_id", "outcome"]]
    joined = held.merge(told, how="left", on=["event", "purchase_id"])
    nobodys = joined[joined["outcome"].isna()]
    # Told of what his id had bought before, a buyer may have asked for another event this time.
    told_again = history.loc[history["cause"] == Cause.REPEATED, "purchase_id"]
    nobodys = nobodys[~nobodys["purchase_id"].isin(told_again)]
    in_part = _there_in_part(history[history["outcome"] == Outcome.UNKNOWN], held)
    faults = []
    if not nobodys.empty:
        faults.append(
            f"{nobodys['tickets'].sum():,} tickets belong to {nobodys['purchase_id'].nunique():,} purchases that no "
            "buyer was told of"
        )
    if not in_part.empty:
        faults.append(f"{in_part['purchase_id'].nunique():,} purchases of unknown outcome are there in part")
    if faults:
        wrong = pd.concat([nobodys, in_part])[["event", "purchase_id", "tickets"]]
        return invalid(name, "; ".join(faults), wrong, Anomaly.PHANTOM_SALE)
    return valid(name, f"all {len(ledger.tickets):,} tickets belong to purchases of the history")


def no_false_sold_out(history: pd.DataFrame, ledger: Ledger) -> Verdict:
    """Nobody was told "sold out" while seats enough were left.

    A refusal is false where the buyer was shown a stock that would have done, and where the seats that were surely
    free when he was told suffice: those left in the end, and those that were only asked for afterwards. (Tickets are
    never given back in a trial.) Of a refused basket the history has only the events that refused it: seats of the
    others prove nothing.
    """
    name = "no_false_sold_out"
    refused = history[history["outcome"] == Outcome.SOLD_OUT]
    count = len(purchases_of(refused))
    free = _surely_free(refused, history, ledger)
    wrong = refused[(refused["quantity"] <= refused["available"]) | (refused["quantity"] <= free)]
    if not wrong.empty:
        seats = ledger.seats()
        unsold = int((seats["total"] - seats["tickets"])[seats["event"].isin(wrong["event"])].clip(lower=0).sum())
        text = f"{_calls(wrong):,} of {count:,} refusals as sold out were false; {unsold:,} seats stayed unsold"
        return invalid(name, text, wrong.assign(free=free), Anomaly.FALSE_SOLD_OUT)
    return valid(name, f"all {count:,} refusals were right: too few seats were left")


def no_deadlock(history: pd.DataFrame, _ledger: Ledger) -> Verdict:
    """No purchase met a deadlock.

    A deadlock harms nobody's tickets: PostgreSQL ends one of the transactions that wait for each other, and another
    try may cure it. It is judged all the same, for it is the mark of a lock order that is missing, and each one holds
    up all who wait for those rows for `deadlock_timeout`, 1 s by default
    (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-DEADLOCKS).
    """
    name = "no_deadlock"
    purchases = purchases_of(history)
    met = purchases[(purchases["cause"] == Cause.DEADLOCK) | (purchases[RETRIES[Cause.DEADLOCK]] > 0)]
    if not met.empty:
        return invalid(name, f"{len(met):,} of {len(purchases):,} purchases met a deadlock", met, Anomaly.DEADLOCK)
    return valid(name, f"none of {len(purchases):,} purchases met a deadlock")


CHECKS: Final[Sequence[Check]] = (
    no_oversell,
    sales_in_ledger,
    tickets_accounted_for,
    no_false_sold_out,
    no_deadlock,
)


def sales_without_version(history: pd.DataFrame) -> int:
    """How many sales carry no version of their event, so that nothing says in which order they were made."""
    sold = (history["outcome"] == Outcome.SOLD) & (history["cause"] != Cause.REPEATED)
    return len(purchases_of(history[sold & (history["version"] == NOT_SEEN)]))


def judge(history: pd.DataFrame, ledger: Ledger, checks: Iterable[Check] = CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check. Without a single answered purchase nothing was shown, and all are UNKNOWN."""
    answered = history["outcome"].isin([Outcome.SOLD, Outcome.SOLD_OUT, Outcome.UNKNOWN]).any()
    missing = (set(history["event"]) | set(ledger.tickets["event"])) - set(ledger.events["event"])
    if missing:
        return _undecided(checks, f"the ledger lacks {_and_more(len(missing), f'event {min(missing)}', 'event')}")
    if not answered and ledger.tickets.empty:
        return _undecided(checks, "no purchase was answered: nothing was shown")
    return tuple(_run(check, history, ledger) for check in checks)


def _run(check: Check, history: pd.DataFrame, ledger: Ledger) -> Verdict:
    try:
        return check(history, ledger)
    except Exception as error:  # whatever went wrong in a check, it decided nothing
        text = f"the check itself failed: {type(error).__name__}: {error}"
        return unknown(_name(check), text)


def _undecided(checks: Iterable[Check], why: str) -> tuple[Verdict, ...]:
    return tuple(unknown(_name(check), why) for check in checks)


def _name(check: Check) -> str:
    return getattr(check, "__name__", repr(check))


def _purchases(ledger: Ledger) -> pd.DataFrame:
    """The tickets of each purchase, counted: `event`, `purchase_id`, `tickets`."""
    return ledger.tickets.groupby(["event", "purchase_id"], sort=False).size().rename("tickets").reset_index()


def _there_in_part(unknown: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Of purchases of unknown outcome that are in the ledger, the rows that are not there with their quantity."""
    found = unknown.merge(held, how="left", on=["event", "purchase_id"]).fillna({"tickets": 0})
    there = found.groupby("purchase_id")["tickets"].transform("sum") > 0
    return found[there & (found["tickets"] != found["quantity"])].astype({"tickets": "int64"})


def _surely_free(refused: pd.DataFrame, history: pd.DataFrame, ledger: Ledger) -> "pd.Series[int]":
    """The seats that were free, whatever the order of sales, when each refusal was told."""
    seats = ledger.seats()
    left = (seats["total"] - seats["tickets"]).set_axis(seats["event"])
    first_asked = history.sort_values("invoked_ns").drop_duplicates(["event", "purchase_id"])
    held = first_asked.merge(_purchases(ledger), on=["event", "purchase_id"]).sort_values("invoked_ns")
    free = refused["event"].map(left)
    for event, asked in held.groupby("event"):
        rows = refused["event"] == event
        # The tickets of all purchases from a given one on, and none after the last.
        from_there_on = np.append(asked["tickets"].to_numpy()[::-1].cumsum()[::-1], 0)
        place = np.searchsorted(asked["invoked_ns"], refused.loc[rows, "completed_ns"], side="right")
        free[rows] += from_there_on[place]
    return free


def _sales_beyond_the_last_seat(history: pd.DataFrame, seats: pd.DataFrame) -> pd.DataFrame:
    sales = history[(history["outcome"] == Outcome.SOLD) & (history["cause"] != Cause.REPEATED)]
    unordered = (sales["version"] == NOT_SEEN).groupby(sales["event"]).transform("any")
    order = sales["version"].where(~unordered, sales["completed_ns"])
    sales = sales.assign(order=order).sort_values(["event", "order"], kind="stable").drop(columns="order")
    sold_so_far = sales.groupby("event")["quantity"].cumsum()
    return sales[sold_so_far > sales["event"].map(seats.set_index("event")["total"])]


def _order_undecided(history: pd.DataFrame) -> str:
    count = sales_without_version(history)
    return f"; {count:,} sales carry no version, so their order is not decided" if count else ""


def _calls(rows: pd.DataFrame) -> int:
    """How many calls these rows are of: a basket has several, and not always its first is among them."""
    return len(rows.drop_duplicates(["purchase_id", "invoked_ns"]))


def _and_more(count: int, first: str, noun: str) -> str:
    """The first of several, and how many more there are."""
    more = count - 1
    return f"{first} (and {more:,} more {noun}{'s' if more > 1 else ''})" if more else first
