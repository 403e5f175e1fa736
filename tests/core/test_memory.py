"""Freed memory that is kept costs no page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_GROWING = """
import resource, sys
from playhead.core.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
last = b""
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(1_000_000, 2_000_000, 10_000):
    last = b"x" * size
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Page faults of a process that makes a hundred blocks, each longer than the last."""
    return int(subprocess.run([sys.executable, "-c", _GROWING, how], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_growing_blocks_cost_few_faults_where_freed_memory_is_kept() -> None:
    """The control without it pays for most blocks again."""
    assert faults("kept") * 4 < faults("given back")
