"""The process that holds a run: it starts the command, stands between its streams and ours, and outlives it.

One thread and one poll loop, because it forks. It never waits for anything but poll: it also answers the connect
watch and minds the engine, and neither may stand still because a pipe is full.

    ours 0 ---> on_stdio(0, …) ---> child's stdin or pty            control socket of the engine ---> on_control
    child's stdout, stderr, pty ---> on_stdio(1 or 2, …) ---> ours  any other descriptor         ---> watch(fd, …)
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from playhead.capture.process import linux, terminal
from playhead.capture.process.rest import Rest
from playhead.capture.process.spawn import Child, Command, Enclosure, Kind, Stdio, spawn
from playhead.capture.process.tree import Tree
from playhead.capture.process.watch import Watch, WatchPlan
from playhead.core.clock import monotonic_ns
from playhead.runs.streams import Feed, Flow, Input, Pump, Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType


_READ_SIZE = 65536
_FORWARDED = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
    "SIGTSTP",
    "SIGCONT",
    "SIGWINCH",
)
_FROM_A_KEY = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP})

_IDLE_MS = 20  # how often held-back input and dying pipes are looked at, while there are any


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How the command ended: `code` after an exit, else None and `signal` the number that killed it; `core` whether it
    left a core file. `duration_s` is from just before the fork."""

    code: int | None
    signal: int | None
    duration_s: float
    core: bool = False

    @property
    def shell_code(self) -> int:
        """What a shell would report: the code, or 128 + N after signal N."""
        return self.code if self.code is not None else 128 + (self.signal or 0)


