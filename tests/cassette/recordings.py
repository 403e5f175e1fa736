"""Recordings that are made for tests of cassettes: drawn ones, and what of a recording a cassette must keep."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from playhead.cassette.writing import portable_environment
from playhead.core.events import Ending, Flag
from playhead.core.tape import Target
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, Lane, RecordedExchange, Recording, StdioChunk, Uncaptured

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "7f3a2b9c41d0e655"
STARTED_NS = 77_000_000_000

words = st.text(st.characters(exclude_categories=()), max_size=12)
_leaves = (
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False) | words | st.just("long " * 80)
)
values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(words | st.just("$"), inner, max_size=4),
    max_leaves=12,
)
messages = st.builds(
    lambda role, text, more: {"role": role, "content": text, **more},
    st.sampled_from(["user", "assistant", "tool"]),
    st.builds(lambda text, times: text * times, words, st.integers(0, 60)),
    st.dictionaries(st.sampled_from(["cache_control", "name", "$"]), values, max_size=1),
)


def _as_sent(value: Any, spaced: bool, ascii_only: bool) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


bodies = st.builds(
    _as_sent,
    st.fixed_dictionaries({"model": words, "messages": st.lists(messages, max_size=6)}, optional={"tools": values})
    | values,
    st.booleans(),
    st.booleans(),
)
events = st.builds(
    lambda texts, end: b"".join(
        b'data: {"i":%d,"t":%s}%s' % (n, json.dumps(t).encode(), end) for n, t in enumerate(texts)
    ),
    st.lists(words, max_size=8),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
)


def chunked(body: bytes, size: int) -> bytes:
    """`body` in HTTP chunks of `size` bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


_HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-\xff: 1\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\n\r\n",
    b"HTTP/1.0 200\n\n",
    b"",
)
answers = st.builds(
    lambda head, body, size: head + (chunked(body, size) if b"chunked" in head else body),
    st.sampled_from(_HEADS),
    events | bodies | st.binary(max_size=40),
    st.integers(1, 60),
) | st.binary(max_size=60)


