"""Putting wrappers in the place of functions, and taking them away again; and whose calls count.

Only the agent's own code is at a boundary by default: what the standard library and installed packages read of clocks is
part of how they work (time-outs, pools, log lines), and differs from run to run without the agent knowing.
"""

from __future__ import annotations

import os
import sys
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

_NONE = object()


class Standin(partial["Any"]):
    """In the place of a function that does not bind itself: C's, or one bound already. A Python function there would bind
    itself to an object where it stands as a class's attribute (`clock = time.time`); this one does not, and is pickled by
    name as the real one is."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self

    def __reduce__(self) -> Any:
        return self.__dict__["__qualname__"]

    def __repr__(self) -> str:
        return repr(self.__dict__["__wrapped__"])


class Patches:
    """Attributes that were replaced, to be put back in reverse."""

    def __init__(self) -> None:
        self._done: list[Callable[[], None]] = []
        self._over: list[Callable[[], None]] = []
        self._instead: dict[int, tuple[Any, Any]] = {}  # id of what was replaced -> it, and what stands in its place

    def put(self, owner: Any, name: str, value: Any) -> Any:
        """Replace `owner.name`; returns what was there."""
        before = owner.__dict__.get(name, _NONE) if hasattr(owner, "__dict__") else getattr(owner, name, _NONE)
        self._done.append(lambda: delattr(owner, name) if before is _NONE else setattr(owner, name, before))
        found = getattr(owner, name, None)
        setattr(owner, name, value)
        if callable(found):
            self._instead[id(found)] = found, value
        return found

    def put_where_imported(self) -> None:
        """Also where modules of the agent have them under names of their own: `from time import time`."""
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            file = getattr(module, "__file__", None) or "<interactive>"
            if names is None or (module.__name__ != "__main__" and not is_agents(file)):
                continue
            for name, value in list(names.items()):
                found, instead = self._instead.get(id(value), (None, None))
                if found is value and found is not None:
                    self.put(module, name, instead)

    def when_undone(self, undo: Callable[[], None]) -> None:
        """What else takes a patch away."""
        self._done.append(undo)

    def when_over(self, finish: Callable[[], None]) -> None:
        """What is to be done at the end of the agent, while it is still on its tape."""
        self._over.append(finish)

    def over(self) -> None:
        """The agent is at its end."""
        while self._over:
            self._over.pop()()

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace `owner.name` by what `make` makes of it, which keeps its name and docstring."""
        real = getattr(owner, name)
        self.stand_in(owner, name, make(real), getattr(real, "__qualname__", name))

    def stand_in(self, owner: Any, name: str, wrapper: Any, qualname: str) -> None:
        """Replace `owner.name` by that callable, under the name, docstring and signature of what was there."""
        real = getattr(owner, name)
        if not hasattr(real, "__get__") or hasattr(real, "__func__"):
            wrapper = Standin(wrapper)
        wrapper.__module__ = getattr(real, "__module__", None) or getattr(owner, "__name__", None)
        wrapper.__name__ = name
        wrapper.__qualname__ = qualname
        wrapper.__doc__ = getattr(real, "__doc__", None)
        wrapper.__wrapped__ = real
        self.put(owner, name, wrapper)

    def undo(self) -> None:
        """Put everything back."""
        self._instead.clear()
        while self._done:
            self._done.pop()()


OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120  at every start
# `sysconfig` knows these as well, and takes three milliseconds of every start
_LIBRARIES = ("<frozen", os.path.dirname(os.__file__) + os.sep, OURS + os.sep)  # noqa: PTH120
_INSTALLED = f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}"


def _files(*paths: str) -> tuple[str, ...]:
    """Parts of paths, as this system writes them."""
    return tuple(each.replace("/", os.sep) for each in paths)


_CARRIERS = _files(
    "<frozen genericpath>",
    "<frozen os>",
    "<frozen posixpath>",
    "/attr/",
    "/bz2.py",
    "/codecs.py",
    "/configparser.py",
    "/contextlib.py",
    "/dataclasses.py",
    "/email/utils.py",
    "/fileinput.py",
    "/functools.py",
    "/glob.py",
    "/gzip.py",
    "/logging/__init__.py",
    "/lzma.py",
    "/numpy/lib/",
    "/pandas/",
    "/pathlib.py",
    "/pathlib/",
    "/platform.py",
    "/pydantic/",
    "/shutil.py",
    "/tarfile.py",
    "/timeit.py",
    "/xml/etree/ElementTree.py",
    "/zipfile.py",
    "/zipfile/__init__.py",
)
"""Library code that reads clocks, files and folders only for whoever calls it: what it was given (`default_factory=time.time`,
the name of an archive), or as its purpose (the time of a log line, the files below a folder)."""

_FRAMEWORKS = _files(
    "/_pytest/timing.py",
    "/agno/utils/timer.py",
    "/crewai/events/event_bus.py",
    "/smolagents/agents.py",
    "/unittest/case.py",
    "/unittest/runner.py",
)
"""Library code that counts as the agent's. It reads clocks that the agent prints: how long its tests or its steps took, once
for each of them and not by how long things take. Or (CrewAI's) which of the agent's threads comes first to a lock of it
decides what all of them do next."""

known: dict[str, bool | None] = {}
"""Whose code a file is, as far as was asked: the agent's or not; None of a carrier, for which its caller counts."""


def is_agents(filename: str) -> bool:
    """Whether code of that file is the agent's own: neither the standard library, nor installed, nor Playhead."""
    if filename not in known:
        _know(filename)
    return bool(known[filename])


def is_ours(filename: str) -> bool:
    """Whether code of that file is Playhead's."""
    return filename.startswith(_LIBRARIES[2])


def is_library(filename: str) -> bool:
    """Whether code of that file is the standard library's, or generated by it."""
    return filename.startswith(("<", *_LIBRARIES[:2])) and not any(part in filename for part in _INSTALLED)


def _know(filename: str) -> None:
    is_library = filename.startswith(_LIBRARIES) or any(part in filename for part in _INSTALLED)
    carries = is_library and any(part in filename for part in _CARRIERS)
    known[filename] = None if carries else not is_library or filename.endswith(_FRAMEWORKS)


def runs_agents(function: Any) -> bool:
    """Whether that is code of the agent, bare, bound or partial."""
    while hasattr(function, "func"):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and is_agents(code.co_filename)


def asks_for_agent(depth: int = 2) -> bool:
    """Whether the caller of the wrapper that asks is the agent's own code."""
    frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename not in known:
            _know(filename)
        whose = known[filename]
        if whose is not None:
            return whose
        frame = frame.f_back
    return False


def is_standard(filename: str) -> bool:
    """Whether code of that file is the standard library's, or Playhead's."""
    return filename.startswith(_LIBRARIES) and not any(part in filename for part in _INSTALLED)


def is_foreign(filename: str) -> bool:
    """Whether code of that file is not Playhead's."""
    return not filename.startswith(OURS + os.sep)


def asks_for_any(depth: int = 2) -> bool:
    """Whether the caller of the wrapper that asks is not Playhead."""
    return is_foreign(sys._getframe(depth).f_code.co_filename)  # noqa: SLF001
