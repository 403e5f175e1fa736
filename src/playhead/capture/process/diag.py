"""The two facts about a client's TCP socket that only the kernel knows: its inode, and how much it has not yet read.

Asked by NETLINK_SOCK_DIAG for one exact socket (about 10 us; man 7 sock_diag), or, where that is not available, read
from the tables in /proc/PID/net.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import NamedTuple

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_NETLINK_HEADER = struct.Struct("=IHHII")
# struct inet_diag_req_v2: family, protocol, extensions, pad, states, then struct inet_diag_sockid
_QUESTION = struct.Struct("=BBBBI")
_NO_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
# struct inet_diag_msg: 4 bytes, sockid of 48 bytes, then expires, rqueue, wqueue, uid, inode
_FIGURES = struct.Struct("=IIIII")
_AT_FIGURES = _NETLINK_HEADER.size + 4 + 48


class SocketSeen(NamedTuple):
    """`inode` is 0 for a socket that no process holds any more; `unread` is in bytes."""

    inode: int
    unread: int


class SocketEnds(NamedTuple):
    """A connection as its client sees it: its own address and port, and those it is connected to."""

    address: str
    port: int
    far_address: str
    far_port: int


class SocketDiagnosis:
    """Looks up sockets of one network namespace: that of `channel` (a NETLINK_SOCK_DIAG socket, from then on ours to
    close), else our own.

    Raises OSError on construction where there is no such netlink family.
    """

    def __init__(self, channel: socket.socket | None = None) -> None:
        self._channel = channel or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self._channel.settimeout(0.1)
        self._number = 0
        try:
            self.find(SocketEnds("127.0.0.1", 1, "127.0.0.1", 1))  # the family may be compiled in without TCP
        except OSError:
            self._channel.close()
            raise

    def find(self, ends: SocketEnds) -> SocketSeen | None:
        """The socket with these ends, or None. Raises OSError when the kernel does not answer such questions."""
        self._number += 1
        family = socket.AF_INET6 if ":" in ends.address else socket.AF_INET
        question = b"".join(
            (
                _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF),
                struct.pack("!HH", ends.port, ends.far_port),
                socket.inet_pton(family, ends.address).ljust(16, b"\0"),
                socket.inet_pton(family, ends.far_address).ljust(16, b"\0"),
                _NO_COOKIE,
            )
        )
        size = _NETLINK_HEADER.size + len(question)
        self._channel.send(_NETLINK_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST, self._number, 0) + question)
        while True:
            answer = self._channel.recv(8192)
            _, kind, _, number, _ = _NETLINK_HEADER.unpack_from(answer)
            if number != self._number:
                continue  # an answer that came after its question had timed out
            if kind == _SOCK_DIAG_BY_FAMILY:
                _, unread, _, _, inode = _FIGURES.unpack_from(answer, _AT_FIGURES)
                return SocketSeen(inode, unread)
            code = -struct.unpack_from("=i", answer, _NETLINK_HEADER.size)[0]
            if code == 2:  # ENOENT
                return None
            raise OSError(code, "the kernel does not look up sockets")

    def close(self) -> None:
        self._channel.close()


class TableRow(NamedTuple):
    """One line of /proc/PID/net/tcp and its kin. `state` is the kernel's TCP state (0x0A listens)."""

    address: str
    port: int
    far_address: str
    far_port: int
    state: int
    unread: int
    inode: int


def read_table(pid: int, name: str) -> list[TableRow]:
    """The sockets of `name` (tcp, tcp6, udp, udp6) in the network namespace of process `pid`; none if it has gone."""
    rows: list[TableRow] = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{name}", "rb") as table:  # noqa: PTH123 - read often
        next(table, None)
        for line in table:
            words = line.split()
            address, _, port = words[1].partition(b":")
            far_address, _, far_port = words[2].partition(b":")
            unread = int(words[4].partition(b":")[2], 16)
            rows.append(
                TableRow(
                    _address(address),
                    int(port, 16),
                    _address(far_address),
                    int(far_port, 16),
                    int(words[3], 16),
                    unread,
                    int(words[9]),
                )
            )
    return rows


def _address(text: bytes) -> str:
    """The table's hex, which is 32-bit words in this machine's byte order."""
    raw = bytes.fromhex(text.decode())
    words = struct.unpack(f"!{len(raw) // 4}I", raw)
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed).removeprefix("::ffff:")
