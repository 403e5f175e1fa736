"""What libraries ask programs of this machine, once in a process, and keep: its processor (`platform` starts `uname -p`),
where a shared library lies (`ctypes.util` starts `ldconfig`, compilers). And what `platform` reads for its caller and keeps: the
names of system and distribution.

Who is the first to ask is chance among threads; and where it was a tool, whose work does not run in a replay, the agent asks
there first. So the answers have no place among what a lane does. They stand in a lane of their own, by question, also
where a tool asked, and a replay starts nothing for them.
"""

from __future__ import annotations

from functools import partial

from playhead.capture.boundary import active
from playhead.capture.boundary.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_kept = Aside("kept")
"""By question."""


def install(patches: Patches, module: Any) -> None:
    """Wrap what asks them in that module: `platform`, `ctypes.util`, or that of an SDK which asks `platform`."""
    if hasattr(module, "asyncify") and hasattr(module, "get_platform"):
        patches.wrap(module, "asyncify", lambda real: _at_once(real, module.get_platform))
    elif module.__name__ == "ctypes.util":
        patches.wrap(module, "find_library", _asking("ctypes.util.find_library"))
    elif hasattr(module, "_Processor"):
        patches.wrap(module._Processor, "from_subprocess", _asking("platform.processor"))  # noqa: SLF001  nothing above it starts it alone
        patches.wrap(module, "uname", partial(_system, module))
        patches.wrap(module, "freedesktop_os_release", _distribution)


def _system(module: Any, real: Callable[[], Any]) -> Callable[[], Any]:
    ask = _asking("platform.uname")(lambda: list(real())[:-1])  # the last is the processor, asked when it is read
    return lambda: real() if active.tape is None else module.uname_result(*ask())


def _distribution(real: Callable[[], Any]) -> Callable[[], Any]:
    def found() -> Any:
        try:
            return real()
        except OSError as error:
            return [error.errno, error.strerror]

    ask = _asking("platform.freedesktop_os_release")(found)

    def freedesktop_os_release() -> Any:
        told = real() if active.tape is None else ask()
        if isinstance(told, list):
            raise OSError(*told)
        return dict(told)

    return freedesktop_os_release


def _asking(question: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def asking(real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            tape = active.tape
            if tape is None:
                return real(*arguments)
            kind = " ".join((question, *map(str, arguments)))
            with _kept.mutex:
                kept = _kept.of(tape, kind)
                if kept:
                    return kept[0]
            if not tape.live:
                return real(*arguments)  # the recording did not ask: what it starts or reads is met as anything else is
            token = active.inside.set(True)
            try:
                answer = real(*arguments)
            finally:
                active.inside.reset(token)
            with _kept.mutex:
                if not _kept.of(tape, kind):
                    _kept.keep(tape, kind, answer)
            return answer

        return ask

    return asking


def _at_once(real: Callable[..., Any], asks: Callable[..., Any]) -> Callable[..., Any]:
    """A client for tasks asks once, in a thread, which would have its place in the order where the client is first used: it
    asks where it is."""

    def asyncify(function: Callable[..., Any]) -> Any:
        if function is not asks or active.tape is None:
            return real(function)

        async def ask() -> Any:
            return function()

        return ask

    return asyncify
