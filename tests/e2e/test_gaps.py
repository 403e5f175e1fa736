"""What is not captured is said: in the summary, on stderr, and by the exit code where the contract says so."""

import json
import socket
import socketserver
import sys
import threading
from pathlib import Path

import pytest

from tests.capture.wire.rig import Server, read_head
from tests.support.authority import TestAuthority
from tests.support.executable import plain_environment, playhead

GAPS = Path(__file__).with_name("agents") / "gaps.py"
NOTHING_CAPTURED = 4


def echo_path(sock):
    """Answer each request with its path."""
    while head := read_head(sock):
        text = b"you asked " + head.split(b" ")[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        if b"connection: close" in head.lower():
            return


@pytest.fixture
def server():
    """A plain server of this machine."""
    with Server(echo_path) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Vouches for shop.example."""
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def run(tmp_path):
    """run("record", options, command): the finished process and the summary."""
    env = plain_environment(tmp_path)

    def run(verb, *arguments):
        place = tmp_path / f"{verb}.json"
        done = playhead(verb, "--summary", place, *arguments, env=env)
        return done, json.loads(place.read_text())

    run.env = env
    return run


def places(summary):
    return {item["host"]: item["reason"] for item in summary["not_captured"]}


def python(*arguments):
    return ("--", sys.executable, GAPS, *arguments)


def test_zero_captured_calls_exit_4_and_say_what_to_do(run):
    """Nothing captured is no success: exit 4, and advice; it is one when asked for."""
    done, summary = run("record", "--", sys.executable, "-c", "print('no call')")
    assert done.returncode == summary["exit_code"] == NOTHING_CAPTURED
    assert (summary["exit_source"], summary["exchanges"], summary["not_captured"]) == ("playhead", 0, [])
    assert done.stdout == "no call\n"
    assert "nothing was captured" in done.stderr
    assert "playhead doctor" in done.stderr
    assert "--allow-empty" in done.stderr
    done, summary = run("record", "--allow-empty", "--", sys.executable, "-c", "print('no call')")
    assert (done.returncode, summary["exit_code"]) == (0, 0)


TOOL_ONLY = """
import playhead

@playhead.tool
def add(a, b):
    return a + b

print(add(1, 2))
"""


def test_an_agent_that_calls_tools_alone_was_captured(run):
    """No model was asked, but there is a step to look at: no advice, exit 0; and `doctor` says the same."""
    done, summary = run("record", "--", sys.executable, "-c", TOOL_ONLY)
    assert (done.returncode, summary["exchanges"], summary["tool_calls"]) == (0, 0, 1)
    assert "nothing was captured" not in done.stderr
    done, verdict = run("replay", "last")
    assert (done.returncode, verdict["verdict"], done.stdout) == (0, "identical", "3\n")
    done = playhead("doctor", "--", sys.executable, "-c", TOOL_ONLY, env=run.env)
    assert done.returncode == 0, done.stdout
    assert "1 call" in done.stdout


def test_zero_captured_calls_do_not_hide_the_commands_own_failure(run):
    """The command's exit code comes first."""
    done, summary = run("record", "--", sys.executable, "-c", "raise SystemExit(9)")
    assert (done.returncode, summary["exit_source"]) == (9, "child")


@pytest.mark.parametrize("way", ["raw socket", "curl --noproxy", "python -I", "env -i curl"])
def test_a_bypassed_host_is_named(run, server, way):
    """A place that was reached past the recorder is in the summary, on stderr, and exits 4 when nothing else was
    captured; the replay does not let it out and exits 4 too."""
    url = f"http://127.0.0.1:{server.port}/past"
    command = {
        "raw socket": python("raw", server.port),
        "curl --noproxy": ("--", "curl", "-sS", "--noproxy", "*", url),
        "python -I": ("--", sys.executable, "-I", GAPS, "stubborn", url),
        "env -i curl": ("--", "env", "-i", "curl", "-sS", url),
    }[way]
    done, summary = run("record", *command)
    assert "you asked" in done.stdout
    assert done.returncode == NOTHING_CAPTURED
    assert list(places(summary)) == [f"127.0.0.1:{server.port}"]
    assert summary["complete"] is False
    assert f"not captured: 127.0.0.1:{server.port}" in done.stderr
    accepted = server.accepted
    done, verdict = run("replay", "last")
    assert done.returncode == 4
    assert verdict["verdict"] != "identical"
    assert verdict["blocked"] == [f"127.0.0.1:{server.port}"]
    assert server.accepted == accepted
    assert "you asked" not in done.stdout


def test_a_bypassed_host_beside_captured_calls_is_named(run, server):
    """Captured calls make the exit code 0; the session is not complete and says why."""
    there = ("--map", f"shop.example=http://127.0.0.1:{server.port}")
    done, summary = run("record", *there, *python("both", server.port))
    assert done.returncode == 0, done.stderr
    assert summary["exchanges"] == 1
    assert summary["complete"] is False
    assert f"127.0.0.1:{server.port}" in places(summary)


def test_a_pinned_certificate_is_tunnelled_and_named(run, authority):
    """The first attempt fails as it must, the second passes through unseen, and both are said."""
    with Server(echo_path, context=authority.server_context()) as server:
        there = ("--map", f"shop.example=https://127.0.0.1:{server.port}", "--upstream-ca", authority.pem)
        done, summary = run("record", *there, *python("pinned", authority.pem))
        first, *rest = done.stdout.splitlines()
        assert first == "SSLCertVerificationError"
        assert rest[-1] == "you asked /pinned"
        assert done.returncode == NOTHING_CAPTURED
        assert places(summary) == {"shop.example": "pinned certificate"}
        assert sum(item["bytes"] for item in summary["not_captured"]) > 500
        accepted = server.accepted
        done, verdict = run("replay", "last")
        assert done.returncode in (1, 4)
        assert verdict["verdict"] != "identical"
        assert server.accepted == accepted


def test_an_ignored_host_is_relayed_and_named(run, authority):
    """`--ignore-host` leaves a host alone, and the summary says that it was."""
    with Server(echo_path, context=authority.server_context()) as server:
        there = ("--map", f"shop.example=https://127.0.0.1:{server.port}", "--upstream-ca", authority.pem)
        trusting = (
            "--",
            "env",
            f"SSL_CERT_FILE={authority.pem}",
            sys.executable,
            GAPS,
            "plain",
            "https://shop.example/x",
        )
        done, summary = run("record", "--ignore-host", "shop.example", *there, *trusting)
    assert "you asked /x" in done.stdout, done.stderr
    assert done.returncode == NOTHING_CAPTURED
    assert places(summary) == {"shop.example": "ignored host"}
    assert "not captured: shop.example (ignored host)" in done.stderr


def is_not_replayable(run, done, summary, protocol):
    """What holds of a session with an exchange that no player knows yet."""
    assert done.returncode == 0, done.stderr
    assert summary["exchanges"] == 1
    assert places(summary) == {"shop.example": f"{protocol}: recorded, not replayable yet"}
    assert summary["complete"] is False
    assert "not replayable yet" in done.stderr
    steps = json.loads(playhead("inspect", "last", "--json", env=run.env).stdout)["steps"]
    assert [(step["title"], step["status"]) for step in steps] == [(f"{protocol} shop.example", "ok")]
    done, verdict = run("replay", "last")
    assert done.returncode == 1
    assert verdict["verdict"] != "identical"
    assert verdict["unplayed"] == [1]
    assert "not replayable yet" in done.stderr


def test_a_websocket_is_recorded_and_replayed(run, authority):
    """The `websockets` library over TLS, and no server in the replay."""
    from websockets.sync.server import serve

    def echo(ws):
        for message in ws:
            ws.send(f"echo {message}")

    with serve(echo, "127.0.0.1", 0, ssl=authority.server_context()) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        port = served.socket.getsockname()[1]
        there = ("--map", f"shop.example=https://127.0.0.1:{port}", "--upstream-ca", authority.pem)
        done, summary = run("record", *there, *python("websocket", "wss://shop.example/chat"))
        served.shutdown()
        thread.join()
    assert done.stdout == "echo hello\n"
    assert (summary["exchanges"], summary["not_captured"], summary["complete"]) == (1, [], True)
    steps = json.loads(playhead("inspect", "last", "--json", env=run.env).stdout)["steps"]
    assert [(step["title"], step["status"]) for step in steps] == [("websocket shop.example", "ok")]
    done, verdict = run("replay", "last")
    assert (done.returncode, done.stdout) == (0, "echo hello\n"), done.stderr
    assert verdict["verdict"] == "identical"


def serve_h2(sock):
    """HTTP/2, each request answered with its path."""
    import h2.config
    import h2.connection
    import h2.events

    spoken = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
    spoken.initiate_connection()
    sock.sendall(spoken.data_to_send())
    while data := sock.recv(65536):
        for event in spoken.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[b":path"]
                spoken.send_headers(event.stream_id, [(":status", "200")])
                spoken.send_data(event.stream_id, b"you asked " + path, end_stream=True)
        sock.sendall(spoken.data_to_send())


def test_an_h2_only_client_is_recorded_and_named_not_replayable_yet(run, authority):
    """httpx with HTTP/1.1 switched off."""
    with Server(serve_h2, context=authority.server_context(("h2",))) as server:
        there = ("--map", f"shop.example=https://127.0.0.1:{server.port}", "--upstream-ca", authority.pem)
        done, summary = run("record", *there, *python("h2", "https://shop.example/two"))
    assert done.stdout == "HTTP/2 you asked /two\n", done.stderr
    is_not_replayable(run, done, summary, "h2")


def test_a_request_that_cannot_be_read_is_named(run):
    """It is refused with a 400 that says so, and the summary names the host it was meant for."""
    done, summary = run("record", *python("garbage", "shop.example"))
    assert done.stdout.startswith("HTTP/1.1 400 ")
    assert done.returncode == NOTHING_CAPTURED
    assert places(summary) == {"shop.example": "a request that cannot be read, refused"}


def test_udp_is_not_reported_as_a_call(run):
    """A datagram is no call to a model, and looking a name up is none either."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(60)
        done, summary = run("record", "--allow-empty", *python("udp", listener.getsockname()[1]))
        assert listener.recv(100) == b"datagram"
    assert done.returncode == 0, done.stderr
    assert summary["not_captured"] == []
    assert summary["complete"] is True


def test_a_unix_socket_is_named(run, tmp_path):
    """A server in the file system may be a model, too."""

    class Greeter(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"from the file system")

    path = str(tmp_path / "here.sock")
    with socketserver.UnixStreamServer(path, Greeter) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        done, summary = run("record", *python("unix", path))
        served.shutdown()
        thread.join()
    Path(path).unlink()
    assert done.stdout == "from the file system\n"
    assert done.returncode == NOTHING_CAPTURED
    assert list(places(summary)) == [f"unix:{path}"]


def test_children_of_children_are_lanes_of_one_session(run, server):
    """Python that starts Node that starts curl: three lanes by their place in the tree, replayed identical."""
    there = ("--map", f"shop.example=http://127.0.0.1:{server.port}")
    done, summary = run("record", *there, *python("family", "https://shop.example"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["you", "asked", "/python", "you", "asked", "/node", "you", "asked", "/curl"]
    assert (summary["lanes"], summary["exchanges"], summary["not_captured"]) == (3, 3, [])
    steps = json.loads(playhead("inspect", "last", "--json", env=run.env).stdout)["steps"]
    main, node, curl = (step["lane"] for step in steps)
    assert main == "main"
    assert curl.startswith(f"{node}/")
    done, verdict = run("replay", "last")
    assert done.returncode == 0, done.stderr
    assert verdict["verdict"] == "identical"
