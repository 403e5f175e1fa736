"""Code that forks, enters namespaces or changes its user runs in a Python of its own, so that no test runner is bent."""

import os
import select
import subprocess
import sys
import textwrap
import time

NOBODY = 65534


def eventually(claim, timeout_s=60):
    """Ask until it is true; fail when it never becomes so."""
    deadline = time.monotonic() + timeout_s
    while not (found := claim()):
        assert time.monotonic() < deadline
        select.select([], [], [], 0.0002)
    return found


# Everything is imported first: an unprivileged user may not be able to read this Python's files.
_PRELUDE = """
import errno, json, os, select, signal, socket, struct, subprocess, sys, threading, time
from playhead.capture.process import linux, observe, rest, spawn, terminal, tree, watch
from playhead.capture.process.isolate import Address, Namespace, Unavailable, isolate
from playhead.capture.process.spawn import Command, Kind, Stdio
from playhead.capture.process.watch import Attempt, Privileges, Watch
'idna'.encode('idna'), b''.hex(), '1.2.3.4'.encode().decode()

def in_child(function):
    '''What `function` returns or raises, as text, when run in a fork.'''
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(function())
        except BaseException as error:
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(pid, 0)
    return said

def connects(port, host='127.0.0.1'):
    '''Whether a TCP connection succeeds, or the name of the error.'''
    try:
        socket.create_connection((host, port), timeout=30).close()
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))
    return 'connected'
"""


def drive(code, *arguments, as_nobody=False, timeout=120):
    """Run `code` after the prelude above. Returns what it printed; fails with its stderr when it failed."""
    drop = ""
    if as_nobody and os.geteuid() == 0:
        drop = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); linux._prctl(4, 1)\n"
    script = _PRELUDE + drop + textwrap.dedent(code)
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
