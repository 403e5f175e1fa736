"""The Linux system calls that Python has no name for, and nothing else.

Every function raises OSError with the kernel's errno; away from Linux each raises OSError(ENOSYS), so that importing
this module and asking is always safe. Numbers are from the kernel's uapi headers; only x86_64 and aarch64 are known.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

IS_LINUX = sys.platform == "linux"

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SYS_PIDFD_OPEN = 434
_SYS_PIDFD_GETFD = 438
_SFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC if IS_LINUX else 0
_CLOCK_MONOTONIC = 1
SI_KERNEL = 0x80


class Machine(NamedTuple):
    """What differs by processor: the audit architecture a BPF filter checks, and three system call numbers."""

    audit_arch: int
    connect: int
    sendto: int
    seccomp: int


_MACHINES = {
    "x86_64": Machine(audit_arch=0xC000003E, connect=42, sendto=44, seccomp=317),
    "aarch64": Machine(audit_arch=0xC00000B7, connect=203, sendto=206, seccomp=277),
}


def machine() -> Machine:
    """The numbers of this processor. Raises OSError(ENOSYS) where they are not known (also for a 32-bit Python)."""
    found = _MACHINES.get(platform.machine())
    if not IS_LINUX or found is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(errno.ENOSYS, f"not known on {sys.platform} {platform.machine()}")
    return found


@functools.cache
def _libc() -> Any:
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, f"no Linux system calls on {sys.platform}")
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def syscall(number: int, *arguments: Any) -> int:
    """A system call by number. Integer arguments are passed as C long."""
    call = _libc().syscall
    call.restype = ctypes.c_long
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(call(ctypes.c_long(number), *passed))


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` (CLONE_NEW*) for fresh ones."""
    _checked(_libc().unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that `fd` names, which must be of `kind` (CLONE_NEW*)."""
    _checked(_libc().setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))


def become_subreaper() -> None:
    """From now on orphans among this process's descendants become its own children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_no_new_privileges() -> None:
    """Forbid this process and all it starts ever to gain privileges by exec (set-uid programs stop working)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def pidfd_open(pid: int) -> int:
    """A file descriptor that stands for process `pid`."""
    fd = syscall(_SYS_PIDFD_OPEN, pid, 0)
    os.set_inheritable(fd, False)
    return fd


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate of descriptor `fd` of another process. Needs the right to trace that process."""
    return syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)


class SignalSeen(NamedTuple):
    """One signal as read from a signalfd. `from_kernel` is true for what a terminal sent to its whole group."""

    number: int
    from_kernel: bool


class SignalDescriptor:
    """A signalfd: signals of the given numbers as readable data. The numbers must be blocked by the caller."""

    def __init__(self, numbers: Iterable[int]) -> None:
        mask = sum(1 << (number - 1) for number in numbers)
        # glibc's sigset_t is 1024 bits wide, of which the kernel reads the first 64
        self._fd = _checked(_libc().signalfd(-1, struct.pack("=Q", mask).ljust(128, b"\0"), _SFD_FLAGS))

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[SignalSeen]:
        """All signals waiting, oldest first; empty when there is none."""
        seen: list[SignalSeen] = []
        while True:
            try:
                raw = os.read(self._fd, 128)
            except BlockingIOError:
                return seen
            number, _, code = struct.unpack_from("=Iii", raw)
            seen.append(SignalSeen(number, from_kernel=code == SI_KERNEL))

    def close(self) -> None:
        os.close(self._fd)


class Ticker:
    """A timerfd that becomes readable once a period while armed. Finer than uvloop's timers (1 ms).

    Use with `loop.add_reader(ticker.fileno(), …)`; `read` must be called in the reader. Raises OSError(ENOSYS) where
    there is no timerfd.
    """

    def __init__(self, period_s: float = 200e-6) -> None:
        self.period_s = period_s
        self.armed = False
        self._fd = _checked(_libc().timerfd_create(_CLOCK_MONOTONIC, _SFD_FLAGS))

    def fileno(self) -> int:
        return self._fd

    def arm(self) -> None:
        """Start ticking, the first tick one period from now. Does nothing when armed."""
        if not self.armed:
            self._set(self.period_s)
            self.armed = True

    def disarm(self) -> None:
        """Stop ticking; a tick that was not read is dropped."""
        if self.armed:
            self._set(0.0)
            self.armed = False

    def read(self) -> int:
        """How many periods have passed since the last read; 0 when none has."""
        try:
            return int.from_bytes(os.read(self._fd, 8), sys.byteorder)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._fd)

    def _set(self, period_s: float) -> None:
        seconds, rest = divmod(int(period_s * 1e9), 1_000_000_000)
        timing = struct.pack("=qqqq", seconds, rest, seconds, rest)
        _checked(_libc().timerfd_settime(self._fd, 0, timing, None))
