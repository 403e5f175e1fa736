"""What a program says to its session by hand: states, notes, errors, and steps that no boundary saw.

Each is a mark in the journal, with a number of its own among the steps; none is a question, so a replay passes through
them. Standard library only: below the launcher this runs in the agent's environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from playhead.core.boundary import BoundaryTape, Lane


class Marking:
    """A session that runs. `id` and `name` are the recording's, `path` where it is; "" and None where there is none."""

    id = ""
    name = ""

    def __init__(self, tape: BoundaryTape | None) -> None:
        self._tape = tape
        self._lane: Lane | None = None if tape is None else active.current()
        self._is_over = False

    @property
    def path(self) -> Path | None:
        """A folder while it is written, then one file; None when nothing is recorded."""
        return None

    def end(self, error: BaseException | None) -> bool:  # noqa: ARG002
        """The block is over, by returning or by raising that. Whether that is heard here, and not raised further."""
        self._is_over = True
        return False

    def checkpoint(self, state: Any, label: str = "") -> None:
        """Keep a state of the program: any value that a tool could return. Raises UsageError when the block is over."""
        self._mark("state", label, lambda write: write(state))

    def note(self, text: str) -> None:
        """Keep a remark. Raises UsageError when the block is over."""
        self._mark("note", "", lambda write: write(str(text)))

    def error(self, error: BaseException) -> None:
        """Keep an error that the program deals with. Raises UsageError when the block is over."""
        from playhead.capture.boundary.encode import write_raised

        self._mark("error", type(error).__qualname__, lambda _write: write_raised(error))

    def add_step(
        self, name: str, before: Any = None, after: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """A step of the program with the state before and after it. Raises UsageError when the block is over."""
        told = {"before": before, "after": after, "metadata": dict(metadata or {})}
        self._mark("node", name, lambda write: write(told))

    def add_llm(
        self,
        request: Any,
        response: Any,
        *,
        provider: str = "",
        model: str = "",
        usage: Mapping[str, int] | None = None,
        duration_s: float | None = None,
    ) -> None:
        """A call of a model. `request` and `response` are what its API takes and gives (dicts, or an SDK's objects): they
        are read as those of a recorded call are. `provider` helps where their shape does not tell; for anything else
        `model`, and `usage` by the names of `inspect --json`. Raises UsageError when the block is over."""
        told = {"request": _plain(request), "response": _plain(response), "provider": provider, "model": model}
        told |= {"usage": dict(usage) if usage else None, "duration_s": duration_s}
        self._mark("llm", provider or model, lambda write: write(told))

    def add_tool(
        self,
        name: str,
        args: Any,
        result: Any = None,
        *,
        error: BaseException | None = None,
        effect: str = "",
        duration_s: float | None = None,
    ) -> None:
        """A call of a tool, with what it returned or raised. Raises UsageError when the block is over."""
        told = {"args": args, "result": result, "effect": effect, "duration_s": duration_s}
        if error is not None:
            told["error"] = f"{type(error).__qualname__}: {error}"
        self._mark("tool", name, lambda write: write(told))

    def _mark(self, what: str, name: str, body: Callable[[Callable[[Any], bytes]], bytes]) -> None:
        if self._is_over:
            raise UsageError(
                "This session has ended.",
                code="session-over",
                where=f"{what} {name}".strip(),
                expected="a call before the end of its block",
                todo="move it into the block",
            )
        tape = self._tape
        if tape is None or self._lane is None:
            return
        from playhead.capture.boundary.encode import write

        lane = active.current() if active.tape is tape else self._lane
        tape.mark(lane, what, str(name), 0, lambda: body(write))


def _plain(value: Any) -> Any:
    """An SDK's object as the JSON that it stands for."""
    for name in ("model_dump", "to_dict"):
        dump = getattr(value, name, None)
        if callable(dump) and not isinstance(value, type):
            try:
                return dump(mode="json") if name == "model_dump" else dump()
            except Exception:  # noqa: BLE001  an SDK's own; the object is kept as what it is
                return value
    return value
