"""Programs that the agent starts on an event loop: `asyncio.create_subprocess_exec`, `create_subprocess_shell`, and what is
built on them.

The agent's protocol gets a transport of ours in every run. What the program prints, that a pipe was closed and how it ended
come one after another, each as an answer to the question what comes next, in a lane of the program's own.
"""

from __future__ import annotations

import asyncio
from asyncio import transports, unix_events
from collections import deque
from contextvars import copy_context
from subprocess import DEVNULL, PIPE, STDOUT
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, awaited, calls
from playhead.capture.boundary.popen import register, target_of
from playhead.capture.boundary.process import (
    KIND,
    Child,
    bytes_of,
    described,
    environment_of,
    program_of,
    text_of,
)
from playhead.capture.boundary.stations import inside_context, passing
from playhead.capture.boundary.tasks import Task
from playhead.core.boundary import Call

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from playhead.capture.boundary.patches import Patches
    from playhead.capture.boundary.stations import Station
    from playhead.core.boundary import BoundaryTape, Outcome

_BROKEN = {each.__name__: each for each in (BrokenPipeError, ConnectionResetError)}


def install(patches: Patches) -> None:
    """Wrap the way in which loops start programs."""
    patches.wrap(unix_events._UnixSelectorEventLoop, "_make_subprocess_transport", _making)  # noqa: SLF001


def _making(real: Any) -> Any:
    async def _make_subprocess_transport(
        self: Any,
        protocol: Any,
        args: Any,
        shell: Any,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        **more: Any,
    ) -> Any:
        station, tape = passing(self), active.tape
        if station is None or tape is None:
            return await real(self, protocol, args, shell, stdin, stdout, stderr, bufsize, **more)
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        program = program_of(args, shell=shell)
        outputs = [place for place, name in enumerate(("stdout", "stderr")) if _is_seen(name, streams)]
        child = Child(active.name_child(), program, outputs, runs=tape.live)
        child.lane = tape.lane(active.current().child_path("p"))
        transport = Transport(self, station, tape, protocol, child, streams)

        async def start() -> dict[str, Any]:
            env = environment_of(more.get("env"), child.process)
            with_printed = transport.taking_up(streams)
            try:
                started = await real(
                    self, transport.relay, args, shell, *with_printed.values(), bufsize, **{**more, "env": env}
                )
            except BaseException:
                if child.printed is not None:
                    child.printed.give_up()
                raise
            return {"process": child.process, "pid": started.get_pid()}

        question = _question(args, shell, more, streams)
        told = await awaited.acall(KIND, program, question, start)
        child.process = told["process"]
        if not tape.live:
            child.runs = active.runs_again(child.process)
            if child.runs:
                transport.start_again(start())
            else:
                transport.keep_targets(streams)
        register(told["pid"], child)
        transport.go(told["pid"])
        return transport

    return _make_subprocess_transport


def _is_seen(name: str, streams: dict[str, Any]) -> bool:
    to = streams[name]
    return to not in (PIPE, DEVNULL) and (to != STDOUT or _is_seen("stdout", streams))


def _question(args: Any, shell: Any, more: dict[str, Any], streams: dict[str, Any]) -> bytes:
    from playhead.capture.boundary.encode import describe

    names = {PIPE: "pipe", DEVNULL: "null", STDOUT: "stdout", None: "inherited"}
    told = {
        name: names.get(to, "file") if isinstance(to, int) or to is None else "file" for name, to in streams.items()
    }
    return describe(described(args, more.get("executable"), more.get("cwd"), more.get("env"), shell=shell, **told))


