"""Locks of the agent's own code: each acquisition has its place in the order.

What is built on locks (Condition, Event, Semaphore, Barrier, queue.Queue, futures) is the standard library's own code and
deterministic once its locks are. What depends on the time is a value of the lane: whether a lock was free, or came free
in time, and whether a wait ended by a notification; a replay waits for no time-out.

A lock is the agent's when the code that makes it is, or makes it through `threading`, `queue` or such. Locks that the
standard library and installed packages make for themselves are left alone: they are taken more often, and for less.
"""

from __future__ import annotations

import _thread
import threading
from sys import _getframe

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, is_agents, known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

THROUGH = {threading.__file__}
"""Files whose classes, as they are made, make locks on behalf of their caller."""

_THREAD_MADE = threading.Thread.__init__.__code__


def install(patches: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Put the agent's locks in the place of the standard library's."""
    for attribute, made in (("Lock", Lock), ("RLock", RLock)):
        for name in ("__name__", "__qualname__", "__module__"):
            setattr(made, name, getattr(made.of, name))
        made.__doc__ = getattr(threading, attribute).__doc__
        patches.put(threading, attribute, made)
    patches.put(_thread, "allocate_lock", Lock)
    patches.wrap(threading.Condition, "wait", _wait)
    patches.wrap(threading.Event, "is_set", _is_set)
    if "isSet" in threading.Event.__dict__:
        patches.put(threading.Event, "isSet", threading.Event.is_set)
    patches.put(threading, "_time", clock(threading._time))  # type: ignore[attr-defined]  # noqa: SLF001


def is_made_by_agent(frame: FrameType | None) -> bool:
    """Whether what that frame makes is the agent's: the nearest caller that makes it for itself."""
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if file in THROUGH:
            if code is _THREAD_MADE or code.co_name != "__init__":
                return False  # what threads tell their starters by, and what the module keeps for itself
        else:
            if file == "<string>":  # generated (a dataclass), `-c`, or run by exec: whose module it is decides
                file = frame.f_globals.get("__file__") or file
            if is_agents(file) or known[file] is not None:
                return is_agents(file)
        frame = frame.f_back
    return False


class _Kind(type):
    """What `threading.Lock` and `threading.RLock` are: makers that decide whose lock it is, and types of either."""

    real: Callable[..., Any]
    of: type

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if active.tape is None or not is_made_by_agent(_getframe(1)):
            return cls.real(*args, **kwargs)
        return type.__call__(cls, *args, **kwargs)

    def made(cls) -> Any:
        """One of ours, whoever asks."""
        return type.__call__(cls)

    def __instancecheck__(cls, instance: Any) -> bool:
        return type(instance) is cls or isinstance(instance, cls.of)


class _Around(metaclass=_Kind):
    """A lock of the agent around the real one: what both kinds do alike."""

    __slots__ = ("__weakref__", "_real")

    def __init__(self) -> None:
        self._real: Any = type(self).real()

    def release(self) -> None:
        release(self._real)

    def __exit__(self, *_error: object) -> None:
        release(self._real)

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()  # noqa: SLF001

    def __repr__(self) -> str:
        return repr(self._real)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._real.__reduce_ex__(protocol)  # raises what it raises

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self).of


class Lock(_Around):
    """A lock of the agent around the real one."""

    __slots__ = ()

    real = staticmethod(_thread.allocate_lock)
    of = _thread.LockType

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002  the real one's
        tape = active.tape
        if tape is None or active.inside.get():
            return bool(self._real.acquire(blocking, timeout))
        lane = active.current()
        if not blocking or timeout != -1:
            return _try(self._real, blocking, timeout)
        tape.turn(lane.next_key(), "lock", self._real)
        return True

    def __enter__(self) -> bool:
        tape = active.tape
        if tape is None or active.inside.get():
            return bool(self._real.acquire())
        tape.turn(active.current().next_key(), "lock", self._real)
        return True

    def locked(self) -> bool:
        tape = active.tape
        if tape is None or active.inside.get():
            return bool(self._real.locked())
        lane = active.current()
        found = bool(tape.value(lane, "locked", self._real.locked))
        tape.turn(lane.next_key(), "locked")
        return found

    acquire_lock = acquire
    release_lock = _Around.release
    locked_lock = locked

    def _is_owned(self) -> bool:
        """Asked by Condition, which would try to acquire a lock that cannot say."""
        return bool(self._real.locked())


