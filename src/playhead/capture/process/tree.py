"""The child's process tree: who is in it, who holds which connection, and where in it a process stands.

Everything is read through /proc/PID, which shows other namespaces too. Orphans of the tree come to the launcher,
which is their reaper; so the tree is the root, the launcher's other children, and all their descendants, without
those that are Playhead's own.

A lane is named by its place, not its pid: `python.0/node.1` is the second node started by the root, python. Versions
in program names do not count. Ordinals follow start times among siblings of the same name that live or have asked
before; one that came and went unasked leaves no gap.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.process.diag import SocketDiagnosis, SocketEnds, read_table

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

_LISTENS = 0x0A
_VERSION = re.compile(r"[-0-9.]+$")
_LOOPBACK = {False: "127.0.0.1", True: "::1"}


class Identity(NamedTuple):
    """A process for as long as it lives: pids come again, start times (clock ticks since boot) do not."""

    pid: int
    started: int


class Tree:
    """The tree under `root_pid`, a child of `launcher_pid`. `exclude` are children of the launcher that are not in it.

    `diagnosis` is the netlink socket of the namespace the tree lives in, when it is not ours (Namespace.diagnosis).
    """

    def __init__(
        self,
        root_pid: int,
        launcher_pid: int,
        *,
        exclude: Iterable[int] = (),
        diagnosis: socket.socket | None = None,
    ) -> None:
        self.root_pid = root_pid
        self.launcher_pid = launcher_pid
        self._excluded = {root_pid, *exclude}
        self.diagnosis: SocketDiagnosis | None = None
        with contextlib.suppress(OSError):
            self.diagnosis = SocketDiagnosis(diagnosis and diagnosis.dup())
        self._parents: dict[Identity, Identity] = {}
        self._keys: dict[Identity, str] = {}
        self._ordinals: dict[tuple[str, str], int] = {}
        self._root = _identity(root_pid)
        if self._root is not None:  # a shell that became us may have had children before
            elders = {
                pid for pid in children(launcher_pid) if (_identity(pid) or self._root).started < self._root.started
            }
            self._excluded |= elders

    def exclude(self, pid: int) -> None:
        """From now on `pid` and what it starts is not of the tree (a new engine)."""
        self._excluded.add(pid)

    def processes(self) -> list[int]:
        """The pids of all living processes of the tree, parents before their children. Zombies count."""
        found = [self.root_pid] if _identity(self.root_pid) else []
        found.extend(pid for pid in children(self.launcher_pid) if pid not in self._excluded)
        for pid in found:  # grows while it is walked
            found.extend(children(pid))
        return found

    def is_zombie(self, pid: int) -> bool:
        """Whether a process has ended, be it that nobody has asked how."""
        return _stat_words(pid)[:1] in ([b"Z"], [b"X"], [])

    def owner(self, peer: tuple[str, int], local_port: int) -> int | None:
        """The process that holds the client end of a connection to our `local_port`; `peer` is that end.

        Of several that hold it (a fork inherits) the eldest. None when it has gone, or may not be looked into.
        """
        inode = self.inode(peer, local_port)
        if not inode:
            return None
        wanted = f"socket:[{inode}]"
        for pid in self.processes():
            if _holds(pid, wanted):
                return pid
        return None

    def inode(self, peer: tuple[str, int], local_port: int) -> int:
        """The inode of the client's socket, 0 when there is none."""
        address, port = peer[0].removeprefix("::ffff:"), peer[1]
        if self.diagnosis is not None:
            with contextlib.suppress(OSError):
                seen = self.diagnosis.find(SocketEnds(address, port, _LOOPBACK[":" in address], local_port))
                if seen is not None:
                    return seen.inode
        for name in ("tcp", "tcp6"):
            for row in read_table(self.root_pid, name):
                if row.port == port and row.far_port == local_port and row.address == address:
                    return row.inode
        return 0

    def holders(self, inodes: set[int]) -> dict[int, int]:
        """Which process holds which of these sockets: inode to the eldest pid."""
        found: dict[int, int] = {}
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        for pid in self.processes():
            for link in _links(pid) & wanted.keys():
                found.setdefault(wanted[link], pid)
        return found

    def serves(self, port: int, *, datagrams: bool = False) -> bool:
        """Whether a process of the tree itself listens on TCP `port`, or with `datagrams` holds a UDP socket there, too:
        what is sent to it stays inside."""
        rows = [row for name in ("tcp", "tcp6") for row in read_table(self.root_pid, name)]
        listening = {row.inode for row in rows if row.port == port and row.state == _LISTENS}
        if datagrams:
            rows = [row for name in ("udp", "udp6") for row in read_table(self.root_pid, name)]
            listening |= {row.inode for row in rows if row.port == port}
        return bool(listening and self.holders(listening))

    def lane_key(self, pid: int) -> str:
        """The place of a process in the tree, `python.0/node.0`; "" when it has gone unseen. Stable once given."""
        identity = _identity(pid)
        if identity is None:
            return next((key for known, key in self._keys.items() if known.pid == pid), "")
        if identity not in self._keys:
            self._keys[identity] = self._place(identity)
        return self._keys[identity]

    def lane_argv(self, pid: int) -> tuple[str, ...]:
        """The arguments a process was started with; empty when it has gone."""
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as line:  # noqa: PTH123 - /proc
            return tuple(os.fsdecode(word) for word in line.read().split(b"\0")[:-1])
        return ()

    def refresh(self) -> None:
        """Note who is whose child while parents still live; call it now and then, so that orphans keep their place."""
        for pid in self.processes():
            identity = _identity(pid)
            if identity is not None and identity not in self._parents:
                self._parents[identity] = self._find_parent(pid)

    def close(self) -> None:
        """Close the netlink socket; from then on the tables are read."""
        if self.diagnosis is not None:
            self.diagnosis.close()
            self.diagnosis = None

    def _place(self, identity: Identity) -> str:
        name = _name(identity.pid)
        if identity.pid == self.root_pid:
            return f"{name}.0"
        parent = self._parents.setdefault(identity, self._find_parent(identity.pid))
        above = self._keys.get(parent) or self.lane_key(parent.pid) or self.lane_key(self.root_pid)
        for elder in self._elders(identity, parent, name):
            self._keys.setdefault(elder, self._next(above, name))
        return self._next(above, name)

    def _next(self, above: str, name: str) -> str:
        ordinal = self._ordinals.get((above, name), 0)
        self._ordinals[above, name] = ordinal + 1
        return f"{above}/{name}.{ordinal}"

    def _elders(self, identity: Identity, parent: Identity, name: str) -> Iterator[Identity]:
        """Living siblings of the same name that started before and have no key yet, eldest first."""
        found = {_identity(pid) for pid in children(parent.pid) if pid not in self._excluded}
        elders = {each for each in found if each and (each.started, each.pid) < (identity.started, identity.pid)}
        for elder in sorted(elders, key=lambda each: (each.started, each.pid)):
            if elder not in self._keys and _name(elder.pid) == name:
                yield elder

    def _find_parent(self, pid: int) -> Identity:
        parent = _stat_words(pid)[1:2]
        number = int(parent[0]) if parent else self.root_pid
        if number in (self.launcher_pid, 0, 1):
            number = self.root_pid  # an orphan: its own parent has gone
        return _identity(number) or self._root or Identity(self.root_pid, 0)


