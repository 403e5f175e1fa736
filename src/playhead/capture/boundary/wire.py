"""HTTP of this process without a proxy: what a client library writes is asked of the tape, and it reads what the tape answers.

    client library --write--> Pipe --> Conversation --> TAPE --> recorder --> Far <--heard-- the network
                   <--take----'  <------ deliver ---------'  '-> player, and no network

A Pipe is one connection of a client, the plaintext inside its TLS. It speaks to the same port as the wire engine
(`core.tape`), through the same reading of HTTP/1.1, so a recorder writes the same events and a player answers in the
same way. While recording the library's own connection carries the bytes, exactly as the library wrote them; in a replay
there is none. A module of `transports` for each library puts a Pipe in the place of its connections.

One lock for all, since clients of several threads speak to one tape. Nothing here waits, but for a disk that is asked to
have what was written (`settle`).
"""

from __future__ import annotations

import _thread
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.askers import who_asks
from playhead.capture.wire.ask import Ask
from playhead.capture.wire.conversation import Addressed, Conversation
from playhead.capture.wire.framing import MAX_HEAD
from playhead.core.events import RESETTING, Ending
from playhead.core.tape import Connection, Route, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.tape import Answering, Asker, Caller, Exchange, Tape, Turn

LOCK = _thread.RLock()
"""Held wherever the tape of this process's wire is used; not from `threading`, whose locks may be the agent's."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001

UNREACHED = frozenset({Ending.REFUSED, Ending.TIMEOUT, Ending.REJECTED})
"""Endings of a question that found no connection."""

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def resume(run: Callable[[], None]) -> None:
    """For the segment that a wire's recorder writes: the group commit's thread has news."""
    with LOCK:
        run()


class Broken(Exception):
    """A connection that is no more, or never was: `how` it ended, and in whose words."""

    def __init__(self, how: Ending, detail: str) -> None:
        super().__init__(detail or how.value)
        self.how = how


class Soon:
    """Calls back behind what runs now: the event loop of a player or recorder that has none."""

    def __init__(self) -> None:
        self._due: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Have it called by `run`."""
        self._due.append((callback, args))

    def run(self) -> None:
        """Call what waits, and what that has called."""
        while self._due:
            callback, args = self._due.popleft()
            callback(*args)


class Wire:
    """What the clients of this process share. `live`: the world is asked; `when_durable` as `SegmentWriter` has it, where
    what is written waits for a group commit; `passed_by(host, reason)` hears what went past the tape."""

    def __init__(
        self,
        tape: Tape,
        soon: Soon,
        *,
        live: bool,
        when_durable: Callable[[Callable[[], None]], None] | None = None,
        passed_by: Callable[[str, str], None] = lambda _host, _reason: None,
    ) -> None:
        self.tape = tape
        self.soon = soon
        self.live = live
        self.exchanges = 0
        self.connections = 0
        self.is_closing = False
        self.turns: dict[Turn, Pipe] = {}
        self.asker: Asker | None = None
        self._when_durable = when_durable
        self._passed_by = passed_by
        self.checked: set[str] = set()  # libraries whose calls are known to come here
        self._named: set[tuple[str, str]] = set()

    # -- what conversations ask of their board

    def tape_for(self, target: Target) -> Wire:  # noqa: ARG002
        """The one tape."""
        return self

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> Turn:
        """Ask the tape, and note how it ends."""
        connection = exchange.connection
        assert isinstance(connection, Piped)  # noqa: S101
        return self.tape.begin(exchange, head, Noting(connection.pipe, caller))

    def asker_of(self, port: int) -> Asker | None:  # noqa: ARG002
        """Who writes now."""
        return self.asker

    def turn_ended(self, turn: Turn | None) -> None:
        """Forget a turn in progress."""
        if turn is not None:
            self.turns.pop(turn, None)

    def unreadable(self, target: Target) -> None:
        """A request that is no HTTP was refused."""
        self.went_past(target.host, "a request that cannot be read, refused")

    # -- the rest

    def went_past(self, host: str, reason: str) -> None:
        """Something is sent to that host and stays off the tape: said once."""
        with LOCK:
            if (host, reason) not in self._named:
                self._named.add((host, reason))
                self._passed_by(host, reason)

    @property
    def waits(self) -> bool:
        """Whether `settle` has anything to wait for."""
        return self._when_durable is not None and not self.is_closing

    def settle(self) -> None:
        """Wait until what was written is as durable as was asked for."""
        if self._when_durable is None or not self.waits:
            return
        gate = _thread.allocate_lock()
        gate.acquire()
        with LOCK:
            self._when_durable(gate.release)
        gate.acquire()

    async def asettle(self) -> None:
        """The same, for a task."""
        if self._when_durable is None or not self.waits:
            return
        import asyncio

        from playhead.capture.boundary.stations import inside_context

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio's
            self.settle()
            return
        there = asyncio.Future[None](loop=loop)
        context = inside_context()

        def done() -> None:
            if not there.done():
                there.set_result(None)

        def durable() -> None:
            loop.call_soon_threadsafe(done, context=context)

        with LOCK:
            self._when_durable(durable)
        await there

    def check(self) -> None:
        """See that the libraries that are loaded are heard. Raises SetupError."""
        from playhead.capture.boundary.transports import canary

        canary.check(self)

    def finish(self) -> dict[str, Any]:
        """Nothing more is asked: what is under way is given up."""
        with LOCK:
            self.is_closing = True
            for pipe in list(self.turns.values()):
                pipe.ended(None)
            self.soon.run()
        return {}


