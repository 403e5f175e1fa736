"""httpx and httpx2, which differ in their names only: heads and pieces of bodies, in their order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, loops
from playhead.capture.boundary.transports import passed
from playhead.core.boundary import REQUEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from playhead.capture.boundary.patches import Patches


def patch(patches: Patches, module: Any) -> None:
    """Patch the default transports, just imported."""
    library = module.__name__.partition(".")[0]
    ordered_stream, ordered_async_stream = _streams(sys.modules[f"{library}._types"])

    def ordered(real: Callable[..., Any]) -> Callable[..., Any]:
        def handle_request(self: Any, request: Any) -> Any:
            passed.see_to(library)
            if active.is_live():
                return real(self, request)
            response = passed.call(_name(request), lambda: real(self, request))
            if not passed.is_refused(response.headers):
                response.stream = ordered_stream(response.stream)
            return response

        return handle_request

    def ordered_async(real: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(self: Any, request: Any) -> Any:
            passed.see_to(f"{library} async")
            if active.is_live():
                return await real(self, request)
            name = _name(request)
            response = await loops.acall(REQUEST, name, b"", lambda: real(self, request), is_passed=True)
            if not passed.is_refused(response.headers):
                response.stream = ordered_async_stream(response.stream, name)
            return response

        return handle_async_request

    patches.wrap(module.HTTPTransport, "handle_request", ordered)
    patches.wrap(module.AsyncHTTPTransport, "handle_async_request", ordered_async)


def _streams(types: Any) -> tuple[type, type]:
    """Bodies of a thread and of a task, as the library's own kinds of streams."""

    class OrderedStream(types.SyncByteStream):  # type: ignore[misc]
        """A body in the pieces in which it was recorded."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __iter__(self) -> Iterator[bytes]:
            return passed.pieces(iter(self._real))

        def close(self) -> None:
            self._real.close()

    class OrderedAsyncStream(types.AsyncByteStream):  # type: ignore[misc]
        """The same, for a task."""

        def __init__(self, real: Any, name: str) -> None:
            self._real, self._name = real, name

        async def __aiter__(self) -> AsyncIterator[bytes]:
            source = self._real.__aiter__()

            async def read() -> bytes | None:
                try:
                    piece: bytes = await source.__anext__()
                except StopAsyncIteration:
                    return None
                return piece

            async for piece in passed.apieces(self._name, read, loops.acall):
                yield piece

        async def aclose(self) -> None:
            await self._real.aclose()

    return OrderedStream, OrderedAsyncStream


def _name(request: Any) -> str:
    return f"{request.method} {request.url.host}"