def children(pid: int) -> list[int]:
    """The living children of a process, by all its threads, in the kernel's order (by start)."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:  # noqa: PTH123 - hot
                found.extend(map(int, listed.read().split()))
    except FileNotFoundError:
        if os.path.exists(f"/proc/{pid}/task") and not os.path.exists("/proc/thread-self/children"):  # noqa: PTH110
            return _children_by_parent(pid)
    except OSError:
        pass
    return found


def _children_by_parent(pid: int) -> list[int]:
    """The same on a kernel without CONFIG_PROC_CHILDREN: every process is asked who its parent is."""
    wanted = str(pid).encode()
    everyone = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return [each for each in everyone if _stat_words(each)[1:2] == [wanted]]


def _stat_words(pid: int) -> list[bytes]:
    """/proc/PID/stat from the state on: state, parent, …, with the start time at 19. Empty when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - hot
            return stat.read().rpartition(b") ")[2].split()
    except OSError:
        return []


def _identity(pid: int) -> Identity | None:
    words = _stat_words(pid)
    return Identity(pid, int(words[19])) if words else None


def _name(pid: int) -> str:
    """The program a process runs, without directory and version."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - hot
    except OSError:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:  # noqa: PTH123 - /proc
                program = comm.read().strip()
        except OSError:
            return "unknown"
    base = program.removesuffix(" (deleted)").rpartition("/")[2]
    return _VERSION.sub("", base) or base


def _holds(pid: int, wanted: str) -> bool:
    """Whether a descriptor of a process points to `wanted`; the newest are asked first."""
    try:
        folder = f"/proc/{pid}/fd/"
        names = os.listdir(folder)  # noqa: PTH208 - hot
    except OSError:
        return False
    for name in reversed(names):
        with contextlib.suppress(OSError):
            if os.readlink(folder + name) == wanted:  # noqa: PTH115 - hot
                return True
    return False


def _links(pid: int) -> set[str]:
    """What the descriptors of a process point to; empty when it has gone or is not ours to look into."""
    found: set[str] = set()
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                found.add(os.readlink(descriptor.path))  # noqa: PTH115 - hot
    return found
