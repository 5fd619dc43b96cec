"""Exports for Elle, the checker of transactional consistency, in the JSON of elle-cli. Pure: yields lines.

The file is one JSON array with a map on each line: elle-cli reads only the first JSON value of a file
(`read-json-history` in https://github.com/ligurio/elle-cli/blob/master/src/elle_cli/cli.clj). A map is an operation
of Jepsen (https://github.com/jepsen-io/history), once for the call and once for the answer:

    {"index":0,"type":"invoke","process":3,"time":17,"f":"txn","value":[["r",0,null],["append",0,41]]}
    {"index":1,"type":"ok","process":3,"time":90,"f":"txn","value":[["r",0,[]],["append",0,41]]}

    elle-cli --model list-append FILE        elle-cli --model rw-register FILE

- `index` counts from 0; `time` is in ns since the start of the trial. At equal times calls come before answers, so
  that ties are concurrent.
- `type` of the answer: SOLD, REFUNDED and SOLD_OUT are `ok`; CONFLICT, FAILED and UNAVAILABLE are `fail`; UNKNOWN is
  `info`.
- `process` is the buyer. After an UNKNOWN, or if the buyer calls before its last answer is surely past, it continues
  under a new number: a process of Jepsen runs one operation at a time, and none after a crash.
- The key is the event. The call already has the steps of the answer, because Elle wants the same steps in both maps.

A sale or refund that reports version v of an event has read v-1 and written v; a refusal at version v has read v. Stock
is not exported: Elle judges the order and the reads, not whether seats were left. A REPEATED purchase, or a refusal
without a version, is a transaction without steps. If a sale of an event carries no version, nothing of it is read.

`append` (https://github.com/jepsen-io/elle/blob/main/src/elle/list_append.clj): an event is the list of its sales and
refunds in the order of versions; at version v it has v-1 elements.
- The element of a sale or refund is the number of its row in the history, from 0: elements must be unique, and versions
  are not if an update was lost.
- A final transaction reads each event at the version of the ledger, which gives Elle the order of versions. So a sale
  that is the only writer of its version only appends. A writer that shares its version, or made one above that of the
  ledger, also reads the list before and after: lost updates then show as `lost-update` and `incompatible-order`.
- Of the refusals at one version only those answered first and called last read the list: they constrain real time as
  much as all of them. The others are transactions without steps; baskets always read.
- A version that no answer reports has the element -v. An `info` called before everything else appends it, because Elle
  aborts if it reads an element that was never appended. UNKNOWN appends an element that is never read.

`register` (https://github.com/jepsen-io/elle/blob/main/src/elle/rw_register.clj): an event is a register that holds its
version, with null for version 1. A sale is ["r",e,v-1],["w",e,v], a refusal ["r",e,v]. Written values must be unique
too: the second writer of a version writes -1 minus the number of its row, as does a writer without a version. Lines
have a fixed length for any number of seats. But elle-cli has no option for Elle to infer that v follows v-1
(`wfr-keys?`), so it finds fewer violations than in lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.errors import InvalidInputError
from ticketlab.formats._calls import FIRST_VERSION, Calls, VersionInfo, is_any
from ticketlab.outcomes import Outcome

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.ledger import Ledger


MOST_ELEMENTS: Final = 50_000_000
"""Elements of all lists in one export, about 400 MB."""

_Steps: TypeAlias = Callable[[int, bool], str]
"""The steps of a row: as called, or as answered with the values read."""


def append(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history for Elle's list-append model; see above.

    Raises:
        InvalidInputError: the lists in the reads would be too long.
    """
    versions, calls = VersionInfo.of(history, ledger), Calls.of(history)
    last = versions.last(ledger)
    made_above = versions.made & (versions.version > _by_event(last, len(versions.ordered))[versions.event])
    plain = versions.alone & ~made_above
    whole = versions.made & ~plain
    reading = versions.seen & (_bounding_reads(versions, history) | _of_baskets(calls, len(history)))
    _check_length(versions, last, whole=whole, reading=reading)
    lists = _Lists(versions, last, first=versions.first, upto=whole | reading)

    event, version = versions.event.tolist(), versions.version.tolist()
    codes = np.select([plain | versions.unversioned, reading, whole], ["append", "read", "whole"], "").tolist()

    def steps(row: int, answered: bool) -> str:
        key, code = event[row], codes[row]
        if code == "append":
            return f'["append",{key},{row}]'
        if code == "read":
            return f'["r",{key},{lists.at(key, version[row])}]' if answered else f'["r",{key},null]'
        if code == "whole":
            if not answered:
                return f'["r",{key},null],["append",{key},{row}],["r",{key},null]'
            before, after = lists.at(key, version[row] - 1), lists.at(key, version[row] - 1, also=row)
            return f'["r",{key},{before}],["append",{key},{row}],["r",{key},{after}]'
        return ""

    unknown = [f'["append",{key},{-each}]' for key, each in lists.unreported()]
    ends = [(f'["r",{key},null]', f'["r",{key},{lists.at(key, version)}]') for key, version in last.items()]
    return _array(chain(_unknown(unknown, calls), _calls(history, calls, steps), _ends(ends, calls, len(unknown))))


