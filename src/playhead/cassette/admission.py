"""Makes a session of the store out of a recording: what a cassette says is written as a journal says it, and sealed."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.cassette.seal import encoded
from playhead.cassette.writing import ends_with_last_read, lines_of
from playhead.core.events import Ending, EventKind, Flag
from playhead.core.ids import new_session_id
from playhead.errors import DamagedRecording, IncompatibleRecording, InternalError, SessionNotFound
from playhead.journal.bodies import Encoder
from playhead.journal.processes import write_events
from playhead.journal.segment import SegmentWriter
from playhead.sessions.index import add
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playhead.journal.store import Store
    from playhead.sessions.model import RecordedExchange, Recording

_PART = 16 << 20  # a body beyond this is written in parts, as a recorder does
_LAST, _REDACTED = int(Flag.LAST), int(Flag.REDACTED)


class Admitted(NamedTuple):
    """A session that came in: its id, and whether it was there already or had to take a new id."""

    id: str
    known: bool = False
    renamed: bool = False


class _Event(NamedTuple):
    kind: EventKind
    subject: int
    body: bytes
    meta: dict[str, Any] | None
    flags: int
    t_ns: int


def admit(store: Store, recording: Recording) -> Admitted:
    """Put a recording into the store under its own id, or under a new one when another recording has that. One that is
    there already stays as it is. Raises SetupError when the store cannot be written."""
    session = recording.header.id
    digest = content_digest(recording)
    try:
        there = store.path(session)
    except SessionNotFound:
        pass
    else:
        if _is_same(there, digest):
            return Admitted(session, known=True)
        session = new_session_id()
    renamed = session != recording.header.id
    came = recording
    if renamed:
        came = replace(recording, header=replace(recording.header, id=session))
        digest = content_digest(came)
    with store.writing():
        try:
            written = store.take_in(session, lambda folder: _write(folder, came))
        except FileExistsError:  # another came in meanwhile: perhaps the same
            return admit(store, recording)
        if not _is_same(written, digest):
            store.remove(session)
            raise InternalError(
                "What was imported does not read back as what was in the cassette.",
                code="internal",
                where=session,
                todo="please report it with the cassette; the store is as it was",
            )
    add(store, Session(read_recording(written)))
    return Admitted(session, renamed=renamed)


def content_digest(recording: Recording) -> bytes:
    """SHA-256 of what a cassette of this recording says."""
    digest = sha256()
    for line in lines_of(recording):
        digest.update(encoded(line) + b"\n")
    return digest.digest()


def _is_same(path: Path, digest: bytes) -> bool:
    try:
        recording = read_recording(path)
    except (DamagedRecording, IncompatibleRecording):  # whatever it is, it is another
        return False
    return not recording.damage and not recording.being_written and content_digest(recording) == digest


def _write(folder: Path, recording: Recording) -> None:
    header = recording.header
    launcher = SegmentWriter(folder / "launcher.seg", "launcher", durability="off", playhead=header.playhead)
    try:
        started = json.dumps(header.to_json()).encode()
        launcher.append(EventKind.SESSION, 0, started, t_ns=recording.started_ns)
        for piece in recording.stdio:
            launcher.append(EventKind.STDIO, piece.fd, piece.data, t_ns=piece.t_ns)
        for item in recording.uncaptured:
            launcher.append(EventKind.NOT_CAPTURED, meta=item.to_json())
        for reason in recording.incomplete:
            launcher.append(EventKind.INCOMPLETE, meta={"reason": reason})
        if recording.has_exit:
            code, signal = recording.exit_code, recording.exit_signal
            launcher.append(EventKind.EXIT, meta={"code": code, "signal": signal, "duration_s": recording.duration_s})
    finally:
        launcher.close()
    engine = SegmentWriter(folder / "engine.seg", "engine", durability="off", playhead=header.playhead)
    try:
        for lane in recording.lanes.values():
            engine.append(EventKind.LANE, lane.number, meta={"key": lane.key, "pid": 0, "argv": lane.argv})
        bodies = Encoder()
        for exchange, at in _in_order(recording):
            for event in _events(exchange, at, bodies):
                engine.append(
                    event.kind, event.subject, event.body, meta=event.meta, flags=event.flags, t_ns=event.t_ns
                )
    finally:
        engine.close()
    for process, events in recording.inside.items():
        write_events(folder, process, events)


def _in_order(recording: Recording) -> Iterator[tuple[RecordedExchange, int]]:
    """Everything that happened, in order: the exchange, and -2 for its opening, -1 for its request, n for its nth
    read, the number of reads for its end."""
    places = []
    for exchange in recording.exchanges:
        places.append((exchange.opened_order, exchange.number, -2))
        if exchange.asked_order >= 0:
            places.append((exchange.asked_order, exchange.number, -1))
        places += [(chunk.order, exchange.number, n) for n, chunk in enumerate(exchange.chunks)]
        if exchange.ending is not None and not ends_with_last_read(exchange):
            places.append((exchange.ended_order, exchange.number, len(exchange.chunks)))
    known = {exchange.number: exchange for exchange in recording.exchanges}
    return ((known[number], at) for _, number, at in sorted(places))


def _events(exchange: RecordedExchange, at: int, bodies: Encoder) -> Iterator[_Event]:
    number, opened = exchange.number, exchange.opened_ns
    if at == -2:
        target = exchange.target
        meta = {"scheme": target.scheme, "host": target.host, "port": target.port, "route": str(exchange.route)}
        meta |= {"protocol": exchange.protocol, "connection": exchange.connection, "reused": exchange.reused}
        yield _Event(EventKind.OPEN, number, b"", meta, 0, opened)
        if exchange.upstream:
            yield _Event(EventKind.UPSTREAM, number, b"", {"address": exchange.upstream}, 0, opened)
    elif at == -1:
        whole = body = exchange.body
        while len(body) > _PART:
            yield _Event(EventKind.REQUEST_PART, number, body[:_PART], None, 0, opened)
            body = body[_PART:]
        stored = bodies.encode(number, body, part=body is not whole)
        meta = {"head": len(exchange.head), "lane": exchange.lane}
        if exchange.cut is not None:
            meta["cut"] = exchange.cut
        if exchange.lane_mark:
            meta |= {"mark": exchange.lane_mark, "within": exchange.within, "orders": exchange.orders}
        flags = _REDACTED if exchange.request_redacted else 0
        yield _Event(EventKind.REQUEST, number, exchange.head + stored, meta, flags, opened)
    elif at < len(exchange.chunks):
        chunk = exchange.chunks[at]
        yield _Event(EventKind.ANSWER, number, chunk.data, None, chunk.flags, chunk.t_ns)
    else:
        ended: dict[str, Any] = {"how": (exchange.ending or Ending.CUT).value}
        if exchange.detail:
            ended["detail"] = exchange.detail
        yield _Event(EventKind.END, number, b"", ended, exchange.ended_flags, exchange.ended_ns)
