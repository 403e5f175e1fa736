"""Unix sockets are no file of the command's own: what somebody else serves there is outside, whatever it is called."""

import contextlib
import json
import os
import socket
import sys
import textwrap
import threading

import pytest

from tests.support.executable import plain_environment, playhead

ASK = """
    import os, socket, sys
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(os.fsencode(sys.argv[1])); s.sendall(b"ask"); print(s.recv(100))
        except OSError as error:
            print(type(error).__name__)
    """
OWN = """
    import os, socket, threading
    for name in ("own.sock", os.path.abspath("other.sock"), "\\0playhead-own-%d" % os.getpid()):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name); server.listen()
            client.connect(os.path.abspath(name) if name[0] == "o" else name)
            print(server.accept()[0].send(b"x"))
        if name[0] != "\\0":
            os.unlink(name)
    """


@contextlib.contextmanager
def served(path):
    """A server on a Unix socket; yields the list of what it was asked."""
    asked = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fsencode(path))
        server.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        asked.append(caller.recv(100))
                        caller.sendall(b"answer")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def run(home):
    """Run `playhead` in the home folder; gives the process and its summary."""
    env = plain_environment(home)

    def run(verb, *arguments):
        ran = playhead(verb, "--summary", home / "summary.json", *arguments, env=env, cwd=home)
        return ran, json.loads((home / "summary.json").read_text())

    return run


def python(code, *arguments):
    return ("--", sys.executable, "-c", textwrap.dedent(code), *arguments)


@pytest.mark.parametrize("way", ["path", "link", "relative", "no text"])
def test_a_socket_that_the_recording_never_saw_is_not_reached_in_a_replay(run, home, way):
    """A changed command that turns to a service on this machine (docker.sock) is kept from it, and does not pass."""
    name = b"\xff.sock" if way == "no text" else b"outside.sock"
    path = os.fsencode(home) + b"/" + name
    with served(path) as asked:
        (home / "link.sock").symlink_to(os.fsdecode(path))
        recorded, _ = run("record", "--allow-empty", "--name", "it", *python("print('ConnectionRefusedError')"))
        assert recorded.returncode == 0, recorded.stderr
        seen = {"path": path, "link": home / "link.sock", "relative": "outside.sock", "no text": path}[way]
        replayed, summary = run("replay", "it", *python(ASK, os.fsdecode(seen)))
    assert asked == []
    assert replayed.returncode == 4, replayed.stderr
    assert len(summary["blocked"]) == 1
    assert summary["blocked"][0].startswith("unix:")


def test_a_socket_behind_a_link_is_named_at_record_and_live_only_if_allowed(run, home):
    """/var/run/docker.sock is bound as /run/docker.sock: its name in no table, and yet it goes past the recorder."""
    with served(home / "outside.sock") as asked:
        (home / "link.sock").symlink_to(home / "outside.sock")
        place = f"unix:{home / 'link.sock'}"
        recorded, summary = run(
            "record", "--allow-empty", "--name", "it", *python(ASK, os.fsdecode(home / "link.sock"))
        )
        assert recorded.returncode == 0, recorded.stderr
        assert [item["host"] for item in summary["not_captured"]] == [place]
        assert run("replay", "it")[0].returncode == 4
        assert run("replay", "--allow-live", place, "it")[0].returncode == 0
    assert asked == [b"ask", b"ask"]


def test_the_commands_own_sockets_and_stale_ones_are_left_alone(run, home):
    """Servers that the command runs itself stay inside; at a socket that nobody serves there is nothing to block."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.fsencode(home / "stale.sock"))
    for code in (OWN, ASK):
        recorded, summary = run("record", "--allow-empty", "--name", "it", *python(code, "stale.sock"))
        assert recorded.returncode == 0, recorded.stderr
        assert summary["not_captured"] == []
        replayed, summary = run("replay", "it")
        assert replayed.returncode == 0, replayed.stderr
        assert summary["blocked"] == []
