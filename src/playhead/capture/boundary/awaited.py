"""Awaited calls: the real work runs in a task of its own, `inside`, and its answer is delivered in the tape's order.

While recording, the caller waits for an Answer as it would wait for the task: cancelling it cancels the task, and what
the task then ends with (its clean-up may take a while, or it may not mind) is what the caller gets. All of that is
recorded, so a replay, which has no task, waits for the same ending.
"""

# ruff: noqa: SLF001  asyncio has no public place for any of this
from __future__ import annotations

from asyncio import events, exceptions, futures
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, calls, output
from playhead.capture.boundary.stations import inside_context
from playhead.capture.boundary.tasks import Future, Task
from playhead.core.boundary import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playhead.capture.boundary.stations import Station
    from playhead.core.boundary import BoundaryTape, Key

_PASSED = Outcome(raised=False, body=b"")
_NAME = "playhead"  # asyncio counts the tasks it names, and a replay has none of ours


class Driver(Task):
    """The task that does the real work of calls."""

    _playhead_inside = True
    __hash__ = object.__hash__  # no number of the loop's, as a replay has none of these tasks


class _OfOne(Driver):
    """The task that does the work of one call. It says itself what that ended with; if it is cancelled before it begins, it
    cannot."""

    _answer: Answer

    def cancel(self, msg: Any = None) -> bool:
        self._answer.watch()
        return super().cancel(msg)


class Answer(Future):
    """What a caller waits for. Not done before it is delivered, whatever it is told to be."""

    def __init__(self, loop: Any, tape: BoundaryTape, station: Station, key: Key, call: Call | None) -> None:
        super().__init__(loop=loop)
        self._tape = tape
        self._station = station
        self._key = key
        self._call = call
        self._driver: Any = None
        self._gate: Any = None  # a future, while the question may not leave
        self._is_watched = False
        self._came = False
        self._found: Any = None  # the very object that the work gave or raised, while it runs here
        self._raised: BaseException | None = None

    def ask(self) -> None:
        """Put the question."""
        assert self._call is not None  # noqa: S101
        if self._tape.live and self._call.kind in calls.WORK:
            output.watch(self._call)
        if not self._tape.ask(self._call, self._may_leave):
            self._gate = futures.Future(loop=self._loop)
        self._key = self._call.key  # where the recording has it

    def _may_leave(self) -> Callable[[], None] | None:
        """In any thread."""
        return self._station.soon(self._open)

    def _open(self) -> None:
        if not self._gate.done():
            self._gate.set_result(None)

    async def leave(self) -> None:
        """In the work's own task: returns once the question may leave."""
        if self._gate is not None:
            await self._gate

    def drive(self, do: Callable[[], Awaitable[Any]]) -> None:
        """Have `do()` done, which will end with the answer."""
        context = inside_context(self._call)
        driver = self._driver = _OfOne(self._work(do), loop=self._loop, name=_NAME, context=context)
        driver._answer = self
        self._station.under_way += 1

    async def _work(self, do: Callable[[], Awaitable[Any]]) -> None:
        self._is_watched = True  # from here on it says itself what it ends with
        try:
            if self._gate is not None:
                await self._gate
            value = await do()
        except (KeyboardInterrupt, SystemExit):
            self._is_watched = False
            self.watch()
            raise
        except StopIteration as error:
            self.found(None, _as_coroutines_raise(error))
        except BaseException as error:  # noqa: BLE001  whatever it raised is the agent's
            self.found(None, error)
        else:
            self.found(value, None)

    def watch(self) -> None:
        """Ask the work's task for the end of it, where the work itself does not tell."""
        if not self._is_watched:
            self._is_watched = True
            self._driver.add_done_callback(self._driven, context=inside_context())

    def _driven(self, driver: Any) -> None:
        if self._came:
            return
        try:
            self.found(driver.result(), None)
        except BaseException as error:  # noqa: BLE001  whatever it raised is the agent's
            self.found(None, error)

    def found(self, value: Any, raised: BaseException | None) -> None:
        """The work ended: hand it to the tape."""
        self._station.under_way -= 1
        self._came = True
        self._found, self._raised = value, raised
        outcome = None
        if self._call is not None and not self._call.is_passed:
            output.ended(self._tape, self._call)
            outcome = calls.returned(value) if raised is None else calls.raised(raised)
        self._tape.completed(self._call, self._key, outcome, self.deliver, self._station)

    def expect(self) -> None:
        """Have the tape answer."""
        self._tape.completed(self._call, self._key, None, self.deliver, self._station)

    def deliver(self, outcome: Outcome | None) -> None:
        """It is its turn: the caller goes on."""
        if self.done():
            return
        raised, value = self._raised, self._found
        if not self._came and outcome is not None and self._call is not None:
            try:
                value = calls.given(self._tape, self._call, outcome)
            except BaseException as error:  # noqa: BLE001  what it raised then, or that it cannot be read
                raised = error
        self._driver = self._found = self._raised = None
        if raised is None:
            self.set_result(value)
        elif isinstance(raised, exceptions.CancelledError):
            super().cancel(*raised.args[:1])
        else:
            self.set_exception(raised)

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        if self._tape.live:
            if not self._came and self._driver.cancel(msg):
                return True
            self._tape.withdraw(self._key)
            return super().cancel(msg)
        is_to_come = self._tape.diverged is None and not self._tape.withdraw(self._key)
        if self._driver is not None and not self._driver.cancel(msg):
            self._raised = exceptions.CancelledError(*([] if msg is None else [msg]))  # the work was not so fast then
        return is_to_come or super().cancel(msg)


