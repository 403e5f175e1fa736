"""Memory that is given back and taken again.

A conversation is a body of megabytes at every step, each a little longer than the last. glibc hands such blocks back to
the kernel when they are freed and takes them again as new pages, each of which costs a fault: for a body of 1.7 MB some
300 of them, five times what copying it costs.
"""

from __future__ import annotations

import contextlib

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)
_SETTINGS = ((_TRIM_THRESHOLD, 256 << 20), (_TOP_PAD, 16 << 20), (_MMAP_THRESHOLD, 32 << 20))


def keep_freed_memory() -> None:
    """Let this process keep up to 256 MB that it has freed, for its next bodies. Without glibc nothing happens."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in _SETTINGS:
            mallopt(setting, value)