def register(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history for Elle's rw-register model; see above."""
    versions, calls = VersionInfo.of(history, ledger), Calls.of(history)
    event, version = versions.event.tolist(), versions.version.tolist()
    written = np.where(versions.first, versions.version, -1 - np.arange(len(history))).tolist()
    codes = np.select([versions.unversioned, versions.seen, versions.made], ["write", "read", "update"], "").tolist()

    def steps(row: int, answered: bool) -> str:
        key, code = event[row], codes[row]
        if code == "write":
            return f'["w",{key},{written[row]}]'
        if code == "read":
            return _read(key, version[row], answered)
        if code == "update":
            return f'{_read(key, version[row] - 1, answered)},["w",{key},{written[row]}]'
        return ""

    ends = [(_read(key, each, False), _read(key, each, True)) for key, each in versions.last(ledger).items()]
    return _array(chain(_calls(history, calls, steps), _ends(ends, calls, 0)))


def _read(key: int, version: int, answered: bool) -> str:
    return f'["r",{key},{version if answered and version > FIRST_VERSION else "null"}]'


class _Lists:
    """The list of each event at each of its versions, as JSON."""

    def __init__(self, versions: VersionInfo, last: Mapping[int, int], *, first: Mask, upto: Mask) -> None:
        """Lists up to the last version of each event and to the versions of the rows `upto`."""
        highest = _by_event(last, len(versions.ordered))
        np.maximum.at(highest, versions.event[upto], versions.version[upto])
        rows = np.flatnonzero(first & (versions.version <= highest[versions.event]))
        rows = rows[np.argsort(versions.event[rows], kind="stable")]
        self._texts: dict[int, str] = {}
        self._ends: dict[int, list[int]] = {}
        self._unreported: dict[int, list[int]] = {}
        for event in last:
            begin, end = np.searchsorted(versions.event[rows], [event, event + 1])
            elements = -np.arange(FIRST_VERSION + 1, highest[event] + 1)
            elements[versions.version[rows[begin:end]] - FIRST_VERSION - 1] = rows[begin:end]
            self._unreported[event] = (-elements[elements < 0]).tolist()
            words = list(map(str, elements.tolist()))
            self._texts[event] = ",".join(words)
            self._ends[event] = [0, *(np.cumsum([len(word) + 1 for word in words]) - 1).tolist()]

    def at(self, event: int, version: int, *, also: int | None = None) -> str:
        """The list at a version, with the element `also` at its end."""
        count = max(version - FIRST_VERSION, 0)
        text = self._texts[event][: self._ends[event][count]]
        more = "" if also is None else f",{also}" if text else f"{also}"
        return f"[{text}{more}]"

    def unreported(self) -> Iterator[tuple[int, int]]:
        """Event and version of each element without a row."""
        for event, versions in self._unreported.items():
            yield from ((event, version) for version in versions)


def _by_event(last: Mapping[int, int], events: int) -> Integers:
    numbers = np.full(events, FIRST_VERSION, np.int64)
    numbers[list(last)] = list(last.values())
    return numbers


def _bounding_reads(versions: VersionInfo, history: pd.DataFrame) -> Mask:
    """Mask of the first answered and the last called refusal at each version of an event."""
    rows = np.flatnonzero(versions.seen)
    times = pd.DataFrame({name: history[name].to_numpy()[rows] for name in ("invoked_ns", "completed_ns")})
    by = times.groupby([versions.event[rows], versions.version[rows]])
    chosen = np.zeros(len(history), np.bool_)
    chosen[rows[by["completed_ns"].idxmin().to_numpy(np.int64)]] = True
    chosen[rows[by["invoked_ns"].idxmax().to_numpy(np.int64)]] = True
    return chosen


def _of_baskets(calls: Calls, rows: int) -> Mask:
    lines = calls.end - calls.first
    return np.repeat(lines > 1, lines) if len(lines) else np.zeros(rows, np.bool_)


def _check_length(versions: VersionInfo, last: Mapping[int, int], *, whole: Mask, reading: Mask) -> None:
    above = np.maximum(versions.version - FIRST_VERSION, 0)
    count = sum(last.values()) + int(above[reading].sum()) + 2 * int(above[whole].sum())
    if count > MOST_ELEMENTS:
        raise InvalidInputError(
            f"The lists in the export would have {count:,} elements, more than {MOST_ELEMENTS:,}: each read holds all "
            "sales before it. Use the format elle-register, which has short lines."
        )


_TYPES: Final = {
    **dict.fromkeys((Outcome.SOLD, Outcome.REFUNDED, Outcome.SOLD_OUT), "ok"),
    **dict.fromkeys((Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE), "fail"),
    Outcome.UNKNOWN: "info",
}
"""Jepsen's type of each outcome."""


def _calls(history: pd.DataFrame, calls: Calls, steps: _Steps) -> Iterator[str]:
    """Every call and answer of the history by time, without index."""
    count = len(calls.first)
    times = np.concatenate([calls.invoked, calls.completed])
    order = np.lexsort((np.arange(2 * count) >= count, times))
    types = np.empty(len(history), object)
    for outcome, name in _TYPES.items():
        types[is_any(history, outcome)] = name
    ends = types[calls.first].tolist()
    process, first, end = calls.process.tolist(), calls.first.tolist(), calls.end.tolist()
    for place, time in zip(order.tolist(), times[order].tolist(), strict=True):
        answered = place >= count
        call = place - count if answered else place
        has_values = answered and ends[call] == "ok"
        value = ",".join(filter(None, (steps(row, has_values) for row in range(first[call], end[call]))))
        yield _operation(ends[call] if answered else "invoke", process[call], time, value)


def _unknown(values: list[str], calls: Calls) -> Iterator[str]:
    """The versions that no answer reports, each as a call before all others without an answer."""
    for process, value in enumerate(values, start=calls.processes):
        yield _operation("invoke", process, calls.begin_ns, value)
        yield _operation("info", process, calls.begin_ns, value)


def _ends(values: list[tuple[str, str]], calls: Calls, others: int) -> Iterator[str]:
    """The final reads."""
    process = calls.processes + others
    for called, read in values:
        yield _operation("invoke", process, calls.end_ns, called)
        yield _operation("ok", process, calls.end_ns, read)


def _operation(kind: str, process: int, time: int, value: str) -> str:
    return f'"type":"{kind}","process":{process},"time":{time},"f":"txn","value":[{value}]}}'


def _array(operations: Iterator[str]) -> Iterator[str]:
    """The lines of a JSON array of these operations, each with its index."""
    yield "["
    line = None
    for index, operation in enumerate(operations):
        if line is not None:
            yield f"{line},"
        line = f'{{"index":{index},{operation}'
    if line is not None:
        yield line
    yield "]"