async def acall(
    kind: str,
    name: str,
    arguments: bytes,
    do: Callable[[], Awaitable[Any]],
    *,
    effect: str = "",
    is_passed: bool = False,
) -> Any:
    """One awaited call at a boundary: what `do()` gives or raises, from the world or from the tape, in its order.

    The real work runs in a task of its own, `inside`. Cancelling the caller cancels that work, and what it then ends
    with is what the caller gets, as if it had awaited `do()` itself. With `is_passed` the work runs in a replay too, and
    only its place in the order is the tape's. Raises Diverged.
    """
    tape = active.tape
    if tape is None or active.inside.get():
        return await do()
    answer = _asked(tape, kind, name, arguments, effect, is_passed=is_passed)
    if answer is None:
        return await _apart(tape, Call(active.current(), kind, name, arguments, effect=effect, is_passed=is_passed), do)
    if tape.live or is_passed:
        answer.drive(do)
    else:
        answer.expect()
    return await answer


async def waited(do: Callable[[], Awaitable[Any]]) -> Any:
    """What `do()` gives, in record and in replay; only when it comes is the tape's."""
    tape = active.tape
    loop = events.get_running_loop()
    station = getattr(loop, "_playhead", None)
    if tape is None or station is None or active.inside.get():
        return await do()
    answer = Answer(loop, tape, station, active.current().next_key(), None)
    answer.drive(do)
    return await answer


def _as_coroutines_raise(error: StopIteration) -> RuntimeError:
    """What Python makes of it where a coroutine ends with it."""
    told = RuntimeError("coroutine raised StopIteration")
    told.__cause__ = told.__context__ = error
    return told


def _asked(
    tape: BoundaryTape, kind: str, name: str, arguments: bytes, effect: str, *, is_passed: bool = False
) -> Answer | None:
    """The question is put; None when no loop of asyncio runs here, and nothing has been asked."""
    loop: Any = events._get_running_loop()
    station = getattr(loop, "_playhead", None)
    if station is None:
        return None
    call = Call(active.current(), kind, name, arguments, effect=effect, is_passed=is_passed)
    answer = Answer(loop, tape, station, call.key, call)
    answer.ask()
    return answer


async def _apart(tape: BoundaryTape, call: Call, do: Callable[[], Awaitable[Any]]) -> Any:
    """On a loop that is not asyncio's (trio): in order as a thread's calls are."""
    tape.ask(call)
    if not tape.live and not call.is_passed:
        return calls.given(tape, call, tape.settle(call, None))
    token = active.inside.set(True)
    try:
        value = await do()
    except BaseException as error:
        tape.settle(call, _PASSED if call.is_passed else calls.raised(error))
        raise
    finally:
        active.inside.reset(token)
    tape.settle(call, _PASSED if call.is_passed else calls.returned(value))
    return value


class Series:
    """Calls whose real work runs in one task, one after another: a generator must not notice that each of its items is
    asked for by itself. Close it with `close`."""

    def __init__(self) -> None:
        self._driver: Any = None
        self._want: Any = None
        self._is_closed = False

    async def acall(
        self, kind: str, name: str, arguments: bytes, do: Callable[[], Awaitable[Any]], *, effect: str = ""
    ) -> Any:
        """As `loops.acall`. Raises Diverged."""
        tape = active.tape
        if tape is None or active.inside.get():
            return await do()
        answer = _asked(tape, kind, name, arguments, effect)
        if answer is None:
            return await _apart(tape, Call(active.current(), kind, name, arguments, effect=effect), do)
        if not tape.live:
            answer.expect()
            return await answer
        loop = answer.get_loop()
        answer._station.under_way += 1
        if self._driver is None:
            self._want = loop.create_future()
            self._driver = Driver(self._work(), loop=loop, name=_NAME, context=inside_context())
        answer._driver = self._driver
        self._want.set_result((do, answer))
        return await answer

    async def _work(self) -> None:
        while True:
            do, answer = await self._want
            active.within.set(answer._call)
            self._want = answer.get_loop().create_future()
            try:
                await answer.leave()
                value = await do()
            except BaseException as error:  # noqa: BLE001  whatever it raised is the agent's
                answer.found(None, error)
            else:
                answer.found(value, None)
            del do, answer

    def close(self) -> None:
        """Nothing more will be asked."""
        if self._driver is not None:
            self._driver.cancel()
            self._driver = None


def series() -> Series:
    """Several awaited calls whose real work runs in one task, one after another: what an async generator needs."""
    return Series()


async def astream(
    kind: str, name: str, arguments: bytes, do: Callable[[], AsyncIterator[Any]], *, effect: str = ""
) -> AsyncIterator[Any]:
    """The items of `do()`, each an awaited call of its own; closing early closes `do()`'s iterator. The first call has the
    arguments, further ones are `NAME.next`; an early end is `NAME.close`. Raises Diverged."""
    if active.is_live():
        async with aclosing(_closable(do())) as items:
            async for item in items:
                yield item
        return
    series = Series()
    iterator: Any = None

    async def first() -> Any:
        nonlocal iterator
        iterator = do().__aiter__()
        return await iterator.__anext__()

    def following() -> Any:
        return iterator.__anext__()

    is_open = True
    try:
        try:
            item = await series.acall(kind, name, arguments, first, effect=effect)
            while True:
                yield item
                item = await series.acall(kind, f"{name}.next", b"", following)
        except StopAsyncIteration:
            is_open = False
    except GeneratorExit:
        if is_open:
            await series.acall(kind, f"{name}.close", b"", lambda: _closed(iterator))
        raise
    finally:
        series.close()


async def _closable(items: AsyncIterator[Any]) -> Any:
    try:
        async for item in items:
            yield item
    finally:
        await _closed(items)


async def _closed(iterator: Any) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()
