"""Whether the child's tree has come to rest: every thread asleep (but those that compile: see compilers.py), and nothing
unread in the sockets just answered.

This is what the quiet gate asks, some thousand times a second while it waits, so descriptors of /proc stay open and
are read again in place. New threads and processes are found by the kernel's own counter of the last pid it gave out
(/proc/loadavg): while that stands still nothing was started anywhere, and nobody need be listed again.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from playhead.capture.process.compilers import compiling_threads
from playhead.capture.process.diag import SocketEnds, read_table
from playhead.core.clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.capture.process.tree import Tree

_BUSY_NS = 50_000_000
_COMPILING_NS = 5_000_000  # what is compiled or collected more quickly is waited for
# states of a thread that has nothing to do until the world moves it: sleeping, stopped, traced, zombie, dead, parked
_RESTING = frozenset(b"STtZXxPI")


class Rest:
    """Observes one tree. `port` is the engine's, towards which the client's sockets are connected.

    `busy` are the pids that ran on past 50 ms of processor time under observation (time in which the machine gave them
    none does not count): they are left out until they are seen asleep, or until nobody has observed for 50 ms.
    `ever_busy` keeps their names for the report.
    """

    def __init__(self, tree: Tree, port: int = 0, *, address: str = "127.0.0.1") -> None:
        self._tree = tree
        self._port = port
        self._address = address
        self._processes: dict[int, _Process] = {}
        self._last_pid = b""
        self._loadavg = _open_counter()
        self._observed_ns = 0
        self.busy: set[int] = set()
        self.ever_busy: set[int] = set()

    def at_rest(self, ports: Iterable[int] = ()) -> bool:
        """One observation: all threads rest, and the client sockets with these local ports have been read empty.

        Threads are looked at one after the other, so two that wake each other in turn can both be seen asleep;
        `confirmed` rules that out. A client port that has no socket any more counts as read.
        """
        now = monotonic_ns()
        if now - self._observed_ns > _BUSY_NS:
            for process in self._processes.values():
                process.running_since_cpu_ns = None
            self.busy.clear()
        self._observed_ns = now
        self._find_newcomers()
        resting = True
        for pid, process in self._processes.items():
            if process.is_asleep():
                process.running_since_cpu_ns = None
                self.busy.discard(pid)
            elif pid not in self.busy:
                used = process.cpu_ns()
                if process.running_since_cpu_ns is None:
                    process.running_since_cpu_ns = used
                if used - process.running_since_cpu_ns > _BUSY_NS:
                    self.busy.add(pid)
                    self.ever_busy.add(pid)
                else:
                    resting = False
        return resting and all(self._is_read(port) for port in ports)

    def confirmed(self, ports: Iterable[int] = ()) -> bool:
        """Two passes over all threads between which none has run: there was a moment at which all of them slept.

        Costs about three times `at_rest`; ask it once that was true.
        """
        self._find_newcomers()
        watched = [process for pid, process in self._processes.items() if pid not in self.busy]
        before = [process.runs() for process in watched]
        return (
            self.at_rest(ports)
            and all(process.is_asleep() for process in watched)
            and before == [process.runs() for process in watched]
        )

    def cpu_ns(self) -> int:
        """Processor time of all living threads of the tree so far, busy processes and compiling threads left out."""
        return sum(process.cpu_ns() for pid, process in self._processes.items() if pid not in self.busy)

    def close(self) -> None:
        """Close the descriptors held."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()
        if self._loadavg is not None:
            os.close(self._loadavg)
            self._loadavg = None

    def _find_newcomers(self) -> None:
        last_pid = b"" if self._loadavg is None else os.pread(self._loadavg, 128, 0).rpartition(b" ")[2]
        gone = any(process.is_stale for process in self._processes.values())
        if last_pid and last_pid == self._last_pid and not gone:
            return
        self._last_pid = last_pid
        living = self._tree.processes()
        for pid in self._processes.keys() - set(living):
            self._processes.pop(pid).close()
            self.busy.discard(pid)
        for pid in living:
            if pid in self._processes:
                self._processes[pid].list_threads()
            else:
                with contextlib.suppress(OSError):
                    self._processes[pid] = _Process(pid)

    def _is_read(self, port: int) -> bool:
        if self._tree.diagnosis is not None:
            with contextlib.suppress(OSError):
                seen = self._tree.diagnosis.find(SocketEnds(self._address, port, self._address, self._port))
                return seen is None or seen.unread == 0
        rows = read_table(self._tree.root_pid, "tcp6" if ":" in self._address else "tcp")
        return not any(row.unread for row in rows if row.port == port and row.far_port == self._port)


