"""Record an AI agent once; replay it offline, see every call, and know whether it was the same.

Names are loaded on first use, so that importing Playhead inside an agent costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead import errors
    from playhead.capture.boundary.steps import boundary, step, unrecorded
    from playhead.capture.boundary.tool import tool
    from playhead.cassette.opening import open_session as open  # noqa: A004  CONTRACT names it so
    from playhead.runs.blocks import record, replay, session

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "boundary",
    "errors",
    "open",
    "record",
    "replay",
    "session",
    "step",
    "tool",
    "unrecorded",
]

_HOMES = {
    "boundary": ("playhead.capture.boundary.steps", "boundary"),
    "errors": ("playhead.errors", ""),
    "open": ("playhead.cassette.opening", "open_session"),
    "record": ("playhead.runs.blocks", "record"),
    "replay": ("playhead.runs.blocks", "replay"),
    "session": ("playhead.runs.blocks", "session"),
    "step": ("playhead.capture.boundary.steps", "step"),
    "tool": ("playhead.capture.boundary.tool", "tool"),
    "unrecorded": ("playhead.capture.boundary.steps", "unrecorded"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'playhead' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(home[0])
    value = getattr(module, home[1]) if home[1] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
