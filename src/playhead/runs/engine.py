"""The engine process of a run: forked by the launcher, it accepts the child's connections and asks the tape.

Launcher and engine talk in JSON lines over a socket pair:

    launcher -> engine   {"child": pid}   the command has started      {"finish": true}   it has ended: drain and stop
                         {"stay": [pid], "watch": fd}   serve until these have ended
    engine -> launcher   {"ready": true}, {"trouble": reason}, {"halt": reason}, {"done": {...}}

When the launcher dies the engine goes on for as long as the command lives, so that its calls still succeed. For a
recording the launcher also names the descriptor of its connect watch ("notifier"), which the engine then serves in its
place: unserved, every connect call of the command would fail.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Protocol

from playhead.capture.process.tree import children
from playhead.capture.process.watch import Watch, second_holder
from playhead.core.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable

_WAIT_FOR_DONE_S = 15.0
_LOOK_FOR_CHILD_S = 0.2
GARBAGE_AT = 5000  # objects made and not dropped before garbage is looked for: that of some two hundred calls


class Service(Protocol):
    """What an engine process runs; made inside it, on its event loop."""

    async def start(self, control: Control) -> None:
        """Begin to accept."""

    def child_started(self, pid: int) -> None:
        """The command runs as `pid`."""

    async def finish(self) -> dict[str, Any]:
        """The command has ended: close what is open and say what there is to say."""


class Control:
    """The engine's end of the control socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def say(self, **message: Any) -> None:
        """Send one message; a launcher that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")


class EngineProcess:
    """The launcher's handle of a forked engine."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.alive = True
        self.last_troubles: list[str] = []  # told while it was asked to finish
        self._pending = b""

    @classmethod
    def start(cls, make: Callable[[], Service], *, keep: set[int]) -> EngineProcess:
        """Fork an engine that runs what `make` returns. `keep` are the descriptors it needs; it closes all others."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            # with the launcher's end of the channel open here, its end would never be heard
            _engine_main(make, theirs, keep - {ours.fileno()} | {theirs.fileno(), 2})
        theirs.close()
        return cls(pid, ours)

    def say(self, **message: Any) -> None:
        """Send one message; an engine that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps(message).encode() + b"\n")

    def stay_for(self, pids: list[int], notifier: int | None) -> None:
        """Leave the engine behind, relaying for processes that outlive the run: the way out they were given must not
        end under them. `notifier` is the descriptor of their connect watch, one of those it was told to keep."""
        self.say(stay=pids, watch=notifier)
        self.channel.close()

    def messages(self, data: bytes) -> list[dict[str, Any]]:
        """The whole messages in what has arrived so far."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def finish(self) -> dict[str, Any] | None:
        """Ask the engine to drain and stop; its last word, or None when it died without one."""
        self.say(finish=True)
        self.channel.settimeout(_WAIT_FOR_DONE_S)
        done = None
        with contextlib.suppress(OSError):
            while data := self.channel.recv(65536):
                for message in self.messages(data):
                    done = message.get("done", done)
                    if "trouble" in message:
                        self.last_troubles.append(str(message["trouble"]))
        self.channel.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if done is None and self.alive:
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.alive = False
        return done


def _engine_main(make: Callable[[], Service], channel: socket.socket, keep: set[int]) -> None:
    """The whole life of an engine process. Never returns."""
    code = 1
    try:
        os.setsid()  # the terminal's signals are for the command
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGTSTP"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        _close_others(keep | {0, 1, 2})
        keep_freed_memory()
        _run(_serve(make, channel))
        code = 0
    except BaseException as error:  # noqa: BLE001  a forked copy must not run on into the caller's code
        import traceback

        if os.environ.get("PLAYHEAD_DEBUG"):
            traceback.print_exc()
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(at.filename)}:{at.lineno}"  # noqa: PTH119
        Control(channel).say(trouble=f"the engine failed: {type(error).__name__}: {error} ({place})")
    finally:
        os._exit(code)


def _close_others(keep: set[int]) -> None:
    try:
        open_now = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        open_now = list(range(3, 1024))
    for fd in open_now:
        if fd not in keep:
            with contextlib.suppress(OSError):
                os.close(fd)


def _run(main: Any) -> None:
    try:
        import uvloop
    except ImportError:
        import asyncio

        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(make: Callable[[], Service], channel: socket.socket) -> None:
    import asyncio  # here and below: in the engine, while the launcher starts the command

    control = Control(channel)
    service = make()
    await service.start(control)
    # What is there by now stays: nobody has to look through it for garbage again. The turns of a call know each other, so that
    # there is some after every call, and looking for it every few calls took an eighth of the engine's time.
    gc.freeze()
    gc.set_threshold(GARBAGE_AT)
    control.say(ready=True)
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    left: list[int] = []
    standby: Watch | None = None
    finished = False
    while line := await reader.readline():
        message = json.loads(line)
        if "child" in message:
            child = int(message["child"])
            left = [child]
            if message.get("notifier") is not None:
                with contextlib.suppress(OSError):  # where it may not be had, the command was not to be watched either
                    standby = second_holder(int(message["launcher"]), int(message["notifier"]))
            service.child_started(child)
        if "stay" in message:
            left = list(map(int, message["stay"]))
            _leave_the_terminal()
            if message.get("watch") is not None:
                standby = Watch(int(message["watch"]), lambda _attempt: 0)
        if "finish" in message:
            finished = True
            break
    if not finished:
        if standby is not None:
            _serve_watch(standby)
        await _outlive(left)
    done = await service.finish()
    control.say(done=done)
    writer.close()


def _serve_watch(standby: Watch) -> None:
    import asyncio

    loop = asyncio.get_running_loop()

    def ready() -> None:
        if not standby.on_readable():
            loop.remove_reader(standby.fileno())

    loop.add_reader(standby.fileno(), ready)


async def _outlive(left: list[int]) -> None:
    """The launcher has gone; serve on until these processes have ended, and those that they start."""
    import asyncio

    known = set(left)
    while known := {pid for pid in known if _lives(pid)}:
        known.update(*(children(pid) for pid in known))
        await asyncio.sleep(_LOOK_FOR_CHILD_S)


def _leave_the_terminal() -> None:
    """Nobody reads us any more, and who waits for the end of our output must not wait for us."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    os.close(null)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return stat.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except FileNotFoundError:
        return False
    except OSError:
        return True