class _Process:
    """The threads of one process, each by its open stat file. Raises OSError when the process has gone."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.running_since_cpu_ns: int | None = None
        self.is_stale = False
        self._stats: dict[str, int] = {}
        self._schedules: dict[str, int] = {}
        self._compilers: frozenset[str] = frozenset()
        self._compiling: dict[str, int] = {}  # those seen running, and their processor time when that began
        self._waits_on: int | None = None
        self._first: str | None = None  # the thread last seen running, which is asked first
        self._task = f"/proc/{pid}/task"
        self.list_threads()

    def list_threads(self) -> None:
        """Open the threads that are new, close those that have gone."""
        try:
            living = set(os.listdir(self._task))  # noqa: PTH208 - hot
        except OSError:
            self.is_stale = True  # the process has gone
            return
        self.is_stale = False
        for thread in self._stats.keys() - living:
            self._forget(thread)
        news = living - self._stats.keys()
        for thread in news:
            with contextlib.suppress(OSError):
                self._stats[thread] = os.open(f"{self._task}/{thread}/stat", os.O_RDONLY)
        if news:
            self._compilers = compiling_threads(self.pid, living)

    def is_asleep(self) -> bool:
        """Whether every thread rests. Uninterruptible sleep (disk) is work; compiling is none, once it takes long."""
        first = self._first
        if first is not None:
            if not self._rests(self._stats.get(first)):
                return False
            self._first = None
        compiles = False
        for thread, stat in list(self._stats.items()):
            if thread == first:
                continue
            if self._rests(stat):
                if self._compiling:
                    self._compiling.pop(thread, None)
            elif thread in self._compilers:
                if not self._compiles_on(thread):
                    return False
                compiles = True
            else:
                self._first = thread
                return False
        return not compiles or self._waits_for_the_world()

    def runs(self) -> dict[str, bytes]:
        """By thread that does not compile, how often and how long it has had a processor (proc/PID/schedstat, opaque)."""
        return {thread: self._schedule(thread) for thread in self._stats if thread not in self._compilers}

    def cpu_ns(self) -> int:
        """Processor time of those threads (first field of schedstat); 0 where the kernel keeps none."""
        return sum(int(line.split(b" ", 1)[0]) for line in self.runs().values() if line)

    def close(self) -> None:
        for thread in list(self._stats):
            self._forget(thread)
        if self._waits_on is not None:
            os.close(self._waits_on)
            self._waits_on = None

    def _compiles_on(self, thread: str) -> bool:
        used = int(self._schedule(thread).split(b" ", 1)[0] or 0)
        return used - self._compiling.setdefault(thread, used) > _COMPILING_NS

    def _waits_for_the_world(self) -> bool:
        """Whether the main thread waits for something other than another thread: it may need what is compiled."""
        try:
            if self._waits_on is None:
                self._waits_on = os.open(f"{self._task}/{self.pid}/wchan", os.O_RDONLY)
            place = os.pread(self._waits_on, 64, 0)
        except OSError:
            return False
        return place not in (b"", b"0") and not place.startswith(b"futex")

    def _schedule(self, thread: str) -> bytes:
        try:
            if thread not in self._schedules:
                self._schedules[thread] = os.open(f"{self._task}/{thread}/schedstat", os.O_RDONLY)
            return os.pread(self._schedules[thread], 128, 0)
        except OSError:
            return b""

    def _rests(self, stat: int | None) -> bool:
        if stat is None:
            return True
        try:
            line = os.pread(stat, 512, 0)
        except OSError:  # the thread has ended; threads are listed again before the next look
            self.is_stale = True
            return True
        return line[line.rindex(b")") + 2] in _RESTING

    def _forget(self, thread: str) -> None:
        os.close(self._stats.pop(thread))
        self._compiling.pop(thread, None)
        if thread in self._schedules:
            os.close(self._schedules.pop(thread))


def _open_counter() -> int | None:
    """The file with the last pid given out, or None where it is not the kernel's own (containers may mask it)."""
    try:
        fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if os.fstat(fd).st_dev != os.stat("/proc").st_dev:  # noqa: PTH116 - beside fstat
        os.close(fd)
        return None
    return fd
