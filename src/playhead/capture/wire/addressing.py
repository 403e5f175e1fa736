"""Who is meant by a request that arrives on the engine's own port: a proxy's absolute form, or a base URL's prefix.

    POST http://localhost:11434/api/chat    ->  POST /api/chat                for http://localhost:11434
    GET ws://localhost:8000/talk            ->  GET /talk                     for http://localhost:8000 (aiohttp's websockets)
    POST /p/openai/v1/chat/completions      ->  POST /v1/chat/completions     for whatever `openai` stands for

Of the head, only the request line, the Host of a base URL, and a proxy's own headers change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playhead.capture.wire.conversation import Addressed, RefusedError
from playhead.capture.wire.rules import url_target
from playhead.capture.wire.switchboard import NO_PREFIX, Uncaptured
from playhead.core.tape import Route, Target

if TYPE_CHECKING:
    from playhead.capture.wire.switchboard import Switchboard

_ABSOLUTE = re.compile(rb"(?:http|ws)(s?://[^/?#]*)(.*)\Z", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(rb"/p/([^/?#]+)(.*)\Z", re.DOTALL)
_HOST = re.compile(rb"(\nhost:[ \t]*)[^\r\n]*", re.IGNORECASE)
_PROXY_HEADERS = re.compile(rb"(?<=\n)proxy-(?:connection|authorization):[^\n]*\n", re.IGNORECASE)
_WHAT_THIS_IS = (
    "This is the port of a Playhead engine: an HTTP proxy, and the base URL of what is being recorded or replayed.\n"
    "{reason}\n"
    "Known base URLs: {known}.\n"
)


def address(board: Switchboard, head: bytes, target: bytes) -> Addressed:
    """Read whom `head`, whose request line names `target`, is meant for. Raises RefusedError."""
    absolute = read_absolute(target)
    if absolute is None:
        return _behind_prefix(board, head, target, target)
    place, path = absolute
    if board.is_self(place.host, place.port):
        return _behind_prefix(board, _PROXY_HEADERS.sub(b"", head), target, path)
    return Addressed(origin_form(head, target, path), place, Route.PROXY)


def read_absolute(target: bytes) -> tuple[Target, bytes] | None:
    """The place and the path of a request target in absolute form; None of another. Raises RefusedError."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return None
    found = url_target("http" + absolute[1].decode("latin-1"))
    if found is None:
        raise RefusedError(400, "The proxy request names no host.\n")
    path = absolute[2].partition(b"#")[0]
    return found[0], path if path.startswith(b"/") else b"/" + path


def origin_form(head: bytes, target: bytes, path: bytes) -> bytes:
    """A head for a proxy, whose request target is `target`, as the far end would get it."""
    return _retarget(_PROXY_HEADERS.sub(b"", head), target, path)


def _behind_prefix(board: Switchboard, head: bytes, target: bytes, path: bytes) -> Addressed:
    match = _PREFIX.match(path)
    prefix = board.rules.prefixes.get(match.group(1).decode("latin-1")) if match else None
    if match is None or prefix is None:
        shown = path[:200].decode("latin-1")
        board.report(Uncaptured("", 0, f"{NO_PREFIX}: {shown}", 0))
        reason = f"Nothing stands behind {shown!r}."
        known = ", ".join(f"/p/{name}" for name in board.rules.prefixes) or "none"
        raise RefusedError(404, _WHAT_THIS_IS.format(reason=reason, known=known))
    rest = match.group(2)
    path = prefix.path.encode("latin-1") + rest
    if not path.startswith(b"/"):
        path = b"/" + path
    host = prefix.target.authority.encode("idna" if not prefix.target.host.isascii() else "ascii")
    line_end = head.find(b"\n")
    head = head[:line_end] + _HOST.sub(lambda found: found.group(1) + host, head[line_end:], count=1)
    return Addressed(_retarget(head, target, path), prefix.target, Route.BASE_URL)


def _retarget(head: bytes, target: bytes, path: bytes) -> bytes:
    at = head.index(b" ") + 1
    return head[:at] + path + head[at + len(target) :]
