"""The leak alarm: what it tells of, and above all what it does not."""

import os
import socket
import sys

import pytest

from playhead.capture.boundary import active, alarm
from playhead.runs.slipped import report, slips
from tests.support.boundaries import Taped

READ = os.O_RDONLY | os.O_CLOEXEC


@pytest.fixture
def told():
    return []


@pytest.fixture
def hear(tmp_path, told):
    """The hook of a process whose workspace is a folder there."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return alarm.hook(alarm.Alarm(str(workspace), told.append), {}, {})


@pytest.fixture(autouse=True)
def tape(tmp_path):
    """A process on a tape."""
    taped = Taped(tmp_path)
    ready = []
    taped.record(lambda: ready.append(active.tape))
    active.begin(ready[0])
    yield
    active.end()


def raised_in(filename, hear, event, arguments):
    """That event raised by code of that file."""
    exec(compile("hear(event, arguments)", filename, "exec"), {"hear": hear, "event": event, "arguments": arguments})


def test_a_file_outside_the_workspace_is_told_once(hear, told, tmp_path):
    """Which, by what, and at which line of the agent."""
    path = tmp_path / "data"
    path.write_text("1")
    for _ in range(2):
        hear("open", (str(path), None, READ))
    (facts,) = told
    assert (facts["what"], facts["name"], facts["by"]) == ("file", str(path), "open")
    assert facts["at"].startswith("test_alarm.py:")


def test_a_secret_in_a_name_is_not_told(hear, told):
    """Names are redacted as everything that is written."""
    hear("os.system", (b"curl -H 'Authorization: Bearer sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD'",))
    assert "abcdefghijklm" not in told[0]["name"]
    assert "curl" in told[0]["name"]


def test_what_is_no_leak_is_not_told(hear, told, tmp_path):
    """Files of the workspace, of libraries, of the system, folders, own files, descriptors, and what is written."""
    inside, folder = tmp_path / "workspace" / "data", tmp_path / "folder"
    inside.write_text("1")
    folder.mkdir()
    for path in (inside, os.__file__, "/proc/self/stat", "/dev/null", folder, 3):
        hear("open", (path, None, READ))
    mine, moved = tmp_path / "mine", tmp_path / "moved"
    mine.write_text("1")
    moved.write_text("1")
    hear("open", (str(mine), "w", os.O_WRONLY | os.O_CREAT))
    hear("os.rename", (str(mine), str(moved), -1, -1))
    for path in (mine, moved):
        hear("open", (str(path), None, READ))
    assert told == []


def test_libraries_and_boundaries_read_as_they_like(hear, told, tmp_path):
    """The standard library, installed packages, the importer, and the work of a boundary."""
    path = tmp_path / "data"
    path.write_text("1")
    event = ("open", (str(path), None, READ))
    for filename in (os.__file__, pytest.__file__, "<frozen importlib._bootstrap_external>", alarm.__file__):
        raised_in(filename, hear, *event)
    inside = active.inside.set(True)
    hear(*event)
    active.inside.reset(inside)
    assert told == []
    raised_in("/home/me/agent.py", hear, *event)
    assert len(told) == 1


def test_an_archive_is_read_for_whoever_names_it(hear, told, tmp_path):
    """What `gzip` opens for the agent, past `open`, is the agent's."""
    import gzip

    path = tmp_path / "data.gz"
    path.write_bytes(b"1")
    space = {"hear": hear, "event": "open", "arguments": (str(path), None, READ)}
    exec(compile("def opened(): hear(event, arguments)", gzip.__file__, "exec"), space)
    space["opened"]()
    assert [facts["what"] for facts in told] == ["file"]


def test_a_database_that_was_there_is_told(hear, told, tmp_path):
    """One that the agent makes is its own; one in memory is none."""
    path = tmp_path / "a.db"
    for name in (":memory:", "", str(path), f"file:{path}?mode=ro"):
        hear("sqlite3.connect", (name,))
    path.write_text("1")
    hear("sqlite3.connect", (str(path),))
    assert told == []
    other = tmp_path / "b.db"
    other.write_text("1")
    hear("sqlite3.connect", (f"file:{other}?mode=ro",))
    assert [(facts["what"], facts["name"]) for facts in told] == [("database", str(other))]


def test_programs_are_told_but_those_of_the_standard_library(hear, told, monkeypatch):
    """`platform` and `ctypes.util` start some for themselves; `subprocess` does for its caller."""
    import platform
    import subprocess

    monkeypatch.setenv("PLAYHEAD_PROCESS", "0.2")
    arguments = ("uname", ["uname", "-p"], None, None)
    space = {"hear": hear, "event": "subprocess.Popen", "arguments": arguments}
    exec(compile("def start(): hear(event, arguments)", subprocess.__file__, "exec"), space)
    exec(compile("def ask(): start()", platform.__file__, "exec"), space)
    space["ask"]()
    assert told == []
    space["start"]()
    hear("os.posix_spawn", ("/bin/ls", ["ls", "-l"], {}))
    assert [(facts["name"], facts["process"]) for facts in told] == [("uname -p", "0.2"), ("ls -l", "0.2")]


