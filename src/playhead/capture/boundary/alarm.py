"""The leak alarm: what this process reaches for past its boundaries, heard by the interpreter's audit events (PEP 578).

A boundary asks the world `inside`, or from Playhead's own code; a file, a program, a name or a place that is asked for in
another way has slipped past: it is not in the recording, and a replay asks the world again. A hook hears every event of
the interpreter, hundreds of thousands a second in some programs, so what it does not know must cost it one look-up.

    open, sqlite3.connect               files outside the workspace that the agent's own code reads by `os.open`, `io.FileIO`, ...
    os.system, os.posix_spawn, ...      programs
    socket.getaddrinfo, gethostbyname   names of hosts, unless a connection follows, which then is what is said
    socket.connect, sendto, sendmsg     places outside this machine

Which events there are: https://docs.python.org/3/library/audit_events.html.
"""

from __future__ import annotations

import os
import sys

from playhead.capture.boundary import active, patches
from playhead.capture.boundary.files import NEVER, is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Hook = Callable[[str, tuple[Any, ...]], None]

TOLD_AT_MOST = 100
"""Slips of one process that are told; a program that makes more is known well enough by then."""

SHOWN = 200
"""Characters of the name of what slipped past that are told."""

PROGRAMS = frozenset(("subprocess.Popen", "os.posix_spawn", "os.spawn", "os.system", "os.exec"))
_STARTERS = f"{os.sep}subprocess.py", f"{os.sep}os.py", "<frozen os>", f"{os.sep}asyncio{os.sep}"
_HERE = ("", "localhost", "localhost.localdomain", "ip6-localhost", "broadcasthost")


