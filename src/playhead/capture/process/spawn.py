"""Starting the user's command: fork and exec by hand.

By hand, because the order matters and nothing of Python's own machinery may run between fork and exec: a session and
its terminal, the three standard streams, the working directory, the namespace, the connect watch, the descriptors,
the signals, and only then the program. What goes wrong before exec comes back through a close-on-exec socket.

A standard stream that was a terminal becomes one shared pty, of which the child is session leader; then signals are
sent to the pty's foreground group. Without any terminal the child stays in our process group, where the terminal
itself delivers Ctrl-C to it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import termios
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from playhead.capture.process import linux, terminal, watch
from playhead.core.clock import monotonic_ns
from playhead.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_MESSAGE_LIMIT = 65536
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_UNSPECIFIED_SIZE = terminal.Size(24, 80)


class Kind(StrEnum):
    """What a standard stream of the child is. The words are those of the journal."""

    TTY = "tty"
    PIPE = "pipe"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `argv[0]` is looked up in the PATH of `env` unless it has a slash. `cwd` None is ours."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Stdio:
    """The kinds of the child's streams 0, 1, 2, and the window size of its terminal (None: that of ours).

    Kinds may be given by their words, as a recording has them; ValueError for another word.
    """

    kinds: tuple[Kind, Kind, Kind]
    size: terminal.Size | None = None

    def __post_init__(self) -> None:
        stdin, stdout, stderr = self.kinds
        object.__setattr__(self, "kinds", (Kind(stdin), Kind(stdout), Kind(stderr)))

    @classmethod
    def here(cls) -> Stdio:
        """What our own streams are: terminals stay terminals, an empty input stays empty, the rest become pipes."""
        return cls((_kind_here(0), _kind_here(1), _kind_here(2)))


class Enclosure(Protocol):
    """Something the child enters before exec (isolate.Namespace is one)."""

    def enter(self) -> None:
        """Called once in the forked child, which has one thread."""


class CommandNotStarted(UsageError):
    """The command could not be executed: `exit_code` is 127 when it was not found and 126 otherwise, as in a shell."""

    def __init__(self, argv0: str, error: OSError) -> None:
        found = error.errno not in (errno.ENOENT, errno.ENOTDIR)
        super().__init__(
            f"cannot run {argv0}" if found else f"command not found: {argv0}",
            code="command-not-executable" if found else "command-not-found",
            where=argv0,
            expected="a program in PATH, or the path of an executable file",
            seen=error.strerror or str(error),
            todo="check the spelling and PATH" if not found else "check the file's permissions and its first line",
        )
        self.exit_code = _NOT_EXECUTABLE if found else _NOT_FOUND


@dataclass(slots=True, eq=False)
class Child:
    """A started command and our ends of its streams (None where it has none of that kind).

    With a terminal, `master` carries every stream of kind tty, and `slave` is held open so that a program which
    closes and reopens its terminal is not cut off. `notifier` delivers its connect calls (see watch); when it is
    None though watching was asked for, `unwatched` says why. All descriptors are ours to close, by `close`.
    """

    pid: int
    started_ns: int
    kinds: tuple[Kind, Kind, Kind]
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    master: int | None = None
    slave: int | None = None
    notifier: int | None = None
    unwatched: str = ""
    fds: set[int] = field(default_factory=set)

    def send(self, number: int) -> None:
        """Deliver a signal as the terminal would: to the foreground group of the child's own, else to the child."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.master is None:
                os.kill(self.pid, number)
            else:
                os.killpg(self.foreground(), number)

    def foreground(self) -> int:
        """The process group that the terminal's keys go to; the child's own when there is no terminal."""
        if self.master is not None:
            with contextlib.suppress(OSError):
                return os.tcgetpgrp(self.master) or self.pid
        return self.pid

    def close_one(self, fd: int) -> None:
        """Close one of our ends early, and forget it."""
        if fd in self.fds:
            self.fds.discard(fd)
            os.close(fd)
        for name in ("stdin", "stdout", "stderr", "master", "slave", "notifier"):
            if getattr(self, name) == fd:
                setattr(self, name, None)

    def close(self) -> None:
        """Close all our ends. Safe to call again."""
        for fd in list(self.fds):
            self.close_one(fd)


