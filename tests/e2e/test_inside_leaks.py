"""The leak alarm in real runs: what slips past a Python's boundaries is a note of `record` and a leak of `replay`."""

import json
import subprocess
import sys

import pytest

from tests.support import confined
from tests.support.executable import PLAYHEAD, plain_environment
from tests.support.inside import Agent


@pytest.fixture
def env(home):
    return plain_environment(home)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Where the agent is started; its data lies beside it."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "data").write_text("one")
    return folder


READS = """
    import io, sys
    file = io.FileIO(sys.argv[1])
    print(file.read(10))
    """


def test_a_read_past_the_tape_is_never_identical(env, tmp_path, workspace):
    """Also when the file is still what it was: nothing says that it is. `open` of the same file is on the tape."""
    data = tmp_path / "data"
    agent = Agent(env, workspace, READS, str(data))
    recorded = agent.record()
    assert f"agent.py:3: reads {data} past the tape" in recorded.stderr
    replayed = agent.replay()
    assert (replayed.returncode, replayed.summary["verdict"]) == (1, "incomplete")
    assert replayed.summary["leaked"] == [f"file {data}"]
    (divergence,) = replayed.summary["divergences"]
    assert (divergence["class"], divergence["lane"]) == ("leaked", "main")
    assert divergence["observed"].endswith("at agent.py:3")
    agent.write("import sys\nprint(open(sys.argv[1]).read())")
    assert "past the tape" not in agent.record().stderr
    data.write_text("two")
    replayed = agent.replay()
    assert (replayed.stdout, replayed.summary["verdict"]) == ("one\n", "identical")


QUIET = """
    import asyncio, glob, gzip, os, pathlib, shutil, socket, sqlite3, sys, tempfile, zipfile
    import certifi, zoneinfo, mimetypes, ssl, platform, importlib.metadata
    import playhead

    data = pathlib.Path(sys.argv[1])

    @playhead.tool
    def tool():
        with open(os.open(data, os.O_RDONLY)) as file:
            os.system("true")
            return file.read()

    @playhead.tool
    async def look_up():
        try:
            await asyncio.get_running_loop().getaddrinfo("no.such.invalid", 80)
        except OSError:
            return "nobody"

    print(tool(), asyncio.run(look_up()), data.read_text(), gzip.open(f"{data}.gz").read())
    print(zipfile.ZipFile(f"{data}.zip").read("a"), certifi.contents()[:1], zoneinfo.ZoneInfo("Europe/Paris"))
    shutil.copy(data, "copy")
    print(mimetypes.guess_type("a.html"), importlib.metadata.version("certifi"), platform.machine())
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("mine")
    print(os.read(os.open(file.name, os.O_RDONLY), 10))
    os.unlink(file.name)
    sqlite3.connect("here.db").close()
    ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        print(server.accept()[0].send(b"1"), len(one.recv(1)))
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import time; time.time()"], os.environ)
    os.waitpid(pid, 0)
    if not os.fork():
        os._exit(0)
    os.wait()
    """


def test_nothing_is_told_where_nothing_leaked(env, tmp_path, workspace):
    """Tools, libraries, own files, the workspace, servers of one's own, Pythons with a tape."""
    import gzip
    import zipfile

    with gzip.open(tmp_path / "data.gz", "w") as file:
        file.write(b"1")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("a", "1")
    agent = Agent(env, workspace, QUIET, str(tmp_path / "data"))
    recorded = agent.record()
    assert "note:" not in recorded.stderr
    (workspace / "copy").unlink()
    for name in ("data.gz", "data.zip", "data"):
        (tmp_path / name).write_text("other")
    replayed = agent.replay()
    assert (replayed.summary["leaked"], replayed.summary["divergences"]) == ([], []), replayed.stderr
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert (workspace / "copy").read_text() == "one"


def test_a_name_looked_up_is_told_once_for_all_processes(env, workspace):
    """By which process first does not matter; a child says it of itself."""
    code = """
        import os, socket
        def ask():
            try:
                socket.getaddrinfo("no.such.invalid", 80)
            except OSError:
                print("nobody", flush=True)
        ask()
        if not os.fork():
            ask()
            os._exit(0)
        os.wait()
        """
    agent = Agent(env, workspace, code)
    assert agent.record().stderr.count("looks up no.such.invalid past the tape") == 1
    replayed = agent.replay()
    assert (replayed.summary["verdict"], replayed.summary["leaked"]) == ("incomplete", ["name no.such.invalid"])


CONNECTS = """
    import socket
    for place in ("192.0.2.1", 9), ("127.0.0.1", 9):
        try:
            socket.create_connection(place, timeout=0.3).close()
        except OSError:
            print("refused")
    """


@pytest.mark.parametrize("lacks", [("no-namespace", "no-watch", "no-proc"), ()])
def test_a_connection_is_named_where_the_kernel_names_none(env, home, workspace, lacks):
    """By the process itself; where the kernel tells of every connection, it does, and only it. This machine is not told."""
    (workspace / "agent.py").write_text("\n".join(line[4:] for line in CONNECTS.splitlines()))

    def run(*arguments):
        command = [*confined.wrapped(*lacks), PLAYHEAD, arguments[0], "--summary", str(home / "s"), *arguments[1:]]
        own = {**env, "PLAYHEAD_INSIDE": "on"}
        ran = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120, check=False, cwd=workspace)
        return ran, json.loads((home / "s").read_text())

    ran, summary = run("record", "--allow-empty", "--name", "it", "--", sys.executable, "agent.py")
    named = [item["host"] for item in summary["not_captured"]]
    assert named.count("192.0.2.1:9") == 1, ran.stderr
    ran, summary = run("replay", "it")
    assert (summary["leaked"] if lacks else summary["blocked"]).count("192.0.2.1:9") == 1, ran.stderr
    assert summary["verdict"] != "identical"