class Piped(Connection):
    """A connection of this process, and its Pipe."""

    pipe: Pipe


class Far:
    """The network's end of a Pipe, while recording: hears the answer of one question after another."""

    __slots__ = ("address", "ask", "is_over", "is_used")

    def __init__(self) -> None:
        self.address = ""
        self.is_used = self.is_over = False
        self.ask: Ask | None = None

    @property
    def line(self) -> Far:
        """What is sent goes by the library's own connection."""
        return self

    def send(self, data: bytes) -> None:
        """The library sends it."""

    def pause(self) -> None:
        """The library reads when it likes."""

    def resume(self) -> None:
        """The library reads when it likes."""

    def release(self) -> None:
        """The exchange ended well."""
        self.ask = None
        self.is_used = True

    def drop(self) -> None:
        """No further exchange comes this way."""
        self.ask = None
        self.is_over = True


class Network:
    """The `World` of a recorder in this process: the libraries' own connections."""

    def __init__(self, soon: Soon) -> None:
        self._soon = soon

    def ask(self, exchange: Exchange, head: bytes, answering: Answering) -> Ask:
        """Listen for the answer; the question leaves by the connection that it came with."""
        connection = exchange.connection
        assert isinstance(connection, Piped)  # noqa: S101
        ask = Ask(self._soon, exchange, answering, head)
        connection.pipe.listen(ask)
        return ask


