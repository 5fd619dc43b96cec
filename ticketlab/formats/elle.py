"""Histories for Elle, the checker of transactional consistency, as elle-cli reads them from JSON.

The file is one JSON array, a map a line: elle-cli reads the first JSON value of a file and no more
(`read-json-history` in https://github.com/ligurio/elle-cli/blob/master/src/elle_cli/cli.clj). A map is an operation
of Jepsen (https://github.com/jepsen-io/history), once as it was called and once as it was answered:

    {"index":0,"type":"invoke","process":3,"time":17,"f":"txn","value":[["r",0,null],["append",0,41]]}
    {"index":1,"type":"ok","process":3,"time":90,"f":"txn","value":[["r",0,[]],["append",0,41]]}

    elle-cli --model list-append FILE        elle-cli --model rw-register FILE

- `index` counts from 0; `time` is in ns since the trial's start. At equal times calls come before answers, so that
  what ties is concurrent.
- `type` of the answer: SOLD, REFUNDED and SOLD_OUT are `ok`; CONFLICT, FAILED and UNAVAILABLE are `fail`; UNKNOWN is
  `info`.
- `process` is the buyer. After an UNKNOWN, or where he calls before his last answer is surely past, he goes on under
  a new number: a process of Jepsen does one thing at a time, and one that crashed does nothing more.
- the key is the event. Of the transaction is told in hindsight what it did, for Elle wants the same steps in both maps.

What follows from a history: who was told that he made version v of an event has read v-1 and written v, and who was
refused at version v has read v. Nothing is told of stock: Elle judges the order and what was seen, not whether seats
were left. A purchase that was made before (REPEATED), or refused without being told a version, is a transaction
without steps. On an event of which a sale carries no version, versions are no order, and nothing is read.

`append` (https://github.com/jepsen-io/elle/blob/main/src/elle/list_append.clj). An event is the list of its sales and
refunds in the order of its versions; at version v it has v-1 elements.
- The element of a sale or a refund is the number of its row in the history, from 0: elements must be unique, and
  versions are not where an update was lost.
- In the end somebody reads each event at the version that the ledger has, which gives Elle its order of versions. That
  read has all there is to know of a sale that made its version alone, and the sale only appends. Whoever shares his
  version, or made one above the ledger's last, also reads the list before and after: lost updates then show as
  `lost-update` and `incompatible-order`.
- Of the refusals at one version those answered first and called last read the list: they bind time as tightly as all
  of them. The others are transactions without steps; baskets always read.
- A version that nobody was told of has the element -v. It is appended by an `info` of its own that was called before
  everything else, since Elle ends where it reads what nobody appended. UNKNOWN appends an element that nobody reads.

`register` (https://github.com/jepsen-io/elle/blob/main/src/elle/rw_register.clj). An event is a register that holds its
version, null being version 1: a sale is ["r",e,v-1],["w",e,v], a refusal ["r",e,v]. Written values must be unique too:
the second to make a version writes -1 less the number of its row, as does whoever tells no version. The lines have a
fixed length, however many seats there are; but elle-cli does not let Elle infer from them that v comes after v-1 (the
option `wfr-keys?`), and so it finds fewer violations than in lists.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.errors import InvalidInputError
from ticketlab.formats.calls import FIRST_VERSION, Calls, Integers, Mask, VersionInfo, is_any
from ticketlab.history.ledger import Ledger
from ticketlab.outcomes import Outcome

MOST_ELEMENTS: Final = 50_000_000
"""Elements of all lists that one export may hold, some 400 MB."""

_Steps: TypeAlias = Callable[[int, bool], str]
"""The steps of a row: as they were asked for, or with what was read."""


def append(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history for Elle's list-append; see above.

    Raises:
        InvalidInputError: the lists that were read are too long to be written out.
    """
    told, calls = VersionInfo.of(history, ledger), Calls.of(history)
    last = told.last(ledger)
    made_above = told.made & (told.version > _by_event(last, len(told.ordered))[told.event])
    plain = told.alone & ~made_above
    whole = told.made & ~plain
    reading = told.seen & (_bounding_reads(told, history) | _of_baskets(calls, len(history)))
    _refuse_what_is_too_long(told, last, whole=whole, reading=reading)
    lists = _Lists(told, last, first=told.first, upto=whole | reading)

    event, version = told.event.tolist(), told.version.tolist()
    codes = np.select([plain | told.unversioned, reading, whole], ["append", "read", "whole"], "").tolist()

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

    unknown = [f'["append",{key},{-each}]' for key, each in lists.made_by_nobody()]
    ends = [(f'["r",{key},null]', f'["r",{key},{lists.at(key, version)}]') for key, version in last.items()]
    return _array(chain(_unknown(unknown, calls), _calls(history, calls, steps), _ends(ends, calls, len(unknown))))


