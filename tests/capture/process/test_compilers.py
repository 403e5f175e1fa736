"""Which threads of a Node process are V8's own, by name or by place."""

import subprocess
from pathlib import Path

import pytest

from playhead.capture.process import compilers
from playhead.capture.process.compilers import compiling_threads
from tests.capture.process.driving import eventually

PROGRAM = """
const fs = require('fs');
const { Worker } = require('worker_threads');
fs.readFile('/dev/null', () => {  // libuv's threads have been started
  new Worker("setInterval(() => {}, 1000); require('worker_threads').parentPort.postMessage('up')", { eval: true })
    .on('message', () => { console.log('up'); process.stdin.resume(); });
});
"""


def threads(pid):
    return sorted((p.name for p in Path(f"/proc/{pid}/task").iterdir()), key=int)


@pytest.fixture
def node(request):
    """A Node with threads of every kind: V8's, libuv's, a worker's."""
    with subprocess.Popen(
        ["node", *getattr(request, "param", ()), "-e", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_the_four_of_v8_are_found(node):
    """Neither the event loop, nor libuv's threads, nor a worker's are among them: four, which come to wait for work."""
    found = compiling_threads(node.pid, threads(node.pid))
    assert len(found) == 4
    assert found < set(threads(node.pid)[1:6])
    places = [Path(f"/proc/{node.pid}/task/{thread}/wchan") for thread in found]
    eventually(lambda: all(place.read_text().startswith("futex") for place in places))


def test_a_thread_that_has_ended_since_hides_none(node):
    """It was listed, and is no more when its name is asked: those of V8 are found all the same."""
    there = threads(node.pid)
    assert compiling_threads(node.pid, [*there, "4194303"]) == compiling_threads(node.pid, there) != frozenset()


@pytest.mark.parametrize("node", [["--v8-pool-size=1"]], indirect=True)
def test_a_pool_of_another_size_is_not_guessed_at(node, monkeypatch):
    """Their places are others then. Where they are named, they are found all the same."""
    named = {t for t in threads(node.pid) if Path(f"/proc/{node.pid}/task/{t}/comm").read_text() == "V8Worker\n"}
    assert compiling_threads(node.pid, threads(node.pid)) == named


def test_names_decide_where_there_are_any(monkeypatch):
    """As Node 24 tells them."""
    names = {"10": b"MainThread", "11": b"DelayedTaskSche", "12": b"V8Worker", "13": b"V8Worker", "14": b"WorkerThread"}
    monkeypatch.setattr(compilers.os, "readlink", lambda _path: "/opt/node")
    monkeypatch.setattr(compilers, "_names", lambda _pid, _threads: names)
    assert compiling_threads(10, names) == {"12", "13"}


@pytest.mark.parametrize("start", [10, 32_766])
def test_places_decide_where_nothing_is_named(monkeypatch, start):
    """Also where the ids of threads began anew among them."""
    ids = [str(start + n if start + n < 32_768 else start + n - 32_768 + 300) for n in range(9)]
    monkeypatch.setattr(compilers.os, "readlink", lambda _path: "/usr/bin/node")
    monkeypatch.setattr(compilers, "_names", lambda _pid, threads: dict.fromkeys(threads, b"node"))
    monkeypatch.setattr(compilers, "_has_another_pool", lambda _pid: False)
    assert compiling_threads(start, sorted(ids)) == set(ids[2:6])


def test_other_programs_have_none(monkeypatch):
    """Their threads may run the program."""
    monkeypatch.setattr(compilers.os, "readlink", lambda _path: "/usr/bin/python3")
    assert compiling_threads(10, ["10", "11", "12", "13"]) == frozenset()


def test_a_process_that_has_gone_has_none():
    """Nothing is raised."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert compiling_threads(process.pid, [str(process.pid)]) == frozenset()
