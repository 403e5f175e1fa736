"""A websocket server on a port of its own, plain, until it is stopped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from websockets.sync.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable


class Talker:
    """`handler(ws)` talks with each client; `url` is a place there."""

    def __init__(self, handler: Callable[[Any], None], **options: Any) -> None:
        self._server = serve(handler, "127.0.0.1", 0, **options)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/v1/realtime"
        self._thread: threading.Thread | None = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        assert self._thread is not None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Gone: nobody listens there any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._server.shutdown()
            thread.join()
