"""Rest of real process trees: sleeping, spinning, threaded, node, and unread sockets."""

import gc
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playhead.capture.process import rest as rest_module
from playhead.capture.process.rest import Rest
from playhead.capture.process.tree import Tree, children
from tests.capture.process.driving import eventually

SLEEPING = "import sys; print('up', flush=True); sys.stdin.read()"
SPINNING = "print('up', flush=True)\nwhile True: pass"
THREADED = """
import sys, threading
gate = threading.Event()
for _ in range(11): threading.Thread(target=gate.wait, daemon=True).start()
print('up', flush=True); sys.stdin.read()
"""
ONE_SPINS = """
import sys, threading
threading.Thread(target=sys.stdin.read, daemon=True).start()
print('up', flush=True)
while True: pass
"""
BY_TURNS = """
import sys, threading
a, b = threading.Semaphore(1), threading.Semaphore(0)
def relay(mine, other):
    while True:
        mine.acquire(); other.release()
threading.Thread(target=relay, args=(a, b), daemon=True).start()
threading.Thread(target=relay, args=(b, a), daemon=True).start()
print('up', flush=True); sys.stdin.read()
"""

COMPILING = """
// a module that V8's threads need seconds to optimise, while the event loop waits
require('v8').setFlagsFromString('--no-liftoff');
require('v8').setFlagsFromString('--no-wasm-lazy-compilation');
const size = (n) => { const out = []; do { const low = n & 127; n >>>= 7; out.push(n ? low | 128 : low); } while (n); return out; };
const section = (id, bytes) => [id, ...size(bytes.length), ...bytes];
const count = 1500;
const code = [0];  // no locals; then x = x * (x + i), many times, and x
for (let i = 0; i < 800; i++) code.push(0x20, 0, 0x41, i & 63, 0x6a, 0x20, 0, 0x6c, 0x21, 0);
code.push(0x20, 0, 0x0b);
const one = Buffer.from([...size(code.length), ...code]);
const bodies = Buffer.concat([Buffer.from(size(count)), ...new Array(count).fill(one)]);
const made = Buffer.concat([
  Buffer.from([0, 97, 115, 109, 1, 0, 0, 0]),
  Buffer.from(section(1, [1, 0x60, 1, 0x7f, 1, 0x7f])),
  Buffer.from(section(3, [...size(count), ...new Array(count).fill(0)])),
  Buffer.from([10, ...size(bodies.length)]), bodies,
]);
WebAssembly.compile(made).then(() => console.log('compiled'));
console.log('up'); process.stdin.resume();
"""
HASHING = """
require('crypto').pbkdf2('it', 'salt', 30_000_000, 64, 'sha512', () => console.log('hashed'));
console.log('up'); process.stdin.resume();
"""


