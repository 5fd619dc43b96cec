"""Violations in snapshots of the tables that the lab took during the trial; they count even if repaired by the end.

In: the samples of a ledger, each of one event in one snapshot. Out: a verdict, or None without samples or violations.
"""

import pandas as pd

from ticketlab.checks.verdict import Anomaly, Verdict, invalid
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted


def oversold_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """INVALID if an event had more tickets than seats in a snapshot."""
    samples = _samples(case)
    wrong = samples[samples["tickets"] > samples["seats"]]
    if wrong.empty:
        return None
    first = wrong.iloc[0]
    tickets, seats = counted(first["tickets"], "ticket"), counted(first["seats"], "seat")
    text = f"{_when(first)} had {tickets} for {seats}"
    return invalid(name, text, _shown(wrong), Anomaly.OVERSELL)


def apart_for_a_moment(case: IndexedHistory, name: str) -> Verdict | None:
    """INVALID if stock and tickets did not add up to the seats in a snapshot, though they do at the end.

    Events whose stock is wrong at the end are left out: `no_oversell` reports them. So are strategies that keep their
    stock elsewhere.
    """
    if case.ledger.facts.stock_elsewhere:
        return None
    seats = case.seats
    consistent = seats[seats["available"] == seats["total"] - seats["tickets"]]
    samples = _samples(case)
    samples = samples[samples["event"].isin(consistent["event"])]
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
    """The first of these samples, with the columns of an event of the ledger and the time of the snapshot."""
    return samples.rename(columns={"seats": "total"})[["event", "total", "tickets", "available", "at_ns"]].head(1)
