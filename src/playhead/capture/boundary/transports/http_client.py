"""`http.client`, and with it urllib, urllib3, requests and botocore: the head of an answer, in its order.

Bodies are read as HTTP framed them, so threads see the same pieces; what they do with them has the order of the locks
and queues they go through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.transports import passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches


def patch(patches: Patches, module: Any) -> None:
    """Patch `http.client`, just imported."""
    patches.wrap(module.HTTPConnection, "putrequest", _renewing)
    patches.wrap(module.HTTPConnection, "send", _to_be_ordered)
    patches.wrap(module.HTTPConnection, "getresponse", _ordered)
    for kind in (module.HTTPConnection, module.HTTPSConnection):
        patches.wrap(kind, "connect", _connecting)


def patch_urllib3(patches: Patches, module: Any) -> None:
    """Patch `urllib3.connection`, just imported: it connects in its own way."""
    for kind in (module.HTTPConnection, module.HTTPSConnection):
        if "connect" in vars(kind):
            patches.wrap(kind, "connect", _connecting)


def _connecting(real: Callable[..., Any]) -> Callable[..., Any]:
    """A connection of which this process's own wire carries the bytes, when it has one."""

    def connect(self: Any) -> None:
        wire = active.carrying()
        if wire is None:
            real(self)
            return
        from playhead.capture.boundary.transports import sockets  # here: under an engine nobody needs it

        if sockets.is_dialing(self):
            real(self)
        else:
            sockets.put(self, wire, real)

    return connect


def _to_be_ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *args: Any, **options: Any) -> Any:
        if active.carrying() is not None:
            _see_that_it_is_carried(self)
        if active.is_live():
            return real(self, *args, **options)
        token = active.orders.set(True)
        try:
            return real(self, *args, **options)
        finally:
            active.orders.reset(token)

    return send


def _renewing(real: Callable[..., Any]) -> Callable[..., Any]:
    """A kept connection from before the recording is not used again, if there is a way to make one that is carried."""

    def putrequest(self: Any, *args: Any, **options: Any) -> Any:
        passed.see_to("urllib3" if hasattr(self, "is_verified") else "http")
        sock = self.sock
        if active.carrying() is not None and sock is not None and not _is_carried(self):
            from playhead.capture.boundary.transports import sockets

            if isinstance(sock, sockets.Socket) or hasattr(type(self).connect, "__wrapped__"):
                self.sock = None
                sock.close()
        return real(self, *args, **options)

    return putrequest


def _is_carried(connection: Any) -> bool:
    """Whether its socket is one of this very session; so is what the library connects for us."""
    from playhead.capture.boundary.transports import sockets

    sock = connection.sock
    return (isinstance(sock, sockets.Socket) and sock.wire is active.carrying()) or sockets.is_dialing(connection)


def _see_that_it_is_carried(connection: Any) -> None:
    """A connection that was made in a way of its own: said, and in a replay refused."""
    wire = active.carrying()
    if wire is None or connection.sock is None or _is_carried(connection):
        return
    wire.went_past(connection.host, "a connection that was not made by http.client here")
    if not wire.live:
        raise ConnectionRefusedError(f"Playhead replays no call to {connection.host} on a connection of its own making")


def _ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(self: Any, *args: Any, **options: Any) -> Any:
        name = f"{self._method} {self._tunnel_host or self.host}"
        return passed.call(name, lambda: real(self, *args, **options))

    return getresponse
