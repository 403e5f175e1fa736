"""The connect watch against real clients: nothing is missed, nothing is broken."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.capture.process.watch import parse_address
from tests.capture.process.driving import drive

# Serves one watched command to its end; prints are the test's.
SERVING = """
def serve(command, decide, privileges=Privileges.KEEP, enclosure=None):
    child = spawn.spawn(
        Command(command, dict(os.environ)), Stdio(('null', 'pipe', 'pipe')), watching=privileges, enclosure=enclosure
    )
    if child.notifier is None:
        print('unwatched', child.unwatched)
        return child, os.waitpid(child.pid, 0)[1]
    serving = Watch(child.notifier, decide)
    polled = select.poll()
    polled.register(serving.fileno(), select.POLLIN)
    while True:
        if polled.poll(20) and not serving.on_readable():
            break
    return child, os.waitpid(child.pid, 0)[1]

def recording(into, port=None):
    def decide(attempt):
        if port is None or attempt.port == port:
            into.append(attempt)
        return 0
    return decide
"""


def test_curl_and_a_raw_connect_are_seen_every_time():
    """Fifty quick runs of each: fifty attempts of each, with address, port and type."""
    said = drive(
        SERVING
        + """
server = socket.create_server(('127.0.0.1', 0), backlog=200)
port = server.getsockname()[1]
def answer():
    while True:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n')
        connection.close()
seen = []
curl = f"curl -s --noproxy '*' http://127.0.0.1:{port}/"
raw = "import socket;s=socket.socket();s.connect(('127.0.0.1',%d));s.close()" % port
answering = os.fork()
if answering == 0:
    answer()
try:
    child, status = serve(('sh', '-c', f'i=0; while [ $i -lt 50 ]; do {curl} || exit 9; i=$((i+1)); done'), recording(seen, port))
    print(status, len(seen), {tuple(a[1:]) == (2, '127.0.0.1', port, 1) for a in seen}, len({a.pid for a in seen}))
    seen.clear()
    many = f"import os,sys\\nfor _ in range(50):\\n  if os.fork()==0:\\n    {raw}\\n    os._exit(0)\\n  os.wait()"
    child, status = serve((sys.executable, '-I', '-c', many), recording(seen, port))
    print(status, len(seen), len({a.pid for a in seen}))
finally:
    os.kill(answering, signal.SIGKILL)
""",
    )
    assert said == "0 50 {True} 50\n0 50 50\n"


def test_a_refused_attempt_fails_with_the_errno_given():
    """Deny works for TCP and for a datagram sent to an address; the program sees the error at its call."""
    program = """
import errno, socket
for kind, call in ((socket.SOCK_STREAM, 'connect'), (socket.SOCK_DGRAM, 'sendto')):
    s = socket.socket(socket.AF_INET, kind)
    try:
        s.connect(('127.0.0.1', 9)) if call == 'connect' else s.sendto(b'x', ('127.0.0.1', 9))
        print('passed')
    except OSError as error:
        print(errno.errorcode[error.errno])
s, other = socket.socketpair()
print(s.send(b'connected sockets are not asked about'))
"""
    said = drive(
        SERVING
        + """
seen = []
def deny(attempt):
    seen.append(attempt)
    return errno.ENETUNREACH if attempt.socktype == socket.SOCK_STREAM else errno.ECONNREFUSED
child, status = serve((sys.executable, '-I', '-c', sys.argv[1]), deny)
print(os.read(child.stdout, 999).decode().split(), os.read(child.stderr, 9999).decode())
print([(a.host, a.port, a.socktype) for a in seen])
""",
        program,
    )
    assert said.startswith("['ENETUNREACH', 'ECONNREFUSED', '37']"), said
    assert "[('127.0.0.1', 9, 1), ('127.0.0.1', 9, 2)]" in said


def test_as_root_nothing_is_taken_from_the_child():
    """No no_new_privs, so that sudo in the agent works."""
    said = drive(
        SERVING
        + """
child, status = serve(('grep', 'NoNewPrivs', '/proc/self/status'), lambda attempt: 0)
print(os.geteuid(), os.read(child.stdout, 99).split()[1])
"""
    )
    assert said == "0 b'0'\n" or not said.startswith("0 ")


def test_without_rights_it_is_left_undone_and_the_command_runs():
    """KEEP as nobody: a reason, and a command that works."""
    said = drive(
        SERVING
        + """
child, status = serve(('/bin/echo', 'ran'), lambda attempt: 0)
print(status, os.read(child.stdout, 99))
""",
        as_nobody=True,
    )
    assert said == "unwatched Permission denied\n0 b'ran\\n'\n"


def test_without_rights_giving_up_privileges_is_enough():
    """GIVE_UP as nobody watches; the socket's type and address are readable there too."""
    said = drive(
        SERVING
        + """
seen = []
command = ('/usr/bin/env', 'curl', '-s', '--noproxy', '*', 'http://127.0.0.1:9/')
child, status = serve(command, recording(seen, 9), Privileges.GIVE_UP)
print([a[1:] for a in seen])
""",
        as_nobody=True,
    )
    assert said == "[(<AddressFamily.AF_INET: 2>, '127.0.0.1', 9, 1)]\n" or said == "[(2, '127.0.0.1', 9, 1)]\n"


def test_inside_a_namespace_nobody_is_watched_at_no_cost():
    """In a user namespace of its own the child may install the filter and keeps what it had."""
    said = drive(
        SERVING
        + """
seen = []
command = ('/bin/sh', '-c', "curl -s --noproxy '*' http://192.0.2.7:81/; grep NoNewPrivs /proc/self/status")
child, status = serve(command, recording(seen, 81), Privileges.KEEP, isolate())
print([a.host for a in seen], os.read(child.stdout, 99))
""",
        as_nobody=True,
    )
    assert said == "['192.0.2.7'] b'NoNewPrivs:\\t0\\n'\n"


