"""What a cassette says of a recording, line by line. docs/reference/cassette.md describes each kind of line.

First what was said, in an order that two recordings of one agent share, then when it was said: a recording that is made
again differs in the lines that differ. The lines are JSON objects; seal.py puts them into bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.cassette import inside
from playhead.cassette.growing import Grown, grown
from playhead.cassette.likeness import NotTold, tell
from playhead.cassette.payload import PLAIN_STYLE, show, show_head
from playhead.cassette.seal import encoded
from playhead.cassette.stream import runs, show_answer, unit_ends
from playhead.core.events import Flag
from playhead.journal.bodies.spans import common_prefix, common_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.sessions.model import RecordedExchange, Recording

FORMAT = 1
STREAMS = ("stdin", "stdout", "stderr")
DRAWN = ("created_ns", "port", "seed", "hash_seed")  # of the header: what differs in every run
_CLOSE = 256  # bytes by which requests may be less like another and still be tried
RECENT = 8  # requests that a request may be told by its likeness to
_LINES_APART = 1000  # lines of a standard stream that are told one by one; of more, so many make a line
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)

# Settings of a machine and a person, not of an agent: they would not help where the cassette is replayed.
_LOCAL = frozenset(
    [
        "_",
        "DISPLAY",
        "HOME",
        "HOSTNAME",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "LS_COLORS",
        "MAIL",
        "MANPATH",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "TEMP",
        "TERM",
        "TMP",
        "TMPDIR",
        "TTY",
        "USER",
        "USERNAME",
        "VIRTUAL_ENV",
        "WINDOWID",
        "XAUTHORITY",
    ]
)
_LOCAL_FAMILIES = (
    *("COLORTERM", "CONDA_", "DBUS_", "DESKTOP_", "GNOME_", "GPG_", "GTK_", "ITERM_", "KITTY_", "NVM_", "PLAYHEAD_"),
    *("PYENV_", "SSH_", "SUDO_", "TERM_", "TMUX", "VSCODE_", "VTE_", "WAYLAND_", "WSL", "XDG_", "ZSH"),
)


def lines_of(recording: Recording) -> Iterator[dict[str, Any]]:
    """The lines of a recording, in order. Bodies are read one at a time."""
    header = recording.header.to_json()
    environment = portable_environment(header.pop("environment"))
    drawn = {name: header.pop(name) for name in DRAWN}
    yield {"cassette": FORMAT, **header}
    yield {"environment": environment}
    for lane in sorted(recording.lanes.values(), key=lambda lane: lane.number):
        yield {"lane": lane.number, "key": lane.key, "argv": lane.argv}
    asks, answers = _Asks(), _Answers()
    for exchange in recording.exchanges:
        yield asks.line(exchange)
        yield answers.line(exchange)
    yield from inside.content_lines(recording)
    for fd, name in enumerate(STREAMS):
        yield from _stream_lines(name, recording.output(fd))
    for item in recording.uncaptured:
        yield {"not_captured": item.host, "reason": item.reason, "bytes": item.bytes}
    for reason in recording.incomplete:
        yield {"incomplete": reason}
    if recording.has_exit:
        yield {"exit": recording.exit_code, "signal": recording.exit_signal}
    started = recording.started_ns
    yield {
        "when": 0,
        **drawn,
        "us": round(recording.duration_s * 1e6),
        "stdio": [[_us(c.t_ns - started), c.fd, len(c.data)] for c in recording.stdio],
    }
    ranks = _ranks(recording.exchanges)
    for exchange in recording.exchanges:
        yield _when(exchange, started, ranks)
    yield from inside.when_lines(recording)


def portable_environment(environment: dict[str, str]) -> dict[str, str]:
    """The variables that may be settings of the agent, without those of the machine and the person."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if name not in _LOCAL and not name.startswith(_LOCAL_FAMILIES)
    }


@dataclass(frozen=True, slots=True)
class _Told:
    raw: bytes
    shown: dict[str, Any]
    grown: Grown | None


class _Base(NamedTuple):
    number: int
    told: _Told
    prefix: int  # bytes with which both bodies begin
    alike: int  # and those with which they end