class Alarm:
    """The slips of this process. `told` takes each as JSON facts, once: `what` it is (`file`, `database`, `program`,
    `name`, `place`, `datagram`), its `name`, `by` which event, and `at` which line of the agent."""

    def __init__(self, workspace: str, told: Callable[[dict[str, Any]], None]) -> None:
        self._inside = workspace.rstrip(os.sep) + os.sep
        self._told = told
        self._met: set[tuple[str, str]] = set()
        self._written: set[str] = set()  # outside the workspace
        self._names: dict[str, tuple[str, str]] = {}  # that were looked up, and nothing followed
        self._has_left = False

    def handlers(self) -> dict[str, Callable[[str, tuple[Any, ...]], None]]:
        """What hears which event."""
        return {
            "open": self._opened,
            "os.rename": self._renamed,
            "sqlite3.connect": self._database,
            **dict.fromkeys(PROGRAMS, self._program),
            **dict.fromkeys(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"), self._looked_up),
            **dict.fromkeys(("socket.connect", "socket.sendto", "socket.sendmsg"), self._connected),
        }

    def close(self) -> None:
        """The process ends: names that were looked up, after which nothing left it."""
        names, self._names = self._names, {}
        for name, (event, at) in names.items():
            self._tell("name", name, event, at)

    # -- files

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        path, _, flags = arguments
        if type(path) is int or path is None:
            return
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._wrote(path)
        elif patches.asks_for_agent(_CALLER):
            self._read("file", path, event)

    def _wrote(self, path: Any) -> None:
        written = _absolute(path)
        if not written.startswith(self._inside):
            self._written.add(written)

    def _renamed(self, _event: str, arguments: tuple[Any, ...]) -> None:
        if self._written and not isinstance(arguments[0], int) and _absolute(arguments[0]) in self._written:
            self._wrote(arguments[1])

    def _database(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = os.fsdecode(arguments[0])
        if name.startswith("file:"):
            name = name[5:].partition("?")[0]
        if not name or name.startswith(":") or not patches.asks_for_agent(_CALLER):
            return
        if os.path.exists(name):  # noqa: PTH110
            self._read("database", name, event)
        else:
            self._wrote(name)

    def _read(self, what: str, path: Any, event: str) -> None:
        name = _absolute(path)
        if name.startswith((self._inside, *NEVER)) or name in self._written:
            return
        if patches.is_agents(name) and is_plain(name):
            self._tell(what, name, event, _line())

    # -- programs

    def _program(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and _is_librarys_own(_CALLER):
            return
        if event == "os.exec" and not _is_fork(active.process):
            return  # what the agent becomes is the agent: it runs in a replay as any command does, with what it asks at the wire
        given = arguments[0] if event == "os.system" else arguments[1]
        words = [given] if isinstance(given, (str, bytes, os.PathLike)) else list(given)
        text = " ".join(os.fsdecode(word) for word in words) or os.fsdecode(arguments[0])
        process = active.process + "+" if event == "os.exec" else os.environ.get("PLAYHEAD_PROCESS", "")
        self._tell("program", text, event, _line(), process=process)

    # -- the network

    def _looked_up(self, event: str, arguments: tuple[Any, ...]) -> None:
        host = arguments[0]
        if host is None or self._has_left:
            return
        name = (host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)).rstrip(".")
        if _is_elsewhere(name) and name not in self._names and len(self._names) < TOLD_AT_MOST:
            self._names[name] = event, _line()

    def _connected(self, event: str, arguments: tuple[Any, ...]) -> None:
        import socket

        sock, address = arguments[:2]
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        if _is_loopback(host):
            return
        is_datagram = sock.type == socket.SOCK_DGRAM
        if is_datagram and event == "socket.connect":
            return  # nothing is sent by that
        self._has_left = True
        self._names.clear()
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._tell("datagram" if is_datagram else "place", place, event, _line())

    def _tell(self, what: str, name: str, event: str, at: str, **more: str) -> None:
        if (name, event) in self._met or len(self._met) >= TOLD_AT_MOST:
            return
        self._met.add((name, event))
        tape = active.tape
        if tape is not None:
            data = name.encode("utf-8", "surrogateescape")
            name = tape.clean(data).decode("utf-8", "replace")[:SHOWN]
        self._told({"what": what, "name": name, "by": event, "at": at, **more})


_CALLER = 5
"""Frames between who asks for the caller and the code that raised the event: a handler, `_quietly`, `_hear`, `hear`."""


def hook(alarm: Alarm, first: dict[str, Hook], last: dict[str, Hook]) -> Hook:
    """The hook for `sys.addaudithook`: `first` and `last` hear their events in any case, the alarm between them those that
    are no boundary's. What the alarm raised would come out of the agent's call: it raises nothing."""
    handlers = alarm.handlers()
    heard = frozenset((*first, *handlers, *last))

    # a function: calling a bound method for every event would cost three times as much
    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in heard:
            _hear(event, arguments)

    def _hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in first:
            first[event](event, arguments)
        if event in handlers and active.tape is not None and not active.inside.get():
            _quietly(handlers[event], event, arguments)
        if event in last:
            last[event](event, arguments)

    return hear


def _quietly(handler: Hook, event: str, arguments: tuple[Any, ...]) -> None:
    try:
        handler(event, arguments)
    except Exception:  # noqa: BLE001  an event of another shape, or no frame of Python below
        return


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100


def _line() -> str:
    """The nearest line of the agent's own code; "" when there is none."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None:
        if patches.is_agents(frame.f_code.co_filename):
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"  # noqa: PTH119
        frame = frame.f_back
    return ""


def _is_librarys_own(depth: int) -> bool:
    """Whether the standard library asks for the program for itself (`platform`, `ctypes.util`, `uuid`)."""
    frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001
    while frame is not None:
        filename = frame.f_code.co_filename
        if not any(part in filename for part in _STARTERS):
            return patches.is_standard(filename)
        frame = frame.f_back
    return False


def _is_fork(process: str) -> bool:
    """Whether a process of that name began as a fork of another: `0.f1`, `0.f1+2`."""
    return process[process.rfind(".") + 1 :].startswith("f")


def _is_elsewhere(name: str) -> bool:
    """Whether a name is looked up elsewhere: neither an address, nor this machine."""
    lower = name.lower()
    if lower in _HERE or lower.endswith(".localhost") or ":" in lower or lower.replace(".", "").isdigit():
        return False
    own = os.uname().nodename.lower()
    return lower not in (own, own.partition(".")[0])


def _is_loopback(host: str) -> bool:
    return host.lower() in _HERE or host.startswith("127.") or host in ("::1", "0.0.0.0", "::")  # noqa: S104
