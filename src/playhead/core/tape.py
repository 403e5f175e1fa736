"""The tape: the one port between capture and everything behind it.

Capture asks "what is the answer to this request?" by `Tape.begin`. A recorder asks the world and writes it down, a
player answers from a session, a forker does one after the other. Bytes pass both ways exactly as they were read;
nothing here parses them. All calls happen on one event loop thread; none blocks, none raises for what a peer did.

    caller (capture) --begin/feed/end/abandon--> Turn --ask--> World (capture's upstream side; recorder only)
    caller (capture) <--deliver/finish---------- Turn <--answered/ended---------------------------'
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.core.events import Ending


class Route(StrEnum):
    """How an exchange came to be captured; the keys of `routes` in a summary."""

    BASE_URL = "base-url"
    PROXY = "proxy"
    HOOK = "hook"


class Target(NamedTuple):
    """Where a question is meant to go, as the client named it: `https`, `api.openai.com`, 443."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host` or `host:port` when the port is not the scheme's own; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


@dataclass(slots=True, eq=False, weakref_slot=True)
class Connection:
    """One accepted client connection. `number` is its rank in accept order, from 1; `peer` is the client's own
    (address, port), from which its process is found. `asked` counts the exchanges it has carried so far."""

    number: int
    peer: tuple[str, int]
    route: Route
    tls: bool = False
    asked: int = 0
    lane: int = 0


class Asker(NamedTuple):
    """Who asks, as the hook inside the client's process names it: a lane in 64 bits, the number of the call of that
    process in whose course it asks (0 outside of any), and whether the hook itself gives the answer its place in the
    order, so that nobody else has to."""

    mark: int
    within: int
    orders: bool


@dataclass(slots=True, eq=False)
class Exchange:
    """One question on its way: identity and address, no bytes. `number` counts from 1 in arrival order."""

    number: int
    connection: Connection
    target: Target
    arrived_ns: int
    reused: bool  # the connection had carried an exchange before
    protocol: str = "http/1.1"  # "h2" or "websocket" once the bytes are relayed raw
    asker: Asker | None = None  # who asks, when a hook inside the client said so


class Caller(Protocol):
    """The side that asked. `deliver` and `finish` never block; back-pressure goes up as `Turn.hold`."""

    def deliver(self, data: bytes) -> None:
        """Send answer bytes to the client."""

    def finish(self, how: Ending, detail: str = "") -> None:
        """The exchange is over. COMPLETE leaves the connection to HTTP's own rules; CLOSED and CUT close it after
        what was delivered; RESET, REFUSED, TIMEOUT and REJECTED abort it with a TCP reset, which is what a client
        that stood alone would have taken for a connection error; `detail` is what was said of it."""

    def hold(self, *, holding: bool) -> None:
        """Stop (True) or take up again (False) reading the request."""


class Turn(Protocol):
    """One exchange in progress, as the caller drives it."""

    def feed(self, data: bytes) -> None:
        """More bytes of the request body, as framed on the wire; after an upgrade, any bytes of the client."""

    def end(self) -> None:
        """The request is complete."""

    def abandon(self) -> None:
        """The caller went away; nothing more may be delivered."""

    def hold(self, *, holding: bool) -> None:
        """The client reads slower than we write: stop (True) or take up again (False) the answer."""


class Tape(Protocol):
    """What is the answer to this request?"""

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> Turn:
        """Start an exchange. `head` is the request line and headers with the blank line, as they go (or would go)
        upstream."""


class Answering(Protocol):
    """The recorder's ear towards the world, one for each exchange."""

    def answered(self, data: bytes, *, last: bool) -> None:
        """Bytes of the answer as one read brought them; `last` when the HTTP message ends with them."""

    def ended(self, how: Ending, detail: str = "") -> None:
        """The answer ends without a `last` read: cut, reset, refused. Called at most once."""

    def reached(self, address: str, *, reused: bool) -> None:
        """The world was reached: `ip:port`, and whether on a pooled connection."""

    def upgraded(self, protocol: str) -> None:
        """After a 101 (or an h2 preface) bytes are relayed raw both ways until either side closes."""

    def crowded(self, *, crowded: bool) -> None:
        """The world reads slower than the client sends (True), or no longer (False): `Caller.hold` the request. Not
        called `hold`, since one object may be a Turn, which is told to hold the answer, and an Answering."""


class Asking(Protocol):
    """A question on its way into the world."""

    def feed(self, data: bytes) -> None:
        """Send more request bytes."""

    def end(self) -> None:
        """The request is complete."""

    def abort(self) -> None:
        """Drop the connection at once; `Answering` hears nothing more."""

    def hold(self, *, holding: bool) -> None:
        """Stop (True) or take up again (False) reading the answer."""


class World(Protocol):
    """The live side of the wire."""

    def ask(self, exchange: Exchange, head: bytes, answering: Answering) -> Asking:
        """Send `head` towards `exchange.target` (through the user's own proxy rules) and report to `answering`."""


class Bound(NamedTuple):
    """How long to wait for rest: until the client's processes have used so much processor time since, or so much time
    has passed. The first counts what the client does and not how busy the machine is; the second ends every wait."""

    cpu_s: float
    wall_s: float


class Rest(Protocol):
    """Whether the client's whole process tree has come to rest: nothing unread on the given client ports and every
    thread asleep. Order between two answers is certain only if the client rested between them."""

    def resting(self, ports: Iterable[int]) -> bool:
        """One observation, now. Does not wait."""

    def when_resting(self, ports: Iterable[int], then: Callable[[bool], None], bound: Bound) -> Callable[[], None]:
        """Call `then(True)` after two observations of rest in a row, or `then(False)` once the bound is met.
        Returns a function that cancels. `then` is called at most once, never from inside this call."""
