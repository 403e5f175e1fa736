"""A recording from the lines of a cassette: the inverse of writing.py. What it reads is hostile."""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from playhead.cassette.inside import InsideReader
from playhead.cassette.likeness import hear
from playhead.cassette.payload import PLAIN_STYLE, STYLES, hide, hide_head
from playhead.cassette.shared import SharedBodies
from playhead.cassette.stream import hide_answer, unit_ends, unrun
from playhead.cassette.writing import DRAWN, STREAMS, ends_with_last_read, usual_flags
from playhead.core.events import Ending
from playhead.core.tape import Target
from playhead.errors import DamagedRecording
from playhead.sessions.building import take_inside
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, Lane, RecordedExchange, Recording, StdioChunk, Uncaptured
from playhead.sessions.programs import take_in_tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.cassette.limits import Budget

_Read = TypeVar("_Read")
STARTED_NS = 1_000_000_000_000_000  # monotonic: any moment will do, all others are told relative to it
_MAX_US = 1 << 52
_MOST_MARK = (1 << 64) - 1
_ASK = ("head", "json", "style", "text", "base64", "$")
_ANSWER = ("head", "chunked", "events", "json", "style", "text", "base64", "$")


class Unreadable(ValueError):
    """A line that says nothing a recording could say."""


class Reader:
    """Takes the lines of a cassette one by one, in order; then `recording()`. Raises ValueError and its like, and
    UnfoldsTooFar, for lines that no writer writes."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._header: dict[str, Any] = {}
        self._exchanges: dict[int, RecordedExchange] = {}
        self._asks: dict[int, dict[str, Any]] = {}
        self._shared = SharedBodies()
        self._answers: dict[int, dict[str, Any]] = {}
        self._bytes: dict[int, bytes] = {}  # answers not yet cut into reads
        self._streams: dict[str, list[bytes]] = {name: [] for name in STREAMS}
        self._stdio: list[Any] = []
        self._lanes: dict[int, Lane] = {}
        self._uncaptured: list[Uncaptured] = []
        self._incomplete: list[str] = []
        self._exit: dict[str, Any] | None = None
        self._us = 0
        self._inside = InsideReader(budget, STARTED_NS)
        self._ended_apart: set[int] = set()  # exchanges whose end is no read of theirs

    def line(self, line: dict[str, Any]) -> int:
        """Take one line. The number of the exchange it speaks of, 0 if of none."""
        for key, method in self._KINDS.items():
            if key in line:
                method(self, line)
                number = line[key]
                return number if key in ("ask", "answer", "when") and isinstance(number, int) else 0
        raise Unreadable("a line of no known kind")

    def _cassette(self, line: dict[str, Any]) -> None:
        self._header |= {key: value for key, value in line.items() if key != "cassette"}

    def _environment(self, line: dict[str, Any]) -> None:
        self._header["environment"] = line["environment"]

    def _lane(self, line: dict[str, Any]) -> None:
        number = _number(line["lane"])
        self._lanes[number] = Lane(number, _text(line["key"]), [_text(each) for each in line["argv"]])

    def _ask(self, line: dict[str, Any]) -> None:
        number = _number(line["ask"], least=1)
        if number in self._exchanges:
            raise Unreadable(f"a second request of step {number}")
        scheme, found, place = _text(line["to"]).partition("://")
        host, colon, port = place.rpartition(":")
        if not found or not colon:
            raise Unreadable("a place that is not scheme://host:port")
        exchange = RecordedExchange(
            number,
            Target(scheme, host, _number(int(port))),
            _text(line["route"]),
            0,
            reused=False,
            protocol=_text(line.get("protocol", "http/1.1")),
            opened_ns=0,
            opened_order=0,
            lane=_number(line["lane"]),
            cut=_number(line["cut"]) if "cut" in line else None,
            request_redacted=line.get("redacted") is True,
        )
        if line.get("unknown") is not True:
            content = self._heard(line, _ASK, self._asks)
            self._asks[number] = content
            exchange.head = hide_head(content["head"])
            exchange.asked_order = 0
            body = {key: value for key, value in content.items() if key != "head"}
            if body:
                if body.get("style", "compact") not in STYLES:
                    raise Unreadable("JSON of an unknown style")
                if "json" not in body:
                    self._budget.take(len(hide(body)))
                if isinstance(body.get("json"), dict):
                    self._shared.put(number, body["json"], body.get("style", PLAIN_STYLE), line.get("like", 0))
                    exchange.read_form = partial(_given_back, partial(self._shared.form, number), number)
                    exchange.read_body = partial(_given_back, partial(self._shared.body, number), number)
                else:
                    exchange.read_body = partial(_given_back, partial(hide, body), number)
        if "mark" in line:
            exchange.lane_mark = int(_text(line["mark"]), 16) & _MOST_MARK
        exchange.within = _number(line.get("within", 0))
        exchange.orders = line.get("orders") is True
        self._exchanges[number] = exchange

    def _answer(self, line: dict[str, Any]) -> None:
        exchange = self._exchanges[_number(line["answer"])]
        if exchange.number in self._bytes:
            raise Unreadable(f"a second answer of step {exchange.number}")
        content = self._heard(line, _ANSWER, self._answers)
        self._answers[exchange.number] = content
        self._bytes[exchange.number] = hide_answer(content, self._budget) if content else b""
        exchange.ending = Ending.COMPLETE
        if "end" in line:
            exchange.ending = Ending(line["end"]) if line["end"] is not None else None
            self._ended_apart.add(exchange.number)
        exchange.detail = _text(line.get("detail", ""))

    def _heard(self, line: dict[str, Any], keys: tuple[str, ...], known: dict[int, dict[str, Any]]) -> dict[str, Any]:
        content = {key: line[key] for key in keys if key in line}
        if "like" not in line:
            return content
        heard = hear(content, known[_number(line["like"])], self._budget)
        if not isinstance(heard, dict):
            raise Unreadable("a likeness to nothing")
        return heard

    def _stream(self, line: dict[str, Any]) -> None:
        data = hide({key: line[key] for key in ("text", "base64") if key in line})
        self._streams[line["stream"]].append(data)

    def _not_captured(self, line: dict[str, Any]) -> None:
        self._uncaptured.append(
            Uncaptured(_text(line["not_captured"]), _text(line["reason"]), _number(line["bytes"], most=1 << 62))
        )

    def _incomplete_from(self, line: dict[str, Any]) -> None:
        self._incomplete.append(_text(line["incomplete"]))

    def _exited(self, line: dict[str, Any]) -> None:
        if not {type(line["exit"]), type(line["signal"])} <= {int, type(None)}:
            raise Unreadable("no exit code")
        self._exit = line

    def _event_inside(self, line: dict[str, Any]) -> None:
        self._inside.line(line)

    def _inside_when(self, line: dict[str, Any]) -> None:
        self._inside.when(line)

    def _when(self, line: dict[str, Any]) -> None:
        if line["when"] == 0:
            self._header |= {name: line[name] for name in DRAWN if name in line}
            self._us = _number(line["us"], most=_MAX_US)
            self._stdio = line["stdio"]
            return
        exchange = self._exchanges[_number(line["when"])]
        if exchange.opened_ns:
            raise Unreadable(f"a second time of step {exchange.number}")
        exchange.opened_ns = STARTED_NS + _ns(line["us"])
        exchange.connection = _number(line["connection"], most=1 << 62)
        exchange.reused = line.get("reused") is True
        exchange.upstream = _text(line.get("upstream", ""))
        raw = self._bytes.get(exchange.number, b"")
        sizes = self._sizes(line, raw)
        ended_apart = exchange.number in self._ended_apart
        orders = self._orders(line["order"], 2 + len(sizes) + ended_apart)
        exchange.opened_order = orders[0]
        exchange.asked_order = orders[1] if exchange.asked_order >= 0 else -1
        exchange.chunks = self._chunks(line, raw, sizes, orders[2:], exchange.opened_ns, last=not ended_apart)
        if ended_apart:
            exchange.ended_order = orders[-1]
            exchange.ended_ns = exchange.opened_ns + _ns(line["ended"]) if line["ended"] is not None else 0
            exchange.ended_flags = _number(line.get("end_flags", 0), most=255)
        elif exchange.chunks:
            last = exchange.chunks[-1]
            exchange.ended_ns, exchange.ended_order, exchange.ended_flags = last.t_ns, last.order, last.flags
        if not ended_apart and not ends_with_last_read(exchange):
            raise Unreadable(f"nothing says how step {exchange.number} ended")

    def _sizes(self, line: dict[str, Any], raw: bytes) -> list[int]:
        if "bytes" in line:
            sizes = unrun(line["bytes"], self._budget)
        elif "reads" in line:
            ends = [0, *unit_ends(raw)]
            self._budget.pointers(len(ends) * 5)
            places = list(accumulate(unrun(line["reads"], self._budget)))
            if places and places[-1] >= len(ends):
                raise Unreadable("more reads than the answer has parts")
            reached = [ends[place] for place in places]
            sizes = [b - a for a, b in zip([0, *reached], reached, strict=False)]
        else:
            sizes = []
        if sum(sizes) != len(raw):
            raise Unreadable("reads that are not those of the answer")
        return sizes

    def _orders(self, told: Any, count: int) -> list[int]:
        if type(told) is int:
            self._budget.pointers(count * 5)
            return list(range(_number(told), told + count))
        if len(told) != count:
            raise Unreadable("an order of something else")
        return [_number(order) or -1 for order in told]

    def _chunks(
        self, line: dict[str, Any], raw: bytes, sizes: list[int], orders: list[int], opened_ns: int, *, last: bool
    ) -> list[Chunk]:
        if not sizes:
            return []
        times = list(accumulate(line["at"]))
        if len(times) != len(sizes):
            raise Unreadable("not one time for each read")
        flags = usual_flags(len(sizes), last=last)
        for number, each in line.get("flags", ()):
            flags[_number(number)] = _number(each, most=255)
        self._budget.take(len(raw) + len(sizes) * 160)
        chunks, at = [], 0
        for size, us, order, flag in zip(sizes, times, orders, flags, strict=False):
            chunks.append(Chunk(opened_ns + _ns(us), raw[at : at + size], order, flag))
            at += size
        return chunks

    _KINDS: ClassVar[dict[str, Callable[[Any, dict[str, Any]], None]]] = {
        "cassette": _cassette,
        "environment": _environment,
        "ask": _ask,
        "answer": _answer,
        "stream": _stream,
        "not_captured": _not_captured,
        "incomplete": _incomplete_from,
        "exit": _exited,
        "when": _when,
        "inside": _event_inside,
        "inside_when": _inside_when,
        "lane": _lane,
    }

    def recording(self) -> Recording:
        """All that was said. Raises as `line` does."""
        untold = [number for number, exchange in self._exchanges.items() if not exchange.opened_ns]
        if untold:
            raise Unreadable(f"no time of step {untold[0]}")
        recording = Recording(Header.from_json(self._header), STARTED_NS)
        recording.exchanges = sorted(self._exchanges.values(), key=lambda exchange: exchange.number)
        recording.lanes = self._lanes
        recording.stdio = self._pieces()
        recording.uncaptured = self._uncaptured
        recording.incomplete = self._incomplete
        recording.duration_s = self._us / 1e6
        recording.sealed = True
        for process, events in self._inside.finish().items():
            take_inside(recording, process, events)
        if recording.unreadable:
            raise Unreadable(recording.unreadable[0])
        take_in_tools(recording)
        recording.number_steps()
        if self._exit is not None:
            recording.has_exit = True
            recording.exit_code, recording.exit_signal = self._exit["exit"], self._exit["signal"]
        return recording

    def _pieces(self) -> list[StdioChunk]:
        """The standard streams, cut where they were read."""
        whole = {fd: b"".join(self._streams[name]) for fd, name in enumerate(STREAMS)}
        at = [0, 0, 0]
        pieces = []
        for us, fd, size in self._stdio:
            start = at[fd]
            at[fd] = start + _number(size)
            pieces.append(StdioChunk(STARTED_NS + _ns(us), fd, whole[fd][start : at[fd]]))
        if any(at[fd] != len(data) for fd, data in whole.items()):
            raise Unreadable("stdin, stdout or stderr has another length than its pieces together")
        return pieces


def _given_back(read: Callable[[], _Read], number: int) -> _Read:
    """What is read of a shown body. JSON that was edited by hand need not have any bytes."""
    try:
        return read()
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRecording(
            f"The request of step {number} cannot be read.",
            code="cassette-damaged",
            expected="JSON that can be written",
            seen=str(error),
            todo="restore the cassette from a copy",
        ) from None


def _number(value: Any, *, least: int = 0, most: int = (1 << 31) - 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Unreadable(f"{str(value)[:40]} is no number from {least} to {most}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable("something else where text was due")
    return value


def _ns(us: Any) -> int:
    if type(us) is not int or abs(us) > _MAX_US:
        raise Unreadable("no time")
    return us * 1000
