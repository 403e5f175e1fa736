"""System calls by number, and what stands in for them elsewhere."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from playhead.capture.process import linux


def test_a_ticker_ticks_while_armed():
    """Readable once a period (here 200 us) while armed, silent before and after, and cheap to arm again."""
    ticker = linux.Ticker(200e-6)
    polled = select.poll()
    polled.register(ticker.fileno(), select.POLLIN)
    assert ticker.read() == 0
    assert not polled.poll(5)
    ticker.arm()
    ticker.arm()
    started = time.perf_counter()
    ticks = 0
    while ticks < 20:
        polled.poll(1000)
        ticks += ticker.read()
    assert time.perf_counter() - started >= 20 * 200e-6 * 0.9
    ticker.disarm()
    assert ticker.read() == 0
    assert not polled.poll(5)
    ticker.close()


def test_signals_tell_who_sent_them():
    """What a process sent is told apart from what the kernel sent (here by itself: not from a key)."""
    code = """
import os, select, signal
from playhead.capture.process import linux
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGWINCH})
seen = linux.SignalDescriptor({signal.SIGINT, signal.SIGWINCH})
os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGWINCH)
print(sorted(map(tuple, seen.read())), seen.read())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == f"[({int(signal.SIGINT)}, False), ({int(signal.SIGWINCH)}, False)] []\n"


def test_a_descriptor_of_another_process_can_be_had():
    """pidfd_getfd gives a copy, closed on exec."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pidfd = linux.pidfd_open(os.getpid())
        copy = linux.pidfd_getfd(pidfd, ours.fileno())
        assert os.fstat(copy).st_ino == os.fstat(ours.fileno()).st_ino
        assert not os.get_inheritable(copy)
        assert not os.get_inheritable(pidfd)
        os.close(copy)
        os.close(pidfd)


def test_errors_carry_the_kernels_number():
    """A refused call is an OSError with its errno."""
    with pytest.raises(OSError) as caught:
        linux.pidfd_getfd(2**20, 0)
    assert caught.value.errno == errno.EBADF


def test_elsewhere_everything_says_so():
    """Away from Linux the modules import, the streams still work, and every special call answers ENOSYS."""
    code = """
import sys
sys.platform = 'darwin'
from playhead.capture.process import isolate, linux, observe, rest, spawn, terminal, tree, watch
import errno, os
del os.waitid  # as there
for call in (linux.become_subreaper, linux.machine, linux.Ticker, lambda: watch.install(watch.Privileges.KEEP)):
    try:
        call()
        print('ran')
    except OSError as error:
        print(errno.errorcode[error.errno])
print(isolate.isolate().reason)
from playhead.runs.launcher import Launcher
pieces = []
with Launcher(lambda fd, data: pieces.append(data)) as launcher:
    launcher.start(spawn.Command(('sh', '-c', 'echo hi; exit 4'), dict(os.environ)), spawn.Stdio(('null', 'pipe', 'pipe')))
    status = launcher.run()
print(status.code, pieces)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = ["hi", *["ENOSYS"] * 4, "network namespaces exist on Linux only", "4 [b'hi\\n']"]
    assert sorted(ran.stdout.splitlines()) == sorted(expected), ran.stderr
