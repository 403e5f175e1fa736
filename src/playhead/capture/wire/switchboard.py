"""What all client connections of one engine share: the tape, the rules, the counts, and who is spoken to blind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.wire.passthrough import Passthrough

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from playhead.capture.wire.authority import Authority
    from playhead.capture.wire.dial import Dialer
    from playhead.capture.wire.line import Line
    from playhead.capture.wire.rules import UpstreamRules
    from playhead.core.tape import Asker, Tape, Target, Turn

STRIKES = 2  # silent failures of our certificate with a host, without one success, before it counts as pinned

PINNED = "pinned certificate"
NOT_HTTP = "not HTTP"
UNREADABLE = "a request that cannot be read, refused"
IGNORED = "ignored host"
NO_NAME = "no server name"
BLOCKED = "blocked"
ALLOWED = "allowed live"
TLS_LEFT = "closed after the TLS handshake began"
NO_CERTIFICATE = "no certificate can be made"
NO_PREFIX = "no such base URL"


class Uncaptured(NamedTuple):
    """Traffic that was seen and not recorded. `bytes` counts both directions; 0 when nothing was relayed."""

    host: str
    port: int
    reason: str
    bytes: int


class Switchboard:
    """Shared state of one engine. Single-threaded, bound to one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tape: Tape,
        *,
        authority: Authority,
        rules: UpstreamRules,
        dialer: Dialer,
        report: Callable[[Uncaptured], None],
        offline: bool,
        expects: Callable[[str, int], bool] = lambda _host, _port: False,
        asker_of: Callable[[int], Asker | None] = lambda _port: None,
    ) -> None:
        self.loop, self.tape, self.authority, self.rules = loop, tape, authority, rules
        self.dialer, self.report, self.offline, self.expects = dialer, report, offline, expects
        self.asker_of = asker_of
        self.own_ports: set[int] = set()
        self.lines: set[Line] = set()
        self.turns: dict[Turn, Line] = {}  # in progress
        self.exchanges = 0
        self.is_closing = False
        self.on_quiet: Callable[[], None] | None = None  # called when the last turn in progress has ended
        self.on_empty: Callable[[], None] | None = None  # called when the last line is gone
        self._passthrough = Passthrough(self)
        self._pinned: set[tuple[str, int]] = set()
        self._trusted: set[tuple[str, int]] = set()
        self._opaque: set[tuple[str, int]] = set()
        self._strikes: dict[tuple[str, int], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, line: Line) -> None:
        """Count a line as open until it is gone."""
        self.lines.add(line)

        def gone() -> None:
            self.lines.discard(line)
            if not self.lines and self.on_empty is not None:
                self.on_empty()

        line.gone = gone

    def blind_reason(self, host: str, port: int) -> str:
        """Why connections to this place are not looked into; empty when they are."""
        if self.offline and self.rules.is_live(host, port):
            return ALLOWED
        if self.rules.is_ignored(host):
            return IGNORED
        if (host, port) in self._opaque:
            return NOT_HTTP
        return PINNED if (host, port) in self._pinned else ""

    def tape_for(self, target: Target) -> Tape:
        """The tape, or what relays unrecorded requests to a host the user wants left alone."""
        rules = self.rules
        if self.offline:
            is_left_alone = bool(rules.allow_live) and rules.is_live(target.host, target.port)
        else:
            is_left_alone = bool(rules.ignore_hosts) and rules.is_ignored(target.host)
        return self._passthrough if is_left_alone else self.tape

    def report_blind(self, target: Target, count: int) -> None:
        """A request to a host that is left alone was relayed: `count` bytes."""
        self.report(Uncaptured(target.host, target.port, self.blind_reason(target.host, target.port), count))

    def unreadable(self, target: Target) -> None:
        """What a client said to that place was refused: what nobody records must be named."""
        self.report(Uncaptured(target.host, target.port, UNREADABLE, 0))

    def is_self(self, host: str, port: int) -> bool:
        """Whether this place is the engine: a client that sends base-URL requests through the proxy."""
        return port in self.own_ports and host in {"127.0.0.1", "localhost", "::1"}

    def trusted(self, place: tuple[str, int]) -> None:
        """A client took our certificate for this place and used the connection."""
        self._trusted.add(place)

    def found_opaque(self, place: tuple[str, int]) -> None:
        """What this place speaks under TLS is not HTTP: from now on it is tunnelled without a look."""
        self._opaque.add(place)

    def is_trusted(self, place: tuple[str, int]) -> bool:
        """Whether any client took our certificate for this place."""
        return place in self._trusted

    def distrusted(self, place: tuple[str, int], *, said: bool) -> bool:
        """A client turned our certificate down, by an alert (`said`) or by going away. True when the place is from
        now on tunnelled blind."""
        if place in self._pinned:
            return False
        if not said:
            self._strikes[place] = self._strikes.get(place, 0) + 1
            if place in self._trusted or self._strikes[place] < STRIKES:
                return False
        self._pinned.add(place)
        return True

    def turn_ended(self, turn: Turn | None) -> None:
        """Forget a turn in progress."""
        if turn is not None:
            self.turns.pop(turn, None)
            if not self.turns and self.on_quiet is not None:
                self.on_quiet()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` and hold it until it is done."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> None:
        """Cancel what `spawn` started and close the lines of unrecorded requests."""
        for task in list(self._tasks):
            task.cancel()
        self._passthrough.close()