class _Asks:
    """Requests, each by its likeness to one of the recent ones."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, _Told] = OrderedDict()

    def line(self, exchange: RecordedExchange) -> dict[str, Any]:
        line = _asked(exchange)
        if exchange.asked_order < 0:
            return {**line, "unknown": True}
        body = exchange.body
        bases = self._bases(body)
        first = max(bases, key=lambda base: base.prefix, default=None)
        parsed = grown(body, first.told.grown if first else None, first.prefix if first else 0)
        shown: dict[str, Any] = {"head": show_head(exchange.head)}
        if parsed is not None:
            shown["json"] = parsed.value
            if parsed.style != PLAIN_STYLE:
                shown["style"] = parsed.style
        elif body:
            shown |= show(body)
        number, told = _shortest(shown, bases)
        if told is not None:
            self._recent.move_to_end(number)
            line["like"] = number
        self._recent[exchange.number] = _Told(body, shown, parsed)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return {**line, **(shown if told is None else told)}

    def _bases(self, body: bytes) -> list[_Base]:
        """The recent requests that begin and end most like this one, the last first. Where none stands out (an agent
        that puts a clock in front, or drops old messages) there are several."""
        found: list[_Base] = []
        for number, told in reversed(self._recent.items()):
            front = common_prefix(told.raw, body)
            alike = front + common_suffix(told.raw, body, min(len(told.raw), len(body)) - front)
            found.append(_Base(number, told, front, alike))
            if alike * 10 >= len(body) * 9:
                break
        most = max((base.alike for base in found), default=0)
        return [base for base in found if base.alike >= most - _CLOSE]


def _asked(exchange: RecordedExchange) -> dict[str, Any]:
    """What there is to say of a question but for its words."""
    target = exchange.target
    line: dict[str, Any] = {
        "ask": exchange.number,
        "to": f"{target.scheme}://{target.host}:{target.port}",
        "route": str(exchange.route),
        "lane": exchange.lane,
    }
    if exchange.lane_mark:
        line["mark"] = f"{exchange.lane_mark:016x}"
    if exchange.within:
        line["within"] = exchange.within
    if exchange.orders:
        line["orders"] = True
    if exchange.protocol != "http/1.1":
        line["protocol"] = exchange.protocol
    if exchange.cut is not None:
        line["cut"] = exchange.cut
    if exchange.request_redacted:
        line["redacted"] = True
    return line


def _shortest(shown: dict[str, Any], bases: list[_Base]) -> tuple[int, dict[str, Any] | None]:
    """What is shown by its likeness to that base which leaves the least to tell, and the base's number."""
    best: tuple[int, dict[str, Any] | None] = (0, None)
    size = 0
    for base in bases:
        told = _told(shown, base.told.shown)
        if told is None or len(bases) == 1:
            best = (base.number, told) if told is not None else best
            continue
        length = len(encoded(told))
        if best[1] is None or length < size:
            best, size = (base.number, told), length
    return best


class _Answers:
    """Answers, each by its likeness to the last one from the same place."""

    def __init__(self) -> None:
        self._last: dict[tuple[Any, bytes], tuple[int, dict[str, Any]]] = {}

    def line(self, exchange: RecordedExchange) -> dict[str, Any]:
        line: dict[str, Any] = {"answer": exchange.number}
        if not ends_with_last_read(exchange):
            line["end"] = exchange.ending.value if exchange.ending else None
            if exchange.detail:
                line["detail"] = exchange.detail
        shown = show_answer(exchange.answer)
        if not shown:
            return line
        place = (exchange.target, exchange.head.partition(b"\r\n")[0])
        number, base = self._last.get(place, (0, None))
        self._last[place] = (exchange.number, shown)
        told = _told(shown, base) if base is not None else None
        return {**line, "like": number, **told} if told is not None else {**line, **shown}


def _told(shown: dict[str, Any], base: dict[str, Any]) -> dict[str, Any] | None:
    """What is shown, by its likeness to a base; None when it has none."""
    try:
        told = tell(shown, base)
        if told == shown:
            return None
    except (NotTold, RecursionError):
        return None
    assert isinstance(told, dict)  # noqa: S101  an object is told as an object
    return told


