"""Connections of the child that go round the engine: named at record, refused and named at replay."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from playhead.capture.process.observe import PERIOD_S, Observer
from playhead.capture.process.tree import Tree
from playhead.capture.process.unix_sockets import Server, server_of
from playhead.capture.process.watch import Attempt, Privileges, WatchPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.process.spawn import Child
    from playhead.runs.launcher import Launcher

DIRECT = "direct connection, went past the recorder"
_RESOLVERS = ("/var/run/nscd/", "/run/nscd/", "/run/systemd/resolve/")
_HARMLESS_SOCKETS = (*_RESOLVERS, "/dev/log", "/run/systemd/", "@/tmp/.X11", "/tmp/.X11-unix/")  # noqa: S108


class Bypasses:
    """Collects the places the child's tree connects to by itself. `how` is `watch` where the kernel tells of every
    connect call, `observe` where they are looked for, `none` where neither is possible."""

    def __init__(self, port: int, *, allowed: Callable[[str, int], bool] = lambda _host, _port: False) -> None:
        self.port = port
        self.how = "none"
        self._allowed = allowed
        self._tree: Tree | None = None
        self._places: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._leaked: dict[str, int] = {}
        self._observer: Observer | None = None
        self._deny = False
        self._walled = False

    def plan(self, privileges: Privileges) -> WatchPlan:
        """How the kernel is to tell of connections, where it can; for `Launcher.start`."""
        return WatchPlan(privileges, self._decide)

    def watch(
        self,
        launcher: Launcher,
        child: Child,
        engine_pid: int,
        *,
        deny: bool,
        diagnosis: socket.socket | None = None,
        walled: bool = False,
    ) -> None:
        """Begin. With `deny`, connections that the child does not serve itself are refused, Unix sockets included: no
        namespace keeps those in. `walled`: a namespace keeps the child in, so that what is tried does not get out."""
        self._tree = Tree(child.pid, os.getpid(), exclude={engine_pid}, diagnosis=diagnosis)
        self._deny, self._walled = deny, walled
        if child.notifier is not None:
            self.how = "watch"
            return
        with contextlib.suppress(OSError):
            self._observer = Observer(self._tree, {self.port})
            self._observer.look()
            self.how = "observe"
            launcher.every(PERIOD_S, self._look)

    @property
    def tree(self) -> Tree:
        """The tree that is watched, from `watch` on."""
        if self._tree is None:
            raise RuntimeError("nothing is watched yet")
        return self._tree

    def exclude(self, pid: int) -> None:
        """This process is Playhead's own."""
        if self._tree is not None:
            self._tree.exclude(pid)

    def close(self) -> None:
        """Look a last time."""
        with contextlib.suppress(OSError):
            self._look()

    def knows(self, host: str, port: int) -> bool:
        """Whether nothing need be said here of a place that a process of the child names: it is allowed, or the kernel
        tells of every connection."""
        return self.how == "watch" or self._walled or self._allowed(host, port)

    def found(self) -> list[tuple[str, str]]:
        """(host, reason) of every place that was connected to directly."""
        return [(place, DIRECT) for place in self._places]

    def leaked(self) -> list[str]:
        """The places that were reached although they should not have been: seen only after the fact."""
        return list(self._leaked)

    def refused(self) -> list[str]:
        """The places that were tried and refused."""
        return list(self._refused)

    def _look(self) -> None:
        if self._observer is not None:
            for attempt in self._observer.look():
                self._decide(attempt)

    def _decide(self, attempt: Attempt) -> int:
        """0 to let a connection go on, an errno to fail it. Called by the kernel's watch, or after the fact."""
        if attempt.family == socket.AF_UNIX:
            return self._decide_unix(attempt)
        if attempt.family not in (socket.AF_INET, socket.AF_INET6) or not attempt.port:
            return 0
        loopback = _is_loopback(attempt.host)
        if loopback and attempt.port == self.port:
            return 0
        if attempt.socktype == socket.SOCK_DGRAM:
            return self._decide_datagram(attempt, loopback=loopback)
        host = f"[{attempt.host}]" if ":" in attempt.host else attempt.host
        place = f"{host}:{attempt.port}"
        if self._allowed(attempt.host, attempt.port):
            return 0
        own = loopback and self._tree is not None and self._tree.serves(attempt.port)
        if own:
            return 0
        if not self._deny:
            self._places[place] = self._places.get(place, 0) + 1
            return 0
        book = self._leaked if self.how == "observe" and not self._walled else self._refused
        book[place] = book.get(place, 0) + 1
        return errno.ECONNREFUSED if loopback else errno.ENETUNREACH

    def _decide_datagram(self, attempt: Attempt, *, loopback: bool) -> int:
        """Nothing is named here: connecting a datagram socket sends nothing, and choosing among the addresses of a name
        does it. What a replay must keep in are the datagrams themselves, name look-ups included."""
        if not self._deny or self._allowed(attempt.host, attempt.port):
            return 0
        if loopback:
            own = self._tree is not None and self._tree.serves(attempt.port, datagrams=True)
            return 0 if own else errno.ECONNREFUSED
        return errno.ENETUNREACH

    def _decide_unix(self, attempt: Attempt) -> int:
        name = attempt.host
        if self._deny and name.startswith(_RESOLVERS):
            return errno.ECONNREFUSED  # every look-up tries them first, and they would ask the world
        if name.startswith(_HARMLESS_SOCKETS) or self._tree is None:
            return 0
        if server_of(self._tree, attempt.pid, name) is not Server.FOREIGN:
            return 0
        place = f"unix:{name}".encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if self._allowed(place, 0):
            return 0
        book = self._refused if self._deny else self._places
        book[place] = book.get(place, 0) + 1
        return errno.ECONNREFUSED if self._deny else 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