def test_when_the_supervisor_is_gone_a_connect_fails_and_does_not_hang():
    """Documented in the module: with the last holder's descriptor closed, connect says ENOSYS at once."""
    program = "import socket,sys,errno\nsys.stdin.read()\ntry: socket.create_connection(('127.0.0.1',9),5)\nexcept OSError as e: print(errno.errorcode[e.errno])"
    said = drive(
        """
        child = spawn.spawn(
            Command((sys.executable, '-I', '-c', sys.argv[1]), dict(os.environ)), Stdio(('pipe', 'pipe', 'pipe')),
            watching=Privileges.KEEP,
        )
        child.close_one(child.notifier)
        child.close_one(child.stdin)
        os.waitpid(child.pid, 0)
        print(os.read(child.stdout, 99), os.read(child.stderr, 999))
        """,
        program,
    )
    assert said == "b'ENOSYS\\n' b''\n"


def test_a_second_holder_takes_over():
    """The engine's copy serves a call that the launcher left unanswered when it died."""
    said = drive(
        """
        child = spawn.spawn(
            Command(('curl', '-s', '--noproxy', '*', 'http://127.0.0.1:9/'), dict(os.environ)),
            Stdio(('null', 'pipe', 'pipe')), watching=Privileges.KEEP,
        )
        engines = os.dup(child.notifier)
        select.select([child.notifier], [], [])   # a call waits, and the first holder goes
        child.close_one(child.notifier)
        seen = []
        serving = Watch(engines, lambda attempt: seen.append(attempt.port) or 0)
        while select.select([engines], [], [])[0] and serving.on_readable():
            pass
        print(9 in seen, os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]))
        """
    )
    assert said == "True 7\n"


def test_the_engine_goes_on_when_the_launcher_was_killed(tmp_path):
    """second_holder: after SIGKILL of the launcher a later connect of the agent works as if nothing watched."""
    said = drive(
        """
        told, telling = os.pipe()
        going, release = os.pipe()
        done = sys.argv[1] + '/done'
        server = socket.create_server(('127.0.0.1', 0))
        port = server.getsockname()[1]
        launcher = os.fork()
        if launcher == 0:
            os.dup2(going, 0)
            agent = "read x; curl -s --noproxy '*' -m 20 http://127.0.0.1:$1/ >/dev/null; echo $? >$2.new; mv $2.new $2"
            # the agent's input is not the launcher's to hold: it must outlive it
            child = spawn.spawn(
                Command(('sh', '-c', f'exec </proc/{os.getppid()}/fd/{going}; ' + agent, 'sh', str(port), done), dict(os.environ)),
                Stdio(('null', 'pipe', 'pipe')), watching=Privileges.KEEP,
            )
            os.write(telling, b'%d' % child.notifier)
            signal.pause()
        standby = watch.second_holder(launcher, int(os.read(told, 9)))
        os.kill(launcher, signal.SIGKILL)
        os.waitpid(launcher, 0)
        os.write(release, b'go\\n')
        polled = select.poll()
        polled.register(standby.fileno(), select.POLLIN)
        server.settimeout(60)
        def answer():
            connection, _ = server.accept()
            connection.recv(999)
            connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')
            connection.close()
        answering = threading.Thread(target=answer)
        answering.start()
        while polled.poll(20000) and standby.on_readable():
            pass
        answering.join()
        print(open(done).read().strip())
        """,
        str(tmp_path),
    )
    assert said == "0\n"


def test_a_decision_that_raises_lets_the_call_go_on():
    """Recording fails open: a fault of ours is ours alone."""
    said = drive(
        """
        child = spawn.spawn(
            Command(('curl', '-s', '--noproxy', '*', 'http://127.0.0.1:9/'), dict(os.environ)),
            Stdio(('null', 'pipe', 'pipe')), watching=Privileges.KEEP,
        )
        def faulty(attempt):
            raise ZeroDivisionError
        serving = Watch(child.notifier, faulty)
        faults = 0
        while True:
            select.select([serving], [], [])
            try:
                if not serving.on_readable():
                    break
            except ZeroDivisionError:
                faults += 1
        print(faults > 0, os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]))
        """
    )
    assert said == "True 7\n"  # curl's own "could not connect"


@given(st.binary(max_size=130))
def test_any_bytes_are_an_address_or_none(raw):
    """Memory of another process is hostile input."""
    parsed = parse_address(raw)
    assert parsed is None or isinstance(parsed[1], str)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (struct.pack("=H", 2) + b"\x01\xbb\x7f\0\0\x01" + bytes(8), (2, "127.0.0.1", 443)),
        (struct.pack("=H", 10) + b"\0\x50" + bytes(4) + bytes(15) + b"\x01" + bytes(4), (10, "::1", 80)),
        (
            struct.pack("=H", 10) + b"\0\x50" + bytes(4) + bytes(10) + b"\xff\xff\x7f\0\0\x01" + bytes(4),
            (10, "127.0.0.1", 80),
        ),
        (struct.pack("=H", 1) + b"/run/db.sock\0junk", (1, "/run/db.sock", 0)),
        (struct.pack("=H", 1) + b"\0abstract", (1, "@abstract", 0)),
        (struct.pack("=H", 0) + bytes(14), None),
        (struct.pack("=H", socket.AF_NETLINK) + bytes(10), None),
        (b"", None),
    ],
)
def test_addresses(raw, expected):
    """Each family as the kernel lays it out; a mapped IPv4 address is shown as IPv4."""
    assert parse_address(raw) == expected
