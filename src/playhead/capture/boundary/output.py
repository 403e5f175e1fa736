"""What the work of a tool prints by `sys.stdout` and `sys.stderr`: it does not run in a replay, and is a part of the answer.

While recording, the text streams that are there when a tool begins note what is written to them in its course; a replay
writes it when it has the answer. It stands in a lane of its own, by the place of the call.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.boundary import BoundaryTape, Call

_printed = Aside("printed")
"""By the place of the call."""

_STREAMS = "__stdout__", "__stderr__", "stdout", "stderr"
"""The process's own first: a handler of logs may hold one while the agent has put another in its place."""

_watched: tuple[Any, Any] | None = None
_written: dict[Call, list[tuple[int, str]]] = {}
"""What calls have written that have not ended: places in `_STREAMS`, and text."""


def watch(call: Call) -> None:
    """The work of that call begins."""
    global _watched  # noqa: PLW0603  one a process
    _written[call] = []
    now = sys.stdout, sys.stderr
    if now != _watched:
        _watched = now
        for place, name in enumerate(_STREAMS):
            stream = getattr(sys, name)
            if stream is not None and not hasattr(stream.write, "playhead"):
                _wrap(stream, place)


def _wrap(stream: Any, place: int) -> None:
    real: Callable[[Any], Any] = stream.write

    def write(text: Any) -> Any:
        call = active.within.get()
        written = None if call is None else _written.get(call)
        if written is None or not isinstance(text, str):
            return real(text)
        written.append((place, text))
        token = active.within.set(None)  # the stream may write to another one that is watched
        try:
            return real(text)
        finally:
            active.within.reset(token)

    write.playhead = True  # type: ignore[attr-defined]
    with suppress(AttributeError):  # it takes no attribute
        stream.write = write


def ended(tape: BoundaryTape, call: Call) -> None:
    """The work of that call has ended: what it has written is written down."""
    written = _written.pop(call, None)
    if written:
        with _printed.mutex:
            _printed.write(tape, _place(call), json.dumps(written))


def again(tape: BoundaryTape, call: Call) -> None:
    """Write what the work of that call has written."""
    with _printed.mutex:
        texts = _printed.of(tape, _place(call))
    if not texts:
        return
    token = active.inside.set(True)  # as it was: a stream of the agent's own may read clocks
    try:
        for place, part in json.loads(texts.pop()):
            stream = getattr(sys, _STREAMS[place])
            if stream is not None:
                with suppress(OSError, ValueError):  # it may be closed here
                    stream.write(part)
    finally:
        active.inside.reset(token)


def _place(call: Call) -> str:
    path, ordinal = call.key
    return f"{path}#{ordinal}"
