"""`@playhead.tool`: each call of a function is a question with a recorded answer, and does not run in a replay.

What the function does while it runs, tools it calls included, is part of its answer. A generator is one question for each
time it is resumed: the first has the arguments, the others are of kind `item`. Without a tape a wrapper only calls.
"""

from __future__ import annotations

from functools import partial, update_wrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from playhead.capture.boundary import active
from playhead.capture.boundary.parameters import parameters_of, shape_of
from playhead.capture.boundary.resuming import Resumed, async_items

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playhead.capture.boundary.parameters import Parameters

F = TypeVar("F")

EFFECTS = ("pure", "read", "write", "irreversible")


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(*, effect: str = "") -> Callable[[F], F]: ...


def tool(function: Any = None, /, *, effect: str = "") -> Any:
    """Put every call of a function on the tape: bare, or `tool(effect="pure|read|write|irreversible")`.

    On functions, async functions, generators and async generators, methods (below or above `@staticmethod` and
    `@classmethod`), callable objects, and on the tool objects that LangChain, CrewAI and Pydantic-AI make of functions.
    An undeclared effect is taken for the worst. Raises UsageError for an unknown effect, or for what cannot be called.
    """
    if effect and effect not in EFFECTS:
        from playhead.errors import UsageError

        raise UsageError(
            "A tool declares an effect that does not exist.",
            code="bad-effect",
            where=f"@playhead.tool on {_name(function)}" if function is not None else "@playhead.tool",
            expected=" or ".join(EFFECTS),
            seen=repr(effect),
            todo='write effect="irreversible" when running it twice would do harm, "read" when it changes nothing',
        )
    return partial(_made, effect=effect) if function is None else _made(function, effect)


def _made(function: Any, effect: str) -> Any:
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_made(function.__func__, effect))
    if not isinstance(function, FunctionType) and _replaced_inside(function, effect):
        return function
    if not callable(function) or isinstance(function, type):
        from playhead.errors import UsageError

        raise UsageError(
            "@playhead.tool stands on something that is no function.",
            code="bad-tool",
            where=f"@playhead.tool on {_name(function)}",
            expected="a function, a method, or an object that can be called",
            seen=f"a {type(function).__name__}" if not isinstance(function, type) else "a class",
            todo="put it on the method that does the work, or pass the object to playhead.tool(...)",
        )
    wrapper = _WRAPPERS[shape_of(function)](_Tool(function, effect))
    update_wrapper(wrapper, function)
    for name in ("__name__", "__qualname__"):
        if not hasattr(function, name):
            setattr(wrapper, name, _name(function))
    return wrapper


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", "") or type(function).__qualname__
    return name


_HELD = ("func", "coroutine", "function", "_run", "_arun")
"""Where the tool objects of frameworks hold the function they call."""


def _replaced_inside(holder: Any, effect: str) -> bool:
    """Put the functions that a framework's tool object calls on the tape, in place. False when it holds none."""
    state = getattr(holder, "__dict__", {})
    if isinstance(holder, partial):
        return False
    found = [name for name in _HELD if isinstance(state.get(name), FunctionType)]
    for name in found:
        wrapper = _made(state[name], effect)
        schema = state.get("function_schema")  # Pydantic-AI calls the one that its schema holds
        if getattr(schema, "function", None) is state[name]:
            schema.function = wrapper  # type: ignore[union-attr]
        setattr(holder, name, wrapper)
    return bool(found)


class _Tool:
    """What a wrapper knows of its function."""

    __slots__ = ("_parameters", "effect", "function", "name")

    def __init__(self, function: Any, effect: str) -> None:
        self.function = function
        self.effect = effect
        self.name = _name(function)
        self._parameters: Parameters | None = None

    def told(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The arguments as canonical JSON."""
        if self._parameters is None:
            self._parameters = parameters_of(self.function)
        return self._parameters.describe(args, kwargs)


def _plain(tool: _Tool) -> Any:
    function = tool.function
    ask: Any = None

    def call(*args: Any, **kwargs: Any) -> Any:
        if active.tape is None or active.inside.get():
            return function(*args, **kwargs)
        nonlocal ask
        if ask is None:
            from playhead.capture.boundary.calls import call as ask
        told = tool.told(args, kwargs)
        return ask("tool", tool.name, told, lambda: function(*args, **kwargs), effect=tool.effect)

    return call


def _async(tool: _Tool) -> Any:
    function = tool.function

    async def call(*args: Any, **kwargs: Any) -> Any:
        if active.tape is None or active.inside.get():
            return await function(*args, **kwargs)
        from playhead.capture.boundary.loops import acall

        told = tool.told(args, kwargs)
        return await acall("tool", tool.name, told, lambda: function(*args, **kwargs), effect=tool.effect)

    return call


def _generator(tool: _Tool) -> Any:
    def items(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if active.tape is None or active.inside.get():
            return (yield from tool.function(*args, **kwargs))
        return (yield from _items(tool, args, kwargs))

    return items


def _items(tool: _Tool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
    from playhead.capture.boundary.calls import call

    resumed = Resumed(lambda: tool.function(*args, **kwargs))
    kind, told = "tool", tool.told(args, kwargs)
    while True:
        try:
            item = call(kind, tool.name, told, resumed.resume, effect=tool.effect)
        except StopIteration as end:
            return end.value
        try:
            sent = yield item
        except GeneratorExit:
            if resumed.generator is not None:  # no question: when a forgotten one is closed is up to the collector
                token = active.inside.set(True)
                try:
                    resumed.generator.close()
                finally:
                    active.inside.reset(token)
            raise
        except BaseException as error:  # noqa: BLE001  whatever was thrown into it
            resumed.thrown(error)
        else:
            resumed.sent(sent)
        kind, told = "item", resumed.told()


class _Asked(Resumed):
    """An async generator whose items are questions; those of one generator are answered in one task."""

    def __init__(self, tool: _Tool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from playhead.capture.boundary.loops import series

        super().__init__(lambda: tool.function(*args, **kwargs))
        self._tool = tool
        self._series = series()
        self._kind = "tool"
        self._told = tool.told(args, kwargs)

    async def ask(self) -> Any:
        kind, told = ("tool", self._told) if self._kind == "tool" else ("item", self.told())
        self._kind = "item"
        return await self._series.acall(kind, self._tool.name, told, self.aresume, effect=self._tool.effect)

    async def close(self) -> None:
        await self._series.acall("item", self._tool.name, b'{"close":true}', self._close)

    async def _close(self) -> None:
        await self.generator.aclose()

    def done(self) -> None:
        self._series.close()


def _async_generator(tool: _Tool) -> Any:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Resumed:
        if active.tape is None or active.inside.get():
            return Resumed(lambda: tool.function(*args, **kwargs))
        return _Asked(tool, args, kwargs)

    return async_items(begin)


_WRAPPERS = {"": _plain, "async": _async, "generator": _generator, "async generator": _async_generator}
