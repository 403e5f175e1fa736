"""Processes that `multiprocessing` starts: each has a tape of its own and runs again in a replay.

The module starts programs without telling anybody, so they are given their names here: two that begin at once would otherwise
be told apart by which of them is faster. And a worker hands its results over by a pipe, behind which a pool may end it at any
moment: what it has read is written before.
"""

from __future__ import annotations

import os

from playhead.capture.boundary import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches


def install(patches: Patches, when_imported: Any) -> None:
    """Once the agent uses `multiprocessing`."""
    when_imported("multiprocessing.util", lambda module: patches.wrap(module, "spawnv_passfds", _named))
    when_imported("multiprocessing.connection", lambda module: patches.wrap(module.Connection, "_send", _written))


def _named(real: Callable[..., Any]) -> Callable[..., Any]:
    def spawnv_passfds(*args: Any) -> Any:
        if active.tape is not None and not active.is_in_part():
            os.environ["PLAYHEAD_PROCESS"] = active.name_child()
        return real(*args)

    return spawnv_passfds


def _written(real: Callable[..., Any]) -> Callable[..., Any]:
    def _send(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not active.is_live():
            assert active.tape is not None  # noqa: S101  else it is live
            active.tape.leaving(active.current())
        return real(self, *args, **kwargs)

    return _send
