"""Putting wrappers in the place of functions, and taking them away again; and whose calls count.

Only the agent's own code is at a boundary by default: what the standard library and installed packages read of clocks is
part of how they work (time-outs, pools, log lines), and differs from run to run without the agent knowing.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_NONE = object()


class Patches:
    """Attributes that were replaced, to be put back in reverse."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> Any:
        """Replace `owner.name`; returns what was there."""
        before = owner.__dict__.get(name, _NONE) if hasattr(owner, "__dict__") else getattr(owner, name, _NONE)
        self._done.append((owner, name, before))
        found = getattr(owner, name, None)
        setattr(owner, name, value)
        return found

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace `owner.name` by what `make` makes of it, which keeps its name and docstring."""
        real = getattr(owner, name)
        wrapper = make(real)
        for each in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(real, each):
                setattr(wrapper, each, getattr(real, each))
        wrapper.__wrapped__ = real
        self.put(owner, name, wrapper)

    def undo(self) -> None:
        """Put everything back."""
        while self._done:
            owner, name, before = self._done.pop()
            if before is _NONE:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120  at every start
_PATHS = sysconfig.get_paths()
_LIBRARIES = tuple(
    {_PATHS[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {_OURS + os.sep}
)
_is_agent: dict[str, bool] = {}


def is_agents(filename: str) -> bool:
    """Whether code of that file is the agent's own: neither the standard library, nor installed, nor Playhead."""
    known = _is_agent.get(filename)
    if known is None:
        installed = f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}"
        known = _is_agent[filename] = not (
            filename.startswith(("<frozen", *_LIBRARIES)) or any(part in filename for part in installed)
        )
    return known


def asks_for_agent(depth: int = 2) -> bool:
    """Whether the caller of the wrapper that asks is the agent's own code."""
    frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001
    return frame is not None and is_agents(frame.f_code.co_filename)
