"""Threads of a runtime that compile code or collect garbage beside the program: they never run it.

V8 starts four of them with the process. The first answers of a Node program make its HTTP parser hot, and one of them
then optimises it for 100 ms and more while the event loop waits; were that taken for work on the answer, no order of
answers could be observed there. Node 24 names these threads. Before, all threads but some have the program's name, and
V8's are the second to the fifth that the process starts (the first runs delayed tasks; libuv's and those of workers
come later), unless the size of V8's pool was set. Seen so in Node 18, 20, 22 and 24.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAMS = frozenset({"node", "nodejs"})
_NAME = b"V8Worker"
_PLACES = slice(2, 6)
_POOL_SIZE = (b"--v8-pool-size", b"--v8_pool_size")


def compiling_threads(pid: int, threads: Iterable[str]) -> frozenset[str]:
    """Those of a process's threads (ids as text) that only compile or collect; none where that is not known."""
    try:
        if os.path.basename(os.readlink(f"/proc/{pid}/exe")) not in _PROGRAMS:  # noqa: PTH115, PTH119 - hot
            return frozenset()
        names = _names(pid, threads)
        named = frozenset(thread for thread, name in names.items() if name == _NAME)
        if named or _has_another_pool(pid):
            return named
    except OSError:  # it has gone, or is not ours to look at
        return frozenset()
    # the main thread's id is the process's, the smallest unless ids have begun anew
    first = sorted(names, key=lambda thread: (int(thread) < pid, int(thread)))
    return frozenset(thread for thread in first[_PLACES] if names[thread] == names.get(str(pid)))


def _names(pid: int, threads: Iterable[str]) -> dict[str, bytes]:
    """By thread, of those that have not ended since they were listed: others come and go, V8's stay."""
    found = {}
    for thread in threads:
        with contextlib.suppress(OSError):
            found[thread] = _read(f"/proc/{pid}/task/{thread}/comm").rstrip()
    return found


def _has_another_pool(pid: int) -> bool:
    given = _read(f"/proc/{pid}/cmdline") + _read(f"/proc/{pid}/environ")
    return any(option in given for option in _POOL_SIZE)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - hot
        return file.read()