@st.composite
def recordings(draw: Callable[..., Any]) -> Recording:
    """A recording such as a reader builds: orders are numbers of events, each said once, in any interleaving."""
    header = Header(
        ID,
        draw(st.integers(0, 1 << 62)),
        draw(st.lists(words.filter(lambda w: "\0" not in w), max_size=2)),
        "/home/me",
        name=draw(words),
        tags=draw(st.dictionaries(words, words, max_size=2)),
        environment=draw(st.dictionaries(st.sampled_from(["MODE", "PATH", "SSH_TTY", "LANG"]), words, max_size=3)),
        terminal=draw(st.none() | st.just([24, 80])),
    )
    recording = Recording(header, STARTED_NS)
    pending: list[list[tuple[str, RecordedExchange, int]]] = []
    known: list[bytes] = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        exchange = RecordedExchange(
            number,
            Target("https", draw(st.sampled_from(["api.openai.com", "::1"])), draw(st.integers(0, 65535))),
            draw(st.sampled_from(["proxy", "base-url"])),
            draw(st.integers(0, 9)),
            draw(st.booleans()),
            draw(st.sampled_from(["http/1.1", "websocket"])),
            STARTED_NS + draw(st.integers(-(10**6), 10**12)),
            -1,
            upstream=draw(st.sampled_from(["", "127.0.0.1:443"])),
        )
        happened = [("open", exchange, 0)]
        if draw(st.booleans()) or number == 1:
            body = draw(bodies | st.binary(max_size=30) | (st.sampled_from(known) if known else st.nothing()))
            known.append(body)
            exchange.head = draw(
                st.sampled_from([b"POST /v1 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n", b"x"])
            )
            exchange.lane = draw(st.integers(0, 2))
            exchange.read_body = lambda body=body: body
            exchange.request_redacted = draw(st.booleans())
            exchange.cut = draw(st.none() | st.integers(0, 99))
            happened.append(("ask", exchange, 0))
        raw = draw(answers)
        cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=4)))
        edges = [0, *cuts, len(raw)] if raw else [0]
        pieces = [raw[a:b] for a, b in pairwise(edges)]
        moment = exchange.opened_ns
        for n, piece in enumerate(pieces):
            moment += draw(st.integers(0, 10**9))
            exchange.chunks.append(Chunk(moment, piece, -1, Flag.FIRST if n == 0 else draw(st.sampled_from([0, 4, 8]))))
            happened.append(("chunk", exchange, n))
        how = draw(st.sampled_from(["last", "end", "none"]))
        if how == "last" and pieces:
            last = exchange.chunks[-1]
            exchange.chunks[-1] = last._replace(flags=last.flags | Flag.LAST)
            exchange.ending, exchange.ended_ns, exchange.ended_flags = (
                Ending.COMPLETE,
                moment,
                exchange.chunks[-1].flags,
            )
        elif how != "none":
            exchange.ending, exchange.detail = draw(st.sampled_from(list(Ending))), draw(words)
            exchange.ended_ns, exchange.ended_flags = moment + 1000, draw(st.sampled_from([0, 8]))
            happened.append(("end", exchange, 0))
        recording.exchanges.append(exchange)
        pending.append(happened)
    order = draw(st.integers(1, 5))
    while pending:
        at = draw(st.integers(0, len(pending) - 1))
        what, exchange, n = pending[at].pop(0)
        if what == "open":
            exchange.opened_order = order
        elif what == "ask":
            exchange.asked_order = order
        elif what == "end":
            exchange.ended_order = order
        else:
            exchange.chunks[n] = exchange.chunks[n]._replace(order=order)
            if exchange.chunks[n].flags & Flag.LAST:
                exchange.ended_order = order
        order += draw(st.integers(1, 3))
        pending = [each for each in pending if each]
    recording.lanes = {
        n: Lane(n, f"main/{n}", draw(st.lists(words, max_size=2))) for n in range(draw(st.integers(0, 2)))
    }
    pieces = draw(
        st.lists(
            st.tuples(
                st.integers(0, 2), st.binary(max_size=20) | words.map(lambda w: w.encode("utf-8", "ignore") + b"\n")
            ),
            max_size=5,
        )
    )
    recording.stdio = [StdioChunk(STARTED_NS + n * 1000, fd, data) for n, (fd, data) in enumerate(pieces)]
    recording.uncaptured = [Uncaptured(draw(words), "tunnelled", 5)] if draw(st.booleans()) else []
    recording.incomplete = draw(st.lists(words, max_size=1))
    recording.has_exit = draw(st.booleans())
    if recording.has_exit:
        recording.exit_code, recording.exit_signal = draw(st.sampled_from([(0, None), (3, None), (None, 9)]))
        recording.duration_s = draw(st.integers(0, 10**9)) / 1e6
    return recording


def kept(recording: Recording) -> dict[str, Any]:
    """What a cassette keeps of a recording: all but variables of the machine, nanoseconds, and numbers of events, of
    which it keeps the order."""
    orders = {
        o
        for e in recording.exchanges
        for o in (e.opened_order, e.asked_order, e.ended_order, *(c.order for c in e.chunks))
    }
    rank = {order: place for place, order in enumerate(sorted(orders - {-1}), 1)} | {-1: -1}
    started = recording.started_ns
    header = recording.header.to_json()
    header["environment"] = portable_environment(header["environment"])

    def us(ns: int) -> float:
        return round(ns / 1e9, 6)

    return {
        "header": header,
        "lanes": recording.lanes,
        "stdio": [(us(c.t_ns - started), c.fd, c.data) for c in recording.stdio],
        "uncaptured": recording.uncaptured,
        "incomplete": recording.incomplete,
        "exit": (recording.has_exit, recording.exit_code, recording.exit_signal, recording.duration_s),
        "status": recording.status,
        "exchanges": [
            {
                "place": (e.number, e.target, e.route, e.connection, e.reused, e.protocol, e.lane, e.upstream),
                "asked": (e.head, e.body, e.cut, e.request_redacted, rank[e.asked_order]),
                "opened": (us(e.opened_ns - started), rank[e.opened_order]),
                "reads": [(us(c.t_ns - e.opened_ns), c.data, rank[c.order], int(c.flags)) for c in e.chunks],
                "ended": (
                    e.ending,
                    e.detail,
                    us(e.ended_ns - e.opened_ns) if e.ended_ns else 0,
                    rank[e.ended_order],
                    int(e.ended_flags),
                ),
            }
            for e in recording.exchanges
        ],
    }