def ends_with_last_read(exchange: RecordedExchange) -> bool:
    """Whether the last read of the answer says all there is to say of its end."""
    if not exchange.chunks or exchange.detail:
        return False
    last = exchange.chunks[-1]
    return bool(last.flags & _LAST) and exchange.ended_order == last.order


def _stream_lines(name: str, data: bytes) -> Iterator[dict[str, Any]]:
    if not data:
        return
    pieces = data.splitlines(keepends=True) if data.count(b"\n") < _LINES_APART else []
    if not pieces:
        lines = data.split(b"\n")
        pieces = [b"\n".join(lines[at : at + _LINES_APART]) + b"\n" for at in range(0, len(lines), _LINES_APART)]
        pieces[-1] = pieces[-1][:-1]
    try:
        texts = [piece.decode() for piece in pieces if piece]
    except UnicodeDecodeError:
        yield {"stream": name, "base64": b64encode(data).decode()}
        return
    for text in texts:
        yield {"stream": name, "text": text}


def _us(ns: int) -> int:
    """Microseconds, rounded as `inspect` rounds seconds."""
    return round(round(ns / 1e9, 6) * 1e6)


def _ranks(exchanges: list[RecordedExchange]) -> dict[int, int]:
    """Places in the order of everything that happened, from 1 and without gaps."""
    orders = (
        {e.opened_order for e in exchanges} | {e.asked_order for e in exchanges} | {e.ended_order for e in exchanges}
    )
    orders |= {chunk.order for exchange in exchanges for chunk in exchange.chunks}
    orders.discard(-1)
    return {order: rank for rank, order in enumerate(sorted(orders), 1)}


def _when(exchange: RecordedExchange, started_ns: int, ranks: dict[int, int]) -> dict[str, Any]:
    opened, chunks = exchange.opened_ns, exchange.chunks
    line: dict[str, Any] = {"when": exchange.number, "us": _us(opened - started_ns), "connection": exchange.connection}
    if exchange.reused:
        line["reused"] = True
    if exchange.upstream:
        line["upstream"] = exchange.upstream
    orders = [exchange.opened_order, exchange.asked_order, *(c.order for c in chunks)]
    if not ends_with_last_read(exchange):
        line["ended"] = _us(exchange.ended_ns - opened) if exchange.ended_ns else None
        orders.append(exchange.ended_order)
        if exchange.ended_flags:
            line["end_flags"] = int(exchange.ended_flags)
    places = [ranks.get(order, 0) for order in orders]
    consecutive = all(b == a + 1 for a, b in pairwise(places))
    line["order"] = places[0] if consecutive else places
    if chunks:
        line |= _reads(exchange)
        times = [_us(c.t_ns - opened) for c in chunks]
        line["at"] = [times[0], *(b - a for a, b in pairwise(times))]
        usual = usual_flags(len(chunks), last=ends_with_last_read(exchange))
        unusual = [
            [n, int(c.flags)] for n, (c, flags) in enumerate(zip(chunks, usual, strict=True)) if c.flags != flags
        ]
        if unusual:
            line["flags"] = unusual
    return line


def usual_flags(reads: int, *, last: bool) -> list[int]:
    """FIRST on the first read, LAST on the last one if the exchange ended with it."""
    flags = [0] * reads
    flags[0] = _FIRST
    if last:
        flags[-1] |= _LAST
    return flags


def _reads(exchange: RecordedExchange) -> dict[str, Any]:
    """How the answer was read: how many of its parts each read brought, or how many bytes."""
    sizes = [len(chunk.data) for chunk in exchange.chunks]
    place = {end: number for number, end in enumerate(unit_ends(exchange.answer), 1)} | {0: 0}
    at, passed, counts = 0, 0, []
    for size in sizes:
        at += size
        if at not in place:
            return {"bytes": runs(sizes)}
        counts.append(place[at] - passed)
        passed = place[at]
    return {"reads": runs(counts)}
