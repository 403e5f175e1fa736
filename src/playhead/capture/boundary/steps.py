"""What a program says of itself: the steps it takes, calls that it puts on the tape by hand, and blocks that it keeps off.

A step is no boundary: its function runs in a replay, and a renamed one is no divergence. Its entry and its end are marks
in the journal, with arguments and result, between which the step's calls stand.
"""

from __future__ import annotations

from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar, overload

from playhead.capture.boundary import active
from playhead.capture.boundary.parameters import Parameters, parameters_of, shape_of
from playhead.capture.boundary.resuming import Resumed, async_items

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Token

    from playhead.core.boundary import BoundaryTape, Lane

F = TypeVar("F")


@overload
def step(name: F, /) -> F: ...


@overload
def step(name: str = "", /) -> Callable[[F], F]: ...


def step(name: Any = "", /) -> Any:
    """Name a step of the program: `@playhead.step("planner")`, or bare for the function's own name. Its arguments and what
    it returns or raises are kept in the recording. On functions, async functions and generators of both kinds."""
    return partial(_stepping, name) if isinstance(name, str) else _stepping("", name)


def boundary(name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function as a boundary: recorded once, answered from the recording afterwards. For an async function the
    result is to be awaited, as that function's would be."""
    is_async = shape_of(function) == "async"
    if active.tape is None or active.inside.get():
        return function(*args, **kwargs)
    from playhead.capture.boundary.encode import describe

    told = describe({"args": list(args), "kwargs": kwargs})
    if is_async:
        from playhead.capture.boundary.loops import acall

        return acall("boundary", name, told, lambda: function(*args, **kwargs))
    from playhead.capture.boundary.calls import call

    return call("boundary", name, told, lambda: function(*args, **kwargs))


class unrecorded:  # noqa: N801  it is called like a function: `with playhead.unrecorded():`
    """A block that is kept off the tape: what it reads and asks is neither recorded nor answered, and runs in a replay."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token: Token[bool] = active.inside.set(True)

    def __exit__(self, *_: object) -> None:
        active.inside.reset(self._token)


class Taking:
    """One taking of a step."""

    __slots__ = ("_lane", "_name", "_number", "_tape")

    def __init__(self, tape: BoundaryTape, name: str, told: Callable[[], bytes]) -> None:
        self._tape = tape
        self._name = name
        self._lane: Lane = active.current()
        self._number = tape.mark(self._lane, "enter", name, 0, told)

    def left(self, value: Any) -> Any:
        """It ends by returning that."""
        from playhead.capture.boundary.encode import write

        self._tape.mark(self._lane, "leave", self._name, self._number, lambda: write(value))
        return value

    def failed(self, error: BaseException) -> None:
        """It ends by raising that."""
        from playhead.capture.boundary.encode import write_raised

        self._tape.mark(self._lane, "fail", self._name, self._number, lambda: write_raised(error))


class _Stepped:
    """A function that is a step."""

    __slots__ = ("_parameters", "function", "name")

    def __init__(self, function: Any, name: str) -> None:
        self.function = function
        self.name = name or getattr(function, "__qualname__", type(function).__qualname__)
        self._parameters: Parameters | None = None

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Taking | None:
        """The step begins; None when there is nothing to write it to."""
        tape = active.tape
        if tape is None or active.inside.get():
            return None
        return Taking(tape, self.name, lambda: self._told(args, kwargs))

    def _told(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        if self._parameters is None:
            self._parameters = parameters_of(self.function)
        return self._parameters.describe(args, kwargs)


def _stepping(name: str, function: Any) -> Any:
    wrapper = _WRAPPERS[shape_of(function)](_Stepped(function, name))
    return update_wrapper(wrapper, function)


def _plain(stepped: _Stepped) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        taken = stepped.enter(args, kwargs)
        if taken is None:
            return stepped.function(*args, **kwargs)
        try:
            return taken.left(stepped.function(*args, **kwargs))
        except BaseException as error:
            taken.failed(error)
            raise

    return call


def _async(stepped: _Stepped) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        taken = stepped.enter(args, kwargs)
        if taken is None:
            return await stepped.function(*args, **kwargs)
        try:
            return taken.left(await stepped.function(*args, **kwargs))
        except BaseException as error:
            taken.failed(error)
            raise

    return call


def _generator(stepped: _Stepped) -> Any:
    def items(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        taken = stepped.enter(args, kwargs)
        if taken is None:
            return (yield from stepped.function(*args, **kwargs))
        try:
            return taken.left((yield from stepped.function(*args, **kwargs)))
        except GeneratorExit:
            raise  # when a forgotten generator is closed is up to the collector
        except BaseException as error:
            taken.failed(error)
            raise

    return items


class _Watched(Resumed):
    """An async generator that is a step."""

    def __init__(self, make: Callable[[], Any], taken: Taking) -> None:
        super().__init__(make)
        self._taken = taken

    def left(self) -> None:
        self._taken.left(None)

    def failed(self, error: BaseException) -> None:
        self._taken.failed(error)


def _async_generator(stepped: _Stepped) -> Any:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Resumed:
        taken = stepped.enter(args, kwargs)
        make = partial(stepped.function, *args, **kwargs)
        return Resumed(make) if taken is None else _Watched(make, taken)

    return async_items(begin)


_WRAPPERS = {"": _plain, "async": _async, "generator": _generator, "async generator": _async_generator}
