"""The two clocks of a recording, read in one place so that nothing else touches `time`.

`wall_ns` orders sessions for people; `monotonic_ns` orders events inside a machine's boot and measures durations.
"""

from __future__ import annotations

import time

wall_ns = time.time_ns
monotonic_ns = time.monotonic_ns


def rfc3339(ns: int) -> str:
    """Wall-clock nanoseconds since the epoch as RFC 3339 in UTC with milliseconds, `2026-11-21T10:03:43.120Z`."""
    from datetime import UTC, datetime  # a millisecond of every start of a hooked Python

    seconds, rest = divmod(ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest // 1_000_000:03d}Z"
