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
from playhead.capture.process.watch import Attempt, Privileges, WatchPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.process.spawn import Child
    from playhead.runs.launcher import Launcher

DIRECT = "direct connection, went past the recorder"
_HARMLESS_SOCKETS = ("/var/run/nscd/", "/run/nscd/", "/dev/log", "/run/systemd/", "@/tmp/.X11", "/tmp/.X11-unix/")  # noqa: S108


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
        self._unix_named: frozenset[str] = frozenset()

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
        unix_named: frozenset[str] = frozenset(),
        diagnosis: socket.socket | None = None,
        walled: bool = False,
    ) -> None:
        """Begin. With `deny`, connections that the child does not serve itself are refused; of Unix sockets those in
        `unix_named`. `walled`: a namespace keeps the child in, so that what is tried does not get out."""
        self._tree = Tree(child.pid, os.getpid(), exclude={engine_pid}, diagnosis=diagnosis)
        self._deny, self._unix_named, self._walled = deny, unix_named, walled
        if child.notifier is not None:
            self.how = "watch"
            return
        with contextlib.suppress(OSError):
            self._observer = Observer(self._tree, {self.port})
            self._observer.look()
            self.how = "observe"
            launcher.every(PERIOD_S, self._look)

    def exclude(self, pid: int) -> None:
        """This process is Playhead's own."""
        if self._tree is not None:
            self._tree.exclude(pid)

    def close(self) -> None:
        """Look a last time."""
        with contextlib.suppress(OSError):
            self._look()

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
        place = f"unix:{attempt.host}"
        if attempt.host.startswith(_HARMLESS_SOCKETS) or self._serves_unix(attempt.host):
            return 0
        if not self._deny:
            self._places[place] = self._places.get(place, 0) + 1
        elif place in self._unix_named and not self._allowed(place, 0):
            self._refused[place] = self._refused.get(place, 0) + 1
            return errno.ECONNREFUSED
        return 0

    def _serves_unix(self, path: str) -> bool:
        """Whether a process of the tree listens on this Unix socket, or nobody does."""
        if self._tree is None:
            return False
        try:
            with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:  # noqa: PTH123
                inodes = {int(words[6]) for words in map(str.split, table) if len(words) > 7 and words[7] == path}
        except (OSError, ValueError):
            return False
        return not inodes or bool(self._tree.holders(inodes))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