class Relay(asyncio.SubprocessProtocol):
    """Hears the real program."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def connection_made(self, transport: Any) -> None:
        """It runs. asyncio says so before anything else of it, also of one that ends while it is started."""
        self._transport.began(transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It printed something."""
        self._transport.came(["data", fd, len(data), text_of(data)])

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It closed a pipe, or the agent did."""
        self._transport.came(["lost", fd, None if exc is None else type(exc).__name__])

    def process_exited(self) -> None:
        """It ended."""
        self._transport.came(["exit", self._transport.code_now()])


class Transport(transports.SubprocessTransport):
    """What the agent's protocol holds of one program."""

    def __init__(
        self, loop: Any, station: Station, tape: BoundaryTape, protocol: Any, child: Child, streams: dict[str, Any]
    ) -> None:
        super().__init__()
        self.relay = Relay(self)
        self.starting: Any = None
        self._loop, self._station, self._tape = loop, station, tape
        self._protocol, self._child = protocol, child
        self._pid = 0
        self._code: int | None = None
        self._real: Any = None
        self._postponed: list[Any] = []
        self._came: deque[Any] = deque()
        self._asked: Call | None = None
        self._waiters: list[Any] = []
        self._is_closed = False
        self._context = copy_context()
        names = ("stdin", "stdout", "stderr")
        self._pipes: dict[int, Any] = {
            fd: (Input if fd == 0 else Output)(self, fd) for fd, name in enumerate(names) if streams[name] == PIPE
        }
        self._to_come = self._left = len(self._pipes) + 1  # ends that the agent, and that we have not seen

    # -- starting

    def taking_up(self, streams: dict[str, Any]) -> dict[str, Any]:
        """The streams that the program is given, so that what it prints past the agent is kept."""
        child = self._child
        if not child.outputs or not self._tape.live:
            return streams
        from playhead.capture.boundary.printed import Printed

        places = child.outputs[:1] if streams["stderr"] == STDOUT else child.outputs
        names = ("stdout", "stderr")
        child.printed = Printed([target_of(streams[names[place]], place) for place in places])
        return streams | {names[place]: end for place, end in zip(places, child.printed.ends, strict=True)}

    def start_again(self, start: Coroutine[Any, Any, Any]) -> None:
        """Start the real program in a replay: until it has ended, what it does may wake the agent."""
        self._station.under_way += 1
        self.starting = Task(start, loop=self._loop, context=inside_context())

    def keep_targets(self, streams: dict[str, Any]) -> None:
        """Where a replay prints what the program printed."""
        import os

        names = ("stdout", "stderr")
        self._child.targets = [os.dup(target_of(streams[names[place]], place)) for place in self._child.outputs]

    def began(self, real: Any) -> None:
        """The real program runs."""
        self._real = real
        for act in self._postponed:
            act()
        if self._child.printed is not None:
            self._child.printed.begin()

    def go(self, pid: int) -> None:
        """The agent knows that it runs."""
        self._pid = pid
        self._protocol.connection_made(self)
        self._next()

    # -- what comes

    def _next(self) -> None:
        """Ask what comes next."""
        from playhead.capture.boundary.encode import describe

        assert self._child.lane is not None  # noqa: S101  it was given one
        body = describe({"of": self._child.process})
        asked = Call(self._child.lane, KIND, f"{self._child.program}.next", body, effect="read")
        self._tape.ask(asked)
        self._asked = asked
        if self._tape.live or self._child.runs:
            self._look()
        else:
            self._tape.completed(asked, asked.key, None, self._deliver, self._station)

    def came(self, event: list[Any]) -> None:
        """The real program did something."""
        self._came.append(event)
        self._left -= event[0] != "data"
        if not self._left and self.starting is not None:
            self._station.under_way -= 1
        self._look()

    def code_now(self) -> Any:
        """The real return code."""
        return None if self._real is None else self._real.get_returncode()

    def _look(self) -> None:
        asked = self._asked
        if asked is None:
            return
        if self._tape.live:
            if self._came:
                self._asked = None
                outcome = calls.returned(self._came.popleft())
                self._tape.completed(asked, asked.key, outcome, self._deliver, self._station)
            return
        foretold = self._tape.foretold(asked)
        if foretold is None:
            return
        event = self._like(calls.given(self._tape, asked, foretold))
        if event is not None:
            self._asked = None
            self._tape.completed(asked, asked.key, None, lambda _outcome: self._apply_soon(event), self._station)

    def _like(self, told: Any) -> Any:
        """What has come of the program that runs again, in the shape in which it came then; None = not yet."""
        if told[0] != "data":
            found = next(
                (each for each in self._came if each[:1] == told[:1] and (told[0] == "exit" or each[1] == told[1])),
                None,
            )
            if found is not None:
                self._came.remove(found)
            return found
        _, fd, size, _ = told
        mine = [each for each in self._came if each[0] == "data" and each[1] == fd]
        is_over = any(each[0] == "lost" and each[1] == fd for each in self._came)
        have = b"".join(bytes_of(each[3]) for each in mine)
        if len(have) < size and not is_over:
            return None
        for each in mine:
            self._came.remove(each)
        if have[size:]:
            self._came.appendleft(["data", fd, len(have) - size, have[size:]])
        return ["data", fd, len(have[:size]), have[:size]]

    def _deliver(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            from playhead.capture.boundary.encode import read

            self._apply_soon(read(outcome.body))

    def _apply_soon(self, event: list[Any]) -> None:
        self._loop.call_soon(self._apply, event, context=self._context)

    def _apply(self, event: list[Any]) -> None:
        """The agent hears of it."""
        what = event[0]
        if what == "data":
            self._protocol.pipe_data_received(event[1], bytes_of(event[3]))
        elif what == "lost":
            self._to_come -= 1
            self._pipes[event[1]].is_closed = True
            broken = _BROKEN.get(event[2] or "")
            self._protocol.pipe_connection_lost(event[1], None if broken is None else broken())
        else:
            self._to_come -= 1
            self._code = event[1]
            self._child.over()
            self._protocol.process_exited()
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(self._code)
            self._waiters.clear()
        if self._to_come:
            self._next()
        else:
            self._is_closed = True
            self._protocol.connection_lost(None)

    # -- what the agent does

    def ask(self, what: str, facts: dict[str, Any], do: Any) -> Any:
        """The agent does something to the program."""
        return self._child.call(what, facts, do, lambda _: do())

    def really(self, act: Any) -> None:
        """Do that with the real program: now, or once it runs again; never when none does."""
        if self._real is not None:
            act()
        elif self.starting is not None:
            self._postponed.append(act)

    def on_pipe(self, fd: int, name: str, *arguments: Any) -> None:
        """The same with one of its pipes."""

        def act() -> None:
            pipe = self._real.get_pipe_transport(fd)
            if pipe is not None:
                getattr(pipe, name)(*arguments)

        self.really(act)

    def get_pid(self) -> int:
        return self._pid

    def get_returncode(self) -> int | None:
        return self._code

    def get_pipe_transport(self, fd: int) -> Any:
        return self._pipes.get(fd)

    def send_signal(self, signal: int) -> None:
        if self._code is not None:
            raise ProcessLookupError
        self.ask("signal", {"signal": int(signal)}, lambda: self.really(lambda: self._real.send_signal(int(signal))))

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)

    async def _wait(self) -> int | None:
        if self._code is not None:
            return self._code
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return await waiter  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True
        self.really(lambda: self._real.close())  # noqa: PLW0108  there may be none yet

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol


class Output(transports.ReadTransport):
    """What the agent reads of it."""

    def __init__(self, transport: Transport, fd: int) -> None:
        super().__init__()
        self._of, self._fd = transport, fd
        self.is_closed = False

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """What has come is kept."""

    def resume_reading(self) -> None:
        """It was never paused."""

    def close(self) -> None:
        self.is_closed = True
        self._of.on_pipe(self._fd, "close")


class Input(transports.WriteTransport):
    """What the agent writes to it."""

    def __init__(self, transport: Transport, fd: int) -> None:
        super().__init__()
        self._of, self._fd = transport, fd
        self.is_closed = False

    def write(self, data: Any) -> None:
        if data and not self.is_closed:
            self._of.ask(
                "stdin", {"data": text_of(bytes(data))}, lambda: self._of.on_pipe(self._fd, "write", bytes(data))
            )

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def close(self) -> None:
        self.is_closed = True
        self._of.on_pipe(self._fd, "close")

    def abort(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0