def test_what_the_agent_becomes_is_the_agent(hear, told, monkeypatch):
    """A launcher that gives way to the program itself; what a fork becomes was started by it."""
    hear("os.exec", ("/bin/ls", ["ls"], None))
    assert told == []
    monkeypatch.setattr(active, "process", "0.f1")
    hear("os.exec", ("/bin/ls", ["ls"], None))
    assert [(facts["name"], facts["process"]) for facts in told] == [("ls", "0.f1+")]


def test_names_are_told_when_nothing_follows(tmp_path):
    """A connection after a look-up is told by itself; this machine's names and addresses are none."""
    told = []
    kept = alarm.Alarm(str(tmp_path), told.append)
    hear = alarm.hook(kept, {}, {})
    for host in ("localhost", None, "127.0.0.1", "::1", os.uname().nodename, "a.localhost"):
        hear("socket.getaddrinfo", (host, 80, 0, 0, 0))
    hear("socket.gethostbyname", ("example.org",))
    kept.close()
    assert [(facts["what"], facts["name"]) for facts in told] == [("name", "example.org")]
    hear("socket.getaddrinfo", (b"example.com", 80, 0, 0, 0))
    with socket.socket() as sock:
        hear("socket.connect", (sock, ("192.0.2.1", 80)))
    kept.close()
    assert [(facts["what"], facts["name"]) for facts in told[1:]] == [("place", "192.0.2.1:80")]


def test_this_machine_is_not_elsewhere(hear, told, tmp_path):
    """Loopback and Unix sockets are the launcher's to judge; choosing an address sends nothing."""
    with (
        socket.socket() as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as un,
    ):
        hear("socket.connect", (tcp, ("127.0.0.1", 80)))
        hear("socket.connect", (un, str(tmp_path / "s")))
        hear("socket.connect", (udp, ("192.0.2.1", 80)))
        assert told == []
        hear("socket.sendto", (udp, ("192.0.2.1", 80)))
    assert [facts["what"] for facts in told] == ["datagram"]


def test_an_event_of_another_shape_is_left_alone(hear, told):
    """Whatever other versions of Python or other code raise, the agent's call goes on."""
    for event in (
        "open",
        "sqlite3.connect",
        "os.system",
        "socket.connect",
        "socket.getaddrinfo",
        "os.exec",
        "os.rename",
    ):
        for arguments in ((), (object(),), (None, None, None), (object(), object(), "x")):
            hear(event, arguments)
    assert told == []


def test_off_the_tape_nothing_is_told(hear, told):
    """Also in `playhead.unrecorded`."""
    active.end()
    hear("os.system", (b"ls",))
    assert told == []


def slipped(folder, *lines, process="0"):
    """What processes left in a folder."""
    (folder / f"{process}.slipped").write_text("\n".join(lines))


def test_a_program_with_a_tape_has_not_slipped(tmp_path):
    """Its own, that of what it became, or of one that it started; a torn line is left out."""
    line = '{"what":"program","name":"%s","by":"os.system","at":"","process":"%s"}'
    names = (("a", "0.1"), ("b", "0.2"), ("c", "0.3"), ("d", "0.4"), ("e", "0+"), ("f", "0.10"))
    slipped(tmp_path, *(line % each for each in names), '{"what":"pro')
    found = slips(tmp_path, ["0", "0.1", "0.2.1", "0.3+2", "0+2"], knows=lambda _host, _port: False)
    assert [slip.name for slip in found] == ["d", "f"]
    assert not list(tmp_path.glob("*.slipped"))


def test_places_that_the_kernel_tells_of_are_not_told_twice(tmp_path):
    """Nor are those that are allowed."""
    line = '{"what":"place","name":"%s","by":"socket.connect","at":"agent.py:3"}'
    slipped(tmp_path, line % "192.0.2.1:80", line % "[2001:db8::1]:443", process="0.1")
    known = []

    def knows(host, port):
        known.append((host, port))
        return port == 80

    (slip,) = slips(tmp_path, ["0"], knows=knows)
    assert known == [("192.0.2.1", 80), ("2001:db8::1", 443)]
    assert (slip.place, slip.divergence()["lane"]) == ("[2001:db8::1]:443", "0.1")
    assert "at agent.py:3" in report([slip])
    assert report([]) == ""


def test_the_hook_is_one_look_up_for_what_it_does_not_know(hear):
    """No frame of Playhead but its own runs for an event that means nothing to it."""
    entered = []
    sys.setprofile(lambda frame, kind, _: entered.append(frame.f_code.co_name) if kind == "call" else None)
    try:
        hear("builtins.id", (1,))
    finally:
        sys.setprofile(None)
    assert entered == ["hear"]
