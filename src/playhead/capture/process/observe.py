"""Where the kernel may not tell us of connections (see watch): looking for them, every few milliseconds.

Best effort: a connection that opens and closes between two looks is not seen. Cheap: only sockets that were not there
before are looked up.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from playhead.capture.process.diag import read_table
from playhead.capture.process.watch import Attempt

if TYPE_CHECKING:
    from collections.abc import Collection

    from playhead.capture.process.tree import Tree

PERIOD_S = 0.02
_LISTENS = 0x0A
_TABLES = (
    ("tcp", socket.AF_INET, socket.SOCK_STREAM),
    ("tcp6", socket.AF_INET6, socket.SOCK_STREAM),
    ("udp", socket.AF_INET, socket.SOCK_DGRAM),
    ("udp6", socket.AF_INET6, socket.SOCK_DGRAM),
)


class Observer:
    """Looks at the sockets of one tree. Connections to a port of `engine_ports` on this machine are ours, not leaks."""

    def __init__(self, tree: Tree, engine_ports: Collection[int]) -> None:
        """Raises OSError where the kernel shows no sockets at all."""
        with open("/proc/self/net/tcp", "rb"):  # noqa: PTH123 - /proc
            pass
        self._tree = tree
        self._engine_ports = frozenset(engine_ports)
        self._known: set[int] = set()

    def look(self) -> list[Attempt]:
        """The connections of the tree that have appeared since the last look, also ones that were refused or closed if
        they still show. One end of a connection between two processes of the tree counts as well."""
        present: dict[int, Attempt] = {}
        for name, family, socktype in _TABLES:
            for row in read_table(self._tree.root_pid, name):
                if not row.inode or row.state == _LISTENS or not row.far_port or row.port in self._engine_ports:
                    continue
                present[row.inode] = Attempt(0, family, row.far_address, row.far_port, socktype)
        new = present.keys() - self._known
        self._known = set(present)
        if not new:
            return []
        holders = self._tree.holders(new)
        return [
            present[inode]._replace(pid=pid)
            for inode, pid in holders.items()
            if present[inode].port not in self._engine_ports or not _is_local(present[inode].host)
        ]


def _is_local(host: str) -> bool:
    return host == "::1" or host.startswith("127.")
