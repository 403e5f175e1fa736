"""Which tape this process has, and which lane runs: what every wrapper asks first.

A process under the launcher is on its tape whole. One that records a block of its own program is on it in part: what runs
in the block, and the tasks and threads that this starts. Whatever else runs there (a server's other tasks, a library's
threads) has no tape.

A lane is carried by a context variable, which tasks inherit by copy. A copy that reaches another thread (as
`asyncio.to_thread` makes one) must not be taken for that thread's lane, so a lane belongs to the thread it first ran on
and the wrappers of threads name theirs.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from contextvars import ContextVar
from threading import local

from playhead.core.boundary import Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import ModuleType
    from typing import Any

    from playhead.capture.boundary.wire import Wire
    from playhead.core.boundary import BoundaryTape, Call
else:
    ModuleType = type(sys)  # `types` itself need not be loaded for it

tape: BoundaryTape | None = None
"""The tape of what runs here; None: it is on none. While this process is on its tape in part, `InPart` finds out."""

whole: BoundaryTape | None = None
"""The tape of this process, whoever runs: for what happens between two pieces of the agent's code."""

part: ContextVar[BoundaryTape | None] = ContextVar("playhead_part", default=None)
"""The tape that a block runs on, in everything that comes of the block."""

seed = ""
"""32 hexadecimal digits: what randomness is drawn from; "" = the system's."""

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
_here: Any = sys.modules[__name__]
_strangers = 0


def current() -> Lane:
    """The lane that runs now. A thread that nobody announced gets a lane of its own, `?1`, `?2`, ..."""
    lane = lane_of_context.get()
    if lane is not None:
        ident = get_ident()
        if lane.thread == ident:
            return lane
        if not lane.thread:
            lane.thread = ident
            return lane
    try:
        lane = _threads.lane
    except AttributeError:
        lane = None
    return _stranger(get_ident()) if lane is None else lane


def enter_thread(lane: Lane | None) -> Lane | None:
    """Name the lane of this thread; returns the one it had."""
    before: Lane | None = getattr(_threads, "lane", None)
    _threads.lane = lane
    if lane is not None:
        lane.thread = get_ident()
    if is_in_part():
        part.set(None if lane is None else whole)
    return before


def _stranger(ident: int) -> Lane:
    global _strangers  # noqa: PLW0603  one count a process
    _strangers += 1
    lane = Lane(f"?{_strangers}", ident) if whole is None else whole.lane(f"?{_strangers}")
    lane.thread = ident
    _threads.lane = lane
    return lane


def carrying() -> Wire | None:
    """Where a connection that is made now leads; None: into the world."""
    return trial.get() or _here.wire


def begin(new: BoundaryTape, name: str = "0", *, in_part: bool = False) -> Lane:
    """Put this process, which has that name, on a tape; the calling thread becomes its main lane. With `in_part` only what
    runs in the calling context, and what comes of it, is on it."""
    global tape, wire, whole, process, _strangers  # noqa: PLW0603  one tape a process
    process = name
    _strangers = 0
    wire = None
    lane = new.lane("0")
    whole = new
    _here.__class__ = InPart if in_part else ModuleType
    enter_thread(lane)
    lane_of_context.set(None)
    if not in_part:
        tape = new
    return lane


def children_by(name: Callable[[], str], runs: Callable[[str], bool]) -> None:
    """Set who names the programs that the agent starts, and who knows those that run again."""
    global name_child, runs_again
    name_child, runs_again = name, runs


def end() -> None:
    """Take this process off its tape."""
    global tape, wire, whole, process  # noqa: PLW0603
    enter_thread(None)
    _here.__class__ = ModuleType
    tape = wire = whole = None
    process = "0"


class off:  # noqa: N801  it reads as `with active.off():`
    """A block in which this process is on no tape, nor what is forked in it."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        global tape, whole  # noqa: PLW0603
        self._before = tape, whole
        tape = whole = None

    def __exit__(self, *_: object) -> None:
        global tape, whole
        tape, whole = self._before


class InPart(ModuleType):
    """This module while its process is on a tape in part: who asks for `tape` and `wire` is told by the context. What outlived
    its block stays off later ones. A property of the module's class is the cheapest way to be asked."""

    @property
    def tape(self) -> BoundaryTape | None:
        """The tape of what runs here."""
        mine = part.get()
        return mine if mine is whole else None

    @property
    def wire(self) -> Wire | None:
        """The wire of what runs here."""
        return None if part.get() is not whole else wire


def is_in_part() -> bool:
    """Whether this process is on its tape only in part."""
    return type(_here) is InPart


def carry_by(carrier: Wire | None) -> None:
    """Have HTTP of what is on the tape go there."""
    global wire  # noqa: PLW0603
    wire = carrier


def is_agents(context: Context) -> bool:
    """Whether what runs in that context is the agent's, and no real work of a boundary."""
    return not context.get(inside) and (not is_in_part() or context.get(part) is whole)


def say_by(hear: Callable[[str], object]) -> None:
    """Have `hear` told what is to be said."""
    global _say  # noqa: PLW0603
    _say = hear


def say(text: str) -> None:
    """Have the launcher tell the user something about this run."""
    _say(text)


def in_whose_course() -> Call | None:
    """The call whose real work runs, for a thread that this starts; a request is sent by the thread that asks it."""
    call = within.get()
    return None if call is None or call.is_passed else call


def is_live() -> bool:
    """Whether the world may be asked now without the tape."""
    return _here.tape is None or inside.get()


def read(kind: str, ask: Any) -> Any:
    """What a value boundary reads: from the tape when there is one."""
    mine: BoundaryTape | None = _here.tape
    if mine is None or inside.get():
        return ask()
    return mine.value(current(), kind, ask)
