"""Network namespaces, as root and as nobody: what gets out, what stays in, and what a machine without them says."""

import pytest

from playhead.capture.process.isolate import Address, isolate
from tests.capture.process.driving import drive

both = pytest.mark.parametrize("as_nobody", [False, True], ids=["root", "nobody"])


@both
def test_a_child_inside_reaches_no_listener_outside(as_nobody):
    """The host's loopback is out of reach inside; the same call outside succeeds, so the listener was there."""
    said = drive(
        """
        host = socket.create_server(('127.0.0.1', 0))
        port = host.getsockname()[1]
        namespace = isolate()
        assert isinstance(namespace, Namespace), namespace
        print(in_child(lambda: connects(port)))
        print(in_child(lambda: (namespace.enter(), connects(port))[1]))
        print(in_child(lambda: (namespace.enter(), connects(80, '192.0.2.1'))[1]))
        """,
        as_nobody=as_nobody,
    )
    assert said.split() == ["connected", "ECONNREFUSED", "ENETUNREACH"]


@both
def test_the_listener_inside_is_accepted_outside(as_nobody):
    """The engine answers from outside a client that can reach nothing but it."""
    said = drive(
        """
        namespace = isolate()
        assert isinstance(namespace, Namespace), namespace
        namespace.listener.settimeout(30)
        if os.fork() == 0:
            namespace.enter()
            with socket.create_connection(('127.0.0.1', namespace.port), timeout=30) as connection:
                connection.sendall(b'question')
                print(connection.recv(99), flush=True)
            os._exit(0)
        connection, _ = namespace.listener.accept()
        print(connection.recv(99), flush=True)
        connection.sendall(b'answer')
        os.wait()
        """,
        as_nobody=as_nobody,
    )
    assert said.split() == ["b'question'", "b'answer'"]


@both
def test_a_server_of_the_childs_own_works_inside(as_nobody):
    """An agent that talks to a loopback server it started itself is not disturbed."""
    said = drive(
        """
        namespace = isolate()
        def own():
            namespace.enter()
            server = socket.create_server(('127.0.0.1', 0))
            return connects(server.getsockname()[1])
        print(in_child(own))
        """,
        as_nobody=as_nobody,
    )
    assert said == "connected\n"


@both
def test_the_port_asked_for_is_given_and_forwards_are_inside(as_nobody):
    """The recorded port can be had again, and an allowed loopback address is a listener handed to us."""
    said = drive(
        """
        taken = socket.create_server(('127.0.0.1', 0))
        port = taken.getsockname()[1]
        namespace = isolate(port=port, forwards=[Address('localhost', 5432), Address('127.0.0.1', 6379)])
        print(namespace.port == port, sorted({address for address, _ in namespace.forwards}))
        def client():
            namespace.enter()
            return connects(5432), connects(6379), connects(5433)
        print(in_child(client))
        namespace.close()
        """,
        as_nobody=as_nobody,
    )
    assert said == (
        "True [Address(host='127.0.0.1', port=6379), Address(host='localhost', port=5432)]\n"
        "('connected', 'connected', 'ECONNREFUSED')\n"
    )


@both
def test_a_spawned_command_runs_inside_as_the_same_user(as_nobody):
    """spawn enters the namespace before exec; the user stays who he was, with no more rights than before."""
    said = drive(
        """
        namespace = isolate()
        child = spawn.spawn(
            Command(('/bin/sh', '-c', 'id -u; grep CapEff /proc/self/status; cat /proc/net/dev | grep -c :'), {}),
            Stdio(('null', 'pipe', 'pipe')), enclosure=namespace,
        )
        os.waitpid(child.pid, 0)
        print(os.getuid(), os.read(child.stdout, 999).decode().split()[::2])
        """,
        as_nobody=as_nobody,
    )
    user, seen = said.split(" ", 1)
    uid, capabilities_or_count = eval(seen)[0], eval(seen)[1:]
    assert uid == user
    if user != "0":
        assert capabilities_or_count[0] == "0000000000000000"


def test_a_machine_that_forbids_it_says_why():
    """No namespace is a value with a reason, not an error, and nothing is left behind."""
    said = drive(
        """
        def forbidden(flags):
            raise PermissionError(errno.EPERM, 'Operation not permitted')
        before = os.listdir('/proc/self/fd')
        linux.unshare = forbidden
        print(isolate())
        print(len(os.listdir('/proc/self/fd')) == len(before))
        """
    )
    assert said == ("Unavailable(reason='a new network namespace: [Errno 1] Operation not permitted')\nTrue\n")


def test_a_helper_that_dies_is_a_reason_too():
    """Killed in the middle (out of memory, a seccomp policy that kills)."""
    said = drive(
        """
        linux.unshare = lambda flags: os.kill(os.getpid(), signal.SIGKILL)
        print(isolate().reason)
        """
    )
    assert said == "the helper that makes the namespace was killed\n"


def test_only_loopback_can_be_forwarded():
    """An address elsewhere is refused before anything is made."""
    with pytest.raises(ValueError, match="not an address of this machine"):
        isolate(forwards=[Address("db.example", 5432)])