class Running:
    """A program that has said "up", its tree and its rest."""

    def __init__(self, *command, port=0):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"up\n"
        self.tree = Tree(self.process.pid, os.getpid())
        self.rest = Rest(self.tree, port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.rest.close()
        self.tree.close()
        self.process.kill()
        self.process.communicate()


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("code", [SLEEPING, THREADED])
def test_a_program_that_waits_is_at_rest(code):
    """With one thread or twelve; and the confirmation agrees."""
    with Running(sys.executable, "-c", code) as running:
        eventually(lambda: running.rest.at_rest() and running.rest.confirmed() and not running.rest.busy)


def test_node_comes_to_rest():
    """A runtime with a thread pool, a compiler thread and an event loop."""
    with Running("node", "-e", "console.log('up'); process.stdin.resume()") as running:
        eventually(running.rest.at_rest)
        eventually(running.rest.confirmed)


def used_ns(pid):
    """Processor time of all threads of a process."""
    return sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def test_node_that_compiles_in_the_background_is_at_rest():
    """Its event loop waits for the world while V8's own threads optimise what it has run: no answer is being worked on."""
    with Running("node", "-e", COMPILING) as running:
        eventually(lambda: running.rest.at_rest() and running.rest.confirmed())
        before = used_ns(running.process.pid)
        eventually(lambda: used_ns(running.process.pid) - before > 100_000_000)
        eventually(lambda: running.rest.at_rest() and running.rest.confirmed())
        assert not running.rest.ever_busy
        assert not select.select([running.process.stdout], [], [], 0)[0], "compiled before anything was seen"


def test_what_compiles_in_the_background_is_work_where_it_is_not_known(monkeypatch):
    """The control: without that knowledge the same program runs on, and is left out as one that does."""
    monkeypatch.setattr(rest_module, "compiling_threads", lambda _pid, _threads: frozenset())
    with Running("node", "-e", COMPILING) as running:
        eventually(running.rest.at_rest)
        assert running.rest.ever_busy == {running.process.pid}


def test_other_threads_of_node_are_waited_for():
    """A thread of libuv's pool computes what the program awaits: that is work, as long as any other's."""
    with Running("node", "-e", HASHING) as running:
        eventually(running.rest.at_rest)
        assert running.rest.ever_busy == {running.process.pid}
        assert not select.select([running.process.stdout], [], [], 0)[0], "hashed before anything was seen"


@pytest.mark.parametrize("code", [SPINNING, ONE_SPINS])
def test_a_spinning_program_is_not_at_rest_until_it_is_excluded(code):
    """Running on for 50 ms of processor time under observation excludes a process and names it; not a moment earlier.
    (By the kernel's own count: it adds up at its ticks, so that a clock beside it may show less.)"""
    with Running(sys.executable, "-c", code) as running:
        before = used_ns(running.process.pid)
        eventually(lambda: running.rest.at_rest() and running.rest.confirmed())
        assert used_ns(running.process.pid) - before >= 50_000_000
        assert running.rest.busy == {running.process.pid}
        assert running.rest.ever_busy == {running.process.pid}


def test_a_busy_process_counts_again_once_it_slept():
    """Exclusion ends with the first sleep seen."""
    code = "import sys, time\nprint('up', flush=True)\nwhile not __import__('select').select([sys.stdin],[],[],0)[0]: pass\nsys.stdin.readline(); sys.stdin.readline()"
    with Running(sys.executable, "-c", code) as running:
        eventually(lambda: running.rest.at_rest() and running.rest.busy)
        running.process.stdin.write(b"\n")
        running.process.stdin.flush()
        eventually(lambda: running.rest.at_rest() and not running.rest.busy)
        assert running.rest.ever_busy == {running.process.pid}


def test_exclusion_does_not_outlive_the_observation():
    """After 50 ms without a look the spinning process is given its time again."""
    with Running(sys.executable, "-c", SPINNING) as running:
        eventually(running.rest.at_rest)
        running.rest._observed_ns -= 60_000_000
        assert not running.rest.at_rest()


def test_threads_that_wake_each_other_are_never_confirmed():
    """A token passed between two threads: each look may find both asleep, but no moment had both asleep."""
    with Running(sys.executable, "-c", BY_TURNS) as running:
        deadline = time.monotonic() + 0.5
        confirmed = 0
        while time.monotonic() < deadline:
            running.rest.at_rest()
            confirmed += running.rest.confirmed()
            running.rest.busy.clear()
            running.rest._observed_ns = 0
        assert confirmed == 0


@pytest.mark.parametrize("counter", ["kernel", "none"])
def test_new_threads_and_children_are_found(counter, monkeypatch):
    """A process started later takes part, with the kernel's pid counter and without it."""
    if counter == "none":
        monkeypatch.setattr(rest_module, "_open_counter", lambda: None)
    code = f"""
import subprocess, sys
print('up', flush=True); sys.stdin.readline()
child = subprocess.Popen([{sys.executable!r}, '-c', 'while True: pass'])
print('started', flush=True); sys.stdin.read(); child.kill()
"""
    with Running(sys.executable, "-c", code) as running:
        eventually(running.rest.at_rest)
        running.process.stdin.write(b"\n")
        running.process.stdin.flush()
        assert running.process.stdout.readline() == b"started\n"
        (child,) = eventually(lambda: children(running.process.pid))
        assert not running.rest.confirmed()
        eventually(lambda: running.rest.at_rest() and running.rest.busy == {child})
        running.process.communicate()


def test_a_program_that_ended_is_at_rest():
    """Nobody left to wait for."""
    with Running(sys.executable, "-c", SLEEPING) as running:
        eventually(running.rest.at_rest)
        running.process.kill()
        eventually(running.rest.at_rest)
        running.process.wait(60)
        assert running.rest.at_rest()
        assert running.rest.confirmed()


@pytest.mark.parametrize("lookup", ["netlink", "table"])
def test_unread_bytes_are_not_rest(lookup):
    """All threads asleep, but an answer lies in the client's socket: not at rest until it is read or closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import socket, sys
c = socket.create_connection(('127.0.0.1', {port})); print('up', flush=True)
sys.stdin.readline(); c.recv(99); print('read', flush=True); sys.stdin.readline(); c.close(); sys.stdin.read()
"""
        with Running(sys.executable, "-c", code, port=port) as running:
            if lookup == "table":
                running.tree.close()
            else:
                assert running.tree.diagnosis is not None
            connection, (_, client_port) = server.accept()
            with connection:
                eventually(lambda: running.rest.at_rest([client_port]))
                connection.sendall(b"answer")
                eventually(lambda: running.rest.at_rest() and not running.rest.at_rest([client_port]))
                running.process.stdin.write(b"\n")
                running.process.stdin.flush()
                assert running.process.stdout.readline() == b"read\n"
                eventually(lambda: running.rest.at_rest([client_port]))
                running.process.stdin.write(b"\n")
                running.process.stdin.flush()
                eventually(lambda: running.rest.at_rest([client_port, 1]))


def test_an_observation_is_cheap():
    """Two processes of twelve threads, one unread socket: the best of many looks stays under a third of a millisecond,
    three times what it takes on an idle machine. A busy one may take longer to have a look left alone."""
    with Running(sys.executable, "-c", THREADED) as running, socket.create_server(("127.0.0.1", 0)) as server:
        other = Running(sys.executable, "-c", THREADED)
        with other, socket.create_connection(server.getsockname()) as client:
            tree = Tree(running.process.pid, os.getpid())
            both = Rest(tree, server.getsockname()[1])
            eventually(both.at_rest)
            assert len(both._processes) == 2

            def takes_s():
                started = time.perf_counter()
                both.at_rest([client.getsockname()[1]])
                return time.perf_counter() - started

            eventually(lambda: min(takes_s() for _ in range(300)) < 300e-6)
            both.close()
            tree.close()


def test_descriptors_are_given_back():
    """Closing leaves as many open as before."""
    gc.collect()  # what other tests left to the collector would go while this one counts
    before = open_descriptors()
    with Running(sys.executable, "-c", THREADED) as running:
        eventually(running.rest.confirmed)
        assert open_descriptors() > before + 24
        running.rest.close()
        running.tree.close()
    assert open_descriptors() == before