def register(history: pd.DataFrame, ledger: Ledger) -> Iterator[str]:
    """The lines of a history for Elle's rw-register; see above."""
    told, calls = VersionInfo.of(history, ledger), Calls.of(history)
    event, version = told.event.tolist(), told.version.tolist()
    written = np.where(told.first, told.version, -1 - np.arange(len(history))).tolist()
    codes = np.select([told.unversioned, told.seen, told.made], ["write", "read", "update"], "").tolist()

    def steps(row: int, answered: bool) -> str:
        key, code = event[row], codes[row]
        if code == "write":
            return f'["w",{key},{written[row]}]'
        if code == "read":
            return _read(key, version[row], answered)
        if code == "update":
            return f'{_read(key, version[row] - 1, answered)},["w",{key},{written[row]}]'
        return ""

    ends = [(_read(key, each, False), _read(key, each, True)) for key, each in told.last(ledger).items()]
    return _array(chain(_calls(history, calls, steps), _ends(ends, calls, 0)))


def _read(key: int, version: int, answered: bool) -> str:
    return f'["r",{key},{version if answered and version > FIRST_VERSION else "null"}]'


class _Lists:
    """The list of each event at each of its versions, as JSON."""

    def __init__(self, told: VersionInfo, last: Mapping[int, int], *, first: Mask, upto: Mask) -> None:
        """Lists up to the last version of each event, and to that of each of the rows `upto`."""
        highest = _by_event(last, len(told.ordered))
        np.maximum.at(highest, told.event[upto], told.version[upto])
        rows = np.flatnonzero(first & (told.version <= highest[told.event]))
        rows = rows[np.argsort(told.event[rows], kind="stable")]
        self._texts: dict[int, str] = {}
        self._ends: dict[int, list[int]] = {}
        self._nobodys: dict[int, list[int]] = {}
        for event in last:
            begin, end = np.searchsorted(told.event[rows], [event, event + 1])
            elements = -np.arange(FIRST_VERSION + 1, highest[event] + 1)
            elements[told.version[rows[begin:end]] - FIRST_VERSION - 1] = rows[begin:end]
            self._nobodys[event] = (-elements[elements < 0]).tolist()
            words = list(map(str, elements.tolist()))
            self._texts[event] = ",".join(words)
            self._ends[event] = [0, *(np.cumsum([len(word) + 1 for word in words]) - 1).tolist()]

    def at(self, event: int, version: int, *, also: int | None = None) -> str:
        """The list at a version, and perhaps one element more."""
        count = max(version - FIRST_VERSION, 0)
        text = self._texts[event][: self._ends[event][count]]
        more = "" if also is None else f",{also}" if text else f"{also}"
        return f"[{text}{more}]"

    def made_by_nobody(self) -> Iterator[tuple[int, int]]:
        """Event and version of each element that no row stands for."""
        for event, versions in self._nobodys.items():
            yield from ((event, version) for version in versions)


def _by_event(last: Mapping[int, int], events: int) -> Integers:
    numbers = np.full(events, FIRST_VERSION, np.int64)
    numbers[list(last)] = list(last.values())
    return numbers


def _bounding_reads(told: VersionInfo, history: pd.DataFrame) -> Mask:
    """Of the refusals at one version of an event the one answered first and the one called last."""
    rows = np.flatnonzero(told.seen)
    times = pd.DataFrame({name: history[name].to_numpy()[rows] for name in ("invoked_ns", "completed_ns")})
    by = times.groupby([told.event[rows], told.version[rows]])
    chosen = np.zeros(len(history), np.bool_)
    chosen[rows[by["completed_ns"].idxmin().to_numpy(np.int64)]] = True
    chosen[rows[by["invoked_ns"].idxmax().to_numpy(np.int64)]] = True
    return chosen


def _of_baskets(calls: Calls, rows: int) -> Mask:
    lines = calls.end - calls.first
    return np.repeat(lines > 1, lines) if len(lines) else np.zeros(rows, np.bool_)


def _refuse_what_is_too_long(told: VersionInfo, last: Mapping[int, int], *, whole: Mask, reading: Mask) -> None:
    above = np.maximum(told.version - FIRST_VERSION, 0)
    count = sum(last.values()) + int(above[reading].sum()) + 2 * int(above[whole].sum())
    if count > MOST_ELEMENTS:
        raise InvalidInputError(
            f"The lists that were read would have {count:,} elements, more than {MOST_ELEMENTS:,}: each read has all "
            "sales before it. The format elle-register says nearly the same in short lines."
        )


_TYPES: Final = {
    **dict.fromkeys((Outcome.SOLD, Outcome.REFUNDED, Outcome.SOLD_OUT), "ok"),
    **dict.fromkeys((Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE), "fail"),
    Outcome.UNKNOWN: "info",
}
"""What Jepsen calls each outcome."""


def _calls(history: pd.DataFrame, calls: Calls, steps: _Steps) -> Iterator[str]:
    """Every call and every answer of the history, in the order of time, without their index."""
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
        asked_only = not answered or ends[call] != "ok"
        value = ",".join(filter(None, (steps(row, not asked_only) for row in range(first[call], end[call]))))
        yield _operation(ends[call] if answered else "invoke", process[call], time, value)


def _unknown(values: list[str], calls: Calls) -> Iterator[str]:
    """What nobody was told of, each as a call before all others that was never answered."""
    for process, value in enumerate(values, start=calls.processes):
        yield _operation("invoke", process, calls.begin_ns, value)
        yield _operation("info", process, calls.begin_ns, value)


def _ends(values: list[tuple[str, str]], calls: Calls, others: int) -> Iterator[str]:
    """What was read when all was over."""
    process = calls.processes + others
    for asked, read in values:
        yield _operation("invoke", process, calls.end_ns, asked)
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