class Launcher:
    """Runs one command. A context manager: leaving it restores our terminal and signal mask and closes what it opened.

    `on_stdio(fd, data)` is called with every piece in either direction before it is passed on, b"" at the end of
    stdin; fd is 0, 1 or 2, and all output of a terminal counts as the lowest of 1, 2 that is one. `recorded_input`
    replaces our own standard input. Call `start`, then `run`.
    """

    def __init__(
        self, on_stdio: Callable[[int, bytes], None], *, recorded_input: Iterable[Input] | None = None
    ) -> None:
        self._on_stdio = on_stdio
        self._recorded_input = None if recorded_input is None else list(recorded_input)
        self._feed: Feed | None = None
        self._poll = select.poll()
        self._polled: dict[int, int] = {}
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._children: dict[int, Callable[[int], object]] = {}
        self._timers: list[_Timer] = []
        self._flows: list[Flow] = []
        self._closing: list[Callable[[], None]] = []
        self._signals: linux.SignalDescriptor | _WakeUp | None = None
        self._found_mask: set[int] | None = None
        self._outer: terminal.OuterTerminal | None = None
        self._size_follows = False
        self._ended: tuple[int, int] | None = None  # wait status, monotonic ns
        self.child: Child | None = None

    # setting up ------------------------------------------------------------------------------------------------

    def watch(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback` whenever `fd` is readable or hung up. It must not block; returning False unwatches."""
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Forget a watched descriptor. Safe to call for one that is not watched."""
        self._callbacks.pop(fd, None)

    def watch_child(self, pid: int, callback: Callable[[int], object]) -> None:
        """Call `callback(wait status)` once when another child of ours (the engine) has ended; it is reaped then."""
        self._children[pid] = callback

    def control(self, channel: socket.socket, on_control: Callable[[bytes], None]) -> None:
        """Hand what arrives on the engine's control socket to `on_control`; b"" once, when the engine has gone."""

        def arrived() -> bool:
            try:
                data = channel.recv(_READ_SIZE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            on_control(data)
            return bool(data)

        self.watch(channel.fileno(), arrived)

    def every(self, period_s: float, callback: Callable[[], object]) -> None:
        """Call `callback` about once a period while the command runs."""
        self._timers.append(_Timer(int(period_s * 1e9), callback, monotonic_ns()))

    def start(
        self,
        command: Command,
        stdio: Stdio,
        *,
        enclosure: Enclosure | None = None,
        watching: WatchPlan | None = None,
    ) -> Child:
        """Take signals and terminal, and start the command; with `watching` its connects are served from here on
        (Child.unwatched says why not). Raises as spawn does; `close` undoes the rest."""
        numbers = {getattr(signal, name) for name in _FORWARDED} | {signal.SIGCHLD}
        self._found_mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        self._signals = linux.SignalDescriptor(numbers) if linux.IS_LINUX else _WakeUp(numbers)
        mask = {signal.Signals(number) for number in self._found_mask or ()}
        privileges = watching and watching.privileges
        child = spawn(command, stdio, enclosure=enclosure, watching=privileges, sigmask=mask)
        self.child = child
        if child.notifier is not None and watching is not None:
            self.watch(child.notifier, Watch(child.notifier, watching.decide).on_readable)
        self._size_follows = stdio.size is None
        self._take_terminal(child)
        self._connect_streams(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give back the terminal and the signal mask, close our ends of the streams. Safe to call again."""
        if self._outer is not None:
            self._outer.give_back()
            self._outer = None
        for flow in self._flows:
            flow.close()
        self._flows.clear()
        while self._closing:
            self._closing.pop(0)()
        if self.child is not None:
            self.child.close()
        if self._signals is not None:
            self._signals.read()  # what came after the end must not hit us when unblocked
            self._signals.close()
            self._signals = None
        if self._found_mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._found_mask)
            self._found_mask = None

    # the loop --------------------------------------------------------------------------------------------------

    def run(self) -> ExitStatus:
        """Pump until the command has ended and its output is drained. Returns how it ended."""
        if self.child is None or self._signals is None:
            raise RuntimeError("start the command first")
        self._reap()
        while not self._is_done():
            self._turn()
        return self._status()

    def linger(self, bound_s: float, while_true: Callable[[], bool]) -> None:
        """Serve on after `run`, at most so long: what the command left behind still connects."""
        until = monotonic_ns() + int(bound_s * 1e9)
        while while_true() and monotonic_ns() < until:
            self._turn()

    @property
    def has_ended(self) -> bool:
        """Whether the command has; its pid may be another's from then on."""
        return self._ended is not None

    def _turn(self) -> None:
        self._register()
        ready = dict(self._poll.poll(self._patience_ms()))
        if self._signals is not None and self._signals.fileno() in ready:
            self._handle_signals()
        for fd in ready:
            callback = self._callbacks.get(fd)
            if callback is not None and callback() is False:
                self.unwatch(fd)
        for flow in self._flows:
            flow.turn(ready)
        self._run_timers()

    def _register(self) -> None:
        """Make poll wait for exactly what is wanted now."""
        wanted = dict.fromkeys(self._callbacks, select.POLLIN)
        if self._signals is not None:
            wanted[self._signals.fileno()] = select.POLLIN
        for flow in self._flows:
            for fd, events in flow.wishes():
                wanted[fd] = wanted.get(fd, 0) | events
        for fd in self._polled.keys() - wanted.keys():
            self._poll.unregister(fd)
        for fd, events in wanted.items():
            if self._polled.get(fd) != events:
                self._poll.register(fd, events)
        self._polled = wanted

    def _patience_ms(self) -> int | None:
        """How long poll may wait, in ms; None for ever."""
        if self._ended is not None or (self._feed is not None and self._feed.is_waiting):
            return _IDLE_MS
        if not self._timers:
            return None
        return max(0, (min(timer.due_ns for timer in self._timers) - monotonic_ns() + 999_999) // 1_000_000)

    def _run_timers(self) -> None:
        now = monotonic_ns()
        for timer in self._timers:
            if timer.due_ns <= now:
                timer.due_ns = now + timer.period_ns
                timer.callback()

    def _is_done(self) -> bool:
        return self._ended is not None and all(
            flow.is_finished for flow in self._flows if isinstance(flow, Pump) and flow.is_output
        )

    def _status(self) -> ExitStatus:
        if self._ended is None or self.child is None:
            raise RuntimeError("the command has not ended")
        status, at = self._ended
        duration = (at - self.child.started_ns) / 1e9
        if os.WIFSIGNALED(status):
            return ExitStatus(None, os.WTERMSIG(status), duration, os.WCOREDUMP(status))
        return ExitStatus(os.WEXITSTATUS(status), None, duration)

    # streams ---------------------------------------------------------------------------------------------------

    def _take_terminal(self, child: Child) -> None:
        """Hold our own terminal if a stream of the child's terminal is joined to it."""
        joined = [n for n, kind in enumerate(child.kinds) if kind is Kind.TTY and os.isatty(n)]
        if joined:
            takes_input = joined[0] == 0 and self._feed is None
            self._outer = terminal.OuterTerminal(joined[0], takes_input=takes_input)
            self._outer.hold()

    def _connect_streams(self, child: Child) -> None:
        for number, source in ((1, child.stdout), (2, child.stderr)):
            if source is not None:
                self._add_output(child, source, Sink(number), self._report(number))
        if child.master is not None:
            shown = next((n for n in (1, 2) if child.kinds[n] is Kind.TTY), None)
            # with both outputs elsewhere, what the terminal shows (echo, getpass) belongs to nobody's record
            sink = Sink(shown) if shown is not None else Sink(0 if os.isatty(0) else None)
            self._flows.append(Pump(child.master, sink, self._report(shown), is_output=True))
        into = child.stdin
        if into is None and child.kinds[0] is Kind.TTY:
            into = child.master
        if into is None:
            return
        to_child = Sink(into, at_end=lambda: _end_input(child, into))
        if self._recorded_input is not None:
            self._feed = Feed(self._recorded_input, to_child, self._report(0), self._tree_rests(child))
            self._flows.append(self._feed)
        else:
            self._flows.append(Pump(0, to_child, self._typed, is_output=False, may_read=self._may_read_ours))

    def _add_output(self, child: Child, source: int, sink: Sink, report: Callable[[bytes], None]) -> None:
        self._flows.append(Pump(source, sink, report, is_output=True, close_source=lambda: child.close_one(source)))

    def _tree_rests(self, child: Child) -> Callable[[], bool]:
        tree = Tree(child.pid, os.getpid(), exclude=self._children.keys())
        rest = Rest(tree)
        self._closing += [rest.close, tree.close]
        return rest.at_rest

    def _report(self, number: int | None) -> Callable[[bytes], None]:
        def report(data: bytes) -> None:
            if number is None:
                return
            if number > 0 and self._feed is not None:
                self._feed.saw_output(len(data))
            if data or number == 0:  # the end of an output is the child's end
                self._on_stdio(number, data)

        return report

    def _may_read_ours(self) -> bool:
        return self._outer is None or self._outer.in_foreground()

    def _typed(self, data: bytes) -> None:
        self._on_stdio(0, data)
        child = self.child
        if child is None or child.master is None or child.kinds[0] is not Kind.TTY:
            return
        # The child leads a session whose only group is orphaned, and the kernel stops no orphaned group by ^Z.
        # So the key is obeyed here, unless a job-control shell inside has a foreground group of its own.
        with contextlib.suppress(OSError):
            key = terminal.suspend_character(child.master)
            if key and key in data and child.foreground() == child.pid and terminal.has_job_control():
                os.killpg(child.pid, signal.SIGSTOP)

    # signals ---------------------------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        if self._signals is None or self.child is None:
            return
        for number, from_kernel in self._signals.read():
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGWINCH:
                self._follow_size(from_kernel=from_kernel)
            elif self._ended is None:
                self._forward(self.child, number, from_kernel=from_kernel)

    def _forward(self, child: Child, number: int, *, from_kernel: bool) -> None:
        if child.master is None:
            # a key's signal has reached the child by itself: it is in our group
            if not (from_kernel and number in _FROM_A_KEY):
                child.send(number)
        elif number == signal.SIGTSTP:
            if terminal.has_job_control():
                child.send(signal.SIGSTOP)  # see _typed
        else:
            if number == signal.SIGCONT and self._outer is not None:
                self._outer.hold()  # we may have come to the foreground
            child.send(number)

    def _follow_size(self, *, from_kernel: bool) -> None:
        child = self.child
        if child is None:
            return
        if child.master is None:
            if not from_kernel:
                child.send(signal.SIGWINCH)
            return
        if self._size_follows and self._outer is not None:
            with contextlib.suppress(OSError):
                terminal.set_window_size(child.master, terminal.window_size(self._outer.fd))

    def _reap(self) -> None:
        """Collect every child that changed: the command, those watched, and orphans that came to us."""
        while (changed := self._next_changed()) is not None:
            pid, status = changed
            if os.WIFSTOPPED(status):
                if self.child is not None and pid == self.child.pid:
                    self._stop_with_child()
            elif self.child is not None and pid == self.child.pid:
                self._ended = (status, monotonic_ns())
                self._end_streams(self.child)
            elif pid in self._children:
                self._children.pop(pid)(status)

    def _next_changed(self) -> tuple[int, int] | None:
        """A child of ours that ended or stopped, and its wait status, which is collected by this."""
        if linux.IS_LINUX:
            waited = [-1]  # orphans have pids we never heard of
        else:
            waited = [*self._children, *([self.child.pid] if self.child is not None and self._ended is None else [])]
        for pid in waited:
            with contextlib.suppress(ChildProcessError):
                found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
                if found:
                    return found, status
        return None

    def _end_streams(self, child: Child) -> None:
        """The command has ended: no more input, and output only while it lasts."""
        for flow in self._flows:
            if isinstance(flow, Pump) and flow.is_output:
                flow.command_ended()
            else:
                flow.close()
        if child.slave is not None:
            child.close_one(child.slave)  # the master now tells the end by itself

    def _stop_with_child(self) -> None:
        """The command was stopped: stop too, so that the shell that started us sees it, and go on with it."""
        if not terminal.has_job_control():
            return  # nobody would ever continue us
        if self._outer is not None:
            self._outer.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._outer is not None:
            self._outer.hold()
        self._follow_size(from_kernel=False)
        if self.child is not None:
            self.child.send(signal.SIGCONT)


def _end_input(child: Child, into: int) -> None:
    """Tell the child that its input is over: a closed pipe, or at a terminal the key for it."""
    if into != child.master:
        child.close_one(into)
    elif not os.isatty(0):  # our own terminal ends by hanging up, which is a signal
        with contextlib.suppress(OSError):
            os.write(into, terminal.END_OF_FILE)


@dataclass(slots=True)
class _Timer:
    period_ns: int
    callback: Callable[[], object]
    due_ns: int


class _WakeUp:
    """Signals by Python's own wake-up descriptor, where there is no signalfd; it cannot tell who sent one."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._reading, self._writing = os.pipe()
        for fd in (self._reading, self._writing):
            os.set_blocking(fd, False)
        self._found = {number: signal.signal(number, lambda *_: None) for number in numbers}
        self._found_fd = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._found)

    def fileno(self) -> int:
        return self._reading

    def read(self) -> list[linux.SignalSeen]:
        try:
            raw = os.read(self._reading, 4096)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
            return []
        return [linux.SignalSeen(number, from_kernel=number in _FROM_A_KEY) for number in raw]

    def close(self) -> None:
        signal.set_wakeup_fd(self._found_fd)
        for number, handler in self._found.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)
