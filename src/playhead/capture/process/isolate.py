"""A network namespace for the child of a replay, made before the child starts.

A short-lived helper leaves for a fresh namespace (as root directly, else inside a user namespace that maps the caller
to itself), brings `lo` up, opens the listening sockets in there, and hands everything out by SCM_RIGHTS. So the port
is known before the child's environment is written, a machine that permits none of this says so before anything has
started, and the engine accepts from outside on a socket that lives inside. The namespace exists as long as its
descriptors are held or a process is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.process import linux

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_NETLINK_SOCK_DIAG = 4
_BACKLOG = 1024
_MESSAGE_LIMIT = 65536
_LOCAL_NAMES = {"localhost": ("127.0.0.1", "::1"), "127.0.0.1": ("127.0.0.1",), "::1": ("::1",)}


class Address(NamedTuple):
    """A host and a port, as the user wrote them."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why this machine gives us no namespace, in words for the summary."""

    reason: str


@dataclass(slots=True)
class Namespace:
    """A network without a way out, held by descriptors.

    `listener` listens on 127.0.0.1 inside; accept on it from anywhere. `forwards` are listening sockets inside for
    the addresses asked for, to be relayed by the caller. `diagnosis` is a NETLINK_SOCK_DIAG socket that sees the
    sockets inside. `user` is None when no user namespace was needed.
    """

    network: int
    user: int | None
    listener: socket.socket
    diagnosis: socket.socket
    forwards: list[tuple[Address, socket.socket]] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port of `listener`."""
        return int(self.listener.getsockname()[1])

    def enter(self) -> None:
        """Move the calling process, which must have one thread, into the namespace. There is no way back."""
        if self.user is not None:
            linux.setns(self.user, linux.CLONE_NEWUSER)
        linux.setns(self.network, linux.CLONE_NEWNET)

    def close(self) -> None:
        """Let go of everything held here; processes inside are not touched."""
        os.close(self.network)
        if self.user is not None:
            os.close(self.user)
        self.listener.close()
        self.diagnosis.close()
        for _, held in self.forwards:
            held.close()


def isolate(*, port: int = 0, forwards: Sequence[Address] = ()) -> Namespace | Unavailable:
    """A namespace with a listener on 127.0.0.1:`port` (0: any), or the reason why there is none.

    `forwards` must name loopback: `localhost` is opened on 127.0.0.1 and, where the kernel has IPv6, on ::1.
    Raises ValueError for another host. Forks; call it while the process has one thread.
    """
    for address in forwards:
        if address.host not in _LOCAL_NAMES:
            raise ValueError(f"{address.host} is not an address of this machine")
    if not linux.IS_LINUX:
        return Unavailable("network namespaces exist on Linux only")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        helper = os.fork()
        if helper == 0:
            _help(theirs, port, forwards)
        theirs.close()
        try:
            message, fds, _, _ = socket.recv_fds(ours, _MESSAGE_LIMIT, 253)
        finally:
            os.waitpid(helper, 0)
    if not message:
        return Unavailable("the helper that makes the namespace was killed")
    told = json.loads(message)
    if "failed" in told:
        return Unavailable(str(told["failed"]))
    taken = iter(fds)
    network = next(taken)
    user = next(taken) if told["user"] else None
    listener, diagnosis = socket.socket(fileno=next(taken)), socket.socket(fileno=next(taken))
    held = [(Address(*where), socket.socket(fileno=next(taken))) for where in told["forwards"]]
    for fd in fds:
        os.set_inheritable(fd, False)
    return Namespace(network, user, listener, diagnosis, held)


def _help(channel: socket.socket, port: int, forwards: Sequence[Address]) -> None:
    """The helper's whole life: never returns, never raises, runs no handler of the caller."""
    stage = "entering"
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stage = "a new network namespace"
        in_user_namespace = _leave()
        stage = "the loopback interface of the new namespace"
        _bring_up_loopback()
        stage = f"a listener on port {port}"
        fds = [os.open("/proc/self/ns/net", os.O_RDONLY)]
        if in_user_namespace:
            fds.append(os.open("/proc/self/ns/user", os.O_RDONLY))
        opened = [_listen("127.0.0.1", port), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)]
        told: list[Address] = []
        for address in forwards:
            stage = f"a listener for {address.host}:{address.port}"
            for literal in _LOCAL_NAMES[address.host]:
                try:
                    opened.append(_listen(literal, address.port))
                except OSError:
                    # a kernel without IPv6 has no ::1, and then the child cannot ask for it either
                    if literal in ("127.0.0.1", address.host):
                        raise
                else:
                    told.append(address)
        fds.extend(each.fileno() for each in opened)
        socket.send_fds(channel, [json.dumps({"user": in_user_namespace, "forwards": told}).encode()], fds)
    except BaseException as error:  # noqa: BLE001 - a forked copy must not run on into the caller's code
        with contextlib.suppress(OSError):
            channel.send(json.dumps({"failed": f"{stage}: {error}"}).encode())
    finally:
        os._exit(0)


def _leave() -> bool:
    """Enter a fresh network namespace. Returns whether it took a user namespace of our own."""
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWNET)
    except PermissionError:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        # the kernel takes a group map from an unprivileged process only after it gave up setgroups
        Path("/proc/self/setgroups").write_bytes(b"deny")
        Path("/proc/self/uid_map").write_bytes(b"%d %d 1" % (user, user))
        Path("/proc/self/gid_map").write_bytes(b"%d %d 1" % (group, group))
        return True
    return False


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _listen(host: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind((host, port))
    opened.listen(_BACKLOG)
    return opened
