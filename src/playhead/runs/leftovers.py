"""Processes that a command leaves running when it ends: a daemon, a server in the background, a helper that is slow to go.

The end of the command is the end of the run. A recording says what it no longer saw, and leaves them the way out they
were given (see `EngineProcess.stay_for`); a replay ends them, for there is nothing more to answer them from.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.process.rest import Rest
from playhead.core.clock import monotonic_ns

if TYPE_CHECKING:
    from playhead.capture.process.tree import Tree
    from playhead.runs.launcher import Launcher

STILL_RUNNING = "still running when the command ended; what it does from then on is not recorded"
LINGER_S = 0.5  # helpers that end with the command (servers on a pipe that closes) take a moment
LINGER_REPLAY_S = 2.0  # longer, so that what ended in time when it was recorded does so here
MOST = 10  # times that, on a machine that lets them wait for a processor
LOOK_S = 0.05
TERMINATE_S = 1.0
_ROUNDS = 20  # of killing, for those that start others meanwhile


class Leftover(NamedTuple):
    """A process that is left, and the program it runs."""

    pid: int
    name: str


def await_leftovers(launcher: Launcher, tree: Tree, bound_s: float) -> list[Leftover]:
    """Serve on while processes of the tree are left, at most so long; those that still are then.

    Time in which one of them waits for the machine does not count: a busy one may take long to end what is ending."""
    rest = Rest(tree)
    looks, until = round(bound_s / LOOK_S), monotonic_ns() + int(MOST * bound_s * 1e9)
    while looks and monotonic_ns() < until and _alive(tree):
        launcher.linger(LOOK_S, lambda: bool(_alive(tree)))
        looks -= rest.at_rest()
    rest.close()
    found = []
    for pid in _alive(tree):
        argv = tree.lane_argv(pid)
        found.append(Leftover(pid, os.path.basename(argv[0]) if argv and argv[0] else str(pid)))  # noqa: PTH119
    return found


def end_leftovers(launcher: Launcher, tree: Tree) -> None:
    """Ask them to end, then make them."""
    _signal_all(tree, signal.SIGTERM)
    launcher.linger(TERMINATE_S, lambda: bool(_alive(tree)))
    for _ in range(_ROUNDS):
        if not _alive(tree):
            return
        _signal_all(tree, signal.SIGKILL)
        launcher.linger(0.1, lambda: bool(_alive(tree)))


def _alive(tree: Tree) -> list[int]:
    return [pid for pid in tree.processes() if not tree.is_zombie(pid)]


def _signal_all(tree: Tree, number: int) -> None:
    for pid in _alive(tree):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
