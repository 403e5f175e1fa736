"""Where programs are put on the tape: `os.system` at once, `subprocess`, asyncio's and what libraries ask of the machine when
they are imported."""

from __future__ import annotations

import os

from playhead.capture.boundary import active

TYPE_CHECKING = False  # `typing` is a part of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_KEEP = ("platform", "ctypes.util", *(f"{sdk}._base_client" for sdk in ("openai", "anthropic", "groq", "together")))
"""Modules that ask programs of the machine, or have `platform` asked, and keep what they heard."""


def install(patches: Patches, when_imported: Any) -> None:
    """Wrap `os.system`, and `subprocess.Popen` as soon as it has been imported."""
    if os.name != "posix":
        return

    def came(module: Any) -> None:
        from playhead.capture.boundary import popen

        popen.install(patches, module)

    when_imported("subprocess", came)

    def keeps(module: Any) -> None:
        from playhead.capture.boundary import kept

        kept.install(patches, module)

    for name in _KEEP:
        when_imported(name, keeps)

    def on_loops(_module: Any) -> None:
        from playhead.capture.boundary import spawned

        spawned.install(patches)

    when_imported("asyncio.unix_events", on_loops)
    patches.wrap(os, "system", _system)


def _system(real: Callable[[Any], int]) -> Any:
    def system(command: Any) -> int:
        if active.is_live():
            return real(command)
        import signal
        import subprocess
        import threading

        child = subprocess.Popen(os.fsdecode(command), shell=True)  # noqa: S602  what it is asked for
        ignored = {}
        if threading.current_thread() is threading.main_thread():
            ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
        try:
            code = child.wait()
        finally:
            for number, before in ignored.items():
                signal.signal(number, before)
        return -code if code < 0 else code << 8

    return system
