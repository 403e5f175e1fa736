"""Recordings that are made for tests, written by the product's own writers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playhead.core.events import Ending, EventKind
from playhead.core.redact import Redactor
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.journal.gate import OpenGate
from playhead.journal.recorder import Recorder
from playhead.journal.segment import SegmentWriter
from tests.journal.peers import FakeCaller, FakeWorld

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.journal.store import Store

ID = "7f3a2b9c41d0e655"
CREATED_NS = 1_795_255_423_120_000_000  # 2026-11-21T10:03:43.120Z


def header(session: str = ID, **changes: Any) -> dict[str, Any]:
    return {
        "id": session,
        "created_ns": CREATED_NS,
        "command": ["python", "agent.py"],
        "cwd": "/home/me",
        "name": "",
        **changes,
    }


def request(body: bytes, path: str = "/v1/chat/completions", method: str = "POST") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: {len(body)}\r\n\r\n".encode()


def chat(prompt: str, **more: Any) -> bytes:
    """The body of a chat request."""
    return json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": prompt}], **more}).encode()


def said(text: str, *, status: str = "200 OK", **more: Any) -> bytes:
    """A chat completion that says `text`, as an HTTP answer."""
    message = {"role": "assistant", "content": text, **more}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-5-mini-2026-01-01",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 11,
                "completion_tokens": 7,
                "total_tokens": 18,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        }
    ).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Tape:
    """A session being written: a launcher's segment and an engine's, each call one thing that happened."""

    def __init__(self, store: Store, session: str = ID, **changes: Any) -> None:
        self.store, self.id = store, session
        self.folder = store.begin(session)
        self.launcher = SegmentWriter(self.folder / "launcher.seg", "launcher")
        self.launcher.append(EventKind.SESSION, 0, json.dumps(header(session, **changes)).encode())
        self.engine = SegmentWriter(self.folder / "engine.seg", "engine")
        self._world = FakeWorld()
        self._lane = 0
        self._recorder = Recorder(
            self.engine, self._world, OpenGate(), redactor=Redactor(), lane_of=lambda _: self._lane, trouble=print
        )
        self._numbers = 0

    def lane(self, number: int, key: str) -> None:
        """What is asked from here on is asked by this lane."""
        self._lane = number
        self.engine.append(EventKind.LANE, number, meta={"key": key, "pid": 100 + number, "argv": ["python"]})

    def ask(
        self,
        body: bytes = b"",
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        host: str = "api.openai.com",
        on: Connection | None = None,
        whole: bool = True,
    ) -> tuple[Any, Any]:
        """Begin an exchange: its turn, and the world's ear."""
        self._numbers += 1
        on = on or Connection(self._numbers, ("127.0.0.1", 40_000 + self._numbers), Route.PROXY)
        on.asked += 1
        exchange = Exchange(self._numbers, on, Target("https", host, 443), 0, on.asked > 1)
        turn = self._recorder.begin(exchange, request(body, path, method), FakeCaller())
        turn.feed(body)
        if whole:
            turn.end()
        return turn, self._world.asked[-1].answering

    def exchange(
        self, body: bytes, *reads: bytes, ending: Ending = Ending.COMPLETE, detail: str = "", **where: Any
    ) -> None:
        """A whole exchange, answered by these reads."""
        turn, world = self.ask(body, **where)
        for number, read in enumerate(reads, 1):
            world.answered(read, last=ending is Ending.COMPLETE and number == len(reads))
        if ending is Ending.ABANDONED:
            turn.abandon()
        elif ending is not Ending.COMPLETE:
            world.ended(ending, detail)

    def output(self, fd: int, data: bytes) -> None:
        self.launcher.append(EventKind.STDIO, fd, data)

    def exit(self, code: int | None = 0, signal: int | None = None, duration_s: float = 1.5) -> None:
        self.launcher.append(EventKind.EXIT, meta={"code": code, "signal": signal, "duration_s": duration_s})

    def close(self) -> Path:
        """End the writers in order; the folder."""
        self.engine.close()
        self.launcher.close()
        return self.folder

    def seal(self) -> Path:
        """Exit 0 unless said otherwise before, close, and merge into one file."""
        self.exit()
        self.close()
        return self.store.seal(self.id)


def damage(folder: Path, kind: EventKind, nth: int = 0) -> None:
    """Flip a byte in the body of the nth record of a kind, in the engine's segment."""
    path = folder / "engine.seg"
    data = bytearray(path.read_bytes())
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "little")
        if data[position + 8] == kind:
            if not nth:
                data[position + 7 + length] ^= 0xFF
                path.write_bytes(bytes(data))
                return
            nth -= 1
        position += 8 + length
    raise LookupError(kind)
