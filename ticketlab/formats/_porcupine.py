"""Exports for Porcupine, the checker of linearizability: one operation per line, as JSON. Pure: yields lines.

Porcupine has no file format: a Go program fills its `Operation` with ClientId, Input, Call, Output and Return
(https://github.com/anishathalye/porcupine/blob/master/model.go). Go's encoding/json ignores the case of names, so it
reads these lines into such a struct directly; the types of `input` and `output` belong to the model:

    {"clientId":3,"input":{"op":"purchase","purchaseId":"…","lines":[{"event":0,"total":100,"quantity":2}]},
     "call":17,"output":{"outcome":"sold","again":false,"lines":[{"version":2,"available":98}]},"return":90}

(one line each). Times are in ns since the start of the trial; Porcupine too puts calls before returns at equal times.
- `op`: `purchase`, `refund`, or at the end one `read` of each event, with the `version`, `available` and `tickets` of
  the ledger as output. A `line` is one event of an operation; `total` is the number of seats, which the Init of a model
  cannot know otherwise.
- `outcome` is that of the history. `sold` and `refunded` took effect at one instant of the call, or earlier if `again`
  is true. `sold_out` and `read` saw that state. `conflict`, `failed` and `unavailable` changed nothing. `unknown` may
  have taken effect at any time: it returns after everything else, as Porcupine's author advises
  (https://github.com/anishathalye/porcupine/issues/8), and needs a NondeterministicModel, in which the step has an
  effect or not. A refused basket has only the lines that refused.
- `version` and `available` are those after the operation, or those seen; null if not reported. Versions are null too if
  a sale of the event carries none.
- `clientId` is the buyer; a new number after an `unknown`, or if the buyer calls before its last answer is surely past.

The state of an event is its `available`, at first `total`, its version, at first 1, and the tickets of each purchase.
Histories can be partitioned by event, and with baskets by groups of events that share a purchase.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from ticketlab.formats._calls import Calls, VersionInfo, is_any
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger


def operations(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history, one per operation, and a final read of each event; see above."""
    versions, calls = VersionInfo.of(history, ledger), Calls.of(history)
    totals = dict(zip(ledger.events["event"].tolist(), ledger.events["total"].tolist(), strict=True))
    inputs, outputs = _lines(history, versions, totals)
    lead = history.iloc[calls.first]
    returns = np.where(is_any(lead, Outcome.UNKNOWN), calls.end_ns + 1, calls.completed)
    columns = (
        calls.process.tolist(),
        lead["kind"].astype(str).tolist(),
        pa.array(lead["purchase_id"]).to_pylist(),
        calls.invoked.tolist(),
        lead["outcome"].astype(str).tolist(),
        (lead["cause"] == Cause.REPEATED).tolist(),
        returns.tolist(),
        calls.first.tolist(),
        calls.end.tolist(),
    )
    for process, kind, packed, call, outcome, again, returned, first, end in zip(*columns, strict=True):
        yield (
            f'{{"clientId":{process},"input":{{"op":"{kind}","purchaseId":"{_uuid(packed.hex())}",'
            f'"lines":[{",".join(inputs[first:end])}]}},"call":{call},'
            f'"output":{{"outcome":"{outcome}","again":{"true" if again else "false"},'
            f'"lines":[{",".join(outputs[first:end])}]}},"return":{returned}}}'
        )
    yield from _reads(ledger, versions, calls)


def _lines(history: pd.DataFrame, versions: VersionInfo, totals: dict[int, int]) -> tuple[list[str], list[str]]:
    """Each row as a line of an input and as a line of an output."""
    event, quantity, available = (history[name].tolist() for name in ("event", "quantity", "available"))
    version = np.where(versions.ordered[versions.event], versions.version, NOT_SEEN).tolist()
    inputs = [
        f'{{"event":{number},"total":{_number(totals.get(number, NOT_SEEN))},"quantity":{wanted}}}'
        for number, wanted in zip(event, quantity, strict=True)
    ]
    return inputs, _states(version, available)


def _states(versions: Sequence[int], stocks: Sequence[int]) -> list[str]:
    return [
        f'{{"version":{_number(version)},"available":{_number(stock)}}}'
        for version, stock in zip(versions, stocks, strict=True)
    ]


def _reads(ledger: Ledger, versions: VersionInfo, calls: Calls) -> Iterator[str]:
    """A final read of each event in the ledger, by one more client."""
    names = ("event", "total", "version", "available", "tickets")
    rows = ledger.seats()[list(names)].to_numpy().tolist()
    for event, total, version, available, tickets in rows:
        yield (
            f'{{"clientId":{calls.processes},"input":{{"op":"read","lines":[{{"event":{event},"total":{total}}}]}},'
            f'"call":{calls.end_ns},"output":{{"outcome":"read","lines":[{{'
            f'"version":{_number(version if versions.ordered[event] else NOT_SEEN)},"available":{_number(available)},'
            f'"tickets":{tickets}}}]}},"return":{calls.end_ns}}}'
        )


def _number(value: int) -> str:
    return "null" if value == NOT_SEEN else str(value)


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
