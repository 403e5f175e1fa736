"""Connections that a server of the agent accepts: what it does for them is not on the tape.

Who connects is outside of the run, or asks through the engine, which answers it in a replay: either way nobody connects
then, and what was done for them is not done again. So it has no place in the order, and its reads are none of the lane's.
"""

from __future__ import annotations

from playhead.capture.boundary import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches


def install(patches: Patches, when_imported: Any) -> None:
    """Patch the accepting of asyncio's servers and of `socketserver`, on which `http.server`, wsgiref and werkzeug build."""
    when_imported(
        "asyncio.selector_events",
        lambda module: patches.wrap(module.BaseSelectorEventLoop, "_accept_connection", _apart),
    )
    when_imported("socketserver", lambda module: patches.wrap(module.BaseServer, "_handle_request_noblock", _apart))


def _apart(real: Callable[..., Any]) -> Any:
    def accept(*args: Any, **options: Any) -> Any:
        token = active.inside.set(True)
        try:
            return real(*args, **options)
        finally:
            active.inside.reset(token)

    return accept
