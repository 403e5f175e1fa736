"""The recorder: a tape that asks the world, writes the answer down, and only then lets the agent have it.

Bytes go to the world as they came. What is written is redacted first. When writing fails the agent's calls go on
unrecorded and the recording says from where: recording fails open.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from playhead.core.events import RESETTING, Ending, EventKind, Flag
from playhead.journal.bodies import Encoder
from playhead.journal.gate import ClientsOwn
from playhead.journal.intent import AskedWhenDurable

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Redactor, Stream
    from playhead.core.tape import Asking, Caller, Connection, Exchange, Route, Target, World
    from playhead.core.websocket import Said
    from playhead.journal.gate import Gate
    from playhead.journal.segment import SegmentWriter

# Plain numbers: arithmetic on an IntFlag costs a microsecond each, and this is the way of every byte.
_FIRST, _LAST, _REDACTED, _UNOBSERVED = map(int, (Flag.FIRST, Flag.LAST, Flag.REDACTED, Flag.ORDER_UNOBSERVED))
_PLACES_KEPT = 256
_CLIENTS_OWN = ClientsOwn()
UNDELIVERED_BYTES = 1 << 20  # of an answer that wait to be durable, before the world is told to wait
SPILL_BYTES = 16 << 20  # a request body beyond this is written in parts, without a base, so that it is never in memory
_Arguments = ParamSpec("_Arguments")


def _fails_open(
    method: Callable[Concatenate[RecordedTurn, _Arguments], None],
) -> Callable[Concatenate[RecordedTurn, _Arguments], None]:
    """A step of writing whose own fault ends the recording and never the agent's call."""

    def guarded(turn: RecordedTurn, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        try:
            method(turn, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, the call goes on
            turn.failed(f"the recorder failed: {type(error).__name__}")

    return guarded


class Recorder:
    """A Tape over one segment and one world; without a writer it only relays. `lane_of` names the lane of a connection
    (0 = unknown) and may write LANE events; `trouble` hears once, with the reason, when the recording stops being
    whole."""

    def __init__(
        self,
        writer: SegmentWriter | None,
        world: World,
        gate: Gate,
        *,
        redactor: Redactor,
        lane_of: Callable[[Connection], int],
        trouble: Callable[[str], None],
    ) -> None:
        self.writer = writer
        self.world = world
        self.gate = gate
        self.redactor = redactor
        self.lane_of = lane_of
        self.bodies = Encoder()
        self.whole = writer is not None
        self.exchanges = 0
        self.when_durable = writer.when_durable if writer is not None and writer.waits else None
        self._places: dict[tuple[Target, Route, str], bytes] = {}
        self._trouble = trouble
        if writer is not None:
            writer.sync_failed = self.not_written

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> RecordedTurn:
        self.exchanges += 1
        connection = exchange.connection
        if self.whole:
            key = (exchange.target, connection.route, exchange.protocol)
            place = self._places.get(key) or self._place(key)
            meta = place % (connection.number, b"true" if exchange.reused else b"false")
            self.write(EventKind.OPEN, exchange.number, meta=meta, t_ns=exchange.arrived_ns)
        self.gate_of(exchange).begun(exchange)
        return RecordedTurn(self, exchange, head, caller)

    def gate_of(self, exchange: Exchange) -> Gate:
        """None is needed where the client itself orders what it is given."""
        return _CLIENTS_OWN if exchange.asker is not None and exchange.asker.orders else self.gate

    def _place(self, key: tuple[Target, Route, str]) -> bytes:
        """The meta of an OPEN event but for connection and reuse; calls go to a few places again and again."""
        target, route, protocol = key
        known = {
            "scheme": target.scheme,
            "host": target.host,
            "port": target.port,
            "route": route,
            "protocol": protocol,
        }
        known_json = json.dumps(known, separators=(",", ":")).replace("%", "%%").encode()
        place = known_json[:-1] + b',"connection":%d,"reused":%s}'
        if len(self._places) >= _PLACES_KEPT:
            self._places.clear()
        self._places[key] = place
        return place

    def write(
        self,
        kind: EventKind,
        subject: int,
        body: bytes = b"",
        *,
        meta: dict[str, Any] | bytes | None = None,
        flags: int = 0,
        t_ns: int = 0,
    ) -> None:
        """Append to the segment; on failure mark the recording incomplete and go on."""
        if not self.whole or self.writer is None:
            return
        try:
            self.writer.append(kind, subject, body, meta=meta, flags=flags, t_ns=t_ns)
        except OSError as error:
            self.not_written(error)

    def not_written(self, error: OSError) -> None:
        """The disk refused a record, or to keep those it took."""
        self.fail(f"the recording could not be written: {error.strerror or error}")

    def fail(self, reason: str) -> None:
        """From here on nothing is recorded."""
        if self.whole:
            self.whole = False
            self._trouble(reason)


class RecordedTurn:
    """One exchange between its caller and the world: a Turn to the one, an Answering to the other.

    Where records wait for a group commit (`Recorder.when_durable`), so does what must not happen before: that the
    question leaves, and that its caller is given the answer.
    """

    __slots__ = (
        "_answer",
        "_asking",
        "_backlog",
        "_body",
        "_body_size",
        "_caller",
        "_client_is_full",
        "_exchange",
        "_gone",
        "_head",
        "_heard",
        "_held_back",
        "_over",
        "_raw",
        "_recorder",
        "_said",
        "_scope",
        "_seen",
        "_spilled",
        "_spilled_size",
        "_undelivered",
        "_unwritten",
    )

    def __init__(self, recorder: Recorder, exchange: Exchange, head: bytes, caller: Caller) -> None:
        self._recorder = recorder
        self._exchange = exchange
        self._caller = caller
        self._head: bytes | None = head
        self._body: list[bytes] = []
        self._body_size = 0
        self._spilled: Stream | None = None  # redacts a body written in parts
        self._spilled_size = 0
        self._scope = recorder.redactor.message()
        self._answer = self._scope.answer(h2=exchange.protocol == "h2")
        self._unwritten = b""  # answer bytes delivered whose redaction is not decided yet
        self._seen = False  # the first byte of the answer was released
        self._held_back = False  # what came of ours waits at the gate
        self._backlog: list[tuple[bytes, int, Ending | None, str]] = []
        self._over = False
        self._gone = False  # the caller is
        self._client_is_full = False
        self._undelivered = 0  # bytes that wait to be durable
        self._raw = exchange.protocol != "http/1.1"
        self._said: Said | None = None  # by the client of a websocket
        self._heard: Said | None = None  # from its server
        if self._raw:
            self._write_request()
        self._asking: Asking = (
            recorder.world.ask(exchange, head, self)
            if recorder.when_durable is None
            else AskedWhenDurable(recorder.world, exchange, head, self, recorder.when_durable)
        )

    # -- Turn: what the caller does

    def feed(self, data: bytes) -> None:
        if self._raw:  # many questions may share a raw line, so each piece is an intent
            self._write_sent(data)
            if self._recorder.when_durable is None:
                self._asking.feed(data)
            else:
                self._recorder.when_durable(lambda: self._asking.feed(data))
            return
        self._asking.feed(data)
        self._body.append(data)
        self._body_size += len(data)
        if self._body_size > SPILL_BYTES:
            self._spill()

    def end(self) -> None:
        self._asking.end()
        self._write_request()

    def abandon(self) -> None:
        self._gone = True
        if self._over:
            return
        self._over = True
        self._asking.abort()
        self._write_request(whole=False)
        self._write_end(Ending.ABANDONED, "")
        self._recorder.gate_of(self._exchange).ended(self._exchange)

    def hold(self, *, holding: bool) -> None:
        self._client_is_full = holding
        if self._undelivered <= UNDELIVERED_BYTES:
            self._asking.hold(holding=holding)

    # -- Answering: what the world does

    def answered(self, data: bytes, *, last: bool) -> None:
        if self._over:
            return
        self._take(data, _LAST if last else 0, Ending.COMPLETE if last else None, "")

    def ended(self, how: Ending, detail: str = "") -> None:
        if not self._over:
            self._take(b"", 0, how, detail)

    def reached(self, address: str, *, reused: bool) -> None:
        if not reused:
            self._recorder.write(EventKind.UPSTREAM, self._exchange.number, meta={"address": address})

    def crowded(self, *, crowded: bool) -> None:
        self._caller.hold(holding=crowded)

    def upgraded(self, protocol: str) -> None:
        self._write_request()
        self._exchange.protocol = protocol
        self._raw = True
        if protocol == "websocket":
            from playhead.core.websocket import Said  # here: few runs have one

            self._said = Said()

    # -- the way of an answer

    def _take(self, data: bytes, flags: int, how: Ending | None, detail: str) -> None:
        if self._held_back:
            self._backlog.append((data, flags, how, detail))
        else:
            self._held_back = True
            self._recorder.gate_of(self._exchange).release(
                self._exchange,
                lambda observed: self._let_go(data, flags, how, detail, observed=observed),
                read_first=how in RESETTING,
                within=self._seen and how is None,
            )

    def _let_go(self, data: bytes, flags: int, how: Ending | None, detail: str, *, observed: bool) -> None:
        self._held_back = False
        if self._over:
            return
        self._pass(data, flags, how, detail, observed=observed)
        if self._backlog:
            backlog, self._backlog = self._backlog, []
            for item in backlog:
                self._take(*item)

    def _pass(self, data: bytes, flags: int, how: Ending | None, detail: str, *, observed: bool) -> None:
        """Write, then deliver."""
        if not observed:
            flags |= _UNOBSERVED
        if not self._seen:
            flags |= _FIRST
            self._seen = True
        recorder = self._recorder
        if data and recorder.whole:
            self._write_answer(data, flags)
        if how is not None:
            self._over = True
            if not flags & _LAST:
                self._write_end(how, detail, flags)
            if self._head is not None:  # the answer came before it was complete
                self._write_request(whole=False)
        if recorder.when_durable is None:
            if data:
                self._caller.deliver(data)
            if how is not None:
                self._hand_over(b"", how)
            return
        self._keep_until(recorder.when_durable, data, how)

    def _keep_until(self, when_durable: Callable[[Callable[[], None]], None], data: bytes, how: Ending | None) -> None:
        before, self._undelivered = self._undelivered, self._undelivered + len(data)
        if before <= UNDELIVERED_BYTES < self._undelivered and not self._client_is_full:
            self._asking.hold(holding=True)
        when_durable(lambda: self._now_durable(data, how))

    def _now_durable(self, data: bytes, how: Ending | None) -> None:
        before, self._undelivered = self._undelivered, self._undelivered - len(data)
        self._hand_over(data, how)
        if before > UNDELIVERED_BYTES >= self._undelivered and not self._client_is_full:
            self._asking.hold(holding=False)

    def _hand_over(self, data: bytes, how: Ending | None) -> None:
        if data and not self._gone:
            self._caller.deliver(data)
        if how is not None:
            if not self._gone:
                self._caller.finish(how)
            self._recorder.gate_of(self._exchange).ended(self._exchange)

    # -- what is written

    def failed(self, reason: str) -> None:
        """Nothing more is recorded."""
        self._recorder.fail(reason)

    @_fails_open
    def _write_sent(self, data: bytes, *, last: bool = False) -> None:
        """Write what redaction has decided on of what the client said."""
        sent, said = self._answer.sent, self._said
        if last and sent is None:
            return
        before = 0 if sent is None else sent.changed
        clean = self._scope.body(data) if sent is None else sent.close() if last else sent.feed(data)
        if last and not clean:
            return
        self._recorder.write(
            EventKind.SENT,
            self._exchange.number,
            clean,
            meta=None if said is None else b'{"said":%d}' % (said.count if last else said.feed(data)),
            flags=0 if sent is None or sent.changed == before else _REDACTED,
        )

    @_fails_open
    def _write_answer(self, data: bytes, flags: int) -> None:
        """Write one read of the answer. A tail that could begin a secret is withheld and its length noted, so that a
        reader can give it back to this read once the records behind it have said what it was."""
        raw = self._unwritten + data if self._unwritten else data
        stored, held = self._answer.feed(data, last=bool(flags & _LAST))
        if self._answer.instead is not None:
            self._write_again(self._answer.instead, flags)
            return
        self._unwritten = raw[len(raw) - held :] if held else b""
        passed = raw[: len(raw) - held] if held else raw
        if stored is not passed and stored != passed and _body_changed(passed, stored):
            flags |= _REDACTED
        meta = b'{"held":%d}' % held if held else None
        if self._said is not None and self._heard is None:
            _, found, data = raw.partition(b"\r\n\r\n")  # behind the head, whose reads may have waited at the gate
            self._heard = type(self._said)() if found else None
        if self._heard is not None:
            meta = b'{"held":%d,"said":%d}' % (held, self._heard.feed(data))
        self._recorder.write(EventKind.ANSWER, self._exchange.number, stored, meta=meta, flags=flags)

    def _write_again(self, reads: list[bytes], flags: int) -> None:
        """Write the whole of a coded answer in which a secret was found, in the place of what was written of it."""
        lengths = b"".join(len(read).to_bytes(4, "little") for read in reads)
        self._recorder.write(
            EventKind.ANSWER,
            self._exchange.number,
            lengths + b"".join(reads),
            meta=b'{"instead":%d}' % len(reads),
            flags=flags | _REDACTED,
        )

    @_fails_open
    def _write_end(self, how: Ending, detail: str, flags: int = 0) -> None:
        rest = self._answer.close()
        self._write_sent(b"", last=True)
        if self._answer.instead is not None:
            self._write_again(self._answer.instead, 0)
        elif rest:
            changed = _REDACTED if rest != self._unwritten else 0
            self._recorder.write(EventKind.ANSWER, self._exchange.number, rest, flags=changed)
        meta = {"how": how.value, "detail": detail[:500]} if detail else b'{"how":"%s"}' % how.encode()
        self._recorder.write(EventKind.END, self._exchange.number, meta=meta, flags=flags & _UNOBSERVED)

    @_fails_open
    def _spill(self) -> None:
        """Write what there is of a large body. A secret may lie across two parts: one stream judges them all."""
        data = b"".join(self._body)
        self._body.clear()
        self._body_size = 0
        self._spilled_size += len(data)
        if self._head is None or not self._recorder.whole:
            return
        if self._spilled is None:
            self._scope.head(self._head)  # its secrets are numbered first, as in a body that is redacted whole
            self._spilled = self._scope.stream(same_length=False)
        self._recorder.write(EventKind.REQUEST_PART, self._exchange.number, self._spilled.feed(data).data)

    @_fails_open
    def _write_request(self, *, whole: bool = True) -> None:
        head, self._head = self._head, None
        recorder = self._recorder
        if head is None or not recorder.whole:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        cut = b"" if whole else b',"cut":%d' % (self._spilled_size + len(body))
        exchange = self._exchange
        if self._spilled is not None:
            clean_head = self._scope.head(head)
            clean_body = self._spilled.feed(body).data + self._spilled.close()
        else:
            clean_head, clean_body = self._scope.request(head, body, recorder.bodies.clean_spans(body) if body else ())
        same = clean_body is body or clean_body == body
        stored = recorder.bodies.encode(exchange.number, clean_body, part=self._spilled is not None)
        lane = exchange.connection.lane or recorder.lane_of(exchange.connection)
        asker = exchange.asker
        if asker is not None:
            within = b',"within":%d' % asker.within if asker.within else b""
            cut += b',"mark":%d%s%s' % (asker.mark, within, b',"orders":true' if asker.orders else b"")
        recorder.write(
            EventKind.REQUEST,
            exchange.number,
            clean_head + stored,
            meta=b'{"head":%d,"lane":%d%s}' % (len(clean_head), lane, cut),
            # whether a part lost a secret is not kept: lengths of a body in parts are not relied on
            flags=0 if same and clean_head == head and self._spilled is None else _REDACTED,
        )


def _body_changed(raw: bytes, stored: bytes) -> bool:
    """Whether redaction changed more than credential headers of the heads in front."""
    while raw.startswith(b"HTTP/") and stored.startswith(b"HTTP/"):
        _, found, raw = raw.partition(b"\r\n\r\n")
        _, _, stored = stored.partition(b"\r\n\r\n")
        if not found:
            break
    return raw != stored
