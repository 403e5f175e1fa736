"""Which tape this process has, and which lane runs: what every wrapper asks first.

A lane is carried by a context variable, which tasks inherit by copy. A copy that reaches another thread (as
`asyncio.to_thread` makes one) must not be taken for that thread's lane, so a lane belongs to the thread it first ran on
and the wrappers of threads name theirs.
"""

from __future__ import annotations

from _thread import get_ident
from contextvars import ContextVar
from threading import local

from playhead.core.boundary import Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.wire import Wire
    from playhead.core.boundary import BoundaryTape, Call

tape: BoundaryTape | None = None
"""None: this process is not on a tape."""

wire: Wire | None = None
"""Where HTTP goes when no engine carries it: a tape in this process. None: it goes its own way, and an engine may see it."""

trial: ContextVar[Wire | None] = ContextVar("playhead_trial", default=None)
"""Set while a library is tried out: its calls go here."""

process = "0"
"""Name of this process among those of the run."""

inside: ContextVar[bool] = ContextVar("playhead_inside", default=False)
"""Set while the real work of a boundary runs: what that reads and asks is part of its answer."""

within: ContextVar[Call | None] = ContextVar("playhead_within", default=None)
"""The call whose real work runs: what that sends over the wire is told to the engine as its own."""

orders: ContextVar[bool] = ContextVar("playhead_orders", default=False)
"""Set while a request is sent whose answer gets its place in the order when it is read."""

lane_of_context: ContextVar[Lane | None] = ContextVar("playhead_lane", default=None)

name_child: Callable[[], str] = str
"""Gives the next child of this process its name among those of the run."""

runs_again: Callable[[str], bool] = bool
"""Whether the program of that name is a part of the agent, which runs in a replay too."""

_say: Callable[[str], object] = str
_threads = local()
_strangers = 0


def current() -> Lane:
    """The lane that runs now. A thread that nobody announced gets a lane of its own, `?1`, `?2`, ..."""
    lane = lane_of_context.get()
    ident = get_ident()
    if lane is not None:
        if lane.thread == ident:
            return lane
        if not lane.thread:
            lane.thread = ident
            return lane
    lane = getattr(_threads, "lane", None)
    if lane is None:
        lane = _stranger(ident)
    return lane


def enter_thread(lane: Lane | None) -> Lane | None:
    """Name the lane of this thread; returns the one it had."""
    before: Lane | None = getattr(_threads, "lane", None)
    _threads.lane = lane
    if lane is not None:
        lane.thread = get_ident()
    return before


def _stranger(ident: int) -> Lane:
    global _strangers  # noqa: PLW0603  one count a process
    _strangers += 1
    lane = Lane(f"?{_strangers}", ident) if tape is None else tape.lane(f"?{_strangers}")
    lane.thread = ident
    _threads.lane = lane
    return lane


def carrying() -> Wire | None:
    """Where a connection that is made now leads; None: into the world."""
    return trial.get() or wire


def begin(new: BoundaryTape, name: str = "0") -> Lane:
    """Put this process, which has that name, on a tape; the calling thread becomes its main lane."""
    global tape, process, _strangers  # noqa: PLW0603  one tape a process
    process = name
    _strangers = 0
    lane = new.lane("0")
    enter_thread(lane)
    lane_of_context.set(None)
    tape = new
    return lane


def say_by(hear: Callable[[str], None]) -> None:
    """Have `hear` told what is to be said."""
    global _say  # noqa: PLW0603
    _say = hear


def children_by(name: Callable[[], str], runs: Callable[[str], bool]) -> None:
    """Set who names the programs that the agent starts, and who knows those that run again."""
    global name_child, runs_again
    name_child, runs_again = name, runs


def end() -> None:
    """Take this process off its tape."""
    global tape, wire, process  # noqa: PLW0603
    tape = wire = None
    process = "0"
    enter_thread(None)


def say(text: str) -> None:
    """Have the launcher tell the user something about this run."""
    _say(text)


def is_live() -> bool:
    """Whether the world may be asked now without the tape."""
    return tape is None or inside.get()


def read(kind: str, ask: Any) -> Any:
    """What a value boundary reads: from the tape when there is one."""
    if tape is None or inside.get():
        return ask()
    return tape.value(current(), kind, ask)