def spawn(
    command: Command,
    stdio: Stdio,
    *,
    enclosure: Enclosure | None = None,
    watching: watch.Privileges | None = None,
    sigmask: set[signal.Signals] | None = None,
) -> Child:
    """Start `command`. Returns once its program runs (exec has succeeded).

    `watching` asks for a connect watch under the given privileges; `sigmask` is the mask the child starts with
    (default: the caller's). On Linux the caller becomes the reaper of the child's orphans. Raises CommandNotStarted
    (127 or 126), and SetupError for a working directory or namespace that cannot be entered. Call it while the
    process has one thread.
    """
    _fill_standard_streams()
    with contextlib.suppress(OSError):
        linux.become_subreaper()
    streams = _Streams(stdio)
    kind = socket.SOCK_SEQPACKET if linux.IS_LINUX else socket.SOCK_STREAM
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    found_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    started_ns = monotonic_ns()
    try:
        pid = os.fork()
        if pid == 0:
            mask = found_mask if sigmask is None else sigmask
            _become(command, streams, theirs, enclosure=enclosure, watching=watching, mask=mask)  # type: ignore[arg-type]
    except OSError:
        streams.close_ours()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, found_mask)
        theirs.close()
        streams.close_theirs()
    child = streams.child(pid, started_ns)
    try:
        with ours:
            _hear(ours, child, command)
    except BaseException:
        child.close()
        os.waitpid(pid, 0)
        raise
    return child


def _hear(channel: socket.socket, child: Child, command: Command) -> None:
    """Read what the child says before exec; the end of the channel is exec itself."""
    while True:
        if linux.IS_LINUX:
            message, fds, _, _ = socket.recv_fds(channel, _MESSAGE_LIMIT, 1)
        else:
            message, fds = channel.recv(_MESSAGE_LIMIT), []
        if not message:
            return
        if fds:
            os.set_inheritable(fds[0], False)
            child.notifier = fds[0]
            child.fds.add(fds[0])
        for told in map(json.loads, message.splitlines()):
            if "unwatched" in told:
                child.unwatched = told["unwatched"]
            if "stage" not in told:
                continue
            error = OSError(told["errno"], told["text"])
            if told["stage"] == "exec":
                raise CommandNotStarted(command.argv[0], error)
            raise SetupError(
                f"cannot start {command.argv[0]}: {told['stage']}",
                code="child-setup",
                where=str(command.cwd) if told["stage"] == "working directory" else "",
                seen=told["text"],
                todo="run it from a directory that exists" if told["stage"] == "working directory" else "",
            )


class _Streams:
    """Both ends of the child's three streams, until each side has closed what is not its own."""

    def __init__(self, stdio: Stdio) -> None:
        self.kinds = stdio.kinds
        self.master: int | None = None
        self.slave: int | None = None
        self.ours: list[int | None] = [None, None, None]
        self.theirs: list[int] = []
        self._closing: list[int] = []
        if Kind.TTY in stdio.kinds:
            self.master, self.slave = _open_terminal(stdio.size)
            os.set_blocking(self.master, False)
        for number, kind in enumerate(stdio.kinds):
            if kind is Kind.TTY and self.slave is not None:
                self.theirs.append(self.slave)
            elif kind is Kind.NULL:
                self._keep_theirs(os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY))
            else:
                reading, writing = os.pipe()
                self._keep_theirs(reading if number == 0 else writing)
                mine = writing if number == 0 else reading
                os.set_blocking(mine, False)
                self.ours[number] = mine

    def _keep_theirs(self, fd: int) -> None:
        self.theirs.append(fd)
        self._closing.append(fd)

    def close_theirs(self) -> None:
        for fd in self._closing:
            os.close(fd)

    def close_ours(self) -> None:
        for fd in [*self.ours, self.master, self.slave]:
            if fd is not None:
                os.close(fd)

    def child(self, pid: int, started_ns: int) -> Child:
        fds = {fd for fd in [*self.ours, self.master, self.slave] if fd is not None}
        stdin, stdout, stderr = self.ours
        return Child(pid, started_ns, self.kinds, stdin, stdout, stderr, master=self.master, slave=self.slave, fds=fds)


