"""Histories for Porcupine, the checker of linearizability, as operations: a JSON object a line.

Porcupine has no format of files: a Go program fills its `Operation`, whose fields are ClientId, Input, Call, Output and
Return (https://github.com/anishathalye/porcupine/blob/master/model.go). Go's encoding/json reads these lines into
such a struct as they are, the case of names being of no account to it; `input` and `output` are the model's own:

    {"clientId":3,"input":{"op":"purchase","purchaseId":"…","lines":[{"event":0,"total":100,"quantity":2}]},
     "call":17,"output":{"outcome":"sold","again":false,"lines":[{"version":2,"available":98}]},"return":90}

(one line each). Times are ns since the trial's start; Porcupine too takes calls before returns at equal times.
- `op`: `purchase`, `refund`, or in the end one `read` of each event, whose output is what the ledger holds: `version`,
  `available`, and `tickets`. A `line` of an operation is one event of it; `total` are the event's seats, which Init of
  a model has no other way to know.
- `outcome` is the history's own word. `sold` and `refunded` took effect at one instant of the call, but with
  `again` true they found it made before. `sold_out` and `read` saw that state. `conflict`, `failed` and `unavailable`
  changed nothing. `unknown` may have, at any time: it returns after everything else, as Porcupine's author advises
  (https://github.com/anishathalye/porcupine/issues/8), and the step may be taken with or without its effect, which
  takes a NondeterministicModel. Of a refused basket there are only the lines that refused.
- `version` and `available` are those after the operation, or those seen; null where they were not told, and versions
  also on an event of which a sale carries none.
- `clientId` is the buyer; after an `unknown`, or where he calls before his last answer is surely past, a new number.

The state of an event is its `available`, from `total` on, its version, from 1 on, and who owns how much. Without
baskets histories can be partitioned by event; with them only by what baskets hold together.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from ticketlab.formats.calls import Calls, VersionInfo, is_any
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import Cause, Outcome


def operations(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history, an operation each and a read of each event in the end; see above."""
    told, calls = VersionInfo.of(history, ledger), Calls.of(history)
    totals = dict(zip(ledger.events["event"].tolist(), ledger.events["total"].tolist(), strict=True))
    asked, answers = _lines(history, told, totals)
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
    for process, kind, packed, call, outcome, again, back, first, end in zip(*columns, strict=True):
        yield (
            f'{{"clientId":{process},"input":{{"op":"{kind}","purchaseId":"{_uuid(packed.hex())}",'
            f'"lines":[{",".join(asked[first:end])}]}},"call":{call},'
            f'"output":{{"outcome":"{outcome}","again":{"true" if again else "false"},'
            f'"lines":[{",".join(answers[first:end])}]}},"return":{back}}}'
        )
    yield from _reads(ledger, told, calls)


def _lines(history: pd.DataFrame, told: VersionInfo, totals: dict[int, int]) -> tuple[list[str], list[str]]:
    """Each row as a line of an input, and as one of an output."""
    event, quantity, available = (history[name].tolist() for name in ("event", "quantity", "available"))
    version = np.where(told.ordered[told.event], told.version, NOT_SEEN).tolist()
    asked = [
        f'{{"event":{number},"total":{_number(totals.get(number, NOT_SEEN))},"quantity":{wanted}}}'
        for number, wanted in zip(event, quantity, strict=True)
    ]
    return asked, _states(version, available)


def _states(versions: Sequence[int], stocks: Sequence[int]) -> list[str]:
    return [
        f'{{"version":{_number(version)},"available":{_number(stock)}}}'
        for version, stock in zip(versions, stocks, strict=True)
    ]


def _reads(ledger: Ledger, told: VersionInfo, calls: Calls) -> Iterator[str]:
    """What the ledger holds of each event, as read by one more client when all was over."""
    names = ("event", "total", "version", "available", "tickets")
    rows = ledger.seats()[list(names)].to_numpy().tolist()
    for event, total, version, available, tickets in rows:
        yield (
            f'{{"clientId":{calls.processes},"input":{{"op":"read","lines":[{{"event":{event},"total":{total}}}]}},'
            f'"call":{calls.end_ns},"output":{{"outcome":"read","lines":[{{'
            f'"version":{_number(version if told.ordered[event] else NOT_SEEN)},"available":{_number(available)},'
            f'"tickets":{tickets}}}]}},"return":{calls.end_ns}}}'
        )


def _number(value: int) -> str:
    return "null" if value == NOT_SEEN else str(value)


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