class RLock(_Around):
    """A reentrant lock of the agent around the real one. Only the outermost acquisition has a place in the order."""

    __slots__ = ()

    real = staticmethod(threading.RLock)
    of = _thread.RLock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002  the real one's
        tape = active.tape
        real = self._real
        if tape is None or active.inside.get() or real._is_owned():  # noqa: SLF001
            return bool(real.acquire(blocking, timeout))
        if not blocking or timeout != -1:
            return _try(real, blocking, timeout)
        tape.turn(active.current().next_key(), "lock", real)
        return True

    __enter__ = acquire

    def locked(self) -> bool:
        """From Python 3.14 on."""
        return not repr(self._real).startswith("<unlocked")

    def _is_owned(self) -> bool:
        return bool(self._real._is_owned())  # noqa: SLF001

    def _recursion_count(self) -> int:
        return int(self._real._recursion_count())  # noqa: SLF001

    def _release_save(self) -> Any:
        return self._real._release_save()  # noqa: SLF001

    def _acquire_restore(self, state: Any) -> None:
        """After a wait: the lock is taken anew, as often as it was held."""
        tape = active.tape
        if tape is None or active.inside.get():
            self._real._acquire_restore(state)  # noqa: SLF001
            return
        tape.turn(active.current().next_key(), "lock", self._real)
        for _ in range(1, state[0]):
            self._real.acquire()


def _try(real: Any, blocking: bool, timeout: float) -> bool:  # noqa: FBT001  the real one's
    """An acquisition that may fail: whether it did is a value; if it did not, it has its place."""
    tape = active.tape
    assert tape is not None  # noqa: S101  asked by its callers
    if timeout != -1 and (
        not blocking or not isinstance(timeout, (int, float)) or not 0 <= timeout <= _thread.TIMEOUT_MAX
    ):
        return bool(real.acquire(blocking, timeout))  # raises
    lane = active.current()
    if not tape.live:
        if tape.value(lane, "acquire", real.acquire):
            tape.turn(lane.next_key(), "lock", real)
            return True
        return False
    got = bool(real.acquire(blocking, timeout))
    tape.value(lane, "acquire", lambda: got)
    if got:
        tape.turn(lane.next_key(), "lock")
    return got


def release(real: Any) -> None:
    """Release the real lock. One that was not acquired because the tape was left is not held: `with` must not complain
    of that."""
    try:
        real.release()
    except RuntimeError:
        tape = active.tape
        if tape is None or tape.live:
            raise
        stay()
        raise


def stay() -> None:
    """Raises Diverged when the program has left the tape."""
    tape = active.tape
    if tape is not None and tape.rests is not None:
        tape.rests.stay()


def is_ours(condition: Any) -> bool:
    """Whether that is a Condition on a lock of the agent."""
    return type(getattr(condition, "_lock", None)) in (Lock, RLock)


def _wait(real: Callable[..., bool]) -> Any:
    def wait(self: Any, timeout: float | None = None) -> bool:
        tape = active.tape
        if tape is None or active.inside.get() or not is_ours(self):
            return real(self, timeout)
        if tape.live:
            got = real(self, timeout)
            if timeout is not None:
                tape.value(active.current(), "wait", lambda: got)
            return got
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        # as threading.Condition.wait does, but that it comes to rest, and never waits for a time-out
        will_get = timeout is None or bool(tape.value(active.current(), "wait", lambda: False))
        waiter = _thread_lock()
        waiter.acquire()
        self._waiters.append(waiter)
        saved = self._release_save()
        got = False
        try:
            if will_get and tape.rests is not None:
                tape.rests.wait(lambda seconds: waiter.acquire(True, seconds), lambda: not waiter.locked())
                got = True
            return will_get
        finally:
            self._acquire_restore(saved)
            if not got and waiter in self._waiters:
                self._waiters.remove(waiter)

    return wait


_thread_lock = _thread.allocate_lock


def _is_set(real: Callable[..., bool]) -> Any:
    def is_set(self: Any) -> bool:
        if active.tape is None or active.inside.get() or not is_ours(self._cond):
            return real(self)
        with self._cond:  # who sees it set has seen what was done before
            return real(self)

    return is_set


def clock(real: Callable[[], float]) -> Callable[[], float]:
    """The clock by which a module of the standard library waits. For an object that rests on a lock of the agent it is a
    value: a replay that does not wait must see the time go by."""

    def monotonic() -> float:
        tape = active.tape
        if tape is None or active.inside.get():
            return real()
        owner = _getframe(1).f_locals.get("self")
        if not (is_ours(owner) or is_ours(getattr(owner, "_cond", None)) or is_ours(getattr(owner, "not_empty", None))):
            return real()
        return float(tape.value(active.current(), "wait clock", real))

    return monotonic
