"""Every connect(2) of the child, told by the kernel before it happens (seccomp user notification).

The child installs a filter before exec and hands out a descriptor; whoever serves it reads the address from the
waiting thread's memory and lets the call go on or fails it. Nothing that goes through connect(2), or sendto(2) with
an address, is missed, in any language. Not seen: sendmsg(2) with an address (its address lies behind a pointer that a
filter cannot follow), io_uring, and calls through a foreign architecture's entry.

It tells, it does not wall off: another thread can change the address after it was read, so a replay is kept offline
by the namespace and the engine, and this names who tried.

If nobody serves: the thread that connects waits for as long as any process holds the descriptor, and once the last
one closed it connect fails with ENOSYS. So hold it in two processes, the launcher (which serves in its poll loop) and
the engine (by `second_holder`, which serves when the launcher has gone). Only one may serve at a time: reading a
notification that the other took blocks.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.process import linux

if TYPE_CHECKING:
    from collections.abc import Callable

_SET_MODE_FILTER = 1
_GET_NOTIF_SIZES = 3
_FLAG_NEW_LISTENER = 8
_FLAG_WAIT_KILLABLE_RECV = 32
_RET_ALLOW = 0x7FFF0000
_RET_USER_NOTIF = 0x7FC00000
_RESP_CONTINUE = 1
# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]
_AT_NUMBER, _AT_ARCH, _AT_ARGUMENTS = 0, 4, 16
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
# struct seccomp_notif: u64 id; u32 pid; u32 flags; seccomp_data. struct seccomp_notif_resp: u64 id; s64 val; s32 error; u32 flags
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_IOWR = 3 << 30
_IOW = 1 << 30
_LONGEST_ADDRESS = 128


class Privileges(StrEnum):
    """What installing the filter may cost the child."""

    KEEP = "keep"  # only where the kernel asks for nothing in return (root, or inside a user namespace of its own)
    GIVE_UP = "give-up"  # else set no_new_privs: set-uid programs such as sudo stop working in the child


class Attempt(NamedTuple):
    """One call towards an address. `pid` is the calling thread's id. For AF_UNIX `host` is the path ("@name" when
    abstract) and `port` 0. `socktype` is SOCK_STREAM, SOCK_DGRAM, …, or 0 where it could not be read."""

    pid: int
    family: int
    host: str
    port: int
    socktype: int


class WatchPlan(NamedTuple):
    """That a child is to be watched: what it may cost, and who decides (see Watch)."""

    privileges: Privileges
    decide: Callable[[Attempt], int]


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(privileges: Privileges) -> int:
    """Watch the calling process and all it will start. Returns the descriptor to serve.

    Raises OSError: EACCES when it would cost privileges that are to be kept, EBUSY when another supervisor already
    watches us, ENOSYS or EINVAL where the kernel cannot.
    """
    machine = linux.machine()
    program = _filter(machine)
    argument = _Program(len(program) // 8, program)
    if privileges is Privileges.GIVE_UP:
        linux.set_no_new_privileges()
    try:
        flags = _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV
        return linux.syscall(machine.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(argument))
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel before 5.19: a signal may then show one call twice
            raise
    return linux.syscall(machine.seccomp, _SET_MODE_FILTER, _FLAG_NEW_LISTENER, ctypes.byref(argument))


def _filter(machine: linux.Machine) -> bytes:
    """The BPF program: notify on connect and on sendto with an address, allow all else."""
    address_low, address_high = _AT_ARGUMENTS + 4 * 8, _AT_ARGUMENTS + 4 * 8 + 4
    lines = [
        (_LOAD_WORD, 0, 0, _AT_ARCH),
        (_JUMP_IF_EQUAL, 0, 8, machine.audit_arch),
        (_LOAD_WORD, 0, 0, _AT_NUMBER),
        (_JUMP_IF_EQUAL, 5, 0, machine.connect),
        (_JUMP_IF_EQUAL, 0, 5, machine.sendto),
        (_LOAD_WORD, 0, 0, address_low),
        (_JUMP_IF_EQUAL, 0, 2, 0),
        (_LOAD_WORD, 0, 0, address_high),
        (_JUMP_IF_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _RET_USER_NOTIF),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


class Watch:
    """Serves the descriptor of one child: `decide(attempt)` returns 0 to let the call go on, or an errno to fail it.

    Use `fileno` in a poll loop and call `on_readable` when it is ready.
    """

    def __init__(self, notifier: int, decide: Callable[[Attempt], int]) -> None:
        self._fd = notifier
        self._decide = decide
        self._connect = linux.machine().connect
        sizes = ctypes.create_string_buffer(6)
        linux.syscall(linux.machine().seccomp, _GET_NOTIF_SIZES, 0, sizes)
        self._notification_size, self._response_size, _ = struct.unpack("=HHH", sizes.raw)
        magic = ord("!") << 8
        self._receive = _IOWR | self._notification_size << 16 | magic
        self._respond = _IOWR | self._response_size << 16 | magic | 1
        self._still_waits = _IOW | 8 << 16 | magic | 2
        self._poll = select.poll()
        self._poll.register(notifier, select.POLLIN)

    def fileno(self) -> int:
        return self._fd

    def on_readable(self) -> bool:
        """Answer every call that waits. False when the last watched process has gone."""
        while ready := self._poll.poll(0):
            if not ready[0][1] & select.POLLIN:
                return False
            notification = bytearray(self._notification_size)
            try:
                fcntl.ioctl(self._fd, self._receive, notification)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):  # the caller was killed meanwhile
                    continue
                raise
            self._answer(bytes(notification))
        return True

    def _answer(self, notification: bytes) -> None:
        number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack_from(notification)
        pointer, length = (arguments[1], arguments[2]) if call == self._connect else (arguments[4], arguments[5])
        attempt = self._read(pid, arguments[0] & 0xFFFFFFFF, pointer, length)
        refusal = 0
        try:
            # the thread may have died and its number been given to another, whose memory we then have read
            if attempt is not None and self._waits(number):
                refusal = self._decide(attempt)
        finally:
            response = bytearray(self._response_size)
            _RESPONSE.pack_into(response, 0, number, 0, -refusal, 0 if refusal else _RESP_CONTINUE)
            with contextlib.suppress(FileNotFoundError):
                fcntl.ioctl(self._fd, self._respond, response)

    def _waits(self, number: int) -> bool:
        try:
            fcntl.ioctl(self._fd, self._still_waits, struct.pack("=Q", number))
        except OSError:
            return False
        return True

    def _read(self, pid: int, fd: int, pointer: int, length: int) -> Attempt | None:
        try:
            memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        except OSError:
            return None
        try:
            raw = os.pread(memory, min(length, _LONGEST_ADDRESS), pointer)
        except (OSError, OverflowError):
            return None
        finally:
            os.close(memory)
        parsed = parse_address(raw)
        return parsed and Attempt(pid, *parsed, _socket_type(pid, fd))


def second_holder(launcher_pid: int, notifier: int) -> Watch:
    """A watch for the process that goes on when the launcher dies: `notifier` is the launcher's descriptor number
    (Child.notifier), and every call is let go on. Serve it only once the launcher has gone; when `on_readable` says
    False, stop polling. Raises OSError where the launcher may not be traced by the caller, or has gone already."""
    pidfd = linux.pidfd_open(launcher_pid)
    try:
        return Watch(linux.pidfd_getfd(pidfd, notifier), lambda _attempt: 0)
    finally:
        os.close(pidfd)


def parse_address(raw: bytes) -> tuple[int, str, int] | None:
    """Family, host and port of a struct sockaddr; None for families that leave no machine and name no path."""
    if len(raw) < 2:
        return None
    family = struct.unpack_from("=H", raw)[0]
    if family == socket.AF_INET and len(raw) >= 8:
        return family, socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET6 and len(raw) >= 24:
        host = socket.inet_ntop(socket.AF_INET6, raw[8:24]).removeprefix("::ffff:")
        return family, host, int.from_bytes(raw[2:4], "big")
    if family == socket.AF_UNIX and len(raw) > 2:
        path = raw[2:]
        shown = b"@" + path[1:] if path[0] == 0 else path.split(b"\0")[0]
        return family, shown.decode("utf-8", "surrogateescape"), 0
    return None


def _socket_type(thread: int, fd: int) -> int:
    """The type of another process's socket; 0 where we may not look."""
    try:
        pidfd = linux.pidfd_open(_process_of(thread))
    except OSError:
        return 0
    try:
        with socket.socket(fileno=linux.pidfd_getfd(pidfd, fd)) as copy:
            return int(copy.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
    except OSError:
        return 0
    finally:
        os.close(pidfd)


def _process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", "rb") as status:  # noqa: PTH123 - hot enough to spare the Path
        for line in status:
            if line.startswith(b"Tgid:"):
                return int(line[5:])
    return thread
