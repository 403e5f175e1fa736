"""A replay touches nothing: no way out of it reaches a server that counts, at every level of isolation there is."""

import contextlib
import json
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from tests.support import confined
from tests.support.executable import PLAYHEAD, plain_environment
from tests.support.listener import Datagrams, Listener, greet, pong, web

# Each program tries one way past the engine to the port in its first argument, and says how that went.
RAW = """
    import socket, sys, time
    try:
        with socket.create_connection((sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", int(sys.argv[1])), timeout=5) as s:
            s.sendall(b"PING\\r\\n"); print(s.recv(100)); time.sleep(1.5)  # who may only look must come to it
    except OSError as error:
        print(type(error).__name__)
    """
CURL = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\n", "-m", "5", "--noproxy", "*")
BY_CURL = """
    import subprocess, sys
    curl = ["curl", "-s", "-m", "5", "--noproxy", "*", f"http://127.0.0.1:{sys.argv[1]}/"]
    print(subprocess.run(curl, capture_output=True).stdout)
    """
ISOLATED = """
    import sys, urllib.request
    try:
        print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{sys.argv[1]}/").read())
    except OSError as error:
        print(type(error).__name__)
    """
DATAGRAM = """
    import socket, sys
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.sendto(b"hello", ("127.0.0.1", int(sys.argv[1])))
        except OSError:
            pass
    print("sent")
    """


def python(code, *arguments, options=()):
    return (sys.executable, *options, "-c", textwrap.dedent(code), *map(str, arguments))


WAYS = {
    "a raw socket": lambda port: python(RAW, port),
    "curl --noproxy": lambda port: (*CURL, f"http://127.0.0.1:{port}/"),
    "curl in a child": lambda port: python(BY_CURL, port),
    "python -I": lambda port: python(ISOLATED, port, options=("-I",)),
}
LEVELS = {
    "namespace": (),
    "hooks": ("no-namespace",),
    "observed": ("no-namespace", "no-watch"),
    "none": ("no-namespace", "no-watch", "no-proc"),
}


class Machine:
    """`playhead` with a home of its own on a machine that lacks something."""

    def __init__(self, home, *, lacks=()):
        self.home, self.lacks = home, lacks
        self.env = plain_environment(home)

    def playhead(self, *arguments, lacks=None, **env):
        """Exit code, stdout, stderr and the summary."""
        place = self.home / "summary.json"
        place.unlink(missing_ok=True)
        verb, *rest = map(str, arguments)
        command = [
            *confined.wrapped(*(self.lacks if lacks is None else lacks)),
            PLAYHEAD,
            verb,
            "--summary",
            str(place),
        ]
        ran = subprocess.run(
            [*command, *rest],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.home,
        )
        ran.summary = json.loads(place.read_text() or "{}") if place.exists() else {}
        return ran

    def record(self, command, *options, **more):
        ran = self.playhead("record", "--allow-empty", "--name", "it", *options, "--", *command, **more)
        assert ran.returncode == 0, ran.stderr
        return ran

    def replay(self, *options, **more):
        return self.playhead("replay", *options, "it", **more)


@pytest.fixture(params=["root", "unprivileged"])
def who(request, home):
    """A machine that permits everything, with the privileges of whoever runs the tests and with none."""
    return Machine(home, lacks=() if request.param == "root" else ("no-privileges",))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_past_the_engine_reaches_a_listener_from_a_replay(who, way):
    """Named at record, where it arrives; blocked and named in the replay, where it does not; live only if allowed."""
    serve = pong if way == "a raw socket" else web
    with Listener(serve) as outside:
        place = f"127.0.0.1:{outside.port}"
        who.env["PLAYHEAD_INSIDE"] = "off"  # a child that is on the tape is not started at all: the test below
        recorded = who.record(WAYS[way](outside.port))
        assert outside.came == 1
        if not who.lacks or way == "a raw socket":  # who may only look does not see what is over in 20 ms
            assert [item["host"] for item in recorded.summary["not_captured"]] == [place]
        replayed = who.replay()
        assert outside.came == 1
        assert replayed.returncode == 4, replayed.stderr
        assert replayed.summary["blocked"] == [place]
        assert replayed.summary["isolation"] == "namespace"
        assert place in replayed.stderr
        allowed = who.replay("--allow-live", place)
        assert outside.came == 2
        assert allowed.returncode == 0, allowed.stderr
        assert allowed.stdout == recorded.stdout


def test_a_child_that_the_tape_answers_is_not_started(home):
    """A program's curl that went past the engine: with the inside on the tape a replay gives what it printed."""
    machine = Machine(home)
    with Listener(web) as outside:
        recorded = machine.record(WAYS["curl in a child"](outside.port))
        replayed = machine.replay()
        assert outside.came == 1
        assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_of_isolation_is_named_and_keeps_its_promise(home, level):
    """Namespace and hooks keep a raw connection in; below that it leaves, and the replay says so."""
    machine = Machine(home, lacks=LEVELS[level])
    with Listener(pong) as outside:
        place = f"127.0.0.1:{outside.port}"
        machine.record(WAYS["a raw socket"](outside.port), lacks=())
        replayed = machine.replay()
        assert replayed.summary["isolation"] == level, replayed.stderr
        kept_in = level in ("namespace", "hooks")
        assert outside.came == (1 if kept_in else 2)
        assert replayed.summary["blocked"] == ([place] if kept_in else [])
        assert replayed.summary["leaked"] == ([] if kept_in else [place])
        assert replayed.returncode == (4 if kept_in else 1)
        assert f"isolation: {level}" in replayed.stderr


