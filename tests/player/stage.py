"""A replay without processes: a recording written down as a timeline, callers and rest that the test drives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from playhead.core.events import Ending, Flag
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.matching.divergence import Divergence, DivergenceClass
from playhead.matching.fingerprint import Canonical
from playhead.player.player import Player
from playhead.player.script import write_script
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, Lane, RecordedExchange, Recording
from tests.journal.peers import FakeCaller, FakeRest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from playhead.player.script import Part

TARGET = Target("https", "api.openai.com", 443)
MS = 1_000_000


class Timeline:
    """Writes a Recording: what happened, in the order in which the agent saw it, one event a millisecond apart."""

    def __init__(self) -> None:
        self.recording = Recording(Header("7f3a2b9c41d0e655", 10**18, ["agent"], "/"), 0)
        self.keys: dict[int, str] = {}
        self._now = 0

    def _tick(self, gap_ms: int = 1) -> int:
        self._now += gap_ms
        return self._now

    def _of(self, number: int) -> RecordedExchange:
        return self.recording.exchanges[number - 1]

    def ask(
        self,
        key: str,
        *,
        connection: int = 0,
        reused: bool = False,
        lane: int = 0,
        gap_ms: int = 1,
        cut: int | None = None,
    ) -> int:
        """A request whose fingerprint is `key`; its step. With `cut`, so many bytes of it were asked and no more."""
        number = len(self.recording.exchanges) + 1
        at = self._tick(gap_ms)
        exchange = RecordedExchange(
            number, TARGET, "proxy", connection or number, reused, "http/1.1", at * MS, at, lane=lane, asked_order=at
        )
        exchange.cut = cut
        self.recording.exchanges.append(exchange)
        if lane:
            self.recording.lanes[lane] = Lane(lane, f"agent/{lane}", [])
        self.keys[number] = key
        return number

    def read(self, number: int, data: bytes, *, last: bool = False, gap_ms: int = 1, flags: int = 0) -> None:
        """A read of an answer; with `last` the answer is complete."""
        at, exchange = self._tick(gap_ms), self._of(number)
        exchange.chunks.append(Chunk(at * MS, data, at, (Flag.LAST if last else 0) | flags))
        if last:
            exchange.ending, exchange.ended_order, exchange.ended_ns = Ending.COMPLETE, at, at * MS

    def answer(self, number: int, data: bytes = b"") -> None:
        """A whole answer in one read: `answer N` unless said otherwise."""
        self.read(number, data or b"answer %d" % number, last=True)

    def end(self, number: int, how: Ending) -> None:
        """An ending that came alone."""
        at, exchange = self._tick(), self._of(number)
        exchange.ending, exchange.ended_order, exchange.ended_ns = how, at, at * MS

    def canonicals(self) -> Iterator[tuple[RecordedExchange, Canonical]]:
        for exchange in self.recording.exchanges:
            yield exchange, Canonical(self.keys[exchange.number], {}, [], [])


class FakeJudge:
    """Fingerprints are the bodies; a miss is the changed version of whatever expected key has its first letter."""

    def canonical(self, exchange: Exchange, head: bytes, body: bytes) -> Canonical:
        return Canonical(body.decode(), {"date@1": 1} if body == b"masked" else {}, [], [])

    def begins(self, part: Part, exchange: Exchange, head: bytes, body: bytes) -> bool:
        return part.canonical.fingerprint.encode().startswith(body)

    def divergence(
        self, canonical: Canonical, lane: str, expected: list[Part], used: list[Part]
    ) -> tuple[Divergence, Part | None]:
        key = canonical.fingerprint
        if any(p.canonical.fingerprint == key for p in used):
            return Divergence(DivergenceClass.EXHAUSTED, lane=lane), None
        for part in expected:
            if part.canonical.fingerprint[0] == key[0]:
                return Divergence(DivergenceClass.CHANGED, part.step, lane), part
        return Divergence(DivergenceClass.EXTRA, lane=lane), None

    def absent(self, part: Part, *, swapped: bool) -> Divergence:
        return Divergence(DivergenceClass.REORDERED if swapped else DivergenceClass.MISSING, part.step, part.lane)

    def report(self, divergence: Divergence) -> str:
        return str(divergence.kind)

    def refusal(self, exchange: Exchange, head: bytes, body: bytes, divergence: Divergence) -> bytes:
        return b"refused: %s" % divergence.kind.encode()


class Asked:
    """A live question: its turn and what its caller has heard."""

    def __init__(self, turn: Any, caller: FakeCaller, exchange: Exchange) -> None:
        self.turn, self.caller, self.exchange = turn, caller, exchange

    @property
    def heard(self) -> list[bytes]:
        return self.caller.deliveries

    @property
    def endings(self) -> list[Ending]:
        return self.caller.endings


class Stage:
    """A player over a timeline. `rest` answers by itself unless it is given."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        strict: bool = False,
        rest: Any = None,
        speed: float = 0.0,
        lane_of: Callable[[Exchange], str] = lambda _: "main",
        in_process: bool = False,
    ) -> None:
        self.rest = rest or WillingRest()
        self.halts: list[str] = []
        self.log: list[tuple[int, bytes]] = []  # (live exchange, bytes) of every delivery
        self.player = Player(
            write_script(timeline.recording, timeline.canonicals(), in_process=in_process),
            FakeJudge(),
            self.rest,
            strict=strict,
            speed=speed,
            lane_of=lane_of,
            halt=self.halts.append,
        )
        self._numbers = 0

    def begin(
        self, *, connection: int = 0, on: Connection | None = None, head: bytes = b"", protocol: str = "http/1.1"
    ) -> Asked:
        self._numbers += 1
        number = self._numbers
        on = on or Connection(connection or number, ("127.0.0.1", 40_000 + (connection or number)), Route.PROXY)
        on.asked += 1
        exchange = Exchange(number, on, TARGET, 0, on.asked > 1, protocol)
        caller = FakeCaller(lambda data: self.log.append((number, data)))
        return Asked(self.player.begin(exchange, head, caller), caller, exchange)

    def ask(self, key: str, **how: Any) -> Asked:
        """A whole live request."""
        asked = self.begin(**how)
        asked.turn.feed(key.encode())
        asked.turn.end()
        return asked

    @property
    def classes(self) -> list[str]:
        return [d.kind.value for d in self.player.divergences]


class WillingRest(FakeRest):
    """A client that comes to rest as soon as anybody waits for it."""

    def __init__(self) -> None:
        super().__init__(at_rest=True)

    def when_resting(self, ports: Iterable[int], then: Callable[[bool], None], bound: Any) -> Callable[[], None]:
        handle = asyncio.get_running_loop().call_soon(then, True)
        return handle.cancel


async def settle() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(60):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that needs a timer."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.001)
