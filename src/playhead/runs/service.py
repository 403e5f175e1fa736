"""What an engine process runs: the wire engine in front of a recorder or a player."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from playhead import __version__
from playhead.capture.boundary.askers import Askers
from playhead.capture.process.quiet import Quiet
from playhead.capture.process.tree import Tree
from playhead.capture.wire.engine import Engine
from playhead.capture.wire.upstream import Upstream
from playhead.core.events import EventKind
from playhead.journal.commit import BackgroundSync, RestBehindCommit
from playhead.journal.gate import OpenGate, QuietGate
from playhead.journal.recorder import Recorder
from playhead.journal.segment import SegmentWriter
from playhead.runs.inner import name_of_lane

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from playhead.capture.wire.authority import Authority
    from playhead.capture.wire.engine import Uncaptured
    from playhead.capture.wire.rules import UpstreamRules
    from playhead.core.redact import Redactor
    from playhead.core.tape import Connection, Exchange
    from playhead.journal.gate import Gate
    from playhead.matching.masks import Masks, RunFacts
    from playhead.runs.engine import Control
    from playhead.sessions.model import Recording


class _Lanes:
    """Names the lane of a connection: the place in the spawn tree of the process that holds it."""

    def __init__(self, port: int) -> None:
        self.tree: Tree | None = None
        self._port = port
        self._numbers: dict[str, int] = {}
        self._found: WeakKeyDictionary[Connection, tuple[str, int]] = WeakKeyDictionary()

    def key_of(self, connection: Connection) -> tuple[str, int]:
        """Lane key and pid; ("", 0) when the process has gone. Looked up once a connection."""
        found = self._found.get(connection)
        if found is None:
            pid = self.tree.owner(connection.peer, self._port) if self.tree is not None else None
            found = (self.tree.lane_key(pid), pid) if self.tree is not None and pid is not None else ("", 0)
            self._found[connection] = found
        return found

    def number_of(self, key: str) -> tuple[int, bool]:
        """The number of a lane, and whether it is new."""
        known = self._numbers.get(key)
        if known is not None:
            return known, False
        self._numbers[key] = len(self._numbers) + 1
        return len(self._numbers), True


class RecordService:
    """Engine and recorder. Without a `path` nothing is recorded: calls are relayed, and that is all."""

    def __init__(
        self,
        listener: socket.socket,
        authority: Authority,
        rules: UpstreamRules,
        path: Path | None,
        *,
        redactor: Redactor,
        durability: str,
        launcher_pid: int,
        gated: bool = True,
    ) -> None:
        self._listener, self._authority, self._rules, self._path = listener, authority, rules, path
        self._askers = Askers(path.parent if path is not None else None)
        self._redactor, self._durability, self._launcher_pid, self._gated = redactor, durability, launcher_pid, gated
        self._lanes = _Lanes(listener.getsockname()[1])
        self._writer: SegmentWriter | None = None
        self._background: BackgroundSync | None = None

    async def start(self, control: Control) -> None:
        self._quiet = Quiet(self._listener.getsockname()[1])
        if self._path is not None:
            try:
                self._writer = SegmentWriter(
                    self._path,
                    "engine",
                    durability=self._durability,
                    playhead=__version__,
                    resume=asyncio.get_running_loop().call_soon_threadsafe,
                )
            except OSError as error:
                control.say(trouble=f"the recording could not be written: {error.strerror or error}")
        gate: Gate = OpenGate()
        if self._gated and self._writer is not None:
            gate = QuietGate(RestBehindCommit(self._quiet, self._writer) if self._writer.waits else self._quiet)
        self._recorder = Recorder(
            self._writer,
            Upstream(self._rules),
            gate,
            redactor=self._redactor,
            lane_of=self._lane_of,
            trouble=lambda reason: control.say(trouble=reason),
        )
        self._engine = Engine(
            self._recorder,
            authority=self._authority,
            rules=self._rules,
            report=self._report,
            offline=False,
            asker_of=self._askers.of,
        )
        if self._path is not None and self._writer is not None and self._durability != "off":
            self._sync_in_background(self._path)
        self._engine.listen(self._listener)

    def _sync_in_background(self, path: Path) -> None:
        """The launcher's segment too: it forks, so it keeps no thread of its own."""
        with contextlib.suppress(OSError):  # one that cannot be opened is one that cannot be written, which is told
            self._background = BackgroundSync(
                [path, path.with_name("launcher.seg")],
                asyncio.get_running_loop().call_soon_threadsafe,
                self._recorder.not_written,
            )

    def child_started(self, pid: int) -> None:
        self._lanes.tree = Tree(pid, self._launcher_pid, exclude={os.getpid()})
        self._quiet.follow(self._lanes.tree)
        self._redactor.prepare()  # while the command is being loaded; as its first call, it would wait for it

    async def finish(self) -> dict[str, Any]:
        await self._engine.close()
        self._quiet.close()
        if self._background is not None:
            self._background.close()
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                self._recorder.not_written(error)
        return {"exchanges": self._recorder.exchanges, "whole": self._recorder.whole}

    def _report(self, seen: Uncaptured) -> None:
        host = seen.host if seen.port in (0, 443) else f"{seen.host}:{seen.port}"
        meta = {"host": host, "reason": seen.reason, "bytes": seen.bytes}
        self._recorder.write(EventKind.NOT_CAPTURED, 0, meta=meta)

    def _lane_of(self, connection: Connection) -> int:
        key, pid = self._lanes.key_of(connection)
        if not key or self._lanes.tree is None:
            return 0
        number, is_new = self._lanes.number_of(key)
        if is_new:
            argv = self._redactor.argv(list(self._lanes.tree.lane_argv(pid)))
            meta = {"key": key, "pid": pid, "argv": [a[:256] for a in argv[:20]]}  # fits one record
            self._recorder.write(EventKind.LANE, number, meta=meta)
        connection.lane = number
        return number


