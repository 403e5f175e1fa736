"""The world's side of the wire: sends questions on and reports every read of the answers.

Lines are kept alive and used again as a client that stood alone would have: by a client connection that was itself
used before, or for methods that are safe to repeat. A POST on a fresh client connection gets a fresh line, because a
stale one could fail it in a way its client would not have met, and repeating it could do its work twice
(RFC 9110 section 9.2.2 forbids a proxy to).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from playhead.capture.wire.ask import REPEATABLE, Ask
from playhead.capture.wire.dial import Dialer, UnreachedError
from playhead.core.events import Ending
from playhead.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.wire.line import Line
    from playhead.capture.wire.rules import UpstreamRules, Way
    from playhead.core.tape import Answering, Exchange, Target

MAX_IDLE = 64  # idle lines kept a place
WHOLE_S = 1.0  # how long a request that cannot be sent anywhere may take to come in


class Place(NamedTuple):
    """What the upstream remembers of a target: the way there, and idle lines to it, the newest last."""

    way: Way
    idle: list[Link]


class Link:
    """A line to the world together with where it leads."""

    __slots__ = ("address", "ask", "is_used", "line", "place", "redial")

    def __init__(self, line: Line, place: Place, redial: Callable[[Ask], None]) -> None:
        self.line, self.place, self.redial = line, place, redial
        self.address = line.peer
        self.is_used = False
        self.ask: Ask | None = None
        line.received, line.ended, line.crowded = self.received, self.ended, self.crowded

    def received(self, data: bytes) -> None:
        """Bytes from the world; unasked ones spoil the line."""
        if self.ask is None:
            self.drop()
        else:
            self.ask.received(data)

    def ended(self, error: OSError | None) -> None:
        """The world closed the line, or it failed."""
        ask = self.ask
        self.drop()
        if ask is None:
            return
        if ask.take_back():
            self.redial(ask)
        else:
            ask.lost(error)

    def crowded(self, flag: bool) -> None:  # noqa: FBT001 - a callback of Line
        """The world reads slower than the client sends, or no longer so."""
        if self.ask is not None:
            self.ask.answering.crowded(crowded=flag)

    def release(self) -> None:
        """The exchange ended well; the line waits for the next."""
        self.ask = None
        self.is_used = True
        idle = self.place.idle
        idle.append(self)
        if len(idle) > MAX_IDLE:
            idle[0].drop()

    def drop(self) -> None:
        """Close the line and forget it."""
        if self.ask is None and self in self.place.idle:
            self.place.idle.remove(self)
        self.ask = None
        self.line.abort()


class Upstream:
    """The live `World` of the wire. Works on the running event loop; lines live until `close`."""

    def __init__(self, rules: UpstreamRules, *, dialer: Dialer | None = None) -> None:
        self._rules = rules
        self._dialer = dialer or Dialer(rules)
        self._places: dict[Target, Place] = {}
        self._by_way: dict[Way, Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, exchange: Exchange, head: bytes, answering: Answering) -> Ask:
        """Send `head` towards the exchange's target and report to `answering` (see core.tape)."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        place = self._places.get(exchange.target)
        if place is None:
            place = self._place(exchange.target)
        way = place.way
        if way.proxy is not None and way.scheme == "http" and head:
            head = _for_proxy(head, exchange.target.authority, way.proxy.authorization)
        ask = Ask(loop, exchange, answering, head)
        if place.idle and (exchange.reused or ask.method in REPEATABLE) and exchange.protocol != "h2":
            while place.idle:
                link = place.idle.pop()
                if link.line.has_news():
                    link.drop()
                    continue
                ask.begin(link)
                return ask
        self._dial(ask, place)
        return ask

    def close(self) -> None:
        """Close every line, at once. Asks in progress hear nothing more."""
        for task in self._tasks:
            task.cancel()
        for link in list(self._links):
            link.drop()

    def _place(self, target: Target) -> Place:
        way = self._rules.way(target)
        place = self._by_way.setdefault(way, Place(way, []))
        self._places[target] = place
        return place

    def _dial(self, ask: Ask, place: Place) -> None:
        task = asyncio.get_running_loop().create_task(self._reach(ask, place))
        self._tasks.add(task)
        ask.dialing = task
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, ask: Ask, place: Place) -> None:
        protocol = "h2" if ask.exchange.protocol == "h2" else "http/1.1"
        try:
            line = await self._dialer.reach(ask.exchange.target, protocol=protocol)
        except UnreachedError as error:
            await _whole(ask)
            ask.unreached(error.how, error.detail)
            return
        except (SetupError, OSError, ValueError) as error:
            await _whole(ask)
            ask.unreached(Ending.REJECTED, str(error))
            return
        link = Link(line, place, lambda again: self._dial(again, place))
        self._links.add(link)
        line.gone = lambda: self._links.discard(link)
        ask.begin(link)
        line.resume()


async def _whole(ask: Ask) -> None:
    """Come back when a request whose head is here is complete. A client that still sends meets the end of its line there or
    behind it, as it happens, and says the one or the other: its replay would be another one by chance."""
    if ask.is_whole:
        return
    whole = asyncio.Event()
    ask.when_whole = whole.set
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(whole.wait(), WHOLE_S)


def _for_proxy(head: bytes, authority: str, authorization: str) -> bytes:
    """The head in absolute form, as a proxy wants it for plain HTTP (RFC 9112 section 3.2.2)."""
    method, target, rest = head.split(b" ", 2)
    version, line_end, fields = rest.partition(b"\n")
    credential = f"Proxy-Authorization: {authorization}\r\n".encode("latin-1") if authorization else b""
    place = b"http://" + authority.encode("ascii", "replace")
    return b" ".join((method, place + (b"" if target == b"*" else target), version)) + line_end + credential + fields
