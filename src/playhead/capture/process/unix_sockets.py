"""Who serves a Unix socket: the command itself, somebody else, or nobody.

A path says little: it may be relative, a link, or seen from another mount or network namespace (a container's
docker.sock is in no table that the container can read). So the socket file is opened as the caller sees it and compared
by device and inode with those that the tree's own listeners are bound to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.capture.process.tree import Tree

_ROW = re.compile(r"(?:\S+ ){6} *(\d+) (.+)$")  # of /proc/net/unix: … inode, and the name of a bound socket


class Server(Enum):
    """Who answers at a Unix socket."""

    NOBODY = "nobody"
    OWN = "own"  # a process of the tree
    FOREIGN = "foreign"


def server_of(tree: Tree, caller: int, name: str) -> Server:
    """Who serves `name` ("@NAME" when abstract) as the thread `caller` sees it. Nothing is asked of the server."""
    if name.startswith("@"):
        holders = [held for bound, held in _bound(tree, caller) if bound == name]
        return Server.NOBODY if not holders else Server.OWN if holders[0] else Server.FOREIGN
    try:
        file = os.open(_seen_by(caller, name), os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return Server.NOBODY  # the call will fail by itself
    try:
        if not _is_served(file):
            return Server.NOBODY
        found = os.fstat(file)
        own = any(held and _is_file(held, bound, found) for bound, held in _bound(tree, caller))
        return Server.OWN if own else Server.FOREIGN
    finally:
        os.close(file)


def _is_served(file: int) -> bool:
    """Whether a socket is bound to this file. A datagram socket asks: at a server of another type that is refused
    before anything arrives, and at one of its own type connecting sends nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(f"/proc/self/fd/{file}")
        except OSError as error:
            return error.errno != errno.ECONNREFUSED
    return True


def _bound(tree: Tree, caller: int) -> Iterator[tuple[str, int]]:
    """Name and holder of every bound Unix socket in the caller's network namespace; 0 for a holder outside the tree."""
    rows: dict[int, str] = {}
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{caller}/net/unix", encoding="utf-8", errors="surrogateescape") as table,  # noqa: PTH123 - /proc
    ):
        for match in filter(None, map(_ROW.match, table)):
            rows[int(match[1])] = match[2]
    holders = tree.holders(set(rows))
    for inode, name in rows.items():
        yield name, holders.get(inode, 0)


def _is_file(holder: int, bound: str, found: os.stat_result) -> bool:
    try:
        here = os.stat(_seen_by(holder, bound))  # noqa: PTH116 - a path through another process's eyes
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)


def _seen_by(pid: int, path: str) -> str:
    return f"/proc/{pid}/root{path}" if path.startswith("/") else f"/proc/{pid}/cwd/{path}"
