"""websockets: a conversation of frames is not carried; that one went past is said, and a replay lets none out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches

_REASON = "a websocket"


def patch(patches: Patches, module: Any) -> None:
    """Patch a client of the library, just imported, where it reads the URI: before it connects."""
    patches.wrap(module, "parse_uri", _said)


def _said(real: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse_uri(uri: str) -> Any:
        found = real(uri)
        wire = active.carrying()
        if wire is not None:
            wire.went_past(found.host, _REASON)
            if not wire.live:
                raise ConnectionRefusedError(f"Playhead replays no websocket to {found.host}")
        return found

    return parse_uri
