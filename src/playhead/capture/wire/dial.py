"""Reaching the world: name resolution, the user's proxy, TLS, and the checks that stand before a line may be used.

The one place that opens outgoing connections. A dialer made offline refuses everything the rules do not allow live.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from playhead.capture.wire.framing import head_end
from playhead.capture.wire.line import Line, tune
from playhead.core.events import Ending

if TYPE_CHECKING:
    import ssl

    from playhead.capture.wire.rules import Proxy, UpstreamRules, Way
    from playhead.core.tape import Target

DIAL_S = 15.0  # a client that stood alone would have given up on connecting by then
STAGGER_S = 0.25  # RFC 8305: head start of each address before the next is tried too
_MAX_PROXY_ANSWER = 64 * 1024
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))  # as the OpenAI and Anthropic SDKs set
_ADDRESS = tuple[int, tuple[str, int]]


class UnreachedError(Exception):
    """The world was not reached: how that ends the exchange, and what was seen."""

    def __init__(self, how: Ending, detail: str) -> None:
        super().__init__(detail)
        self.how, self.detail = how, detail


class Dialer:
    """Opens lines to the world by the rules of one run. TLS contexts are made at first use and kept."""

    def __init__(self, rules: UpstreamRules, *, offline: bool = False) -> None:
        self.rules, self._offline = rules, offline
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def reach(self, target: Target, *, protocol: str | None, tunnel: bool = False) -> Line:
        """A line to `target`, not yet reading. `protocol` is what TLS must agree on ("http/1.1", "h2"), None for no
        TLS of ours; `tunnel`: have the proxy connect through even for plain HTTP. Raises UnreachedError."""
        if self._offline and not self.rules.is_live(target.host, target.port):
            raise UnreachedError(Ending.REFUSED, "blocked: this is a replay")
        try:
            async with asyncio.timeout(DIAL_S):
                return await self._reach(self.rules.way(target), protocol, tunnel=tunnel)
        except TimeoutError:
            raise UnreachedError(Ending.TIMEOUT, f"no connection within {DIAL_S:g} s") from None

    async def _reach(self, way: Way, protocol: str | None, *, tunnel: bool) -> Line:
        loop = asyncio.get_running_loop()
        proxy = way.proxy
        sock = await _connect(loop, *((way.host, way.port) if proxy is None else (proxy.host, proxy.port)))
        line = Line(loop, sock)
        try:
            if proxy is not None and (tunnel or way.scheme == "https"):
                await _through(loop, line, proxy, way)
            if protocol is not None and way.scheme == "https":
                await self._secure(loop, line, way, protocol)
        except BaseException:
            line.abort()
            raise
        return line

    async def _secure(self, loop: asyncio.AbstractEventLoop, line: Line, way: Way, protocol: str) -> None:
        context = self._contexts.get(protocol)
        if context is None:
            context = self._contexts[protocol] = self.rules.client_context(protocol=protocol)
        done: asyncio.Future[None] = loop.create_future()

        def shaken(error: Exception | None) -> None:
            line.pause()  # no byte may be read before there is someone to have it
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        name = next((name for name in way.names if not _is_address(name)), way.host)
        try:
            line.secure(context, shaken, server_side=False, name=name)
            await done
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
            raise UnreachedError(Ending.REJECTED, f"TLS with {way.host}: {reason}") from error
        if not any(_bears(line.certificate, name) for name in way.names):
            raise UnreachedError(Ending.REJECTED, f"TLS with {way.host}: the certificate is for another host")
        if protocol == "h2" and line.protocol != "h2":
            raise UnreachedError(Ending.REJECTED, f"TLS with {way.host}: the server does not speak HTTP/2")


async def _connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """A connected socket to the first address that answers; addresses of both families in turn, each with a head
    start over the next (RFC 8305). Raises UnreachedError."""
    addresses = await _resolve(loop, host, port)
    if len(addresses) == 1:
        return await _connect_one(loop, addresses[0])
    waiting = list(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[UnreachedError] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(loop.create_task(_connect_one(loop, waiting.pop(0))))
            done, attempts = await asyncio.wait(
                attempts, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            winners = [task.result() for task in done if task.exception() is None]
            for late in winners[1:]:
                late.close()
            if winners:
                return winners[0]
            failures.extend(error for task in done if isinstance(error := task.exception(), UnreachedError))
    finally:
        for task in attempts:
            task.add_done_callback(_discard)
            task.cancel()
    raise failures[0]


def _discard(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect_one(loop: asyncio.AbstractEventLoop, address: _ADDRESS) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        tune(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        await loop.sock_connect(sock, address[1])
    except OSError as error:
        sock.close()
        how = Ending.TIMEOUT if error.errno == errno.ETIMEDOUT else Ending.REFUSED
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UnreachedError(how, f"connect to {address[1][0]}:{address[1][1]}: {reason}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[_ADDRESS]:
    if _is_address(host):
        return [(int(socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port))]
    try:
        found = await _lookup(loop, host, port)
    except (OSError, UnicodeError) as error:
        raise UnreachedError(Ending.REFUSED, f"resolve {host}: {getattr(error, 'strerror', '') or error}") from error
    addresses: list[_ADDRESS] = [(int(family), (str(address[0]), port)) for family, *_, address in found]
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    both = min(len(first), len(other))
    paired = [address for pair in zip(first, other, strict=False) for address in pair]
    return paired + first[both:] + other[both:]


async def _lookup(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[tuple[Any, ...]]:
    return list(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def _through(loop: asyncio.AbstractEventLoop, line: Line, proxy: Proxy, way: Way) -> None:
    """Have the proxy open a tunnel (RFC 9110 section 9.3.6). Raises UnreachedError."""
    answered: asyncio.Future[bytes] = loop.create_future()
    buffer = b""

    def received(data: bytes) -> None:
        nonlocal buffer
        buffer += data
        end = head_end(buffer)
        if (end >= 0 or len(buffer) > _MAX_PROXY_ANSWER) and not answered.done():
            line.pause()
            line.put_back(buffer[end:] if end >= 0 else b"")
            answered.set_result(buffer[:end] if end >= 0 else b"")

    def ended(error: OSError | None) -> None:
        if not answered.done():
            answered.set_exception(error or ConnectionResetError("closed"))

    line.received, line.ended = received, ended
    host = f"[{way.host}]" if ":" in way.host else way.host
    head = f"CONNECT {host}:{way.port} HTTP/1.1\r\nHost: {host}:{way.port}\r\n"
    if proxy.authorization:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    line.resume()
    line.send(head.encode("ascii") + b"\r\n")
    try:
        answer = await answered
    except OSError as error:
        raise UnreachedError(Ending.REFUSED, f"proxy {proxy.host}:{proxy.port}: {error.strerror or error}") from error
    if answer[9:10] != b"2":
        said = answer[: answer.find(b"\r\n")].decode("latin-1") or "an answer that is no tunnel"
        raise UnreachedError(Ending.REFUSED, f"proxy {proxy.host}:{proxy.port}: {said}")


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False


def _bears(certificate: dict[str, object], host: str) -> bool:
    """Whether a verified certificate names `host` (RFC 9525: subject alternative names only, a wildcard stands for
    one whole left-most label)."""
    names = certificate.get("subjectAltName", ())
    if not isinstance(names, tuple):
        return False
    for kind, value in names:
        if kind == "DNS":
            name = value.lower()
            if name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:]):
                return True
        elif kind == "IP Address" and _same_address(value, host):
            return True
    return False


def _same_address(one: str, other: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            return socket.inet_pton(family, one.strip()) == socket.inet_pton(family, other)
    return False