class Pipe:
    """One connection of a client in this process: `Client` of a conversation, the library's stream, and the tape's ear."""

    def __init__(self, wire: Wire, target: Target) -> None:
        """`target` is where the connection leads; a request that a proxy gets says otherwise."""
        self.wire = wire
        self.target = target
        self.how: Ending | None = None
        self.detail = ""
        self.is_closed = False
        self.is_raw = False
        self.tunnel = ""  # `host:port` to which a proxy was asked for a tunnel
        self.changed: Callable[[], None] = _nobody
        self.received: Callable[[bytes], None]
        self.ended: Callable[[OSError | None], None]
        self.crowded: Callable[[bool], None]
        self.far = Far()
        self.is_connected = False
        self._expects = False  # what was written last waits for an answer before its body
        self._inbox: deque[bytes] = deque()
        with LOCK:
            wire.connections += 1
            connection = Piped(wire.connections, ("", wire.connections), Route.HOOK, tls=target.scheme == "https")
            connection.pipe = self
            self._conversation = Conversation(wire, self, connection, locate=self._locate, on_connect=self._tunnel)

    # -- the library's side

    @property
    def is_gone(self) -> bool:
        """Whether the tape that it led to is no longer there."""
        return self.wire.is_closing

    def write(self, data: bytes, *, is_agents: bool = True) -> None:
        """The client sends; `is_agents`: in a thread of the agent. In a replay raises Broken where the recorded question found no
        connection."""
        tape = active.tape if is_agents and active.trial.get() is None else None
        if tape is not None:
            tape.leaving(active.current())
        wire = self.wire
        with LOCK:
            if wire.is_closing and not wire.live:
                raise Broken(Ending.RESET, "the replay is over")
            if self.is_closed or self.is_raw or wire.is_closing:
                return
            wire.asker = who_asks(active.process) if tape is not None else None
            self._expects = b"xpect:" in data[:MAX_HEAD]
            self.received(data)
            wire.soon.run()
            if self.how in UNREACHED and not wire.live:
                raise Broken(self.how, self.detail)

    @property
    def is_mid_request(self) -> bool:
        """Whether the rest of a request follows at once: nobody needs a connection before."""
        return self._conversation.is_in_body and not self._expects

    def take(self, size: int) -> bytes | None:
        """Some of what came: of one piece at a time, b"" at the end, None when there is nothing yet. Raises Broken."""
        with LOCK:
            if self._inbox:
                data = self._inbox.popleft()
                if len(data) > size:
                    self._inbox.appendleft(data[size:])
                    data = data[:size]
                return data
            if self.how in RESETTING:
                raise Broken(self.how, self.detail)
            return b"" if self.is_closed else None

    @property
    def has_news(self) -> bool:
        """Whether a read would not wait; so it seems of a connection that must not be used again, too."""
        return bool(self._inbox) or self.is_closed or self.is_stale

    @property
    def is_stale(self) -> bool:
        """Whether a client must make a new connection: this one leads to a session that is not its caller's. One whose
        recording is over goes on as what it was made of."""
        leads = active.carrying()
        if leads is self.wire:
            return False
        return leads is not None or not (self.wire.live and self.wire.is_closing)

    def leave(self) -> None:
        """The client closes."""
        with LOCK:
            if not self.is_closed:
                self.ended(None)
                self.is_closed = True
                self.wire.soon.run()

    # -- the network's side, while recording

    def listen(self, ask: Ask) -> None:
        """A question goes out."""
        if self.is_connected:
            ask.begin(self.far)
        else:
            self.far.ask = ask

    def reached(self, address: str) -> None:
        """The library's own connection is there, to that `ip:port`."""
        with LOCK:
            self.is_connected = True
            self.far.address = address
            if self.far.ask is not None:
                self.far.ask.begin(self.far)
            self.wire.soon.run()

    def unreached(self, how: Ending, detail: str) -> None:
        """The library's own connection could not be had."""
        with LOCK:
            ask, self.far.ask = self.far.ask, None
            if ask is not None:
                ask.unreached(how, detail)
            self.wire.soon.run()

    def heard(self, data: bytes) -> None:
        """The library's own connection brought something: b"" its end."""
        with LOCK:
            if self.is_raw:
                self.send(data) if data else self.close()
            elif not data:
                self._lost(None)
            elif self.far.ask is not None:
                self.far.ask.received(data)
            else:  # nobody asked: a server that ends an idle connection may say why
                self.close()
            self.wire.soon.run()

    def lost(self, error: OSError) -> None:
        """The library's own connection failed."""
        with LOCK:
            self._lost(error)
            self.wire.soon.run()

    def _lost(self, error: OSError | None) -> None:
        ask, self.far.ask = self.far.ask, None
        if ask is not None:
            ask.lost(error)
        else:
            self.close()

    # -- the conversation's side

    def send(self, data: bytes) -> None:
        """Answer bytes for the client."""
        self._inbox.append(data)
        self.changed()

    def close(self, *, drain: bool = False) -> None:  # noqa: ARG002
        """An end behind them."""
        self.is_closed = True
        self.changed()

    def abort(self) -> None:
        """An end at once: the client is gone."""
        self.is_closed = True

    def reset(self) -> None:
        """A connection error, behind what was sent."""
        self.is_closed = True
        self.changed()

    def pause(self) -> None:
        """What the client writes waits for the disk by `settle`."""

    def resume(self) -> None:
        """What the client writes waits for the disk by `settle`."""

    def acknowledge(self) -> None:
        """Nobody needs to know."""

    def _locate(self, head: bytes, target: bytes) -> Addressed:
        if target.startswith(b"/") or target == b"*":
            return Addressed(head, self.target, Route.HOOK)
        from playhead.capture.wire.addressing import origin_form, read_absolute

        absolute = read_absolute(target)
        if absolute is None:
            return Addressed(head, self.target, Route.HOOK)
        place, path = absolute
        return Addressed(origin_form(head, target, path), place, Route.HOOK)

    def _tunnel(self, head: bytes, rest: bytes) -> None:  # noqa: ARG002
        """A proxy is asked for a tunnel: no question to anybody who answers, so not on the tape."""
        self.is_raw = True
        self.tunnel = head.split(b" ", 2)[1].decode("latin-1")
        if not self.wire.live:
            self.send(_ESTABLISHED)


class Noting:
    """The caller of one exchange; notes how it ended for the error that the library raises."""

    __slots__ = ("_caller", "_pipe", "deliver", "hold")

    def __init__(self, pipe: Pipe, caller: Caller) -> None:
        self._pipe, self._caller = pipe, caller
        self.deliver, self.hold = caller.deliver, caller.hold

    def finish(self, how: Ending, detail: str = "") -> None:
        """The exchange is over."""
        self._pipe.how, self._pipe.detail = how, detail
        self._caller.finish(how)


def _nobody() -> None:
    """Whoever reads looks for itself."""
