"""Machines that permit less: `playhead` without privileges, without namespaces, without a connect watch, without /proc.

Every level is a condition that really exists, made for one process tree and never for the machine:

    no-privileges  no capability but SETFCAP, without which the kernel lets uid 0 be mapped by nobody (user_namespaces(7));
                   another user than root could not read the tests' own Python
    no-namespace   a user namespace of its own whose limit of network namespaces is 0 (user_namespaces(7))
    no-watch       a seccomp listener that watches the tree already; the kernel grants one (EBUSY), as under a supervisor
    no-proc        a mount namespace whose /proc is empty

Run as a program it is the wrapper: `python confined.py no-namespace,no-watch -- COMMAND...`.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_LIMIT = "/proc/sys/user/max_net_namespaces"


def wrapped(*lacks: str) -> list[str]:
    """What goes before a command to run it on a machine that lacks these."""
    return [sys.executable, __file__, ",".join(lacks), "--"] if lacks else []


def _listen_for_nothing() -> int:
    """A seccomp listener whose filter allows every call: that it is there is what matters."""
    from playhead.capture.process import linux

    allow_all = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET, SECCOMP_RET_ALLOW
    program = struct.pack("@HP", 1, ctypes.addressof(held := ctypes.create_string_buffer(allow_all)))
    linux.set_no_new_privileges()
    set_filter, new_listener = 1, 8
    listener = linux.syscall(linux.machine().seccomp, set_filter, new_listener, ctypes.create_string_buffer(program))
    del held
    return listener


def _main() -> None:
    lacks, command = set(sys.argv[1].split(",")), sys.argv[3:]
    if "no-privileges" in lacks and os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", *command]
    if "no-watch" in lacks:
        os.set_inheritable(_listen_for_nothing(), True)  # it must live as long as the tree: exec keeps it
    script = []
    if "no-namespace" in lacks:
        script.append(f"echo 0 > {_LIMIT}")
    if "no-proc" in lacks:
        script.append("mount -t tmpfs none /proc")
    if script:
        flags = "-Urm" if "no-proc" in lacks else "-Ur"
        command = ["unshare", flags, "sh", "-ec", "; ".join([*script, 'exec "$@"']), "sh", *command]
    os.execvp(command[0], command)


if __name__ == "__main__":
    _main()