class ReplayService:
    """Engine and player. There is no world: nothing here can dial, save to what `--allow-live` names."""

    def __init__(
        self,
        listener: socket.socket,
        authority: Authority,
        rules: UpstreamRules,
        recording: Recording,
        *,
        redactor: Redactor,
        facts: RunFacts,
        masks: Masks,
        strict: bool,
        speed: float,
        launcher_pid: int,
        diagnosis: socket.socket | None,
        forwards: Sequence[tuple[tuple[str, int], socket.socket]] = (),
        gated: bool = True,
        inner: Path | None = None,
    ) -> None:
        self._inner, self._askers = inner, Askers(inner)
        self._listener, self._authority, self._rules, self._recording = listener, authority, rules, recording
        self._redactor, self._facts, self._masks, self._strict, self._speed = redactor, facts, masks, strict, speed
        self._launcher_pid, self._diagnosis, self._forwards, self._gated = launcher_pid, diagnosis, forwards, gated
        self._lanes = _Lanes(listener.getsockname()[1])
        self._blocked: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []

    async def start(self, control: Control) -> None:
        self._quiet = Quiet(self._listener.getsockname()[1])
        from playhead.player.judge import RecordingJudge
        from playhead.player.player import Player
        from playhead.player.script import write_script

        judge = RecordingJudge(self._recording, self._redactor, self._facts, self._masks)
        self._player = Player(
            write_script(self._recording, judge.recorded(self._recording)),
            judge,
            self._quiet if self._gated else _Unobserved(),
            strict=self._strict,
            speed=self._speed,
            lane_of=self._lane_label,
            halt=lambda reason: control.say(halt=reason),
        )
        on_tape = {(e.target.host, e.target.port) for e in self._recording.exchanges}
        self._engine = Engine(
            self._player,
            authority=self._authority,
            rules=self._rules,
            report=self._report,
            offline=True,
            expects=lambda host, port: (host, port) in on_tape,
            asker_of=self._askers.of,
        )
        for (host, port), sock in self._forwards:
            self._servers.append(await asyncio.start_server(_forward(host, port), sock=sock))
        self._engine.listen(self._listener)

    def child_started(self, pid: int) -> None:
        self._lanes.tree = Tree(pid, self._launcher_pid, exclude={os.getpid()}, diagnosis=self._diagnosis)
        self._quiet.follow(self._lanes.tree)
        self._redactor.prepare()

    async def finish(self) -> dict[str, Any]:
        unplayed = self._player.finish()
        await self._engine.close()
        self._quiet.close()
        for server in self._servers:
            server.close()
        return {
            **self._player.outcome(),
            "unplayed": unplayed,
            "blocked": sorted(self._blocked),
            "busy": sorted(self._quiet.ever_busy),
        }

    def _report(self, seen: Uncaptured) -> None:
        if seen.reason == "blocked":
            host = seen.host if seen.port in (0, 443) else f"{seen.host}:{seen.port}"
            self._blocked[host] = self._blocked.get(host, 0) + 1

    def _lane_label(self, exchange: Exchange) -> str:
        if exchange.asker is not None:
            return name_of_lane(self._recording, self._inner, exchange.asker.mark)
        key, _ = self._lanes.key_of(exchange.connection)
        return key.split("/", 1)[1] if "/" in key else "main"


class _Unobserved:
    """Rest that is never waited for: to show what order is without the gate."""

    def resting(self, ports: object) -> bool:  # noqa: ARG002
        return True

    def when_resting(self, ports: object, then: Callable[[bool], None], bound: object) -> Callable[[], None]:  # noqa: ARG002
        handle = asyncio.get_running_loop().call_soon(then, True)
        return handle.cancel


def _forward(host: str, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    """Relays a connection from inside the replay's namespace to the place that `--allow-live` named."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
                sink.write_eof()

        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        for end in (writer, far_writer):
            end.close()

    return relay
