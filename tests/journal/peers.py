"""Peers of a recorder that are made for tests: a caller, a world, a gate and an observer of rest, all scripted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playhead.core.events import Ending, EventKind
from playhead.core.redact import Redactor
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.journal.disk import SYSTEM
from playhead.journal.gate import OpenGate
from playhead.journal.recorder import Recorder
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.sessions.header import Header
from playhead.sessions.reader import read_recording
from tests.support.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from playhead.journal.disk import Disk
    from playhead.journal.gate import Gate
    from playhead.sessions.model import Recording

ID = "7f3a2b9c41d0e655"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: %d\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def connection(number: int = 1) -> Connection:
    return Connection(number, ("127.0.0.1", 40_000 + number), Route.PROXY)


def exchange(number: int = 1, on: Connection | None = None, *, protocol: str = "http/1.1") -> Exchange:
    """An exchange on a connection of its own, unless one is given."""
    on = on or connection(number)
    on.asked += 1
    return Exchange(number, on, Target("https", "api.openai.com", 443), 1_000 + number, on.asked > 1, protocol)


class FakeCaller:
    """Keeps what it was given, in order; `on_deliver` is called before each delivery is kept."""

    def __init__(self, on_deliver: Callable[[bytes], None] = lambda _: None) -> None:
        self.deliveries: list[bytes] = []
        self.endings: list[Ending] = []
        self.holds: list[bool] = []
        self._on_deliver = on_deliver

    @property
    def received(self) -> bytes:
        return b"".join(self.deliveries)

    def deliver(self, data: bytes) -> None:
        assert not self.endings, "delivered behind the end"
        self._on_deliver(data)
        self.deliveries.append(data)

    def finish(self, how: Ending, detail: str = "") -> None:
        assert not self.endings, "finished twice"
        self.endings.append(how)

    def hold(self, *, holding: bool) -> None:
        self.holds.append(holding)


class FakeWorld:
    """A world without a network: the test speaks for it through `asked[n].answering`."""

    def __init__(self) -> None:
        self.asked: list[FakeAsking] = []

    def ask(self, exchange: Exchange, head: bytes, answering: Any) -> FakeAsking:
        self.asked.append(FakeAsking(exchange, head, answering))
        return self.asked[-1]


class FakeAsking:
    def __init__(self, exchange: Exchange, head: bytes, answering: Any) -> None:
        self.exchange, self.head, self.answering = exchange, head, answering
        self.body = b""
        self.whole = self.aborted = False
        self.holds: list[bool] = []

    def feed(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        self.whole = True

    def abort(self) -> None:
        self.aborted = True

    def hold(self, *, holding: bool) -> None:
        self.holds.append(holding)


class FakeRest:
    """Rest as the test says it: `at_rest` is what one look sees, `waits` are those who wait, oldest first."""

    def __init__(self, *, at_rest: bool = False) -> None:
        self.at_rest = at_rest
        self.looks: list[tuple[int, ...]] = []
        self.waits: list[tuple[tuple[int, ...], Callable[[bool], None], Any]] = []

    def resting(self, ports: Iterable[int]) -> bool:
        self.looks.append(tuple(ports))
        return self.at_rest

    def when_resting(self, ports: Iterable[int], then: Callable[[bool], None], bound: Any) -> Callable[[], None]:
        wait = (tuple(ports), then, bound)
        self.waits.append(wait)
        return lambda: self.waits.remove(wait) if wait in self.waits else None

    def say(self, *, rested: bool) -> None:
        """Answer the oldest wait."""
        _, then, _ = self.waits.pop(0)
        then(rested)


class Session:
    """A session folder with a header, a recorder on its engine segment, and its peers."""

    def __init__(
        self,
        root: Path,
        *,
        gate: Gate | None = None,
        durability: str = "write",
        secrets: tuple[bytes, ...] = (),
        lane: int = 0,
        disk: Disk = SYSTEM,
    ) -> None:
        self.loop = Loop()
        self.store = Store.open(root)
        self.folder = self.store.begin(ID)
        self.launcher = SegmentWriter(self.folder / "launcher.seg", "launcher")
        header = Header(ID, 1_700_000_000_000_000_000, ["agent"], "/")
        self.launcher.append(EventKind.SESSION, 0, json.dumps(header.to_json()).encode())
        self.writer = SegmentWriter(
            self.folder / "engine.seg", "engine", durability=durability, resume=self.loop.resume, disk=disk
        )
        self.world = FakeWorld()
        self.troubles: list[str] = []
        self.recorder = Recorder(
            self.writer,
            self.world,
            gate or OpenGate(),
            redactor=Redactor(extra_values=secrets),
            lane_of=lambda _: lane,
            trouble=self.troubles.append,
        )

    def settle(self) -> None:
        """Run the loop until nothing waits for the disk."""
        self.loop.run_until(lambda: self.writer.settled)

    def on_disk(self) -> bytes:
        return (self.folder / "engine.seg").read_bytes()

    def read(self) -> Recording:
        """What a reader sees now."""
        return read_recording(self.folder)

    def close(self) -> None:
        self.writer.close()
        self.launcher.close()