def test_a_live_place_is_reached_without_a_namespace_too(home):
    """With hooks alone, --allow-live lets the named place through and no other."""
    machine = Machine(home, lacks=LEVELS["hooks"])
    with Listener(pong) as outside, Listener(pong) as other:
        machine.record(WAYS["a raw socket"](outside.port))
        assert machine.replay("--allow-live", f"127.0.0.1:{outside.port}").returncode == 0
        assert machine.replay("--allow-live", f"localhost:{outside.port}").returncode == 0
        assert machine.replay("--allow-live", f"127.0.0.1:{other.port}").returncode == 4
        assert (outside.came, other.came) == (3, 0)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_live_place_may_be_named_as_people_name_it(who, name):
    """`--allow-live localhost:PORT` also means the address that a database client resolved it to."""
    with Listener(pong) as outside:
        who.record(python(RAW, outside.port, "localhost"))
        replayed = who.replay("--allow-live", f"{name}:{outside.port}")
        assert replayed.returncode == 0, replayed.stderr
        assert outside.came == 2


def test_an_unprivileged_record_names_what_it_could_only_look_for(home):
    """Without the kernel's word (a filter would cost the command its set-uid programs), connections are looked for."""
    machine = Machine(home, lacks=("no-privileges",))
    with Listener(pong) as outside:
        recorded = machine.record(WAYS["a raw socket"](outside.port))
        assert [item["host"] for item in recorded.summary["not_captured"]] == [f"127.0.0.1:{outside.port}"]


@pytest.mark.parametrize("level", ["namespace", "hooks"])
def test_no_datagram_leaves_a_replay(home, level):
    """UDP to this machine's own services (a name server's stub, statsd) arrives from a record and not from a replay."""
    machine = Machine(home, lacks=LEVELS[level])
    with Datagrams() as outside:
        machine.record(python(DATAGRAM, outside.port))
        assert outside.waiting() == [b"hello"]
        replayed = machine.replay()
        assert outside.waiting() == []
        assert replayed.summary["isolation"] == level


OWN_SERVERS = """
    import asyncio, socket, threading, urllib.request

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", udp.getsockname())
    print(udp.recv(99)); udp.close()

    async def main():
        async def serve(reader, writer):
            writer.write(b"echo " + await reader.readline()); await writer.drain(); writer.close()
        server = await asyncio.start_server(serve, "localhost", 0)
        for sock in server.sockets:
            host, port, *_ = sock.getsockname()
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(host.encode() + b"\\n"); print(await reader.read()); writer.close()
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(b"by name\\n"); print(await reader.read()); writer.close()
        server.close()
    asyncio.run(main())
    """
OWN_CHILD = """
    import subprocess, sys, socket
    server = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); c, _ = s.accept(); c.sendall(b'from a child')"
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE) as child:
        with socket.create_connection(("127.0.0.1", int(child.stdout.readline()))) as s:
            print(s.recv(99))
    """


@pytest.mark.parametrize("level", ["namespace", "hooks"])
@pytest.mark.parametrize("program", [OWN_SERVERS, OWN_CHILD], ids=["in one process", "in a child"])
def test_the_agents_own_servers_work_in_record_and_replay(home, level, program):
    """A loopback server inside the tree is no way out: nothing named, nothing blocked, identical."""
    machine = Machine(home, lacks=LEVELS[level])
    recorded = machine.record(python(program))
    assert recorded.summary["not_captured"] == []
    replayed = machine.replay()
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.summary["verdict"] == "identical"
    assert replayed.stdout == recorded.stdout != ""


IDLE = """
    import { subscribe } from 'node:diagnostics_channel';
    const url = process.argv[1];
    const ask = async (signal) => (await fetch(url, { signal })).text();
    console.log(await ask());
    const aborted = new AbortController();
    subscribe('undici:client:sendHeaders', ({ request }) => {
        if (request.path.endsWith('slow')) setTimeout(() => aborted.abort(), 100);
    });
    try { await fetch(url + 'slow', { signal: aborted.signal }); } catch (error) { console.log(error.name); }
    console.log(await ask());
    setTimeout(() => process.exit(0), 2500);
    """


def slow_web(sock):
    """Answers at once, but for /slow, which waits for the client to go."""
    while head := sock.recv(65536):
        if b"GET /slow" not in head:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_a_connection_that_is_kept_idle_is_not_a_blocked_call(home):
    """undici opens a connection in the place of one that was aborted and says nothing on it: no call was tried."""
    machine = Machine(home)
    with Listener(slow_web) as outside:
        program = ("node", "--input-type=module", "-e", textwrap.dedent(IDLE), f"http://localhost:{outside.port}/")
        recorded = machine.record(program)
        assert recorded.stdout.split() == ["ok", "AbortError", "ok"]
        replayed = machine.replay()
        assert replayed.summary["blocked"] == []
        assert replayed.returncode == 0, replayed.stderr


