"""Violations that a reader saw during the trial: they count though they were repaired before the end.

In: the samples of a ledger, each of one event in one snapshot. None where there are none, or where nothing is wrong.
"""

import pandas as pd

from ticketlab.checks.verdict import Anomaly, Verdict, invalid
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted


def oversold_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """More tickets than seats at one moment."""
    samples = _samples(case)
    wrong = samples[samples["tickets"] > samples["seats"]]
    if wrong.empty:
        return None
    first = wrong.iloc[0]
    tickets, seats = counted(first["tickets"], "ticket"), counted(first["seats"], "seat")
    text = f"{_when(first)} had {tickets} for {seats}"
    return invalid(name, text, _shown(wrong), Anomaly.OVERSELL)


def apart_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """Stock and tickets that did not add up to the seats at one moment, though they do at the end.

    Events whose stock is wrong at the end too are left out, for another check reports them. So are strategies that
    count stock elsewhere.
    """
    if case.ledger.facts.stock_elsewhere:
        return None
    seats = case.seats
    right = seats[seats["available"] == seats["total"] - seats["tickets"]]
    samples = _samples(case)
    samples = samples[samples["event"].isin(right["event"])]
    known = samples["available"] != NOT_SEEN
    wrong = samples[known & (samples["available"] + samples["tickets"] != samples["seats"])]
    if wrong.empty:
        return None
    first = wrong.iloc[0]
    had = f"{first['available']:,} left and {counted(first['tickets'], 'ticket')}, of {counted(first['seats'], 'seat')}"
    text = f"stock and tickets were not changed together: {_when(first)} had {had}"
    return invalid(name, text, _shown(wrong), Anomaly.HALF_PURCHASE)


def _samples(case: IndexedHistory) -> pd.DataFrame:
    samples = case.ledger.samples
    if samples is None:
        return pd.DataFrame({"at_ns": [], "event": [], "available": [], "tickets": [], "seats": []})
    seats = case.ledger.events.set_index("event")["total"]
    return samples.assign(seats=samples["event"].map(seats))


def _when(sample: "pd.Series[int]") -> str:
    return f"at {sample['at_ns'] / 1e9:.3f} s event {sample['event']}"


def _shown(samples: pd.DataFrame) -> pd.DataFrame:
    """The first of these samples, with the columns of an event of the ledger and the moment at which it was so."""
    return samples.rename(columns={"seats": "total"})[["event", "total", "tickets", "available", "at_ns"]].head(1)
