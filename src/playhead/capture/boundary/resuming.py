"""Generators of the program, resumed one time after another by somebody between them and their caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


class Resumed:
    """A generator and how its caller wants it resumed next. `make` makes it, when it is first resumed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._sent: Any = None
        self._thrown: BaseException | None = None
        self.generator: Any = None

    def sent(self, value: Any) -> None:
        """The caller sent a value; None when it only asked for the next item."""
        self._sent, self._thrown = value, None

    def thrown(self, error: BaseException) -> None:
        """The caller threw an exception into it."""
        self._sent, self._thrown = None, error

    def told(self) -> bytes:
        """How it is resumed, as canonical JSON."""
        from playhead.capture.boundary.encode import describe

        if self._thrown is not None:
            return describe({"throw": self._thrown})
        return b"{}" if self._sent is None else describe({"send": self._sent})

    def resume(self) -> Any:
        """Resume a generator. Raises StopIteration at its end."""
        if self.generator is None:
            self.generator = self._make()
        if self._thrown is not None:
            return self.generator.throw(self._thrown)
        return self.generator.send(self._sent)

    def aresume(self) -> Awaitable[Any]:
        """Resume an async generator; the awaitable raises StopAsyncIteration at its end."""
        if self.generator is None:
            self.generator = self._make()
        found: Awaitable[Any]
        if self._thrown is not None:
            found = self.generator.athrow(self._thrown)
        elif self._sent is not None:
            found = self.generator.asend(self._sent)
        else:
            found = self.generator.__anext__()
        return found

    # -- what somebody between an async generator and its caller does; this one nothing

    async def ask(self) -> Any:
        """The next item."""
        return await self.aresume()

    async def close(self) -> None:
        """The caller wants no more."""
        await self.generator.aclose()

    def left(self) -> None:
        """It has come to its end."""

    def failed(self, error: BaseException) -> None:
        """It has raised."""

    def done(self) -> None:
        """Nothing more is asked, however it ended."""


def async_items(begin: Callable[[tuple[Any, ...], dict[str, Any]], Resumed]) -> Any:
    """An async generator function whose items come by way of what `begin` makes of its arguments."""

    async def items(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        between = begin(args, kwargs)
        try:
            while True:
                try:
                    item = await between.ask()
                except StopAsyncIteration:
                    between.left()
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await between.close()
                    raise
                except BaseException as error:  # noqa: BLE001  whatever was thrown into it
                    between.thrown(error)
                else:
                    between.sent(sent)
        except GeneratorExit:
            raise  # when a forgotten generator is closed is up to the collector
        except BaseException as error:
            between.failed(error)
            raise
        finally:
            between.done()

    return items
