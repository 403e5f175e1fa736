"""Finding connections by looking, for machines where the kernel may not tell."""

import os
import socket
import subprocess
import sys

from playhead.capture.process.observe import Observer
from playhead.capture.process.tree import Tree

DIALLER = """
import socket, sys
held = []
for line in sys.stdin:
    kind, host, port = line.split()
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, getattr(socket, kind))
    s.connect((host, int(port)))
    held.append(s)
    print('done', flush=True)
"""


class Dialler:
    """A program that connects where it is told."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DIALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.tree = Tree(self.process.pid, os.getpid())

    def dial(self, kind, host, port):
        self.process.stdin.write(f"{kind} {host} {port}\n".encode())
        assert self.process.stdout.readline() == b"done\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tree.close()
        self.process.communicate()


def test_new_connections_are_reported_once():
    """TCP and connected UDP, v4 and v6, each with the process that holds it; not again at the next look."""
    with (
        socket.create_server(("127.0.0.1", 0)) as v4,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as v6,
        Dialler() as dialler,
    ):
        observer = Observer(dialler.tree, [])
        assert observer.look() == []
        dialler.dial("SOCK_STREAM", "127.0.0.1", v4.getsockname()[1])
        dialler.dial("SOCK_STREAM", "::1", v6.getsockname()[1])
        dialler.dial("SOCK_DGRAM", "127.0.0.1", 9)
        pid = dialler.process.pid
        assert set(observer.look()) == {
            (pid, socket.AF_INET, "127.0.0.1", 9, socket.SOCK_DGRAM),
            (pid, socket.AF_INET, "127.0.0.1", v4.getsockname()[1], socket.SOCK_STREAM),
            (pid, socket.AF_INET6, "::1", v6.getsockname()[1], socket.SOCK_STREAM),
        }
        assert observer.look() == []


def test_the_engine_and_strangers_are_no_news():
    """Connections to the engine's own port, and those of processes outside the tree, are not reported."""
    with (
        socket.create_server(("127.0.0.1", 0)) as engine,
        socket.create_server(("127.0.0.1", 0)) as other,
        Dialler() as dialler,
        socket.create_connection(other.getsockname()),
    ):
        port = engine.getsockname()[1]
        dialler.dial("SOCK_STREAM", "127.0.0.1", port)
        assert Observer(dialler.tree, [port]).look() == []
        assert [seen.port for seen in Observer(dialler.tree, []).look()] == [port]