def _kind_here(fd: int) -> Kind:
    try:
        found = os.fstat(fd)
    except OSError:
        return Kind.NULL if fd == 0 else Kind.PIPE
    if os.isatty(fd):
        return Kind.TTY
    is_null = stat.S_ISCHR(found.st_mode) and found.st_rdev == Path(os.devnull).stat().st_rdev
    # an output to /dev/null is still recorded, so that a replay can compare it
    return Kind.NULL if fd == 0 and is_null else Kind.PIPE


def _fill_standard_streams() -> None:
    """Open what of 0, 1, 2 is closed, lest a pipe of ours takes the number and is then overwritten."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is `fd`


def _open_terminal(size: terminal.Size | None) -> tuple[int, int]:
    """A pty (master, slave) with the settings and window of our own terminal, if we have one."""
    master, slave = os.openpty()
    wanted = size
    for fd in range(3):
        if os.isatty(fd):
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(fd))
                wanted = wanted or terminal.window_size(fd)
            break
    terminal.set_window_size(slave, wanted or _UNSPECIFIED_SIZE)
    return master, slave


def _become(
    command: Command,
    streams: _Streams,
    channel: socket.socket,
    *,
    enclosure: Enclosure | None,
    watching: watch.Privileges | None,
    mask: set[signal.Signals],
) -> NoReturn:
    """The child between fork and exec. Never returns and never raises."""
    stage = "its terminal"
    try:
        if streams.slave is not None:
            os.setsid()
            _take_terminal(streams.slave)
        stage = "standard streams"
        for number, fd in enumerate(streams.theirs):
            os.dup2(fd, number, inheritable=True)
        stage = "working directory"
        if command.cwd is not None:
            os.chdir(command.cwd)
        stage = "network namespace"
        if enclosure is not None:
            enclosure.enter()
        stage = "connect watch"
        if watching is not None:
            _install_watch(channel, watching)
        stage = "signals"
        _reset_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        stage = "descriptors"
        _close_all_but(channel.fileno())
        stage = "exec"
        _execute(command)
    except BaseException as error:  # noqa: BLE001 - a forked copy must not run on into the caller's code
        code = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        text = os.strerror(code) if isinstance(error, OSError) else str(error)
        with contextlib.suppress(OSError):
            _tell(channel, stage=stage, errno=code, text=text)
    finally:
        os._exit(_NOT_FOUND)


def _reset_signals() -> None:
    """Handlers of ours become defaults, what we were started to ignore stays ignored."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for name in ("SIGPIPE", "SIGXFSZ"):  # ignored by Python for itself
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def _take_terminal(slave: int) -> None:
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def _install_watch(channel: socket.socket, watching: watch.Privileges) -> None:
    try:
        notifier = watch.install(watching)
    except OSError as error:
        _tell(channel, unwatched=error.strerror or str(error))
        return
    socket.send_fds(channel, [b'{"watched": true}\n'], [notifier])
    os.close(notifier)


def _close_all_but(kept: int) -> None:
    """Close every descriptor above 2 but one. By the list of those open: the limit may be a billion."""
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd" if linux.IS_LINUX else "/dev/fd")]  # noqa: PTH208
    except OSError:
        found = list(range(65536))
    for fd in found:
        if fd > 2 and fd != kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def _tell(channel: socket.socket, **told: object) -> None:
    channel.send(json.dumps(told).encode() + b"\n")


def _candidates(name: str, env: Mapping[str, str]) -> Iterator[str]:
    if "/" in name:
        yield name
        return
    for directory in env.get("PATH", _DEFAULT_PATH).split(":"):
        yield os.path.join(directory or ".", name)  # noqa: PTH118 - a Path would drop the leading "./"


def _execute(command: Command, execve: Callable[..., object] = os.execve) -> None:
    """Search and exec as execvpe(3) does: not permitted beats not found, and a file without a format is a script."""
    worst: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in _candidates(command.argv[0], command.env):
        try:
            execve(path, command.argv, command.env)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                execve("/bin/sh", ["/bin/sh", path, *command.argv[1:]], command.env)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                worst = error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                break
    raise worst