GREETED = """
    import net from 'node:net';
    const socket = net.connect(Number(process.argv[1]), 'localhost');
    socket.on('data', (data) => { console.log(String(data)); socket.end(); });
    socket.on('error', (error) => { console.log(error.code); });
    """


def test_a_server_that_speaks_first_is_blocked_by_the_engine_too(home):
    """A hooked client that waits for a greeting (mail, MySQL) is not mistaken for an idle HTTP connection."""
    machine = Machine(home)
    with Listener(greet) as outside:
        recorded = machine.record(("node", "--input-type=module", "-e", textwrap.dedent(GREETED), str(outside.port)))
        assert "220 at your service" in recorded.stdout
        assert [i["host"] for i in recorded.summary["not_captured"]] == [f"localhost:{outside.port}"]
        replayed = machine.replay()
        assert replayed.returncode == 4, replayed.stderr
        assert replayed.summary["blocked"] == [f"localhost:{outside.port}"]
        assert outside.came == 1


# A network of its own in which 198.51.100.7 (RFC 5737) is an address of this machine, so that it can be listened on and
# is yet not loopback: what stands for the rest of the world.
ELSEWHERE = """
    import fcntl, json, os, socket, struct, subprocess, sys
    sys.path.insert(0, sys.argv[1])
    from tests.support.listener import Listener, pong
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        def address(name, text):
            fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(text)))
            fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", name, 0x41))
        address(b"lo", "127.0.0.1")
        address(b"lo:1", "198.51.100.7")
    told = {}
    with Listener(pong, host="198.51.100.7") as outside:
        told["place"] = f"198.51.100.7:{outside.port}"
        agent = [sys.executable, "-c", sys.argv[3], str(outside.port), "198.51.100.7"]
        for what, command in {
            "record": ["record", "--allow-empty", "--name", "it", "--", *agent],
            "replay": ["replay", "it"],
            "hooks": ["replay", "it"],
        }.items():
            lead = [sys.executable, sys.argv[1] + "/tests/support/confined.py", "no-namespace", "--"] if what == "hooks" else []
            ran = subprocess.run([*lead, sys.argv[2], command[0], "--summary", "s.json", *command[1:]], capture_output=True, text=True)
            summary = json.load(open("s.json"))
            told[what] = [ran.returncode, outside.came, [i["host"] for i in summary["not_captured"]], summary.get("blocked"), summary.get("isolation")]
    print(json.dumps(told))
    """


def test_an_address_elsewhere_is_not_reached_from_a_replay(home):
    """The same for an address that is not loopback, with a namespace and with hooks alone."""
    root = str(Path(__file__).parents[2])
    agent = textwrap.dedent(RAW)
    ran = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", textwrap.dedent(ELSEWHERE), root, PLAYHEAD, agent],
        env=plain_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    place = told["place"]
    assert told["record"] == [0, 1, [place], None, None]
    assert told["replay"] == [4, 1, [place], [place], "namespace"]
    assert told["hooks"] == [4, 1, [place], [place], "hooks"]


EXAMPLES = Path(__file__).parents[2] / "examples"


@contextlib.contextmanager
def shop():
    """The example's model and shop; yields its address, and a function that stops it."""
    command = [sys.executable, str(EXAMPLES / "model_server.py"), "--port", "0", "--pace", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip(), server.terminate
        finally:
            server.terminate()


REFUND = """
    import json, os, urllib.request
    for order in ("1001", "1003"):
        body = json.dumps({"order": order, "reason": "broken"}).encode()
        request = urllib.request.Request(os.environ["SHOP_URL"] + "/refunds", body, {"Content-Type": "application/json"})
        print(urllib.request.urlopen(request).read().decode())
    """


@pytest.mark.parametrize("replays", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_replays_refund_nothing_and_the_last_needs_no_shop(home, replays):
    """The shop still runs and has paid two refunds; after so many replays it has paid two. Then it is stopped."""
    with shop() as (address, stop):
        machine = Machine(home)
        machine.env["SHOP_URL"] = f"{address}/shop"

        def paid():
            with urllib.request.urlopen(f"{address}/shop/refunds") as answer:
                return json.load(answer)["count"]

        agent = python(REFUND)
        recorded = machine.record(agent)
        assert paid() == 2
        for _ in range(replays):
            replayed = machine.replay()
            assert replayed.returncode == 0, replayed.stderr
            assert replayed.summary["live"] == 0
        assert paid() == 2
        subprocess.run(agent, env=machine.env, check=True, capture_output=True)  # the control: the agent itself refunds
        assert paid() == 4
        stop()
        offline = machine.replay()
        assert offline.returncode == 0, offline.stderr
        assert offline.stdout == recorded.stdout
