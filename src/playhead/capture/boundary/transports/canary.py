"""A question to nobody through each HTTP library that is loaded: the hook must hear it, or real ones would pass it unheard.

Libraries change inside. One whose connections are no longer made where they are patched would go its own way, and a recording
would be empty, or a replay live. So each is asked once, on a tape of its own that hears and answers: those that are there
when a session begins, others when they are first used. No connection is made; one that the hook does not hear goes to a
port of this machine at which nobody listens.
"""

from __future__ import annotations

import contextlib
import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.wire import Soon, Wire
from playhead.core.events import Ending
from playhead.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.tape import Caller, Exchange

PORT = 1
URL = f"http://127.0.0.1:{PORT}/"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_CHANGED = "its connections are made in a way that is not known here"


class Canary:
    """A tape that hears whether it was asked."""

    def __init__(self) -> None:
        self.heard = 0

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> Canary:  # noqa: ARG002
        self.heard += 1
        caller.deliver(_ANSWER)
        caller.finish(Ending.COMPLETE)
        return self

    def feed(self, data: bytes) -> None:
        """No body comes."""

    def end(self) -> None:
        """It was answered already."""

    def abandon(self) -> None:
        """It was answered already."""

    def hold(self, *, holding: bool) -> None:
        """Nothing is on its way."""


def check(wire: Wire) -> None:
    """Ask through every library that is loaded. Raises SetupError for those that are not heard."""
    deaf = [name for name in _ASKED if _is_loaded(name) and not _is_heard(wire, name)]
    if deaf:
        raise _unheard(deaf)


def try_all() -> dict[str, bool]:
    """Import every library that is here, and ask through each: those that were asked, with their versions, and whether they
    were heard. For a process that does nothing else."""
    from importlib import import_module

    from playhead.capture.boundary import transports
    from playhead.capture.boundary.patches import Patches

    for modules, _ in _ASKED.values():
        for name in modules:
            with contextlib.suppress(Exception):  # not here, or not to be imported: then nobody uses it
                import_module(name)
    transports.install(Patches(), lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
    wire = Wire(Canary(), Soon(), live=True)
    return {f"{name} {_version(name)}": _is_heard(wire, name) for name in _ASKED if _is_loaded(name)}


def see_to(wire: Wire, name: str) -> None:
    """A library is used: ask through it, unless it was heard before. While recording, one that is not heard is said to go past; in a replay it
    raises SetupError."""
    if active.trial.get() is not None or _is_heard(wire, name):
        return
    if not wire.live:
        raise _unheard([name])
    wire.checked.add(name)
    wire.went_past(name, _CHANGED)


def _unheard(names: list[str]) -> SetupError:
    versions = [f"{name} {_version(name)}" for name in names]
    return SetupError(
        "The HTTP calls of a library would go past the recording.",
        code="transport-changed",
        where=", ".join(versions),
        expected="a test call through it is seen here",
        seen=_CHANGED,
        todo="run the program under playhead record, which sees calls on the wire, or use another version",
    )


def _version(name: str) -> str:
    library = sys.modules.get(name.partition(" ")[0])
    return str(getattr(library, "__version__", "") or sys.version.split()[0])


def _is_loaded(name: str) -> bool:
    return all(module in sys.modules for module in _ASKED[name][0])


def _is_heard(wire: Wire, name: str) -> bool:
    canary = Canary()
    context = copy_context()
    context.run(active.inside.set, True)
    context.run(active.trial.set, Wire(canary, Soon(), live=False))
    with contextlib.suppress(Exception):  # however it failed, it counts whether it was heard
        context.run(_ASKED[name][1], sys.modules[name.partition(" ")[0]])
    if canary.heard:
        wire.checked.add(name)
    return bool(canary.heard)


def _by_transport(library: Any) -> None:
    with library.HTTPTransport(verify=False, trust_env=False) as transport:
        transport.handle_request(library.Request("GET", URL)).close()


def _by_async_transport(library: Any) -> None:
    async def ask() -> None:
        async with library.AsyncHTTPTransport(verify=False, trust_env=False) as transport:
            await (await transport.handle_async_request(library.Request("GET", URL))).aclose()

    _in_a_loop(ask)


def _by_connection(connection: Any) -> None:
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    finally:
        connection.close()


def _by_session(library: Any) -> None:
    async def ask() -> None:
        async with library.ClientSession(trust_env=False) as session, session.get(URL) as answer:
            await answer.read()

    _in_a_loop(ask)


def _by_websocket(websockets: Any) -> None:
    async def ask() -> None:
        async with websockets.asyncio.client.connect(f"ws{URL.removeprefix('http')}", proxy=None):
            """Nobody grants it."""

    _in_a_loop(ask)


class _Mute:
    """A connection of the client for threads, without its thread: names of the agent's own threads count as ever."""

    def __init__(self, sock: Any, _protocol: Any, **_options: Any) -> None:
        self.socket, self.recv_events_thread = sock, self

    def handshake(self, *_arguments: Any) -> None:
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        raise ConnectionRefusedError("nobody grants it")

    def close_socket(self) -> None:
        self.socket.close()

    def join(self) -> None:
        """There is none."""


def _by_websocket_of_threads(websockets: Any) -> None:
    with websockets.sync.client.connect(f"ws{URL.removeprefix('http')}", proxy=None, create_connection=_Mute):
        """Nobody grants it."""


def _in_a_loop(ask: Callable[[], Any]) -> None:
    """In a thread: one may run in this one already."""
    import asyncio
    import threading

    # named, so that the names of the agent's own threads count as ever
    thread = threading.Thread(target=copy_context().run, args=(_run, asyncio.run, ask), name="playhead")
    thread.start()
    thread.join()


def _run(run: Callable[[Any], None], ask: Callable[[], Any]) -> None:
    with contextlib.suppress(Exception):  # as above
        run(ask())


_ASKED: dict[str, tuple[tuple[str, ...], Callable[[Any], None]]] = {
    "http": (("http.client",), lambda http: _by_connection(http.client.HTTPConnection("127.0.0.1", PORT, timeout=5))),
    "urllib3": (
        ("urllib3.connection",),
        lambda urllib3: _by_connection(urllib3.connection.HTTPConnection("127.0.0.1", PORT, timeout=5)),
    ),
    "httpx": (("httpx", "httpcore"), _by_transport),
    "httpx async": (("httpx", "httpcore", "anyio"), _by_async_transport),
    "httpx2": (("httpx2", "httpcore2"), _by_transport),
    "httpx2 async": (("httpx2", "httpcore2", "anyio"), _by_async_transport),
    "aiohttp": (("aiohttp",), _by_session),
    "websockets": (("websockets.asyncio.client",), _by_websocket),
    "websockets sync": (("websockets.sync.client",), _by_websocket_of_threads),
}
"""What is asked: the modules that must be there, and how."""
