"""What the machine calls itself."""

from __future__ import annotations

import os
import platform


def platform_name() -> str:
    """What `platform.platform()` says, such as `Linux-6.1.0-x86_64-with-glibc2.36`, without the program that it starts for
    it, and without leaving in `platform` what it found: an agent that is recorded in this process would find it there, and
    in its replay would not."""
    system, libc = os.uname(), "".join(platform.libc_ver())
    return f"{system.sysname}-{system.release}-{system.machine}" + (f"-with-{libc}" if libc else "")
