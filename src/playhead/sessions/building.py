"""Builds a Recording out of the events of its segments."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from playhead.core.boundary import lane_mark
from playhead.core.events import Ending, Event, EventKind, Flag
from playhead.core.tape import Target
from playhead.journal.asked import AskedBodies, operations
from playhead.sessions.answers import Gap, chunks_of, damaged, held
from playhead.sessions.call import calls_of, lane_label
from playhead.sessions.mark import marks_of
from playhead.sessions.model import Lane, RecordedExchange, Sent, StdioChunk, Uncaptured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from playhead.journal.blocks import Placed
    from playhead.journal.bodies import Bodies
    from playhead.journal.bodies.form import Form
    from playhead.sessions.model import Chunk, Recording


class Builder:
    """Takes the events of one segment, in their order. Those that make no sense are passed over and named.

    `bodies` holds the request bodies. `chunks_later` gives the reads of an answer whose ANSWERs are announced by
    `stamps` instead of being given as events with their bodies; None when all are given. `check` = follow
    every request body now, and not only when it is asked for."""

    def __init__(
        self,
        recording: Recording,
        bodies: Bodies | AskedBodies,
        chunks_later: Callable[[int, Gap | None], list[Chunk]] | None = None,
        *,
        check: bool = True,
    ) -> None:
        self.recording = recording
        self.exchanges: dict[int, RecordedExchange] = {}
        self._bodies = bodies
        self._check = check
        self._chunks_later = chunks_later
        self._asked: set[int] = set()  # exchanges whose bodies are in `bodies`
        self._parts: dict[int, list[Callable[[], bytes]]] = {}
        self._answers: dict[int, list[Event]] = {}
        self._answer_flags: dict[int, int] = {}

    def take(self, event: Event, elsewhere: Callable[[], bytes] | None = None) -> None:
        """One event; `elsewhere` reads what of its body is not in it."""
        try:
            self._take(event, elsewhere)
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            self.unreadable(f"event {event.segment}:{event.seq} cannot be read ({error!r})"[:300])

    def stamps(self, number: int, flags: int) -> None:
        """There are reads of the answer of an exchange, to be had by `chunks_later`; their flags or-ed."""
        self._answer_flags[number] = self._answer_flags.get(number, 0) | flags

    def check_held(self, event: Event) -> bool:
        """Whether an ANSWER makes sense; named when it does not."""
        try:
            held(event)
        except (ValueError, TypeError, OverflowError) as error:
            self.unreadable(f"event {event.segment}:{event.seq} cannot be read ({error!r})"[:300])
            return False
        return True

    def finish(self, gaps: Sequence[Gap] = ()) -> None:
        """All events have been taken: put the exchanges into the recording. One that was under way in a gap may have lost
        a read of its answer: it is marked, and its answer ends there."""
        for number in self._answers.keys() | self._answer_flags.keys():
            exchange = self.exchanges.get(number)
            if exchange is None:
                self.unreadable(f"an answer of exchange {number}, of which nothing else is there, cannot be read")
                continue
            gap = _gap_in(exchange, gaps)
            if gap is not None:
                exchange.lost = "a record is damaged that may have been a part of it"
            if self._chunks_later is not None:
                exchange.read_chunks = partial(self._chunks_later, number, gap)
                exchange.known_flags = self._answer_flags[number]
            else:
                exchange.chunks = chunks_of(self._answers[number], gap)
        if self._check:
            self._check_bodies()
        self.recording.exchanges += self.exchanges.values()

    def unreadable(self, reason: str) -> None:
        """Name something that cannot be known."""
        self.recording.unreadable.append(reason)
        self.recording.incomplete.append(reason)

    def _take(self, event: Event, elsewhere: Callable[[], bytes] | None) -> None:  # noqa: C901, PLR0912  one case for each kind
        recording, kind, meta = self.recording, event.kind, event.meta
        if kind is EventKind.OPEN:
            self.exchanges[event.subject] = RecordedExchange(
                event.subject,
                Target(str(meta["scheme"]), str(meta["host"]), int(meta["port"])),
                str(meta["route"]),
                int(meta["connection"]),
                bool(meta["reused"]),
                str(meta["protocol"]),
                event.t_ns,
                event.seq,
            )
        elif kind is EventKind.REQUEST:
            self._request(event)
        elif kind is EventKind.REQUEST_PART:
            self._parts.setdefault(event.subject, []).append(elsewhere or partial(_same, event.body))
        elif kind is EventKind.ANSWER:
            self._answer(event)
        elif kind is EventKind.END:
            self._end(self.exchanges[event.subject], event, Ending(meta["how"]), str(meta.get("detail", "")))
        elif kind is EventKind.UPSTREAM:
            self.exchanges[event.subject].upstream = str(meta["address"])
        elif kind is EventKind.SENT:
            from playhead.core.websocket import is_upgrade  # here: few recordings have one

            exchange = self.exchanges[event.subject]
            if exchange.protocol == "http/1.1":
                exchange.protocol = "websocket" if is_upgrade(exchange.head) else "upgraded"
            said = meta.get("said")
            place = event.seq, event.t_ns, None if said is None else int(said), bool(event.flags & Flag.REDACTED)
            exchange.sent.append(Sent(*place, elsewhere or partial(_same, event.body)))
        elif kind is EventKind.LANE:
            recording.lanes[event.subject] = Lane(event.subject, str(meta["key"]), [str(a) for a in meta["argv"]])
        elif kind is EventKind.STDIO:
            recording.stdio.append(StdioChunk(event.t_ns, event.subject, event.body))
        elif kind is EventKind.NOT_CAPTURED:
            recording.uncaptured.append(Uncaptured(str(meta["host"]), str(meta["reason"]), int(meta.get("bytes", 0))))
        elif kind is EventKind.EXIT:
            code, signal, duration_s = meta["code"], meta.get("signal"), float(meta.get("duration_s", 0.0))
            if not {type(code), type(signal)} <= {int, type(None)} or not 0 <= duration_s < math.inf:
                raise ValueError("no exit code")
            recording.has_exit = True
            recording.exit_code, recording.exit_signal, recording.duration_s = code, signal, duration_s
        elif kind is EventKind.INCOMPLETE:
            recording.incomplete.append(str(meta["reason"]))

    def _request(self, event: Event) -> None:
        exchange = self.exchanges[event.subject]
        if not event.subject:
            raise ValueError("exchanges are numbered from 1")
        head_length = int(event.meta["head"])
        exchange.head = event.body[:head_length]
        exchange.lane = int(event.meta.get("lane", 0))
        exchange.asked_order = event.seq
        exchange.lane_mark, exchange.within = int(event.meta.get("mark", 0)), int(event.meta.get("within", 0))
        exchange.orders = event.meta.get("orders") is True
        if "cut" in event.meta:  # the caller went away in the middle of asking, or was answered before its end
            exchange.cut = int(event.meta["cut"])
        exchange.request_redacted = bool(event.flags & Flag.REDACTED)
        stored = event.body[head_length:]
        parts = self._parts.get(event.subject)
        if not stored and not parts:
            return
        self._asked.add(event.subject)
        exchange.read_body = partial(_body, self._bodies, event.subject)
        if parts:
            exchange.read_body = partial(_joined, parts, exchange.read_body)
        else:
            exchange.read_form = partial(_form, self._bodies, event.subject)
        if isinstance(self._bodies, AskedBodies):
            self._bodies.put_ops(event.subject, operations(stored))
        else:
            self._bodies.put(event.subject, stored)

    def _answer(self, event: Event) -> None:
        if not self.check_held(event):
            return
        if self._chunks_later is None:
            self._answers.setdefault(event.subject, []).append(event)
        self.stamps(event.subject, event.flags)
        if event.flags & Flag.LAST:
            self._end(self.exchanges[event.subject], event, Ending.COMPLETE, "")

    def _check_bodies(self) -> None:
        """A request that refers to a lost one cannot be known: it counts as never completed, and is named."""
        for number, exchange in self.exchanges.items():
            if number in self._asked:
                try:
                    self._bodies.check(number)
                except ValueError as error:
                    self.forget(exchange, str(error))

    def leads_to(self, number: int, lost: Sequence[tuple[int, int]]) -> bool:
        """Whether the body of an exchange holds bytes of one of these parts of ASKED."""
        if not isinstance(self._bodies, AskedBodies) or number not in self._asked:
            return False
        try:
            spans = self._bodies.spans(number)
        except ValueError:
            return True
        return any(start < last and first < start + length for start, length in spans for first, last in lost)

    def forget(self, exchange: RecordedExchange, why: str) -> None:
        """The request of an exchange cannot be known."""
        self.unreadable(f"the request of step {exchange.number} cannot be read ({why})")
        exchange.read_body = bytes
        exchange.read_form = None
        exchange.asked_order = -1

    def _end(self, exchange: RecordedExchange, event: Event, how: Ending, detail: str) -> None:
        exchange.ending, exchange.detail = how, detail
        exchange.ended_ns, exchange.ended_order, exchange.ended_flags = event.t_ns, event.seq, event.flags


def take_inside(recording: Recording, process: str, events: list[Event]) -> None:
    """What one process of the agent wrote becomes part of the recording; what makes no sense of it is named."""
    recording.inside[process] = events
    for event in events:
        if event.kind is EventKind.LANE:
            path = str(event.meta.get("key"))
            recording.lane_names[lane_mark(process, path)] = lane_label(process, path)
    try:
        recording.calls += calls_of(process, events)
        recording.marks += marks_of(process, events)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        recording.unreadable.append(f"what process {process} of the agent wrote cannot be read ({error!r})"[:300])
        recording.incomplete.append(recording.unreadable[-1])


def _gap_in(exchange: RecordedExchange, gaps: Sequence[Gap]) -> Gap | None:
    """The first gap in the time of an exchange."""
    end = exchange.ended_order if exchange.ended_order >= 0 else math.inf
    return next((gap for gap in gaps if exchange.opened_order < gap.last + 1 and gap.first < end), None)


def _body(bodies: Bodies | AskedBodies, number: int) -> bytes:
    try:
        return bodies.get(number)
    except ValueError as error:
        raise damaged(f"the request of step {number}", str(error)) from None


def _form(bodies: Bodies | AskedBodies, number: int) -> Form | None:
    try:
        return bodies.form(number)
    except ValueError:
        return None


def _part(placed: Placed, read: Callable[[Placed], bytes]) -> bytes:
    try:
        return read(placed)
    except ValueError as error:
        raise damaged(f"the request of step {placed.event.subject}", str(error)) from None


def part_of(placed: Placed, read: Callable[[Placed], bytes]) -> Callable[[], bytes]:
    """Reads the end of a body that stays in its file."""
    return partial(_part, placed, read)


def _same(data: bytes) -> bytes:
    return data


def _joined(parts: list[Callable[[], bytes]], rest: Callable[[], bytes]) -> bytes:
    return b"".join([*(part() for part in parts), rest()])
