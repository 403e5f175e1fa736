"""How a process ends that has left its tape: it says so in one paragraph, and it does end."""

from __future__ import annotations

import _thread
import os
import sys
import threading
from time import monotonic

from playhead.core.boundary import Diverged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

END_S = 1.0
"""How long threads may take to end once the main thread has."""

CLEAN_UP_S = 10.0
"""How long the main thread may take."""


def install(patches: Patches) -> None:
    """Print Diverged as a message, once, not as a traceback in every thread that it ends."""
    said: set[str] = set()

    def say(error: BaseException | None) -> bool:
        if not isinstance(error, Diverged):
            return False
        if str(error) not in said:
            said.add(str(error))
            sys.stderr.write(f"{error}\n")
        return True

    def wrap(real: Callable[..., Any]) -> Any:
        def excepthook(kind: Any, error: Any, traceback: Any) -> None:
            if not say(error):
                real(kind, error, traceback)

        return excepthook

    def wrap_threads(real: Callable[..., Any]) -> Any:
        def excepthook(args: Any, /) -> None:
            if not say(args.exc_value):
                real(args)

        return excepthook

    patches.wrap(sys, "excepthook", wrap)
    patches.wrap(threading, "excepthook", wrap_threads)


def see_to_the_end() -> None:
    """The tape was left: threads that wait for what will not come must not keep the process."""
    _thread.start_new_thread(_see, ())


def _see() -> None:
    pause = _thread.allocate_lock()
    pause.acquire()
    since = monotonic()
    while True:
        pause.acquire(timeout=0.05)
        passed = monotonic() - since
        if passed > CLEAN_UP_S or (passed > END_S and not threading.main_thread().is_alive()):
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError, AttributeError, Diverged):
                    continue
            os._exit(1)
