"""Trees of real processes: members, orphans, places, and who holds a connection."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from playhead.capture.process import tree as tree_module
from playhead.capture.process.tree import Tree, children
from tests.capture.process.driving import drive, eventually

NEST = """
import os, subprocess, sys
for program in (["sleep", "60"], ["sleep", "60"], [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"]):
    subprocess.Popen(program)
print("up", flush=True); sys.stdin.read()
"""


class Nest:
    """A program with children; the whole group is killed in the end."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
        )
        assert self.process.stdout.readline() == b"up\n"
        self.tree = Tree(self.process.pid, os.getpid())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tree.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.communicate()


def three(found):
    return found if len(found) == 3 else None


def has_become(pid, *argv):
    """Whether a child is the program it was started as. The kernel gives it the new name before the new arguments."""
    started = Path(f"/proc/{pid}/cmdline").read_bytes()
    return tree_module._name(pid) == argv[0] and started == b"".join(word.encode() + b"\0" for word in argv)


@pytest.mark.parametrize("listing", ["children", "parents"])
def test_processes_are_the_root_and_all_below(listing, monkeypatch):
    """By the kernel's children files, and by everyone's parent where there are none."""
    if listing == "parents":
        monkeypatch.setattr(tree_module, "children", tree_module._children_by_parent)
    with Nest(sys.executable, "-c", NEST) as nest:
        eventually(lambda: len(nest.tree.processes()) == 5)
        found = nest.tree.processes()
        assert found[0] == nest.process.pid
        assert os.getpid() not in found


def test_places_are_names_and_ordinals():
    """Like-named siblings are numbered by start, below their parent's place; versions in names do not count."""
    with Nest(sys.executable, "-c", NEST) as nest:
        eventually(lambda: len(nest.tree.processes()) == 5)
        sleepers = eventually(lambda: three(children(nest.process.pid)))
        below = eventually(lambda: children(sleepers[2]))
        eventually(lambda: all(has_become(pid, "sleep", "60") for pid in (*sleepers[:2], below[0])))
        assert nest.tree.lane_key(below[0]) == "python.0/python.0/sleep.0"
        assert nest.tree.lane_key(sleepers[1]) == "python.0/sleep.1"
        assert nest.tree.lane_key(sleepers[0]) == "python.0/sleep.0"
        assert nest.tree.lane_key(nest.process.pid) == "python.0"
        assert nest.tree.lane_argv(sleepers[0]) == ("sleep", "60")


def test_a_place_stays_when_elders_go():
    """A key once given is kept, and one after another each gets the next."""
    code = "import subprocess, sys\nprint('up', flush=True)\nfor line in sys.stdin:\n  p = subprocess.Popen(['sleep','60']); print(p.pid, flush=True); sys.stdin.readline(); p.kill(); p.wait(); print('gone', flush=True)"
    with Nest(sys.executable, "-c", code) as nest:
        keys = []
        for _ in range(3):
            nest.process.stdin.write(b"start\n")
            pid = int(nest.process.stdout.readline())
            eventually(lambda pid=pid: has_become(pid, "sleep", "60"))
            keys.append(nest.tree.lane_key(pid))
            nest.process.stdin.write(b"stop\n")
            assert nest.process.stdout.readline() == b"gone\n"
            assert nest.tree.lane_key(pid) == keys[-1]
            assert nest.tree.lane_argv(pid) == ()
        assert keys == ["python.0/sleep.0", "python.0/sleep.1", "python.0/sleep.2"]


def test_orphans_stay_in_the_tree_and_the_engine_is_not_of_it():
    """A daemon comes to the launcher, its reaper; a child of the launcher that is excluded does not count."""
    said = drive(
        """
        engine = subprocess.Popen(['sleep', '60'])
        child = spawn.spawn(
            Command(('sh', '-c', '(sleep 61 & echo $!) ; exec sleep 62'), dict(os.environ)), Stdio(('null', 'pipe', 'pipe'))
        )
        os.set_blocking(child.stdout, True)
        orphan = int(os.read(child.stdout, 99))
        seen = tree.Tree(child.pid, os.getpid(), exclude=[engine.pid])
        while (tree._name(child.pid), tree._name(orphan)) != ('sleep', 'sleep'):
            pass
        while tree._stat_words(orphan)[1] != str(os.getpid()).encode():
            pass
        print(seen.processes() == [child.pid, orphan], seen.lane_key(orphan))
        later = subprocess.Popen(['sleep', '60'])
        seen.exclude(later.pid)
        print(len(seen.processes()))
        for pid in (engine.pid, child.pid, orphan, later.pid):
            os.kill(pid, 9)
        """
    )
    assert said == "True sleep.0/sleep.0\n2\n"


@pytest.mark.parametrize("lookup", ["netlink", "table"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_owner_of_a_connection_is_found(lookup, host):
    """The child that connected, not its parent; unknown peers and peers outside the tree have no owner."""
    code = """
import subprocess, sys
inner = "import socket, sys; c = socket.create_connection((sys.argv[1], int(sys.argv[2]))); print('up', flush=True); sys.stdin.read()"
subprocess.run([sys.executable, "-c", inner, *sys.argv[1:]])
"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with Nest(sys.executable, "-c", code, host, str(port)) as nest:
            if lookup == "table":
                nest.tree.close()
            connection, peer = server.accept()
            with connection, socket.create_connection((host, port)) as foreign:
                owner = nest.tree.owner(peer[:2], port)
                assert owner == children(nest.process.pid)[0]
                assert nest.tree.owner(foreign.getsockname()[:2], port) is None
                assert nest.tree.owner((host, 1), port) is None


@pytest.mark.parametrize("as_nobody", [False, True], ids=["root", "nobody"])
@pytest.mark.parametrize("has_diagnosis", [True, False], ids=["netlink", "table"])
def test_the_owner_is_found_across_namespaces(as_nobody, has_diagnosis):
    """The client lives in a network of its own, seen through its /proc or the netlink socket handed out."""
    said = drive(
        f"""
        namespace = isolate()
        child = spawn.spawn(
            Command(('/usr/bin/env', 'curl', '-sm', '20', '--noproxy', '*', f'http://127.0.0.1:{{namespace.port}}/'), {{'PATH': os.environ['PATH']}}),
            Stdio(('null', 'pipe', 'pipe')), enclosure=namespace,
        )
        namespace.listener.settimeout(60)
        connection, peer = namespace.listener.accept()
        seen = tree.Tree(child.pid, os.getpid(), diagnosis=namespace.diagnosis)
        if not {has_diagnosis}:
            seen.close()
        resting = rest.Rest(seen, namespace.port)
        owner = seen.owner(peer, namespace.port)
        print(owner == child.pid, seen.lane_key(owner))
        connection.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok')
        while not resting.at_rest([peer[1]]):
            pass
        os.waitpid(child.pid, 0)
        """,
        as_nobody=as_nobody,
    )
    assert said == "True curl.0\n"


def test_servers_of_the_tree_are_known():
    """A port the tree itself listens on stays inside; another's does not count."""
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print('up', flush=True); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with Nest(sys.executable, "-c", code) as nest, socket.create_server(("127.0.0.1", 0)) as foreign:
        port = int(nest.process.stdout.readline())
        assert nest.tree.serves(port)
        assert not nest.tree.serves(foreign.getsockname()[1])


def test_a_tree_that_has_gone_answers_all_the_same():
    """Everything about a process that ended is empty, never an error."""
    with Nest(sys.executable, "-c", "print('up', flush=True)") as nest:
        nest.process.wait(60)
        gone = nest.process.pid
        assert gone not in nest.tree.processes()
        assert nest.tree.owner(("127.0.0.1", 5), 6) is None
        assert nest.tree.lane_key(gone) == ""
        assert nest.tree.lane_argv(gone) == ()
