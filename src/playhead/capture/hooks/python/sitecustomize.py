"""Runs at the start of every Python below `playhead record`: makes clients that ignore proxy variables reach the engine.

Found through PYTHONPATH, whatever Python the child is, so: standard library only, syntax of Python 3.7, and no import
of any client here. Patches are applied just after the client's own module has run, by a finder in front of
`sys.meta_path`. Without PLAYHEAD_PORT nothing happens but the hand-over to the next sitecustomize.

    http.client        HTTPConnection dials the engine and asks it for a tunnel
    urllib3.connection the same, one layer up; covers PoolManager, and requests with trust_env off
    aiohttp.client     requests without a proxy get the engine's (trust_env itself is left alone: it also reads ~/.netrc)
    httpx, httpx2      transports built by hand, which see no proxy variables
    certifi.core       names the bundle that holds our CA
    mcp.client.stdio   servers started with a chosen few variables get ours back
"""

# ruff: noqa: PTH100, PTH113, PTH120, PTH123, SLF001, INP001
# Pathlib costs 5 ms at every start; clients are patched where they are open to it;
# this folder goes on sys.path and must not look like a package.
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` itself costs 2 ms
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    Patch = Callable[[Any], None]

_HERE = os.path.dirname(os.path.abspath(__file__))
_LOOPBACK = ("127.0.0.1", "localhost")
_CONNECT_HEADERS = {"Playhead-Route": "hook"}  # read by the engine on CONNECT; never part of the agent's own request


def _ours(host: str, port: int | None, engine: int) -> bool:
    return port == engine and host in _LOOPBACK


def _dial(engine: int, timeout: Any) -> socket.socket:
    """A TCP connection to the engine. Without TCP_NODELAY a client that sends head and body in two writes waits 40 ms."""
    import socket

    if isinstance(timeout, (int, float)) or timeout is None:
        sock = socket.create_connection(("127.0.0.1", engine), timeout)
    else:  # some "use the default" object of the library
        sock = socket.create_connection(("127.0.0.1", engine))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _patch_http_client(engine: int) -> Patch:
    def patch(module: Any) -> None:
        connect = module.HTTPConnection.connect

        def connect_by_engine(self: Any) -> None:
            if not self._tunnel_host and not _ours(self.host, self.port, engine):
                # Kept on the instance: http.client also keeps the tunnel over close() and the next connect().
                self._create_connection = lambda _address, timeout, _source=None: _dial(engine, timeout)
                self.set_tunnel(self.host, self.port, headers=_CONNECT_HEADERS)
            connect(self)

        module.HTTPConnection.connect = connect_by_engine

    return patch


def _patch_urllib3(engine: int) -> Patch:
    def patch(module: Any) -> None:
        new_conn = module.HTTPConnection._new_conn

        def new_conn_by_engine(self: Any) -> Any:
            if getattr(self, "proxy", None) or self._tunnel_host or _ours(self.host, self.port, engine):
                sock = new_conn(self)
                if _ours(self.host, self.port, engine):
                    import socket

                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            try:
                sock = _dial(engine, self.timeout)
            except OSError as error:  # never past the engine: in a replay that would be a live call
                raise module.NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
            # connect() looks for a tunnel after this returns, and close() forgets it.
            self.set_tunnel(self.host, self.port, headers=_CONNECT_HEADERS)
            return sock

        module.HTTPConnection._new_conn = new_conn_by_engine

    return patch


def _patch_aiohttp(engine: int) -> Patch:
    def patch(module: Any) -> None:
        request = module.ClientSession._request
        proxy = f"http://127.0.0.1:{engine}"

        async def request_by_engine(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
            alone = options.get("proxy") is None and getattr(self, "_default_proxy", None) is None
            # Other connectors (unix sockets, tests' own) would take a proxy for something else.
            tcp = type(self._connector).__name__ == "TCPConnector"
            named = self._trust_env and not str(str_or_url).startswith(
                "ws"
            )  # by variables, that are none of websockets
            if alone and tcp and not named and not str(str_or_url).startswith(proxy):
                options["proxy"] = proxy
                options["proxy_headers"] = {**_CONNECT_HEADERS, **(options.get("proxy_headers") or {})}
            return await request(self, method, str_or_url, **options)

        module.ClientSession._request = request_by_engine

    return patch


def _patch_httpx(engine: int) -> Patch:
    def patch(module: Any) -> None:
        for name in ("HTTPTransport", "AsyncHTTPTransport"):
            transport = getattr(module, name, None)
            if transport is not None:
                transport.__init__ = _with_proxy(transport.__init__, f"http://127.0.0.1:{engine}")

    return patch


def _with_proxy(init: Callable[..., None], proxy: str) -> Callable[..., None]:
    import functools

    @functools.wraps(init)
    def init_with_proxy(self: Any, *args: Any, **options: Any) -> None:
        # The seventh positional parameter is the proxy itself.
        if len(args) < 7 and options.get("proxy") is None and options.get("uds") is None:
            options["proxy"] = proxy
        init(self, *args, **options)

    return init_with_proxy


def _patch_certifi(_engine: int) -> Patch:
    def patch(module: Any) -> None:
        bundle = os.environ.get("SSL_CERT_FILE", "")
        if os.path.isfile(bundle):

            def contents() -> str:
                with open(bundle, encoding="ascii", errors="replace") as file:
                    return file.read()

            module.where, module.contents = (lambda: bundle), contents

    return patch


def _patch_mcp_stdio(_engine: int) -> Patch:
    def patch(module: Any) -> None:
        default = module.get_default_environment

        def get_default_environment() -> dict[str, str]:
            names = os.environ.get("PLAYHEAD_VARIABLES", "").split(",")
            ours = {name: os.environ[name] for name in [*names, "PLAYHEAD_VARIABLES"] if name in os.environ}
            return {**ours, **default()}

        module.get_default_environment = get_default_environment

    return patch


_PATCHES = {
    "http.client": _patch_http_client,
    "urllib3.connection": _patch_urllib3,
    "aiohttp.client": _patch_aiohttp,
    "httpx._transports.default": _patch_httpx,
    "httpx2._transports.default": _patch_httpx,
    "certifi.core": _patch_certifi,
    "mcp.client.stdio": _patch_mcp_stdio,
}


class Finder:
    """In front of `sys.meta_path`: finds nothing itself, and has the patch run after the module it was asked for."""

    def __init__(self) -> None:
        self._patches: dict[str, list[Patch]] = {}

    def when_imported(self, name: str, patch: Patch) -> None:
        """Run `patch` on that module once it has been imported; now if it has been (a .pth file was earlier)."""
        if name in sys.modules:
            _apply(patch, sys.modules[name])
        else:
            self._patches.setdefault(name, []).append(patch)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        patches = self._patches.get(name)
        if patches is None:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec = find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader.exec_module = _then(spec.loader.exec_module, patches)
                return spec
        return None


def _then(exec_module: Callable[[Any], None], patches: list[Patch]) -> Callable[[Any], None]:
    def run(module: Any) -> None:
        exec_module(module)
        for patch in patches:
            _apply(patch, module)

    return run


def _apply(patch: Patch, module: Any) -> None:
    """Run one patch. A client of a shape we do not know must work unrecorded rather than fail."""
    try:
        patch(module)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not the agent's fault
        if os.environ.get("PLAYHEAD_DEBUG"):
            sys.stderr.write(f"playhead: {module.__name__} is not hooked: {error!r}\n")


def _start_tape(finder: Finder) -> None:
    """Put this process on the run's tape, with the Playhead that lies around this file: the agent's own environment need
    not have one, and must not bring another."""
    from _frozen_importlib_external import PathFinder  # `importlib.machinery` takes a millisecond of every start

    package = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    spec = PathFinder.find_spec("playhead", [os.path.dirname(package)])
    if spec is None or spec.loader is None:
        return
    module = sys.modules["playhead"] = type(sys)("playhead")
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    module.__package__, module.__path__ = "playhead", [package]
    spec.loader.exec_module(module)
    from playhead.runs import agent

    agent.start(finder.when_imported)


def _say_unhooked(folder: str) -> None:
    """Leave a line for the launcher: this Python is recorded at the wire alone."""
    version = ".".join(map(str, sys.version_info[:2]))
    text = f"{sys.implementation.name} {version} has no tape inside: CPython 3.11 and newer have; what it sends is recorded\n"
    try:
        with open(folder + os.sep + os.environ.get("PLAYHEAD_PROCESS", "0") + ".said", "a", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        pass  # the run is over, and with it its folder


def _install(engine: int) -> None:
    if os.environ.get("PLAYHEAD_ROUTE") == "hook":
        # The launcher was told to set no proxy variables; Python clients that read them get them from here.
        proxy = f"http://127.0.0.1:{engine}"
        for scheme in ("http", "https", "all"):
            os.environ[f"{scheme}_proxy"] = os.environ[f"{scheme.upper()}_PROXY"] = proxy
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""
    finder = Finder()
    for name, make in _PATCHES.items():
        finder.when_imported(name, make(engine))
    sys.meta_path.insert(0, finder)  # a finder is whatever has find_spec
    tape = os.environ.get("PLAYHEAD_TAPE", "")
    if tape and sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
        _start_tape(finder)
    elif tape:
        _say_unhooked(tape.partition(":")[2])


def _hand_over() -> None:
    """Python runs the first sitecustomize it finds, which is this one. Leave the path and import the next, if any."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    us = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if us is not None:  # the import system looks for us when we return
            sys.modules.setdefault("sitecustomize", us)


_PORT = os.environ.get("PLAYHEAD_PORT", "")
if __name__ == "sitecustomize" and _PORT.isdigit():  # else somebody wants the finder only
    _install(int(_PORT))
if __name__ == "sitecustomize":
    _hand_over()
